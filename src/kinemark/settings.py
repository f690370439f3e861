"""The only place where the environment is read.

| variable | meaning | default |
|---|---|---|
| KINEMARK_HOME | keys, ledger and other state of this installation | ~/.local/share/kinemark |
| KINEMARK_PROFILES | legal profiles whose labels and tags every release carries, such as eu,china | none |
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Where this installation keeps its state, and the names of the legal profiles that its releases follow."""

    home: Path
    profiles: str = ""

    @property
    def keys_dir(self) -> Path:
        """Folder of the signing and watermark keys; its files have mode 600."""
        return self.home / "keys"

    @property
    def policy_dir(self) -> Path:
        """The policy in force where it is not the one that ships, what is proposed, and every version that was."""
        return self.home / "policy"

    @property
    def desk_path(self) -> Path:
        """Appeals, reports, takedowns and incidents, an SQLite file."""
        return self.home / "desk.sqlite"

    @property
    def consent_dir(self) -> Path:
        """Who may be shown: the register of consent, and the keys of the faces in it."""
        return self.home / "consent"

    @property
    def ledger_path(self) -> Path:
        """The append-only ledger, an SQLite file."""
        return self.home / "ledger.sqlite"

    @property
    def manifests_dir(self) -> Path:
        """The signed manifest of every release, for copies that lost theirs."""
        return self.home / "manifests"

    @property
    def index_dir(self) -> Path:
        """What speeds up finding a clip in a large ledger; made from the ledger, and made again when it is gone."""
        return self.home / "index"


def load_settings() -> Settings:
    """Read the environment once and return what it says."""
    default = Path.home() / ".local" / "share" / "kinemark"
    return Settings(
        home=Path(os.environ.get("KINEMARK_HOME") or default).expanduser(),
        profiles=os.environ.get("KINEMARK_PROFILES", ""),
    )
