import datetime as dt
import multiprocessing
import os
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from kinemark.errors import FailureError
from kinemark.provenance.signing import keys
from kinemark.provenance.signing.certificates import C2PA_CLAIM_SIGNING, to_pem
from kinemark.provenance.signing.rotation import rotate

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


def certificate(folder, name=keys.SIGNER):
    return x509.load_pem_x509_certificate((folder / name).read_bytes())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "keys"


def test_looking_makes_nothing(folder):
    assert keys.load_keys(folder) is None
    assert not folder.exists()


def test_first_use_makes_keys_and_the_next_use_reads_the_same(folder):
    made = keys.require_keys(folder)
    again = keys.require_keys(folder)
    assert made.chain_pem == again.chain_pem
    assert made.watermark_key == again.watermark_key
    assert len(made.watermark_key) == 32
    assert made.chain_pem.count("BEGIN CERTIFICATE") == 2
    assert made.chain_pem.endswith(made.root_pem)


@posix
def test_only_the_owner_may_read(folder):
    keys.require_keys(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert sorted(file.name for file in folder.iterdir()) == sorted(keys.FILES)


def test_the_watermark_key_is_not_the_secret_itself(folder):
    made = keys.require_keys(folder)
    assert made.watermark_key != made.watermark_secret


def test_the_signer_is_what_c2pa_asks_for(folder):
    keys.require_keys(folder)
    signer, root = certificate(folder), certificate(folder, keys.ROOT)
    signer.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    assert isinstance(signer.public_key().curve, ec.SECP256R1)
    purposes = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert C2PA_CLAIM_SIGNING in purposes
    usage = signer.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.content_commitment
    assert not usage.value.key_cert_sign
    assert not signer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert signer.not_valid_after_utc - signer.not_valid_before_utc <= dt.timedelta(days=366)


def test_names_say_nothing_about_the_person_or_the_machine(folder):
    keys.require_keys(folder)
    names = certificate(folder).subject.rfc4514_string()
    assert os.uname().nodename not in names
    assert "Kinemark installation" in names


def test_a_certificate_that_runs_out_is_renewed_for_the_same_key(folder):
    start = dt.datetime.now(dt.UTC)
    old = keys.require_keys(folder, start - dt.timedelta(days=340))
    first = certificate(folder)
    new = keys.require_keys(folder, start)
    assert certificate(folder).not_valid_after_utc > start + dt.timedelta(days=300)
    assert certificate(folder).public_key() == first.public_key()
    assert new.root_pem == old.root_pem
    assert new.watermark_key == old.watermark_key
    assert sorted(file.name for file in folder.iterdir()) == sorted(keys.FILES)


def test_a_fresh_certificate_is_kept(folder):
    keys.require_keys(folder)
    serial = certificate(folder).serial_number
    keys.require_keys(folder)
    assert certificate(folder).serial_number == serial


@posix
@pytest.mark.parametrize("name", keys.SECRETS)
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_that_others_can_read_is_refused_with_the_command(folder, name, mode):
    keys.require_keys(folder)
    (folder / name).chmod(mode)
    with pytest.raises(FailureError, match=f"chmod 600 {folder / name}"):
        keys.load_keys(folder)


@pytest.mark.parametrize("name", keys.FILES)
def test_a_missing_half_is_named_and_nothing_is_made_over_it(folder, name):
    keys.require_keys(folder)
    (folder / name).unlink()
    with pytest.raises(FailureError, match=f"lacks {name}.*backup"):
        keys.require_keys(folder)
    assert not (folder / name).exists()


@pytest.mark.parametrize("name", keys.FILES)
def test_a_damaged_file_is_an_error(folder, name):
    keys.require_keys(folder)
    (folder / name).write_text("-----BEGIN NONSENSE-----")
    with pytest.raises(FailureError, match="damaged"):
        keys.load_keys(folder)


def test_a_certificate_of_another_key_is_an_error(folder, tmp_path):
    keys.require_keys(folder)
    keys.require_keys(tmp_path / "other")
    own, other = folder / keys.SIGNER, keys.read_pair(tmp_path / "other" / keys.SIGNER)
    own.write_bytes(keys.pair(keys.read_pair(own)[0], other[1]))
    with pytest.raises(FailureError, match="does not belong to its key"):
        keys.load_keys(folder)


def test_a_key_in_a_file_of_its_own_is_read_and_the_next_rotation_joins_them(folder):
    made = keys.require_keys(folder)
    chain, key = keys.read_pair(folder / keys.SIGNER)
    (folder / keys.SIGNER).write_text(to_pem(chain[0]))
    (folder / "signer-key.pem").write_bytes(keys.private_pem(key))
    read = keys.load_keys(folder)
    assert read.chain_pem == made.chain_pem
    assert read.signer_key.public_key() == key.public_key()
    rotated = rotate(folder)
    assert rotated.signer_key.public_key() != key.public_key()
    assert keys.load_keys(folder).chain_pem == rotated.chain_pem


@pytest.mark.parametrize("text", ["not JSON", "[]", "3"])
def test_a_damaged_setting_of_time_stamps_is_an_error_and_not_no_time_stamps(folder, text):
    keys.require_keys(folder)
    (folder / keys.SIGNING).write_text(text)
    with pytest.raises(FailureError, match="kinemark keys use --tsa"):
        keys.load_keys(folder)


def test_a_damaged_list_of_withdrawn_certificates_is_an_error_and_not_no_list(folder):
    keys.require_keys(folder)
    (folder / keys.REVOKED).write_text("damaged")
    with pytest.raises(FailureError, match="no revocation list"):
        keys.load_keys(folder)


def test_a_short_watermark_key_is_an_error(folder):
    keys.require_keys(folder)
    (folder / keys.WATERMARK_KEY).write_text("ab" * 31)
    with pytest.raises(FailureError, match="31 bytes"):
        keys.load_keys(folder)


def test_a_place_that_cannot_hold_a_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FailureError, match="KINEMARK_HOME"):
        keys.require_keys(tmp_path / "file" / "keys")


def _key_of(folder, start, results):
    start.wait()
    results.put(keys.require_keys(folder).watermark_key)


def test_two_first_uses_at_once_end_with_the_same_keys(folder):
    context = multiprocessing.get_context("spawn")
    start, results = context.Event(), context.Queue()
    processes = [context.Process(target=_key_of, args=(folder, start, results)) for _ in range(2)]
    for process in processes:
        process.start()
    start.set()
    found = {results.get(timeout=120) for _ in processes}
    for process in processes:
        process.join()
    results.close()
    assert found == {keys.load_keys(folder).watermark_key}
    assert [file.name for file in folder.parent.iterdir()] == ["keys"]
