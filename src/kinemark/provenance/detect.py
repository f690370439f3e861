"""Did Kinemark make this? One finding per signal, side by side, and never one score.

| signal | what is looked at | how sure |
|---|---|---|
| credentials | the C2PA manifest and its signature | cryptographic, until somebody strips it |
| watermark | the id in the pixels, under this installation's key | an unmarked clip passes once in 2^34 |
| presence | the mark that every Kinemark leaves; anybody can add it | a chance is stated |
| fingerprint | likeness to a clip in the ledger | a hint: given footage looks like what was made of it |
| trace | traces of the model itself | not looked for yet |

`made_by` follows from credentials and watermark alone. `recognised` is true only for this installation and for
operators whose root certificate lies in `settings.home / "trust"`.

Nothing is written by looking: no keys are made, no ledger is begun.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kinemark.data.video import media_kind, read_image, read_video
from kinemark.errors import FailureError
from kinemark.provenance import watermark
from kinemark.provenance.credentials import GENERATOR, Credentials, read_credentials
from kinemark.provenance.fingerprint import distance, fingerprint
from kinemark.provenance.grid import GRID
from kinemark.provenance.keys import load_keys
from kinemark.provenance.ledger import Entry, Ledger
from kinemark.provenance.release import READ_FRAMES
from kinemark.settings import load_settings

if TYPE_CHECKING:
    from kinemark.data.video import Frames
    from kinemark.provenance.watermark import WatermarkFinding
    from kinemark.settings import Settings

Signal = Literal["credentials", "watermark", "presence", "fingerprint", "trace", "other"]
Verdict = Literal["match", "none", "invalid", "forged", "hint"]

THIS = "this_installation"
UNKNOWN = "unknown_installation"
FINGERPRINT_MATCH = 24
"""Differing bits, of 256, up to which a fingerprint is called a match."""
FINGERPRINT_HINT = 48
"""Differing bits up to which it is called a hint."""

NEGATIVE = (
    "That nothing was found does not mean that a camera made it: marks can be removed, other installations have keys "
    "of their own, and other generators leave none of these marks."
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one signal says: `id` is the clip's id as far as the signal knows it; `detail` has `says`, in words."""

    signal: Signal
    verdict: Verdict
    id: str | None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer to "did Kinemark make this?".

    Attributes:
        path: the file that was looked at.
        made_by: "this_installation", "operator:NAME", "unknown_installation" or None.
        id: the clip's id, from the strongest signal that knows it.
        findings: one per signal.
    """

    path: Path
    made_by: str | None
    id: str | None
    findings: tuple[Finding, ...]

    @property
    def recognised(self) -> bool:
        """Whether it was made here, or by an operator whose root was added."""
        return self.made_by is not None and self.made_by != UNKNOWN

    @property
    def summary(self) -> str:
        """The answer in words, with what a negative does not mean."""
        if self.made_by == THIS:
            return f"Made by this installation of Kinemark (id {self.id})."
        if self.recognised:
            return f"Made with Kinemark by {str(self.made_by).removeprefix('operator:')} (id {self.id})."
        if self.made_by == UNKNOWN:
            return (
                "The file says that Kinemark made it, and its signature is intact, but nobody known here signed it: "
                f"anybody can make such a key. {NEGATIVE}"
            )
        return f"Not recognised as made by Kinemark. {NEGATIVE}"

    def to_dict(self) -> dict[str, Any]:
        """The machine-readable answer; later versions only add keys."""
        return {
            "recognised": self.recognised,
            "made_by": self.made_by,
            "id": self.id,
            "findings": [asdict(finding) for finding in self.findings],
            "summary": self.summary,
        }


def verify(path: Path | str, settings: Settings | None = None) -> Verification:
    """Look at a video or a picture for every signal.

    Args:
        path: the file.
        settings: where keys, ledger and added roots are; by default as the environment says.

    Raises:
        RequestError: the file is missing, empty, damaged, or neither video nor picture.
        FailureError: this installation's keys or ledger are damaged.
    """
    path = Path(path)
    frames_THWC, is_video = _frames(path)
    settings = settings or load_settings()
    keys = load_keys(settings.keys_dir)
    roots = {THIS: keys.root_pem} if keys else {}
    credentials = read_credentials(path, roots | _operators(settings))
    mark = watermark.detect(frames_THWC, keys.watermark_key) if keys else None
    seen = fingerprint(frames_THWC).clip if is_video else None
    with _Records(settings.ledger_path) as records:
        same_bytes = credentials.state == "expired" and records.holds(credentials.id, path)
        findings = [_credentials_finding(credentials, same_bytes=same_bytes)]
        findings += _watermark_findings(mark, records, seen)
        findings += [_fingerprint_finding(records, seen), _TRACE, *_other_findings(credentials)]
    made_by = _made_by(credentials, mark, same_bytes=same_bytes)
    matches = [finding.id for finding in findings if finding.verdict == "match" and finding.id]
    shown = credentials.id if made_by == UNKNOWN else None
    return Verification(path=path, made_by=made_by, id=matches[0] if matches else shown, findings=tuple(findings))


def _frames(path: Path) -> tuple[Frames, bool]:
    if media_kind(path) == "image":
        return read_image(path, size=GRID * GRID)[None], False
    return read_video(path, size=GRID * GRID, max_frames=READ_FRAMES).frames_THWC, True


def _operators(settings: Settings) -> dict[str, str]:
    """Root certificates that were added, as operator:NAME -> PEM."""
    try:
        files = sorted((settings.home / "trust").glob("*.pem"))
        return {f"operator:{file.stem}": file.read_text() for file in files}
    except (OSError, UnicodeDecodeError) as error:
        raise FailureError(
            f"cannot read the added roots in {settings.home / 'trust'}: {error}; check the files."
        ) from error


def _made_by(credentials: Credentials, mark: WatermarkFinding | None, *, same_bytes: bool) -> str | None:
    if credentials.state == "trusted":
        return credentials.root
    if same_bytes or (mark is not None and mark.payload is not None):
        return THIS
    if credentials.state in {"valid", "expired"} and credentials.generator == GENERATOR:
        return UNKNOWN
    return None


def _credentials_finding(found: Credentials, *, same_bytes: bool) -> Finding:
    detail: dict[str, Any] = {"state": found.state, "codes": list(found.codes), "manifest": found.label}
    own = found.generator == GENERATOR
    match found.state:
        case "trusted":
            says = f"Signed, unchanged since, and the key belongs to {found.root}."
            return Finding("credentials", "match", found.id, detail | {"says": says, "signer": found.root})
        case "expired" if same_bytes:
            says = "Signed here; the certificate has run out since, but the ledger holds exactly this file."
            return Finding("credentials", "match", found.id, detail | {"says": says, "signer": THIS})
        case "expired" if own:
            says = "Unchanged since it was signed, but the certificate has run out and no time stamp tells when."
            return Finding("credentials", "hint", found.id, detail | {"says": says})
        case "valid" if own:
            says = "Unchanged since it was signed, by a key that is not known here: no proof of where it comes from."
            return Finding("credentials", "hint", found.id, detail | {"says": says})
        case "invalid" if own or found.generator is None:
            says = "The file carries a signature that does not fit: it was changed after signing, or is damaged."
            return Finding("credentials", "invalid", found.id, detail | {"says": says})
        case _:
            says = "No credentials of Kinemark. Most platforms remove them on upload."
            return Finding("credentials", "none", None, detail | {"says": says})


def _watermark_findings(mark: WatermarkFinding | None, records: _Records, seen: bytes | None) -> list[Finding]:
    if mark is None:
        says = "Not looked for: this installation has no watermark key yet; its first release makes one."
        return [Finding(signal, "none", None, {"says": says}) for signal in ("watermark", "presence")]
    chance = {"score": round(mark.score, 1), "p_value": mark.p_value}
    presence = Finding(
        "presence",
        "match" if mark.present else "none",
        None,
        chance
        | {
            "says": f"The mark of some Kinemark is {'' if mark.present else 'not '}there; "
            f"an unmarked clip shows as much with a chance of {mark.p_value:.1g}."
        },
    )
    if mark.payload is None:
        says = "No readable id. Strong compression, cropping or removal can destroy it."
        return [Finding("watermark", "none", None, {"says": says, "false_accept": mark.false_accept}), presence]
    id_ = f"{mark.payload:08x}"
    entry = records.find(id_)
    content = records.likeness(entry, seen)
    says = f"The pixels carry id {id_} under this installation's key ({content['content']})."
    detail = content | {
        "says": says,
        "agreement": mark.agreement,
        "geometry": mark.geometry,
        "false_accept": mark.false_accept,
    }
    return [Finding("watermark", "match", id_, detail), presence]


def _fingerprint_finding(records: _Records, seen: bytes | None) -> Finding:
    if seen is None:
        return Finding(
            "fingerprint", "none", None, {"says": "Not looked for: a single picture has no clip fingerprint."}
        )
    nearest = records.nearest(seen)
    if nearest is None:
        return Finding("fingerprint", "none", None, {"says": "The ledger here holds no clip to compare with."})
    entry, bits = nearest
    detail = {"distance": bits, "of": 8 * len(seen), "match_up_to": FINGERPRINT_MATCH, "hint_up_to": FINGERPRINT_HINT}
    if bits > FINGERPRINT_HINT:
        says = "It does not look like any clip in the ledger here."
        return Finding("fingerprint", "none", None, detail | {"says": says})
    verdict: Verdict = "match" if bits <= FINGERPRINT_MATCH else "hint"
    says = f"It looks like clip {entry.id} of the ledger here. Likeness alone is no proof that it was made here."
    return Finding("fingerprint", verdict, entry.id, detail | {"says": says})


_TRACE = Finding(
    "trace", "none", None, {"says": "Not looked for: this version knows no trace of its models.", "looked": False}
)


def _other_findings(credentials: Credentials) -> list[Finding]:
    """Credentials of other makers: shown as what they are, neither trusted nor counted."""
    if credentials.generator in {None, GENERATOR}:
        return []
    says = (
        f"It carries Content Credentials of another maker ({credentials.generator}); check them with its own verifier."
    )
    return [
        Finding("other", "hint", None, {"says": says, "state": credentials.state, "codes": list(credentials.codes)})
    ]


class _Records:
    """The ledger as `verify` sees it: there may be none yet, and it is never begun by looking."""

    def __init__(self, path: Path) -> None:
        self._ledger = Ledger.open(path) if path.is_file() else None

    def __enter__(self) -> _Records:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ledger:
            self._ledger.close()

    def find(self, id_: str | None) -> Entry | None:
        return self._ledger.find(id_) if self._ledger and id_ else None

    def nearest(self, seen: bytes) -> tuple[Entry, int] | None:
        return self._ledger.nearest(seen) if self._ledger else None

    def holds(self, id_: str | None, path: Path) -> bool:
        """Whether the ledger holds exactly this file under this id."""
        entry = self.find(id_)
        if entry is None:
            return False
        with path.open("rb") as file:
            return entry.body.get("file_sha256") == hashlib.file_digest(file, "sha256").hexdigest()

    def likeness(self, entry: Entry | None, seen: bytes | None) -> dict[str, Any]:
        """Whether what is seen looks like the entry; a mark can be copied onto other footage."""
        if entry is None:
            return {"content": "no entry in the ledger here to compare the picture with"}
        if seen is None:
            return {"content": "a single picture, not compared with the entry"}
        bits = distance(seen, entry.fingerprint)
        word = "confirmed" if bits <= FINGERPRINT_HINT else "not confirmed"
        return {"content": f"the picture is {word} by the entry's fingerprint", "distance": bits}
