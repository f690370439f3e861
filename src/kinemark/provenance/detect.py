"""Did Kinemark make this? One finding per signal, side by side, and never one score.

| signal | what is looked at | how sure |
|---|---|---|
| credentials | the C2PA manifest and its signature | cryptographic, until somebody strips it |
| watermark | the id in the pixels, under this installation's key | an unmarked clip passes once in 2^34 words read |
| presence | the mark that every Kinemark leaves; anybody can add it | a chance is stated |
| fingerprint | likeness to a clip in the ledger | a hint: given footage looks like what was made of it |
| trace | a pattern that spark's decoder paints, whoever runs it | a hint; a chance is stated |
| other | what other makers wrote into the file | claims |

Two stages: a quick look at the file as it is; and, where that neither finds an id nor a trusted signature, a blind
search for copies that were cropped, turned, scaled or filmed at a slant.

`made_by` follows from credentials and watermark alone. `recognised` is true only for this installation and for
operators whose root certificate lies in `settings.home / "trust"`. A mark whose picture contradicts the ledger is
`forged` and counts for nothing.

Nothing is written by looking: no keys are made, no ledger is begun.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kinemark.errors import FailureError
from kinemark.provenance import findings as say
from kinemark.provenance.findings import Finding, MarkedSpan, is_forged
from kinemark.provenance.fingerprints.likeness import CONFIRMED, CONTRADICTED, agreement
from kinemark.provenance.footage import Footage
from kinemark.provenance.grid import spread
from kinemark.provenance.marks import model_trace, watermark
from kinemark.provenance.other_makers import other_marks
from kinemark.provenance.records.lookalikes import Lookalike, lookalike
from kinemark.provenance.records.opening import find_ledger
from kinemark.provenance.resolvers import resolve
from kinemark.provenance.signing.anchors import THIS
from kinemark.provenance.signing.credentials import GENERATOR, Credentials, read_credentials
from kinemark.provenance.signing.keys import load_keys
from kinemark.provenance.signing.trust import operator_anchors, time_roots, trusted
from kinemark.settings import load_settings

if TYPE_CHECKING:
    from kinemark.data.video import Frames
    from kinemark.provenance.findings import Content, Stage
    from kinemark.provenance.marks.watermark import WatermarkFinding
    from kinemark.provenance.records.ledger import Entry
    from kinemark.settings import Settings

UNKNOWN: Final = "unknown_installation"
NEGATIVE: Final = (
    "That nothing was found does not mean that a camera made it: marks can be removed, other installations have keys "
    "of their own, and other generators leave none of these marks."
)
_COMPARED: Final = 8
"""Frames of each span that are compared with the ledger."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer to "did Kinemark make this?".

    Attributes:
        path: the file that was looked at.
        made_by: "this_installation", "operator:NAME", "unknown_installation" or None.
        id: the clip's id, from the strongest signal that knows it.
        findings: one per signal; several for marks of other makers.
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
    def forged(self) -> bool:
        """Whether it carries a mark of this installation that does not belong to what is seen."""
        return any(finding.verdict == "forged" for finding in self.findings)

    @property
    def summary(self) -> str:
        """The answer in words, with what a negative does not mean."""
        if self.made_by == THIS:
            return f"Made by this installation of Kinemark (id {self.id})."
        if self.recognised:
            return f"Made with Kinemark by {str(self.made_by).removeprefix('operator:')} (id {self.id})."
        if self.forged:
            return (
                "Not recognised as made by Kinemark: it carries a mark of this installation that was released with "
                "another picture. Somebody copied the mark."
            )
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


def verify(
    path: Path | str, settings: Settings | None = None, *, quick: bool = False, footage: Footage | None = None
) -> Verification:
    """Look at a video or a picture for every signal.

    Args:
        path: the file.
        settings: where keys, ledger and added roots are; by default as the environment says.
        quick: leave out the blind search for cropped and turned copies, which takes seconds.
        footage: what is seen in the file, where it was read already.

    Raises:
        RequestError: the file is missing, empty, damaged, or neither video nor picture.
        FailureError: this installation's keys or ledger are damaged.
    """
    path = Path(path)
    footage = footage or Footage.of(path)
    settings = settings or load_settings()
    keys = load_keys(settings.keys_dir)
    anchors = (*(keys.anchors if keys else ()), *operator_anchors(settings))
    credentials = read_credentials(path, anchors, time_roots(settings))
    key = keys.watermark_key if keys else None
    mark, stage = _look(footage.frames, key, quick=quick or credentials.state == "trusted")
    with _Records(settings) as records:
        same_bytes = credentials.state in {"expired", "revoked"} and records.holds(credentials.id, path)
        spans = records.compare(mark, footage)
        nearest = records.lookalike(footage) if footage.is_video else None
        pixels = (
            say.watermark_finding(mark, stage, spans, keyed=keys is not None),
            say.presence_finding(mark, stage, [footage.seconds(span) for span in mark.spans]),
            say.fingerprint_finding(nearest, is_video=footage.is_video, known=records.count),
        )
        kept = records.manifest(say.confirmed_id(pixels))
    found = (
        say.credentials_finding(credentials, same_bytes=same_bytes, kept=kept),
        *pixels,
        say.trace_finding(None if credentials.state == "trusted" else model_trace.find(footage.frames)),
        *say.other_findings(credentials, other_marks(path)),
    )
    made_by = _made_by(credentials, mark, same_bytes=same_bytes, forged=is_forged(spans))
    matches = [finding.id for finding in found if finding.verdict == "match" and finding.id]
    shown = credentials.id if made_by == UNKNOWN else None
    return Verification(path=path, made_by=made_by, id=matches[0] if matches else shown, findings=found)


def ask_operators(verification: Verification, settings: Settings | None = None) -> Verification:
    """Add what the resolution services of added operators know of a clip that carries no credentials of its own.

    Only the clip's ISCC code leaves this machine. A service that does not answer is a finding and no error.

    Raises:
        RequestError: as `verify`.
        FailureError: this installation's trust folder is damaged.
    """
    settings = settings or load_settings()
    own = verification.findings[0]
    if own.detail["state"] != "none":
        return verification
    footage, anchors, added = Footage.of(verification.path), operator_anchors(settings), []
    for operator in trusted(settings):
        if operator.resolver is None:
            continue
        found, trouble = None, None
        try:
            found = resolve(verification.path, footage, operator.resolver, anchors)
        except FailureError as error:
            trouble = str(error)
        added.append(say.resolved_finding(found, operator.name, trouble))
    return replace(verification, findings=(own, *added, *verification.findings[1:]))


def _look(frames_THWC: Frames, key: bytes | None, *, quick: bool) -> tuple[WatermarkFinding, Stage]:
    """The quick look; and the search, where that found no id and is not to be the end."""
    mark = watermark.detect(frames_THWC, key)
    if quick or mark.payload is not None or (key is None and mark.present):
        return mark, "quick"
    searched = watermark.search(frames_THWC, key)
    better = searched.payload is not None or (searched.present and not mark.present)
    return (searched, "search") if better else (mark, "search")


def _made_by(credentials: Credentials, mark: WatermarkFinding, *, same_bytes: bool, forged: bool) -> str | None:
    if credentials.state == "trusted":
        return credentials.root
    if same_bytes or (mark.payload is not None and not forged):
        return THIS
    if credentials.state in {"valid", "expired"} and credentials.generator == GENERATOR:
        return UNKNOWN
    return None


class _Records:
    """The ledger as `verify` sees it: there may be none yet, and it is never begun by looking."""

    def __init__(self, settings: Settings) -> None:
        self._ledger = find_ledger(settings)
        self._index = settings.index_dir

    def __enter__(self) -> _Records:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ledger:
            self._ledger.close()

    def find(self, id_: str | None) -> Entry | None:
        return self._ledger.find(id_) if self._ledger and id_ else None

    def manifest(self, id_: str | None) -> str | None:
        """Name of the manifest that this clip left with; None where none was entered, or it was erased."""
        entry = self.find(id_)
        if entry is None or self._ledger is None or self._ledger.erased(entry.id):
            return None
        return entry.body.get("manifest")

    @property
    def count(self) -> int:
        return len(self._ledger) if self._ledger else 0

    def lookalike(self, footage: Footage) -> Lookalike | None:
        return lookalike(footage.fingerprint, self._ledger, self._index) if self._ledger else None

    def holds(self, id_: str | None, path: Path) -> bool:
        """Whether the ledger holds exactly this file under this id."""
        entry = self.find(id_)
        if entry is None:
            return False
        with path.open("rb") as file:
            return entry.body.get("file_sha256") == hashlib.file_digest(file, "sha256").hexdigest()

    def compare(self, mark: WatermarkFinding, footage: Footage) -> list[MarkedSpan]:
        """For each span that carries a mark, whether the picture there is the clip that the ledger knows."""
        if mark.payload is None or mark.placement is None:
            return []
        entry = self.find(f"{mark.payload:08x}")
        stored = bytes.fromhex(entry.body.get("likeness", "")) if entry else b""
        spans = []
        for start, stop in mark.spans:
            fit: float | None = None
            if entry and stored:
                chosen = spread(start, stop, _COMPARED)
                width, height = entry.body["size"]
                fits = agreement(footage.frames[chosen], stored, (height, width), mark.placement)
                fit = float(np.median(fits)) if np.isfinite(fits).all() else None
            spans.append(MarkedSpan(*footage.seconds((start, stop)), _content(fit), fit))
        return spans


def _content(fit: float | None) -> Content:
    if fit is None or CONTRADICTED < fit < CONFIRMED:
        return "unconfirmed"
    return "confirmed" if fit >= CONFIRMED else "contradicted"
