"""How an installation's policy changes: proposed, open to comment, tried, adopted, with every version kept.

    <home>/policy/current.toml              the policy in force; without it the one that ships
    <home>/policy/proposed/<version>.toml   what was proposed
    <home>/policy/proposed/<version>.json   when, until when it is open to comment, and the comments
    <home>/policy/adopted/<version>.toml    every version that was in force

A proposal that only tightens may be adopted at once. One that loosens anything is open to comment for at least
`LEAST_DAYS`, and nobody can shorten that.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from kinemark.errors import FailureError, RequestError
from kinemark.safety.policy.diff import changes, loosens
from kinemark.safety.policy.file import SHIPPED, load_policy

if TYPE_CHECKING:
    from pathlib import Path

    from kinemark.safety.policy.diff import Change
    from kinemark.safety.policy.file import Policy
    from kinemark.settings import Settings

LEAST_DAYS: Final = 14
_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,63}")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy that somebody wants.

    Attributes:
        version: the proposed policy's own version.
        base: digest of the policy that it was compared with.
        digest: digest of the proposed file.
        proposed: date, ISO 8601.
        comment_until: first date on which it may be adopted, ISO 8601.
        comments: what was said about it, in order.
    """

    version: str
    base: str
    digest: str
    proposed: str
    comment_until: str
    comments: tuple[str, ...] = ()


def policy_in_force(settings: Settings) -> Policy:
    """The policy by which an installation judges.

    Raises:
        RequestError: its file is damaged.
    """
    return PolicyStore(settings.policy_dir).current()


class PolicyStore:
    """The policies of one installation.

    Args:
        folder: its place; nothing is written before something is proposed.
    """

    def __init__(self, folder: Path) -> None:
        self._current = folder / "current.toml"
        self._proposed = folder / "proposed"
        self._adopted = folder / "adopted"

    @property
    def path(self) -> Path:
        """The file of the policy in force."""
        return self._current if self._current.exists() else SHIPPED

    def current(self) -> Policy:
        """The policy in force.

        Raises:
            RequestError: the file is damaged.
        """
        return load_policy(self.path)

    def propose(self, path: Path, *, today: dt.date, days: int) -> tuple[Proposal, tuple[Change, ...]]:
        """Put a policy file up for comment.

        Raises:
            RequestError: the file is not valid, says nothing new, has a version that was used, or gives too few days.
        """
        new, old = load_policy(path), self.current()
        if not _VERSION.fullmatch(new.version):
            raise RequestError(
                f"the version is {new.version!r}; use letters, digits, dots, plus and hyphen, 64 at most."
            )
        found = changes(old, new)
        if not found:
            raise RequestError(f"{path} changes nothing in the policy in force, {old.version}.")
        used = (self._file(new.version), self._adopted / f"{new.version}.toml")
        if new.version == old.version or any(file.exists() for file in used):
            raise RequestError(f"version {new.version} was used before; give the changed policy a version of its own.")
        least = LEAST_DAYS if loosens(found) else 0
        if days < least:
            raise RequestError(
                f"{days} days are too few: this policy lets more through than {old.version}, so it is open to comment "
                f"for {LEAST_DAYS} days at least."
            )
        until = (today + dt.timedelta(days=days)).isoformat()
        proposal = Proposal(new.version, old.digest, new.digest, today.isoformat(), until)
        self._proposed.mkdir(parents=True, exist_ok=True)
        self._file(new.version).write_bytes(path.read_bytes())
        self._save(proposal)
        return proposal, found

    def proposals(self) -> list[Proposal]:
        """What is open, the oldest version name first."""
        return [self._read(path.stem) for path in sorted(self._proposed.glob("*.json"))]

    def comment(self, version: str, text: str) -> Proposal:
        """Keep what somebody says about a proposal.

        Raises:
            RequestError: no such proposal, or nothing was said.
        """
        if not text.strip():
            raise RequestError("the comment is empty; say what you think of the proposal.")
        proposal = self._read(version)
        commented = replace(proposal, comments=(*proposal.comments, text.strip()))
        self._save(commented)
        return commented

    def adopt(self, version: str, *, today: dt.date) -> Policy:
        """Make a proposal the policy in force.

        Raises:
            RequestError: no such proposal, it is still open to comment, or another policy came into force since.
            FailureError: the file is not what was proposed.
        """
        proposal, file, old = self._read(version), self._file(version), self.current()
        new = load_policy(file)
        if new.digest != proposal.digest:
            raise FailureError(f"{file} is not what was proposed: it was changed since. Propose it again.")
        if old.digest != proposal.base:
            raise RequestError(f"the policy in force is now {old.version}, another than {version} was compared with.")
        if today < dt.date.fromisoformat(proposal.comment_until):
            raise RequestError(f"version {version} is open to comment until {proposal.comment_until}.")
        self._adopted.mkdir(parents=True, exist_ok=True)
        data = file.read_bytes()
        (self._adopted / file.name).write_bytes(data)
        fresh = self._current.with_suffix(".new")
        fresh.write_bytes(data)
        fresh.replace(self._current)
        file.unlink()
        file.with_suffix(".json").unlink()
        return new

    def _file(self, version: str) -> Path:
        return self._proposed / f"{version}.toml"

    def _save(self, proposal: Proposal) -> None:
        path = self._proposed / f"{proposal.version}.json"
        path.write_text(json.dumps(asdict(proposal), indent=1), "utf-8")

    def _read(self, version: str) -> Proposal:
        path = self._proposed / f"{version}.json"
        if not _VERSION.fullmatch(version) or not path.exists():
            known = ", ".join(sorted(p.stem for p in self._proposed.glob("*.json"))) or "none"
            raise RequestError(f"no policy of version {version!r} is proposed; proposed are: {known}.")
        try:
            fields = json.loads(path.read_text("utf-8"))
            return Proposal(**{**fields, "comments": tuple(fields["comments"])})
        except (ValueError, TypeError, KeyError) as error:
            raise FailureError(f"{path} is damaged: {error}. Propose the policy again.") from error
