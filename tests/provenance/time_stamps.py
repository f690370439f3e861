"""A time stamping authority (RFC 3161): OpenSSL's behind an HTTP server of this process, with a root of its own."""

import datetime as dt
import http.server
import subprocess
import threading
from contextlib import contextmanager

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kinemark.provenance.signing.certificates import C2PA_CLAIM_SIGNING, to_pem

SIGNING = (C2PA_CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION)
_CONFIG = """[tsa]
default_tsa = this
[this]
serial = {folder}/serial
signer_cert = {folder}/stamper.pem
certs = {folder}/root.pem
signer_key = {folder}/stamper-key.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
other_policies = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
"""


def authority(common_name, *, days=3000):
    """(certificate, key) of a root that may issue anything."""
    key = ec.generate_private_key(ec.SECP256R1())
    return issue(common_name, key.public_key(), None, key, days=days), key


def issue(common_name, public, issuer, issuer_key, *, purposes=(), days=2000):
    """A certificate; a root where `issuer` is None."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "ZZ"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    root, begin = issuer is None, dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    flags = dict.fromkeys(
        ("key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )
    flags |= {"digital_signature": not root, "content_commitment": not root, "key_cert_sign": root, "crl_sign": root}
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject if root else issuer.subject)
    builder = builder.public_key(public).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(begin + dt.timedelta(days=days))
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    known = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = builder.add_extension(known, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
    builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
    if purposes:
        critical = ExtendedKeyUsageOID.TIME_STAMPING in purposes
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=critical)
    return builder.sign(issuer_key, hashes.SHA256())


@contextmanager
def time_stamping(folder):
    """(address, file of its root, root, root's key) of an authority that answers; `address + "hang"` never does."""
    folder.mkdir()
    root, root_key = authority("Time root")
    key = rsa.generate_private_key(65537, 2048)
    stamper = issue("Stamper", key.public_key(), root, root_key, purposes=[ExtendedKeyUsageOID.TIME_STAMPING])
    (folder / "root.pem").write_text(to_pem(root))
    (folder / "stamper.pem").write_text(to_pem(stamper))
    formats = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "stamper-key.pem").write_bytes(key.private_bytes(*formats))
    (folder / "serial").write_text("01\n")
    (folder / "config").write_text(_CONFIG.format(folder=folder))
    stop = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith("hang"):
                stop.wait(120)
                return
            (folder / "asked").write_bytes(asked)
            command = ["openssl", "ts", "-reply", "-config", folder / "config", "-queryfile", folder / "asked"]
            subprocess.run([*command, "-out", folder / "answer"], check=True, capture_output=True)
            answer = (folder / "answer").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", folder / "root.pem", root, root_key
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        thread.join()
