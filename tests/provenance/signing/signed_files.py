"""What the tests of this folder sign with: a claim, a certificate that runs out in a moment, an operator's own."""

import datetime as dt

from cryptography.hazmat.primitives.asymmetric import ec
from time_stamps import SIGNING, authority, issue

from kinemark.errors import FailureError
from kinemark.provenance.signing.certificates import to_pem
from kinemark.provenance.signing.claims import Claim, sign
from kinemark.provenance.signing.keys import load_keys, private_pem, require_keys

CLAIM = Claim(id="a1b2c3d4", when=dt.datetime.now(dt.UTC), seconds=0.75, model="spark", weights_digest="ab" * 32)


def signed_briefly(source, folder):
    """A file signed by a certificate that runs out in a moment: (keys, file, when). Slow machines get a longer one."""
    for seconds in (2, 10, 60):
        runs_out = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        require_keys(folder / f"keys{seconds}", runs_out - dt.timedelta(days=365) + dt.timedelta(hours=1))
        brief, target = load_keys(folder / f"keys{seconds}"), folder / f"brief{seconds}.mp4"
        try:
            sign(source, target, CLAIM, brief)
        except FailureError:
            continue
        return brief, target, runs_out
    raise AssertionError("this machine needs more than a minute to sign")


def operators_own(folder, *, purposes=SIGNING, curve=None, days=300):
    """(chain file, key file, authority's root) of a certificate that an authority issued."""
    root, root_key = authority("Authority")
    key = ec.generate_private_key(curve or ec.SECP256R1())
    folder.mkdir(exist_ok=True)
    signer = issue("Operator", key.public_key(), root, root_key, purposes=purposes, days=days)
    (folder / "chain.pem").write_text(to_pem(signer) + to_pem(root))
    (folder / "key.pem").write_bytes(private_pem(key))
    return folder / "chain.pem", folder / "key.pem", (root, root_key)
