import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from kinemark.errors import FailureError
from kinemark.provenance.records.ledger import Damage, Ledger, commitment


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "ledger.sqlite"


def fill(path, count=3):
    with Ledger.open(path, create=True) as ledger:
        return [
            ledger.append("release", f"{i:08x}", {"n": i}, fingerprint=bytes([i]) * 32, prompt="p")
            for i in range(count)
        ]


def tamper(path, *statements):
    connection = sqlite3.connect(path)
    for name in ("entries_stay_same", "entries_stay_here"):
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_entries_are_numbered_and_chained(path):
    one, two, three = fill(path)
    assert [one.seq, two.seq, three.seq] == [1, 2, 3]
    assert two.previous == one.digest
    assert three.previous == two.digest
    with Ledger.open(path) as ledger:
        assert len(ledger) == 3
        assert ledger.verify_chain() == []
        assert ledger.find("00000001") == two
        assert ledger.find("ffffffff") is None


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_only_the_owner_may_read(path):
    fill(path, 1)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "statement", ["UPDATE entries SET body = '{}' WHERE seq = 2", "DELETE FROM entries WHERE seq = 2"]
)
def test_the_database_itself_refuses_changes(path, statement):
    fill(path)
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="entries are never"):
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "column", ["id = 'x'", "event = 'withdrawal'", "time = '1'", "fingerprint = x'00'", "body = '[]'"]
)
def test_a_changed_entry_is_named(path, column):
    fill(path)
    tamper(path, f"UPDATE entries SET {column} WHERE seq = 2")
    with Ledger.open(path) as ledger:
        damages = ledger.verify_chain()
    assert [damage.seq for damage in damages] == [2]
    assert "content" in damages[0].reason


def test_a_removed_entry_is_named(path):
    fill(path)
    tamper(path, "DELETE FROM entries WHERE seq = 2")
    with Ledger.open(path) as ledger:
        assert ledger.verify_chain() == [Damage(2, "?", "entries 2 to 2 are missing")]


def test_an_entry_changed_together_with_its_digest_breaks_the_link(path):
    fill(path)
    tamper(path, "UPDATE entries SET body = '{}', digest = x'00' WHERE seq = 2")
    with Ledger.open(path) as ledger:
        assert {damage.seq for damage in ledger.verify_chain()} == {2, 3}


def test_nothing_is_added_onto_a_changed_entry(path):
    fill(path)
    tamper(path, "UPDATE entries SET body = '{}' WHERE seq = 3")
    with Ledger.open(path) as ledger:
        with pytest.raises(FailureError, match=r"entry 3 \(id 00000002\).*backup"):
            ledger.append("release", "aaaaaaaa", {})
        assert len(ledger) == 3


def test_an_id_is_taken_once(path):
    fill(path)
    with Ledger.open(path) as ledger:
        with pytest.raises(FailureError, match="refused the entry"):
            ledger.append("release", "00000001", {})
        assert len(ledger) == 3
        assert ledger.verify_chain() == []
        assert ledger.find(ledger.new_id()) is None


def test_a_withdrawal_stands_beside_its_release(path):
    fill(path)
    with Ledger.open(path) as ledger:
        ledger.append("withdrawal", "00000001", {"reason": "OSError"})
        assert ledger.withdrawn("00000001")
        assert not ledger.withdrawn("00000002")
        assert ledger.find("00000001").event == "release"
        assert ledger.verify_chain() == []


def test_prompts_are_kept_only_as_salted_commitments(path):
    one, two, _ = fill(path)
    assert len(one.body["prompt_commitment"]) == 64
    assert one.body["prompt_commitment"] != two.body["prompt_commitment"]
    with Ledger.open(path) as ledger:
        assert ledger.matches_prompt("00000001", "p") is True
        assert ledger.matches_prompt("00000001", "q") is False
        assert ledger.matches_prompt("ffffffff", "p") is None
    assert commitment("p", b"salt") != commitment("p", b"other")


def test_without_its_salt_a_commitment_is_silent_and_the_chain_is_whole(path):
    fill(path)
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM salts WHERE id = '00000001'")
    connection.commit()
    connection.close()
    with Ledger.open(path) as ledger:
        assert ledger.matches_prompt("00000001", "p") is None
        assert ledger.verify_chain() == []


def test_fingerprints_are_those_of_releases_after_a_position(path):
    with Ledger.open(path, create=True) as ledger:
        first = ledger.append("release", "0000000a", {}, fingerprint=bytes(32))
        ledger.append("withdrawal", "0000000a", {})
        second = ledger.append("release", "0000000b", {}, fingerprint=bytes(64))
        assert ledger.fingerprints() == [(first.seq, bytes(32)), (second.seq, bytes(64))]
        assert ledger.fingerprints(first.seq) == [(second.seq, bytes(64))]
        assert ledger.at(second.seq) == second
        assert ledger.at(99) is None


def test_there_is_no_ledger_to_read_yet(path):
    with pytest.raises(FailureError, match="no ledger"):
        Ledger.open(path)
    assert not path.exists()


def test_a_file_that_is_no_database_is_left_as_it_is(path):
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, but somebody's file" * 50)
    before = path.read_bytes()
    for create in (False, True):
        with pytest.raises(FailureError, match=r"is damaged.*mv "):
            Ledger.open(path, create=create)
    assert path.read_bytes() == before


def whole(path):
    """Whether a full check finds nothing; a file that cannot be read at all is not whole either."""
    try:
        with Ledger.open(path) as ledger:
            return ledger.verify_chain() == []
    except FailureError:
        return False


@pytest.mark.parametrize("page", [1, 3, 6])
def test_a_damaged_page_is_found_and_nothing_is_lost(path, page):
    fill(path, 40)
    content = bytearray(path.read_bytes())
    content[4096 * page : 4096 * (page + 1)] = b"\xa5" * 4096
    path.write_bytes(content)
    assert not whole(path)
    assert path.read_bytes() == content


def test_a_later_version_is_not_touched(path):
    fill(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(FailureError, match="version 99"):
        Ledger.open(path)


def _append_many(path, who, start):
    start.wait()
    with Ledger.open(path, create=True) as ledger:
        for i in range(15):
            ledger.append("release", f"{who:02x}{i:06x}", {"who": who}, fingerprint=bytes(32))


def test_two_processes_append_at_once_without_loss(path):
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    processes = [context.Process(target=_append_many, args=(path, who, start)) for who in range(2)]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    with Ledger.open(path) as ledger:
        assert len(ledger) == 30
        assert ledger.verify_chain() == []


_ENDLESS = """
import sys
from pathlib import Path
from kinemark.provenance.records.ledger import Ledger
with Ledger.open(Path(sys.argv[1]), create=True) as ledger:
    while True:
        print(ledger.append("release", ledger.new_id(), {"x": "y" * 3000}, fingerprint=bytes(32)).seq, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
@pytest.mark.parametrize("after", [1, 4])
def test_kill_9_while_appending_loses_no_entry_that_was_confirmed(path, after):
    with subprocess.Popen([sys.executable, "-c", _ENDLESS, path], stdout=subprocess.PIPE, text=True) as process:
        confirmed = 0
        while confirmed < after:
            confirmed = int(process.stdout.readline())
        process.kill()
        confirmed = max([confirmed, *map(int, process.stdout.read().split())])
    with Ledger.open(path) as ledger:
        assert ledger.verify_chain() == []
        assert len(ledger) >= confirmed
        ledger.append("release", ledger.new_id(), {})
        assert ledger.verify_chain() == []


_FULL = """
import resource, sys
from pathlib import Path
from kinemark.errors import FailureError
from kinemark.provenance.records.ledger import Ledger
with Ledger.open(Path(sys.argv[1]), create=True) as ledger:
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
    try:
        while True:
            print(ledger.append("release", ledger.new_id(), {"x": "y" * 3000}, fingerprint=bytes(32)).seq, flush=True)
    except FailureError as error:
        print(error, file=sys.stderr)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file size")
def test_a_full_disk_says_so_and_loses_nothing(path):
    done = subprocess.run([sys.executable, "-c", _FULL, path], capture_output=True, text=True, timeout=300)
    assert "check free space" in done.stderr
    with Ledger.open(path) as ledger:
        assert len(ledger) == int(done.stdout.split()[-1]) > 3
        assert ledger.verify_chain() == []


# --- erasure, export, versions ----------------------------------------------------------------------------------------


def test_erasing_destroys_the_salt_and_keeps_the_chain(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite", create=True) as ledger:
        ledger.append("release", "0000000a", {}, fingerprint=bytes(32), prompt="a secret wish")
        salt = ledger._backing._connection.execute("SELECT salt FROM salts").fetchone()[0]
        ledger.erase("0000000a")
        assert ledger.erased("0000000a")
        assert ledger.matches_prompt("0000000a", "a secret wish") is None
        assert ledger.verify_chain() == []
        assert [entry.event for entry in ledger.entries()] == ["release", "erasure"]
        with pytest.raises(FailureError):
            ledger.erase("0000000a")
    assert salt not in (tmp_path / "l.sqlite").read_bytes()


def test_entries_are_json_values_and_hold_no_salt(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite", create=True) as ledger:
        entry = ledger.append("release", "0000000a", {"fps": 8}, fingerprint=bytes(32), prompt="p")
        salt = ledger._backing._connection.execute("SELECT salt FROM salts").fetchone()[0]
        text = json.dumps([entry.to_dict() for entry in ledger.entries()])
        assert salt.hex() not in text
        assert json.loads(text)[0]["digest"] == entry.digest.hex()
        assert ledger.digests() == [entry.digest]


def test_a_ledger_of_version_1_is_brought_up_to_date_with_its_entries(tmp_path):
    path = tmp_path / "l.sqlite"
    with Ledger.open(path, create=True) as ledger:
        written = ledger.append("release", "0000000a", {"fps": 8}, fingerprint=bytes(32), prompt="p")
    old = sqlite3.connect(path)
    old.execute("PRAGMA writable_schema = ON")
    old.execute("UPDATE sqlite_master SET sql = replace(sql, ', ''erasure''', '') WHERE name = 'entries'")
    old.execute("DROP INDEX by_manifest")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    with Ledger.open(path) as ledger:
        assert list(ledger.entries()) == [written]
        assert ledger.matches_prompt("0000000a", "p")
        ledger.erase("0000000a")
        assert ledger.verify_chain() == []
        with pytest.raises(sqlite3.DatabaseError):
            ledger._backing._connection.execute("DELETE FROM entries")


def test_a_ledger_of_version_2_finds_its_manifests(tmp_path):
    path = tmp_path / "l.sqlite"
    with Ledger.open(path, create=True) as ledger:
        written = ledger.append("release", "0000000a", {"manifest": "urn:c2pa:1"}, fingerprint=bytes(32))
    old = sqlite3.connect(path)
    old.execute("DROP INDEX by_manifest")
    old.execute("PRAGMA user_version = 2")
    old.commit()
    old.close()
    with Ledger.open(path) as ledger:
        assert ledger.find_manifest("urn:c2pa:1") == written
        assert ledger.find_manifest("urn:c2pa:2") is None
        plan = ledger._backing._connection.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM entries WHERE body ->> 'manifest' = 'x' AND event = 'release'"
        ).fetchall()
        assert "by_manifest" in str(plan)


def test_codes_are_those_of_releases_that_have_one(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite", create=True) as ledger:
        ledger.append("release", "0000000a", {"iscc": "ISCC:A"}, fingerprint=bytes(32))
        ledger.append("release", "0000000b", {"iscc": None}, fingerprint=bytes(32))
        ledger.append("release", "0000000c", {}, fingerprint=bytes(32))
        assert ledger.codes() == [("0000000a", "ISCC:A")]
