"""The cases of an installation: opened, given to somebody, answered with reasons; every step is kept.

An SQLite file. Steps are only ever added; what a case is now is read from its steps. Times are UTC, ISO 8601.
"""

from __future__ import annotations

import datetime as dt
import secrets
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from kinemark.errors import FailureError, RequestError
from kinemark.safety.desk.clocks import clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from kinemark.safety.desk.clocks import Kind

MAX_TEXT: Final = 8_000

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS cases (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, ground TEXT NOT NULL, subject TEXT NOT NULL, contact TEXT NOT NULL,
    opened TEXT NOT NULL, due TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS steps (
    seq INTEGER PRIMARY KEY, "case" TEXT NOT NULL REFERENCES cases (id), step TEXT NOT NULL, time TEXT NOT NULL,
    by TEXT NOT NULL, outcome TEXT NOT NULL, text TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS steps_of_case ON steps ("case");
CREATE TRIGGER IF NOT EXISTS steps_stay BEFORE DELETE ON steps BEGIN SELECT RAISE(ABORT, 'steps are kept'); END;
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a case.

    Attributes:
        step: "opened", "assigned" or "decided".
        time: when.
        by: who did it, or who has it now ("assigned").
        outcome: of a decision, one of the kind's outcomes; else empty.
        text: what was said: the complaint, or the reasons of the decision.
    """

    step: Literal["opened", "assigned", "decided"]
    time: str
    by: str
    outcome: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """A case with its steps, the first of which opened it.

    Attributes:
        id: what the person is told, and asks for it by.
        kind: "appeal", "report", "takedown" or "incident".
        ground: why, as the kind's clock lists it.
        subject: what it is about: a clip's id, or the rule that refused.
        contact: how to reach the person; may be empty.
        opened: when.
        due: until when it must be answered.
        steps: everything that happened.
    """

    id: str
    kind: Kind
    ground: str
    subject: str
    contact: str
    opened: str
    due: str
    steps: tuple[Step, ...]

    @property
    def owner(self) -> str:
        """Who has to answer it: the last to whom it was given, or the role that the clock names."""
        given = [step.by for step in self.steps if step.step == "assigned"]
        return given[-1] if given else clock(self.kind).owner

    @property
    def decision(self) -> Step | None:
        """The answer, once there is one."""
        return next((step for step in self.steps if step.step == "decided"), None)

    def overdue(self, now: dt.datetime) -> bool:
        """Whether it was not answered in time, or is not yet and should be."""
        answered = self.decision.time if self.decision else _time(now)
        return answered > self.due

    def statement(self) -> dict[str, Any]:
        """The statement of reasons that the person is given; `decided` is null while there is no answer."""
        ground, decided = clock(self.kind).ground(self.ground), self.decision
        return {
            "case": self.id,
            "kind": self.kind,
            "ground": self.ground,
            "subject": self.subject,
            "opened": self.opened,
            "due": self.due,
            "clock": ground.source,
            "owner": self.owner,
            "decided": decided.time if decided else None,
            "outcome": decided.outcome if decided else None,
            "reasons": decided.text if decided else None,
            "decided_by": decided.by if decided else None,
            "automated": False,
        }


class Desk:
    """The cases of one installation.

    Raises:
        FailureError: the file is damaged or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=10, isolation_level=None)
            self._db.executescript(f"PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; {_SCHEMA}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def open_case(
        self, kind: Kind, *, subject: str, text: str, now: dt.datetime, ground: str | None = None, contact: str = ""
    ) -> Case:
        """Open a case; its clock starts now.

        Raises:
            RequestError: an unknown ground, nothing said, or more than 8,000 characters.
        """
        chosen = clock(kind).ground(ground)
        said, about = _required(text, "what it is about"), _required(subject, "which clip or rule it is about")
        due = _time(now + dt.timedelta(hours=chosen.hours))
        id_ = f"{kind}-{secrets.token_hex(6)}"
        row = (id_, kind, chosen.id, about, contact.strip()[:MAX_TEXT], _time(now), due)
        with self._transaction():
            self._db.execute("INSERT INTO cases VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            self._step(id_, Step("opened", _time(now), "person", "", said))
        return self.case(id_)

    def assign(self, id_: str, owner: str, *, now: dt.datetime) -> Case:
        """Give a case to somebody by name.

        Raises:
            RequestError: no such case, it is closed, or no name.
        """
        with self._transaction():
            self._open(id_)
            self._step(id_, Step("assigned", _time(now), _required(owner, "who has it"), "", ""))
        return self.case(id_)

    def decide(self, id_: str, outcome: str, reasons: str, *, by: str, now: dt.datetime) -> Case:
        """Answer a case; it is closed.

        Raises:
            RequestError: no such case, it is closed, an outcome that its kind does not have, or no reasons.
        """
        with self._transaction():
            case = self._open(id_)
            outcomes = clock(case.kind).outcomes
            if outcome not in outcomes:
                raise RequestError(f"the outcome is {outcome!r}; {case.kind} has: {', '.join(outcomes)}")
            said, name = _required(reasons, "the reasons"), _required(by, "who decides")
            self._step(id_, Step("decided", _time(now), name, outcome, said))
        return self.case(id_)

    def case(self, id_: str) -> Case:
        """The case with that id.

        Raises:
            RequestError: there is none.
        """
        found = self._cases("id", id_)
        if not found:
            raise RequestError(f"there is no case {id_!r}; its id was told when it was opened")
        return found[0]

    def cases(self, kind: Kind, *, pending: bool = False) -> list[Case]:
        """The cases of a kind, the most urgent first; only those without an answer, if `pending`."""
        return [case for case in self._cases("kind", kind) if not pending or case.decision is None]

    def forget(self, before: dt.datetime) -> int:
        """Destroy what people wrote in cases that were decided before then; how many. Outcomes and times stay."""
        decided = """SELECT "case" FROM steps WHERE step = 'decided' AND time < ?"""
        with self._transaction():
            told = f"""SELECT DISTINCT "case" FROM steps WHERE text != '' AND "case" IN ({decided})"""  # noqa: S608
            rows = self._db.execute(told, (_time(before),)).fetchall()
            for (id_,) in rows:
                self._db.execute("UPDATE cases SET contact = '' WHERE id = ?", (id_,))
                self._db.execute('UPDATE steps SET text = ? WHERE "case" = ?', ("", id_))
        with self._errors():
            # What was overwritten may lie in the log beside the file, and in free pages.
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return len(rows)

    def _cases(self, column: Literal["id", "kind"], value: str) -> list[Case]:
        """The cases that have this value there, with all their steps, in two questions."""
        chosen = f"FROM cases WHERE {column} = ?"
        with self._errors():
            rows = self._db.execute(f"SELECT * {chosen} ORDER BY due, id", (value,)).fetchall()
            of_case: dict[str, list[Step]] = {row[0]: [] for row in rows}
            columns = '"case", step, time, by, outcome, text'
            asked = f'SELECT {columns} FROM steps WHERE "case" IN (SELECT id {chosen}) ORDER BY seq'  # noqa: S608  (no input)
            for id_, *fields in self._db.execute(asked, (value,)):
                # A case that was opened between the two questions is told the next time.
                if id_ in of_case:
                    of_case[id_].append(Step(*fields))
        return [Case(*row, tuple(of_case[row[0]])) for row in rows]  # type: ignore[call-arg]  # a row is its fields

    def _open(self, id_: str) -> Case:
        case = self.case(id_)
        if case.decision:
            raise RequestError(
                f"case {id_} was decided at {case.decision.time} ({case.decision.outcome}); open another"
            )
        return case

    def _step(self, id_: str, step: Step) -> None:
        row = (id_, step.step, step.time, step.by, step.outcome, step.text)
        self._db.execute('INSERT INTO steps ("case", step, time, by, outcome, text) VALUES (?, ?, ?, ?, ?, ?)', row)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise FailureError(f"the desk's file {self._path} cannot be used: {error}") from error


def _required(text: str, what: str) -> str:
    said = text.strip()
    if not said:
        raise RequestError(f"say {what}; it is empty")
    if len(said) > MAX_TEXT:
        raise RequestError(f"{len(said)} characters are too many to say {what}; {MAX_TEXT} are allowed")
    return said


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")
