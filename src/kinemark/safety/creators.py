"""The register of creators: who opted out of, or into, having their style or their likeness asked for by name.

A file of lines that only grows; of several choices of one name for one thing the last holds. The policy's lists of
names are changed accordingly: a name that opted out is found by every rule on living artists, or on people, and one
that opted in is found by none of them.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from kinemark.errors import FailureError, RequestError
from kinemark.safety.policy.phrases import word_digest
from kinemark.safety.policy.store import policy_in_force
from kinemark.safety.prompt.normalise import views

if TYPE_CHECKING:
    from pathlib import Path

    from kinemark.safety.policy.file import Policy
    from kinemark.settings import Settings

Thing = Literal["style", "likeness"]
Choice = Literal["out", "in"]

#: The policy's list of names for each thing.
_LISTS: Final[dict[Thing, str]] = {"style": "artist", "likeness": "person"}
_MOST_WORDS: Final = 3
_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a creator chose.

    Attributes:
        name: as prompts would write it, one to three words.
        thing: "style" or "likeness".
        choice: "out" or "in".
        proof: how it is known that it was them who chose.
        time: when it was entered, ISO 8601 in UTC.
    """

    name: str
    thing: Thing
    choice: Choice
    proof: str
    time: str

    def __post_init__(self) -> None:
        if self.thing not in get_args(Thing) or self.choice not in get_args(Choice):
            raise ValueError(f"{self.choice!r} of {self.thing!r} is no choice")


def choose(path: Path, name: str, thing: Thing, choice: Choice, *, proof: str, now: dt.datetime) -> Chosen:
    """Enter a choice.

    Raises:
        RequestError: a name that cannot be looked for, or no proof.
        FailureError: the register cannot be written.
    """
    if not 1 <= len(name.split()) <= _MOST_WORDS or len(name) > _MOST:
        raise RequestError(f"the name is {name[:80]!r}; give one to {_MOST_WORDS} words, as prompts would write it")
    if not proof.strip() or len(proof) > _MOST:
        raise RequestError(f"say in at most {_MOST} characters how it is known that it was {name} who chose")
    time = now.astimezone(dt.UTC).isoformat(timespec="seconds")
    chosen = Chosen(" ".join(name.split()), thing, choice, proof.strip(), time)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(chosen)) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise FailureError(f"cannot write the register of creators {path}: {error.strerror}") from error
    return chosen


def choices(path: Path) -> list[Chosen]:
    """The choices that hold, in the order in which they were entered.

    Raises:
        FailureError: the register is damaged.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise FailureError(f"cannot read the register of creators {path}: {error}") from error
    holds: dict[tuple[str, str], Chosen] = {}
    for number, line in enumerate(lines, 1):
        try:
            chosen = Chosen(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise FailureError(f"line {number} of the register of creators {path} is damaged: {error}") from error
        holds.pop(key := (chosen.name.lower(), chosen.thing), None)
        holds[key] = chosen
    return list(holds.values())


def rules_in_force(settings: Settings) -> Policy:
    """The policy by which an installation judges prompts: the one in force, with the choices of creators.

    Raises:
        RequestError: the policy's file is damaged.
        FailureError: the register of creators is.
    """
    policy, entered = policy_in_force(settings), choices(settings.creators_path)
    if not entered:
        return policy
    digests = {name: set(entries) for name, entries in policy.digests.items()}
    for chosen in entered:
        names = digests.setdefault(_LISTS[chosen.thing], set())
        # As the gate reads it: without accents, in small letters.
        written = {word_digest(view) for view in (chosen.name, views(chosen.name)[0].replace(" .", ""))}
        names.update(written) if chosen.choice == "out" else names.difference_update(written)
    return policy.with_digests({name: sorted(entries) for name, entries in digests.items()})
