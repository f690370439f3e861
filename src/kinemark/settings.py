"""The only place where the environment is read.

| variable | meaning | default |
|---|---|---|
| KINEMARK_HOME | keys, ledger and other state of this installation | ~/.local/share/kinemark |
| KINEMARK_RETENTION_DAYS | days for which prompts, and words written to the desk, are kept | 30 |
| KINEMARK_WEIGHTS | int8 or float8: large models run with weights of 8 bits, in half the memory | as they are |
| KINEMARK_REUSE | how far an answer of a model of many steps may be off to be used again, 0 to 0.2 | 0: never |
| KINEMARK_DATABASE | the server's queue: sqlite:///path, or postgresql://user@host/name | in KINEMARK_HOME |
| KINEMARK_LEDGER | the ledger of several machines: postgresql://user@host/name | a file in KINEMARK_HOME |
| RAY_ADDRESS | the Ray cluster whose machines make clips, such as head:6379 | this machine |
| KINEMARK_STORAGE | the server's files: a folder, or s3://bucket/prefix | in KINEMARK_HOME |
| KINEMARK_AUDIT_PROMPTS | 1: the server's audit log holds prompts, too | no |
| KINEMARK_FETCH_IMAGES | 1: the server fetches pictures that requests name by their address | no |
| KINEMARK_PRIVATE_ADDRESSES | 1: the server may ask at addresses of private networks, and without TLS | no |
| OTEL_EXPORTER_OTLP_ENDPOINT | where the server and its workers send traces | nowhere |
| KINEMARK_PROFILES | legal profiles whose labels and tags every release carries, such as eu,china | none |
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kinemark.errors import RequestError

RETENTION_DAYS: Final = 30
#: Beyond it clips are visibly others.
MAX_REUSE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Settings:
    """Where this installation keeps its state, how long, and which legal profiles its releases follow."""

    home: Path
    profiles: str = ""
    retention_days: int = RETENTION_DAYS
    database: str = ""
    storage: str = ""
    ledger: str = ""
    ray: str = ""
    traces: str = ""
    private_addresses: bool = False
    audit_prompts: bool = False
    fetch_images: bool = False
    weights: str = ""
    reuse: float = 0.0

    @property
    def keys_dir(self) -> Path:
        """Folder of the signing and watermark keys; its files have mode 600."""
        return self.home / "keys"

    @property
    def database_url(self) -> str:
        """Where the server's queue is."""
        return self.database or f"sqlite:///{self.home / 'jobs.sqlite'}"

    @property
    def storage_url(self) -> str:
        """Where the server's files are."""
        return self.storage or str(self.home / "files")

    @property
    def audit_dir(self) -> Path:
        """The server's audit log, a file for each day."""
        return self.home / "audit"

    @property
    def aliases_path(self) -> Path:
        """Names of models that the operator adds."""
        return self.home / "aliases.toml"

    @property
    def models_dir(self) -> Path:
        """Models that were pulled or imported, a folder each."""
        return self.home / "models"

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
    def creators_path(self) -> Path:
        """Who opted out of, or into, having their style or likeness asked for; a line of JSON each."""
        return self.home / "creators.jsonl"

    @property
    def blocklist_dir(self) -> Path:
        """Hashes of what nothing is made from."""
        return self.home / "blocklist"

    @property
    def classifiers_path(self) -> Path:
        """Which classifiers of others the operator added to the gates."""
        return self.home / "classifiers.toml"

    @property
    def assistants_path(self) -> Path:
        """Which models of others write prompts at length and say what clips show."""
        return self.home / "assistants.toml"

    @property
    def sealed_dir(self) -> Path:
        """Suspected material on minors, encrypted, for the operator's legal route."""
        return self.home / "sealed"

    @property
    def measurements_dir(self) -> Path:
        """The last measurements of this installation's gates, as JSON."""
        return self.home / "measurements"

    @property
    def ledger_path(self) -> Path:
        """The append-only ledger, an SQLite file."""
        return self.home / "ledger.sqlite"

    @property
    def ledger_name(self) -> str:
        """Where the ledger is, without what opens it."""
        return self.ledger.rsplit("@", 1)[-1] or str(self.ledger_path)

    @property
    def manifests_dir(self) -> Path:
        """The signed manifest of every release, for copies that lost theirs."""
        return self.home / "manifests"

    @property
    def index_dir(self) -> Path:
        """What speeds up finding a clip in a large ledger; made from the ledger, and made again when it is gone."""
        return self.home / "index"


def load_settings() -> Settings:
    """Read the environment once and return what it says.

    Raises:
        RequestError: a value that cannot be used.
    """
    default = Path.home() / ".local" / "share" / "kinemark"
    return Settings(
        home=Path(os.environ.get("KINEMARK_HOME") or default).expanduser(),
        profiles=os.environ.get("KINEMARK_PROFILES", ""),
        database=os.environ.get("KINEMARK_DATABASE", ""),
        storage=os.environ.get("KINEMARK_STORAGE", ""),
        ray=os.environ.get("RAY_ADDRESS", ""),
        traces=os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        ledger=_ledger(os.environ.get("KINEMARK_LEDGER", "")),
        private_addresses=os.environ.get("KINEMARK_PRIVATE_ADDRESSES", "") == "1",
        fetch_images=os.environ.get("KINEMARK_FETCH_IMAGES", "") == "1",
        audit_prompts=os.environ.get("KINEMARK_AUDIT_PROMPTS", "") == "1",
        weights=_weights(os.environ.get("KINEMARK_WEIGHTS", "")),
        reuse=_reuse(os.environ.get("KINEMARK_REUSE") or "0"),
        retention_days=_days(os.environ.get("KINEMARK_RETENTION_DAYS") or str(RETENTION_DAYS)),
    )


def without_usage_statistics() -> None:
    """Let Ray tell nobody that it is used, unless the operator says otherwise."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def _ledger(text: str) -> str:
    if text and not text.startswith(("postgresql://", "postgres://")):
        raise RequestError(f"KINEMARK_LEDGER is {text!r}; give postgresql://user@host/name, or leave it out")
    return text


def _weights(text: str) -> str:
    if text not in ("", "int8", "float8"):
        raise RequestError(f"KINEMARK_WEIGHTS is {text!r}; give int8 or float8, or leave it out")
    return text


def _reuse(text: str) -> float:
    try:
        bound = float(text)
    except ValueError:
        bound = -1.0
    if not 0 <= bound <= MAX_REUSE:
        raise RequestError(f"KINEMARK_REUSE is {text!r}; give a number from 0 to {MAX_REUSE}, such as 0.05")
    return bound


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise RequestError(f"KINEMARK_RETENTION_DAYS is {text!r}; give a whole number of days, 0 or more")
    return int(text)
