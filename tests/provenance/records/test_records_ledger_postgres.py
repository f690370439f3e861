"""The ledger of several machines: one chain, whoever appends, and nothing of it changes."""

import multiprocessing
import secrets
from dataclasses import replace

import psycopg
import pytest

from command_line import decision, moving_ramp, run
from databases import free_port
from kinemark.errors import FailureError, RequestError
from kinemark.provenance.detect import verify
from kinemark.provenance.records.ledger_postgres import SCHEMA
from kinemark.provenance.records.opening import begin_ledger, find_ledger, require_ledger
from kinemark.provenance.release import ReleaseFacts, release
from kinemark.retention import sweep
from kinemark.settings import Settings, load_settings


@pytest.fixture
def settings(postgres_server, tmp_path):
    return Settings(home=tmp_path / "home", ledger=postgres_server.url(f"ledger{secrets.token_hex(6)}"))


def fill(settings, count=3):
    with begin_ledger(settings) as ledger:
        return [
            ledger.append(
                "release",
                f"{i:08x}",
                {"n": i, "manifest": f"urn:{i}", "iscc": f"ISCC:{i}"},
                fingerprint=bytes([i]) * 32,
                prompt="p",
            )
            for i in range(count)
        ]


def tamper(settings, *statements):
    with psycopg.connect(settings.ledger) as connection:
        connection.execute(f"SET search_path TO {SCHEMA}")
        connection.execute("ALTER TABLE entries DISABLE TRIGGER entries_stay")
        for statement in statements:
            connection.execute(statement)


def test_it_is_the_same_ledger(settings):
    one, two, three = fill(settings)
    assert [one.seq, two.seq, three.seq] == [1, 2, 3]
    assert two.previous == one.digest
    with require_ledger(settings) as ledger:
        assert list(ledger.entries()) == [one, two, three]
        assert ledger.verify_chain() == []
        assert len(ledger) == 3
        assert ledger.find("00000001") == ledger.find_manifest("urn:1") == ledger.at(2) == two
        assert ledger.find("ffffffff") is None
        assert ledger.codes() == [(f"{i:08x}", f"ISCC:{i}") for i in range(3)]
        assert ledger.digests() == [one.digest, two.digest, three.digest]
        assert ledger.fingerprints(2) == [(3, bytes([2]) * 32)]
        assert ledger.matches_prompt("00000001", "p") is True
        assert ledger.matches_prompt("00000001", "q") is False
        ledger.append("takedown", "00000001", {})
        assert ledger.taken_down("00000001")
        assert not ledger.withdrawn("00000001")
        assert ledger.find(ledger.new_id()) is None


def test_an_entry_has_the_digest_that_it_would_have_in_a_file(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("kinemark.provenance.records.ledger.secrets.token_bytes", bytes)
    monkeypatch.setattr("kinemark.provenance.records.ledger.dt", _Still)
    assert fill(settings) == fill(replace(settings, ledger=""))


class _Still:
    UTC = None

    class datetime:  # noqa: N801
        @staticmethod
        def now(_zone):
            import datetime as dt

            return dt.datetime(2026, 11, 29, tzinfo=dt.UTC)


def test_an_id_is_taken_once(settings):
    fill(settings)
    with begin_ledger(settings) as ledger:
        with pytest.raises(FailureError, match="refused the entry"):
            ledger.append("release", "00000001", {})
        assert len(ledger) == 3
        assert ledger.verify_chain() == []


@pytest.mark.parametrize(
    "statement",
    ["UPDATE entries SET body = '{}'", "DELETE FROM entries", "TRUNCATE entries", "UPDATE salts SET salt = ''"],
)
def test_the_database_itself_refuses_changes(settings, statement):
    fill(settings)
    with psycopg.connect(settings.ledger) as connection:
        connection.execute(f"SET search_path TO {SCHEMA}")
        with pytest.raises(psycopg.errors.RaiseException, match=r"never changed or removed|kept or deleted"):
            connection.execute(statement)


@pytest.mark.parametrize(
    "column", ["id = 'x'", "event = 'withdrawal'", "time = '1'", "fingerprint = 'x'", "body = '[]'", "body = '{'"]
)
def test_a_changed_entry_is_named(settings, column):
    fill(settings)
    if column == "body = '{'":
        tamper(settings, "DROP INDEX by_manifest")
    tamper(settings, f"UPDATE entries SET {column} WHERE seq = 2")
    with require_ledger(settings) as ledger:
        assert [damage.seq for damage in ledger.verify_chain()] == [2]
        if column == "body = '{'":
            with pytest.raises(FailureError, match=r"entry 2 .* is damaged"):
                list(ledger.entries())


def test_a_removed_entry_is_named_and_nothing_follows_a_changed_one(settings):
    fill(settings)
    tamper(settings, "DELETE FROM entries WHERE seq = 2")
    with require_ledger(settings) as ledger:
        assert "entries 2 to 2 are missing" in ledger.verify_chain()[0].reason
    tamper(settings, "UPDATE entries SET time = '1' WHERE seq = 3")
    with begin_ledger(settings) as ledger, pytest.raises(FailureError, match="was changed after it was written"):
        ledger.append("release", "0000000f", {})


def append(settings, name, count):
    for number in range(count):
        with begin_ledger(settings) as ledger:
            ledger.append("release", f"{name}{number:07x}", {})


def test_several_processes_append_at_once_without_loss(settings):
    """To a ledger that none of them finds: one makes it."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=append, args=(settings, name, 10)) for name in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    with require_ledger(settings) as ledger:
        assert len(ledger) == 30
        assert ledger.verify_chain() == []


def test_erasing_destroys_the_salt_and_keeps_the_chain(settings, postgres_server):
    """Also in the files of the tables; what the server's log and backups hold goes with them."""
    fill(settings)
    with psycopg.connect(settings.ledger, autocommit=True) as connection:
        (salt,) = connection.execute(f"SELECT salt FROM {SCHEMA}.salts WHERE id = '00000001'").fetchone()
        connection.execute("CHECKPOINT")
        assert held(postgres_server, salt)
        with require_ledger(settings) as ledger:
            ledger.erase("00000001")
            assert ledger.erased("00000001")
            assert ledger.matches_prompt("00000001", "p") is None
            assert ledger.matches_prompt("00000002", "p") is True
            assert ledger.verify_chain() == []
        connection.execute("CHECKPOINT")
    assert not held(postgres_server, salt)


def held(server, secret):
    tables = (server.folder / "data" / "base").rglob("*")
    return any(secret in path.read_bytes() for path in tables if path.is_file())


def test_none_is_begun_by_looking(settings):
    assert find_ledger(settings) is None
    with pytest.raises(FailureError, match=r"there is no ledger at 127.0.0.1:\d+/ledger"):
        require_ledger(settings)
    with psycopg.connect(settings.ledger) as connection:
        schemas = connection.execute("SELECT schema_name FROM information_schema.schemata").fetchall()
    assert (SCHEMA,) not in schemas


def test_a_later_version_is_refused(settings):
    fill(settings)
    with psycopg.connect(settings.ledger) as connection:
        connection.execute(f"INSERT INTO {SCHEMA}.version VALUES (99)")
    with pytest.raises(FailureError, match=r"has version 99; .* Use the newer Kinemark"):
        find_ledger(settings)


def test_nobody_answers(tmp_path):
    url = f"postgresql://kinemark:secret@127.0.0.1:{free_port()}/x?connect_timeout=2"
    with pytest.raises(FailureError, match="KINEMARK_LEDGER") as failed:
        begin_ledger(Settings(home=tmp_path, ledger=url))
    assert "secret" not in str(failed.value)


def test_two_machines_release_into_one_chain(settings, tmp_path):
    """Two installations with the same keys and another home: what one released the other knows."""
    other = replace(settings, home=tmp_path / "other")
    frames, facts = moving_ramp(), ReleaseFacts(fps=8.0, model="spark", weights_digest="ab" * 32, prompt="p")
    one = release(frames, decision(frames), tmp_path / "one.mp4", facts, settings)
    import shutil

    shutil.copytree(settings.keys_dir, other.keys_dir)
    two = release(frames, decision(frames), tmp_path / "two.mp4", facts, other)
    assert (one.ledger_seq, two.ledger_seq) == (1, 2)
    for installation in (settings, other):
        for made in (one, two):
            found = verify(made.path, installation)
            assert (found.recognised, found.id) == (True, made.id)
    import datetime as dt

    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=31)
    assert sweep(settings, now=later).releases == 2


def test_the_environment_says_where(settings, monkeypatch, capsys):
    monkeypatch.setenv("KINEMARK_LEDGER", settings.ledger)
    assert load_settings().ledger == settings.ledger
    fill(load_settings())
    code, out, _ = run(capsys, "ledger", "verify")
    assert code == 0
    assert "3" in out
    monkeypatch.setenv("KINEMARK_LEDGER", "mysql://a/b")
    with pytest.raises(RequestError, match="give postgresql://user@host/name"):
        load_settings()
