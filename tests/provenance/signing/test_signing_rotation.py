import datetime as dt
import shutil
import time
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from provenance_clips import FACTS, ball
from signed_files import CLAIM, operators_own, signed_briefly
from time_stamps import SIGNING, issue, time_stamping

from command_line import decision
from kinemark.data.encode import encode_mp4
from kinemark.errors import FailureError, RequestError
from kinemark.provenance.detect import verify
from kinemark.provenance.release import release
from kinemark.provenance.signing import keys as module
from kinemark.provenance.signing import rotation, trust
from kinemark.provenance.signing.anchors import Anchor
from kinemark.provenance.signing.certificates import to_pem
from kinemark.provenance.signing.claims import sign
from kinemark.provenance.signing.credentials import read_credentials
from kinemark.provenance.signing.keys import NO_STAMPING, Stamping, load_keys, private_pem, require_keys

FRAMES = ball(frames=6, height=96, width=128)


def released(settings, path):
    return release(FRAMES, decision(FRAMES), path, FACTS, settings)


def said(path, settings):
    """(made_by, state of the credentials) of a file whose watermark is left out of account."""
    found = verify(path, settings, quick=True)
    return found.made_by, found.findings[0].detail["state"]


def elsewhere(settings, tmp_path):
    """An installation with the same keys and no ledger and another watermark key: only the signature can tell."""
    other = replace(settings, home=tmp_path / f"elsewhere-{time.monotonic_ns()}")
    shutil.copytree(settings.keys_dir, other.keys_dir)
    (other.keys_dir / module.WATERMARK_KEY).write_text("ab" * 32)
    return other


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    with time_stamping(tmp_path_factory.mktemp("clock") / "tsa") as server:
        yield server


def test_after_a_rotation_old_and_new_files_are_ours(settings, tmp_path):
    before = released(settings, tmp_path / "before.mp4").path
    old = load_keys(settings.keys_dir)
    new = rotation.rotate(settings.keys_dir)
    assert new.serial != old.serial
    assert new.signer_key.public_key() != old.signer_key.public_key()
    assert (new.root_pem, new.watermark_key) == (old.root_pem, old.watermark_key)
    assert [one.serial_number for one in rotation.retired(settings.keys_dir)] == [old.serial]
    assert private_pem(old.signer_key) not in b"".join(
        path.read_bytes() for path in settings.keys_dir.rglob("*") if path.is_file()
    )
    after = released(settings, tmp_path / "after.mp4").path
    for path in (before, after):
        assert said(path, elsewhere(settings, tmp_path)) == ("this_installation", "trusted")


def test_what_a_withdrawn_key_signed_is_ours_only_where_the_ledger_holds_it(settings, tmp_path):
    leaked = require_keys(settings.keys_dir)
    honest = released(settings, tmp_path / "honest.mp4").path
    sign(_plain(tmp_path), tmp_path / "forged.mp4", CLAIM, leaked)
    now = rotation.revoke(settings.keys_dir)
    assert now.serial != leaked.serial
    assert said(honest, settings) == ("this_installation", "revoked")
    assert said(honest, elsewhere(settings, tmp_path)) == (None, "revoked")
    assert said(tmp_path / "forged.mp4", settings) == (None, "revoked")
    assert said(released(settings, tmp_path / "next.mp4").path, settings) == ("this_installation", "trusted")


def test_a_time_stamp_from_before_the_revocation_keeps_a_file_trusted(settings, tmp_path, clock):
    trust.add("clock", clock[1], settings, time=True)
    keys = rotation.use_stamping(settings.keys_dir, Stamping(clock[0]), trust.time_roots(settings))
    timed, plain = tmp_path / "timed.mp4", tmp_path / "plain.mp4"
    sign(_plain(tmp_path), timed, CLAIM, keys)
    sign(_plain(tmp_path), plain, CLAIM, replace(keys, stamping=NO_STAMPING))
    time.sleep(1.1)  # times count in seconds
    since = dt.datetime.now(dt.UTC)
    time.sleep(1.1)
    sign(_plain(tmp_path), tmp_path / "late.mp4", CLAIM, keys)
    rotation.revoke(settings.keys_dir, since=since)
    roots, anchors = trust.time_roots(settings), load_keys(settings.keys_dir).anchors
    found = read_credentials(timed, anchors, roots)
    assert found.state == "trusted"
    assert abs(found.time - since) < dt.timedelta(seconds=30)
    assert read_credentials(timed, anchors).state == "revoked"
    assert read_credentials(plain, anchors, roots).state == "revoked"
    assert read_credentials(tmp_path / "late.mp4", anchors, roots).state == "revoked"


def test_a_time_stamp_outlives_the_certificate(settings, tmp_path, clock):
    brief, _, runs_out = signed_briefly(_plain(tmp_path), tmp_path)
    stamped = tmp_path / "stamped.mp4"
    try:
        sign(_plain(tmp_path), stamped, CLAIM, replace(brief, stamping=Stamping(clock[0])))
    except FailureError:
        pytest.skip("this machine was too slow for a certificate of a moment")
    time.sleep(max(0.0, (runs_out - dt.datetime.now(dt.UTC)).total_seconds()) + 1.5)
    roots = clock[1].read_text()
    assert read_credentials(stamped, brief.anchors).state == "expired"
    assert read_credentials(stamped, brief.anchors, roots).state == "trusted"
    stranger = require_keys(tmp_path / "stranger").anchors
    assert read_credentials(stamped, stranger, roots).state != "trusted"


def test_a_time_authority_that_also_issues_signers_is_believed_for_times_only(tmp_path, clock):
    own = require_keys(tmp_path / "keys")
    key = ec.generate_private_key(ec.SECP256R1())
    signer = issue("Stranger", key.public_key(), clock[2], clock[3], purposes=SIGNING, days=300)
    stranger = replace(own, chain_pem=to_pem(signer) + to_pem(clock[2]), signer_key=key, stamping=Stamping(clock[0]))
    sign(_plain(tmp_path), tmp_path / "strange.mp4", CLAIM, stranger)
    found = read_credentials(tmp_path / "strange.mp4", own.anchors, clock[1].read_text())
    assert (found.state, found.root) == ("valid", None)


@pytest.mark.slow
def test_an_authority_that_hangs_lets_nothing_out_or_lets_it_out_untimed_as_was_said(settings, tmp_path, clock):
    keys = require_keys(settings.keys_dir)
    hanging, start = f"{clock[0]}hang", time.monotonic()
    module.replace_private(settings.keys_dir / module.SIGNING, f'{{"tsa": "{hanging}"}}'.encode())
    with pytest.raises(FailureError, match="--untimed"):
        released(settings, tmp_path / "clip.mp4")
    assert time.monotonic() - start < 60
    assert not (tmp_path / "clip.mp4").exists()
    nowhere = replace(keys, stamping=Stamping("http://127.0.0.1:9/", untimed=True))
    assert not sign(_plain(tmp_path), tmp_path / "untimed.mp4", CLAIM, nowhere).timed
    assert read_credentials(tmp_path / "untimed.mp4", keys.anchors).state == "trusted"


def test_an_authority_that_is_not_trusted_or_not_there_changes_nothing(settings, clock):
    with pytest.raises(RequestError, match="not trusted here"):
        rotation.use_stamping(settings.keys_dir, Stamping(clock[0]), "")
    with pytest.raises(RequestError, match="nothing was changed"):
        rotation.use_stamping(settings.keys_dir, Stamping("http://127.0.0.1:9/"), clock[1].read_text())
    with pytest.raises(RequestError, match="http:// or https://"):
        rotation.use_stamping(settings.keys_dir, Stamping("ftp://x"), clock[1].read_text())
    assert load_keys(settings.keys_dir).stamping == NO_STAMPING


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_an_operators_certified_key_signs_and_going_back_keeps_its_files_ours(settings, tmp_path, curve):
    chain, key, _ = operators_own(tmp_path / "operator", curve=curve)
    before = released(settings, tmp_path / "before.mp4").path
    used = rotation.use_operator(settings.keys_dir, chain, key)
    assert used.chain_pem == chain.read_text()
    during = released(settings, tmp_path / "during.mp4").path
    assert read_credentials(during, (Anchor("authority", used.anchor_pem),)).state == "trusted"
    rotation.use_own(settings.keys_dir)
    after = released(settings, tmp_path / "after.mp4").path
    for path in (before, during, after):
        assert said(path, elsewhere(settings, tmp_path)) == ("this_installation", "trusted")


def test_another_customer_of_the_same_authority_is_a_stranger(settings, tmp_path):
    chain, key, (root, root_key) = operators_own(tmp_path / "operator")
    used = rotation.use_operator(settings.keys_dir, chain, key)
    theirs = ec.generate_private_key(ec.SECP256R1())
    certificate = issue("Another", theirs.public_key(), root, root_key, purposes=SIGNING, days=300)
    other = replace(used, chain_pem=to_pem(certificate) + to_pem(root), signer_key=theirs)
    sign(_plain(tmp_path), tmp_path / "theirs.mp4", CLAIM, other)
    assert said(tmp_path / "theirs.mp4", settings)[0] == "unknown_installation"


def test_revoking_an_operators_key_goes_back_to_the_own_one(settings, tmp_path):
    chain, key, _ = operators_own(tmp_path / "operator")
    used = rotation.use_operator(settings.keys_dir, chain, key)
    during = released(settings, tmp_path / "during.mp4").path
    with pytest.raises(RequestError, match="authority"):
        rotation.rotate(settings.keys_dir)
    now = rotation.revoke(settings.keys_dir)
    assert now.anchor_pem == now.root_pem
    assert used.serial in now.anchors[0].revoked
    assert said(during, elsewhere(settings, tmp_path)) == (None, "revoked")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"purposes": [ExtendedKeyUsageOID.SERVER_AUTH]}, "purposes"),
        ({"days": 500}, "days"),
        ({"days": 0}, "ran out"),
        ({"curve": ec.SECP256K1()}, "P-256"),
    ],
)
def test_a_certificate_without_rights_is_refused_and_nothing_changes(settings, tmp_path, change, says):
    before = require_keys(settings.keys_dir)
    chain, key, _ = operators_own(tmp_path / "operator", **change)
    with pytest.raises(RequestError, match=says):
        rotation.use_operator(settings.keys_dir, chain, key)
    assert load_keys(settings.keys_dir).chain_pem == before.chain_pem


def test_files_that_are_no_certificate_or_key(settings, tmp_path):
    chain, key, _ = operators_own(tmp_path / "operator")
    (tmp_path / "junk").write_bytes(b"\0junk")
    (tmp_path / "alone.pem").write_text(
        chain.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    )
    for certificate, private, match in (
        (tmp_path / "junk", key, "no certificate"),
        (chain, tmp_path / "junk", "no key that can be used"),
        (tmp_path / "nowhere", key, "cannot read"),
        (tmp_path / "alone.pem", key, "append those of its issuers"),
    ):
        with pytest.raises(RequestError, match=match):
            rotation.use_operator(settings.keys_dir, certificate, private)
    with pytest.raises(RequestError, match="already"):
        rotation.use_own(settings.keys_dir)


def test_a_damaged_operators_key_can_be_left(settings, tmp_path):
    rotation.use_operator(settings.keys_dir, *operators_own(tmp_path / "operator")[:2])
    path = settings.keys_dir / module.OPERATOR
    path.write_text(path.read_text().replace("PRIVATE KEY", "PIRATE KEY"))
    with pytest.raises(FailureError, match="--own"):
        load_keys(settings.keys_dir)
    rotation.use_own(settings.keys_dir)
    assert load_keys(settings.keys_dir).anchor_pem == load_keys(settings.keys_dir).root_pem


def test_only_known_certificates_can_be_withdrawn_and_only_once(settings):
    keys = require_keys(settings.keys_dir)
    with pytest.raises(RequestError, match=f"there is: {keys.serial:x}"):
        rotation.revoke(settings.keys_dir, 5)
    with pytest.raises(RequestError, match="future"):
        rotation.revoke(settings.keys_dir, since=dt.datetime.now(dt.UTC) + dt.timedelta(days=2))
    rotation.revoke(settings.keys_dir)
    with pytest.raises(RequestError, match="withdrawn already"):
        rotation.revoke(settings.keys_dir, keys.serial)
    earlier = rotation.revoke(settings.keys_dir, keys.serial, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    assert earlier.anchors[0].revoked == {keys.serial: dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}


def _plain(folder):
    path = folder / "unsigned.mp4"
    if not path.exists():
        encode_mp4(FRAMES, 8.0, path)
    return path
