"""Tables are what the code says, on both kinds of database, however they came to be so."""

import secrets
import subprocess
import sys
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from databases import free_port
from kinemark.errors import FailureError, RequestError
from kinemark.server.database import MIGRATIONS, connect, migrate, open_database
from kinemark.server.jobs import Jobs
from kinemark.server.tables import METADATA, now


def test_migrations_lead_to_the_tables_of_the_code(database):
    engine = open_database(database)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), METADATA)
    assert not differences


def test_every_step_keeps_what_is_there(database):
    """From nothing through every revision; what was entered at the first is there at the last."""
    engine = connect(database)
    revisions = sorted(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("*.py"))
    migrate(engine, revisions[0])
    row = {"id": "video_1", "owner": "me", "status": "queued", "priority": 0, "cost": 4.0, "model": "spark"}
    row |= {"asked": '{"prompt": "a boat"}', "facts": "{}", "body_digest": "d", "progress": 0, "created_at": 1.0}
    row |= {"attempts": 0}
    columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO jobs ({columns}) VALUES ({values})"), row)
    for revision in revisions[1:]:
        migrate(engine, revision)
    jobs = Jobs(open_database(database))
    job = jobs.get("video_1")
    assert (job.owner, job.asked, job.status, job.cost) == ("me", {"prompt": "a boat"}, "queued", 4.0)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT seconds FROM jobs")).scalar_one() == 4.0
    assert jobs.claim("a").id == "video_1"


def test_several_may_open_a_new_one_at_once(database):
    failures = []

    def open_it():
        try:
            open_database(database)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.slow
def test_several_processes_may_open_a_new_one_at_once(database):
    script = "import sys; from kinemark.server.database import open_database; open_database(sys.argv[1]).dispose()"
    for _ in range(3):
        command = [sys.executable, "-c", script, database.replace("jobs.sqlite", f"{secrets.token_hex(4)}.sqlite")]
        opening = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(6)]
        assert [(one.communicate(timeout=60)[1], one.returncode) for one in opening] == [(b"", 0)] * 6


def test_a_newer_one_is_refused(database):
    engine = open_database(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(FailureError, match=r"of another version .*use the newest Kinemark"):
        open_database(database)


def test_its_clock_goes_on(database):
    engine = open_database(database)
    with engine.connect() as connection:
        times = [connection.execute(select(now())).scalar_one() for _ in range(3)]
    assert times == sorted(times)
    assert 1.7e9 < times[0] < 1e10
    assert times[-1] - times[0] < 5


@pytest.mark.parametrize("url", ["", "nowhere", "mysql://a/b", "sqlite://", "postgresql://"])
def test_other_addresses(url):
    with pytest.raises(RequestError, match="give sqlite:///path"):
        open_database(url)


def test_nobody_answers():
    with pytest.raises(FailureError, match="does not answer"):
        open_database(f"postgresql://kinemark@127.0.0.1:{free_port()}/x?connect_timeout=2")
    with pytest.raises(FailureError, match="does not answer"):
        open_database("sqlite:////no/such/folder/jobs.sqlite")
