import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kinemark.errors import RequestError
from kinemark.provenance.signing.certificates import MAX_PEM, read_chain, require_root, require_signer, to_pem

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make(
    *, key=KEY, issuer=None, ca=False, start=-1, days=300, purpose=ExtendedKeyUsageOID.EMAIL_PROTECTION, signs=True
):
    """A certificate; `issuer` is (certificate, key), or None for a self-signed one."""
    begin = NOW + dt.timedelta(days=start)
    builder = x509.CertificateBuilder().subject_name(name("ca" if ca else "signer"))
    builder = builder.issuer_name(issuer[0].subject if issuer else name("ca" if ca else "signer"))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(begin + dt.timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    usage |= {"digital_signature": signs and not ca, "key_cert_sign": ca, "crl_sign": ca}
    builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    if purpose is not None and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256())


ROOT = make(key=OTHER, ca=True, days=3000)
ISSUER = (ROOT, OTHER)


def test_what_is_right_is_accepted():
    require_root(ROOT, "root.pem", NOW)
    require_signer([make(issuer=ISSUER), ROOT], KEY, "cert.pem", NOW)
    assert read_chain((to_pem(ROOT) + to_pem(ROOT)).encode(), "x") == [ROOT, ROOT]


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        (make(issuer=ISSUER), "no root"),
        (make(key=KEY, ca=True, issuer=ISSUER, days=3000), "not by itself"),
        (make(ca=True, start=-400, days=300), "ran out"),
        (make(ca=True, start=30), "not valid before"),
        (make(key=rsa.generate_private_key(65537, 1024), ca=True), "1024 bits"),
        (make(key=ec.generate_private_key(ec.SECP256K1()), ca=True), "P-256"),
    ],
)
def test_a_root_that_is_none(certificate, says):
    with pytest.raises(RequestError, match=says):
        require_root(certificate, "root.pem", NOW)


@pytest.mark.parametrize(
    ("chain", "key", "says"),
    [
        ([ROOT], OTHER, "authority"),
        ([make(issuer=ISSUER), ROOT], OTHER, "do not belong together"),
        ([make(issuer=ISSUER, days=400), ROOT], KEY, "400 days"),
        ([make(issuer=ISSUER, signs=False), ROOT], KEY, "digitalSignature"),
        ([make(issuer=ISSUER, purpose=ExtendedKeyUsageOID.SERVER_AUTH), ROOT], KEY, "needs one of"),
        ([make(issuer=ISSUER, purpose=None), ROOT], KEY, "purposes none"),
        ([make(issuer=ISSUER, start=-400), ROOT], KEY, "ran out"),
        ([make(issuer=ISSUER, start=5), ROOT], KEY, "not valid before"),
        ([make(issuer=ISSUER), make(ca=True, days=3000)], KEY, "was not issued by"),
    ],
)
def test_a_signer_that_is_none(chain, key, says):
    with pytest.raises(RequestError, match=says):
        require_signer(chain, key, "cert.pem", NOW)


@pytest.mark.parametrize("text", [b"", b"no pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_pem(text):
    with pytest.raises(RequestError, match="no certificate"):
        read_chain(text, "x.pem")


def test_a_huge_file_is_not_read():
    with pytest.raises(RequestError, match="at most"):
        read_chain(b"-" * (MAX_PEM + 1), "x.pem")
