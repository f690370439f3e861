"""What each signal says, in words: from what was read to the findings that `verify` shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from kinemark.provenance.fingerprints.hash_index import RADIUS
from kinemark.provenance.fingerprints.likeness import CONFIRMED, CONTRADICTED
from kinemark.provenance.marks.model_trace import LIMIT as TRACE_LIMIT
from kinemark.provenance.marks.watermark import PRESENCE_LIMIT
from kinemark.provenance.other_makers import UNREADABLE
from kinemark.provenance.signing.anchors import THIS
from kinemark.provenance.signing.credentials import GENERATOR
from kinemark.provenance.signing.given import describe_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinemark.provenance.marks.model_trace import TraceFinding
    from kinemark.provenance.marks.watermark import WatermarkFinding
    from kinemark.provenance.other_makers import OtherMark
    from kinemark.provenance.records.lookalikes import Lookalike
    from kinemark.provenance.signing.credentials import Credentials

Signal = Literal["credentials", "watermark", "presence", "fingerprint", "trace", "other"]
Verdict = Literal["match", "none", "invalid", "forged", "hint"]
Stage = Literal["quick", "search"]
Content = Literal["confirmed", "unconfirmed", "contradicted"]

FINGERPRINT_MATCH: Final = 24
"""Differing bits, of 256, up to which a fingerprint is called a match."""
FINGERPRINT_HINT: Final = RADIUS
"""Differing bits up to which it is called a hint, also for a part or a mirror image."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one signal says: `id` is the clip's id as far as the signal knows it; `detail` has `says`, in words."""

    signal: Signal
    verdict: Verdict
    id: str | None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MarkedSpan:
    """Seconds `start` to `stop` that carry the mark, and what the ledger says of the picture there."""

    start: float
    stop: float
    content: Content
    agreement: float | None


def is_forged(spans: Sequence[MarkedSpan]) -> bool:
    """Whether the picture contradicts the ledger wherever the mark lies."""
    return bool(spans) and all(span.content == "contradicted" for span in spans)


def confirmed_id(findings: Sequence[Finding]) -> str | None:
    """The clip that the pixels are, without a look at the file's credentials; None where that is not sure.

    Either they carry an id and look like its clip wherever they carry it, or they look exactly like a clip: a mark on
    other footage is not enough.
    """
    for finding in findings:
        if finding.verdict != "match" or finding.signal not in {"watermark", "fingerprint"}:
            continue
        spans = finding.detail.get("spans", [])
        if finding.signal == "fingerprint" or (spans and all(content == "confirmed" for _, _, content, _ in spans)):
            return finding.id
    return None


def credentials_finding(found: Credentials, *, same_bytes: bool, kept: str | None = None) -> Finding:
    """The manifest and its signature; `kept` names the one that the ledger holds for a clip that lost its own."""
    detail: dict[str, Any] = {"state": found.state, "codes": list(found.codes), "manifest": found.label}
    if found.given:
        detail["given"] = [[span.start, span.stop, span.how] for span in found.given]
    own = found.generator == GENERATOR
    match found.state:
        case "trusted":
            made = describe_spans(found.given, found.seconds or 0.0)
            when = f", signed on {found.time:%Y-%m-%d %H:%M} UTC by its time stamp" if found.time else ""
            says = f"Signed, unchanged since, and the key belongs to {found.root}{when}. It says: {made}."
            return Finding("credentials", "match", found.id, detail | {"says": says, "signer": found.root})
        case "expired" if same_bytes:
            says = "Signed here; the certificate has run out since, but the ledger holds exactly this file."
            return Finding("credentials", "match", found.id, detail | {"says": says, "signer": THIS})
        case "revoked" if same_bytes:
            says = "Signed here; the certificate was withdrawn since, but the ledger holds exactly this file."
            return Finding("credentials", "match", found.id, detail | {"says": says, "signer": THIS})
        case "revoked":
            says = (
                f"Unchanged since it was signed, but {found.root} withdrew that certificate, and no time stamp shows "
                "that it was signed before: whoever got hold of the key may have made it."
            )
            return Finding("credentials", "hint", found.id, detail | {"says": says})
        case "expired" if own:
            says = "Unchanged since it was signed, but the certificate has run out and no time stamp tells when."
            return Finding("credentials", "hint", found.id, detail | {"says": says})
        case "valid" if own:
            says = "Unchanged since it was signed, by a key that is not known here: no proof of where it comes from."
            return Finding("credentials", "hint", found.id, detail | {"says": says})
        case "invalid" if own or found.generator is None:
            says = "The file carries a signature that does not fit: it was changed after signing, or is damaged."
            return Finding("credentials", "invalid", found.id, detail | {"says": says})
        case "none" if kept is not None:
            says = (
                f"No credentials in the file. Those that it left with are kept here ({kept}): "
                "kinemark ledger find FILE --manifest OUT.c2pa writes them."
            )
            return Finding("credentials", "none", None, detail | {"says": says, "kept": kept})
        case _:
            says = "No credentials of Kinemark. Most platforms remove them on upload."
            return Finding("credentials", "none", None, detail | {"says": says})


def resolved_finding(found: Credentials | None, operator: str, trouble: str | None) -> Finding:
    """What another operator's resolution service said of a clip without credentials of its own."""
    detail: dict[str, Any] = {"resolver": operator}
    if trouble is not None:
        return Finding("credentials", "none", None, detail | {"says": f"{operator} was asked in vain: {trouble}."})
    if found is None:
        return Finding(
            "credentials", "none", None, detail | {"says": f"{operator} knows no clip that looks like this."}
        )
    says = (
        f"{operator} knows a clip that looks like this, and has its credentials, signed by {found.root} "
        f"({found.label}). Likeness alone is no proof that this is that clip."
    )
    return Finding("credentials", "hint", found.id, detail | {"says": says, "manifest": found.label})


def watermark_finding(mark: WatermarkFinding, stage: Stage, spans: Sequence[MarkedSpan], *, keyed: bool) -> Finding:
    """The payload under this installation's key."""
    detail: dict[str, Any] = {"stage": stage, "false_accept": mark.false_accept}
    if not keyed:
        says = "Not looked for: this installation has no watermark key yet; its first release makes one."
        return Finding("watermark", "none", None, detail | {"says": says})
    if mark.payload is None:
        searched = "were searched, too" if stage == "search" else "were not searched"
        says = f"No readable id. Cropped and turned copies {searched}. Strong compression or removal can destroy it."
        return Finding("watermark", "none", None, detail | {"says": says})
    id_ = f"{mark.payload:08x}"
    detail |= {
        "agreement": mark.agreement,
        "geometry": mark.geometry,
        "spans": [[span.start, span.stop, span.content, span.agreement] for span in spans],
        "confirmed_from": CONFIRMED,
        "contradicted_up_to": CONTRADICTED,
    }
    where = ", ".join(f"{span.start:.1f}-{span.stop:.1f} s ({_CONTENT[span.content]})" for span in spans)
    says = f"The pixels carry id {id_} under this installation's key: {where or 'a single picture'}; {mark.geometry}."
    if is_forged(spans):
        says += " But what is seen there is not the clip that was released under this id: the mark was put onto it."
        return Finding("watermark", "forged", id_, detail | {"says": says})
    return Finding("watermark", "match", id_, detail | {"says": says})


_CONTENT: Final = {
    "confirmed": "the picture is confirmed by the ledger",
    "unconfirmed": "mark present, content unconfirmed",
    "contradicted": "the picture contradicts the ledger",
}


def presence_finding(mark: WatermarkFinding, stage: Stage, seconds: Sequence[tuple[float, float]]) -> Finding:
    """The mark that every Kinemark leaves."""
    chance = f"an unmarked clip shows as much with a chance of {mark.p_value:.1g}"
    says = (
        f"The mark of some Kinemark is there ({mark.geometry}); {chance}. Anybody can add it: no proof."
        if mark.present
        else f"The mark that every Kinemark leaves is not there; {chance}."
    )
    detail = {
        "says": says,
        "stage": stage,
        "score": round(mark.score, 1),
        "p_value": mark.p_value,
        "limit": PRESENCE_LIMIT,
        "spans": [list(span) for span in seconds],
    }
    return Finding("presence", "match" if mark.present else "none", None, detail)


def fingerprint_finding(found: Lookalike | None, *, is_video: bool, known: int) -> Finding:
    """Likeness to the clips of the ledger, of which there are `known`."""
    if not is_video:
        says = "Not looked for: a single picture has no clip fingerprint."
        return Finding("fingerprint", "none", None, {"says": says})
    detail: dict[str, Any] = {"of": 256, "match_up_to": FINGERPRINT_MATCH, "hint_up_to": FINGERPRINT_HINT}
    if found is None:
        says = "It does not look like any clip in the ledger here." if known else "The ledger here holds no clip yet."
        return Finding("fingerprint", "none", None, detail | {"says": says})
    detail |= {"distance": found.bits, "part": found.part, "mirrored": found.mirrored}
    what = ("a part of " if found.part else "") + ("the mirror image of " if found.mirrored else "")
    says = f"It looks like {what}clip {found.entry.id} of the ledger here."
    says += " Likeness alone is no proof that it was made here."
    whole = not found.part and not found.mirrored
    verdict: Verdict = "match" if whole and found.bits <= FINGERPRINT_MATCH else "hint"
    return Finding("fingerprint", verdict, found.entry.id, detail | {"says": says})


def trace_finding(found: TraceFinding | None) -> Finding:
    """The trace of the model's decoder; None where nobody looked, since an intact signature says more."""
    if found is None:
        says = "Not looked for: the signature is intact and known here, which says more."
        return Finding("trace", "none", None, {"says": says, "looked": False})
    chance = f"clips of other origin show as much with a chance of {found.p_value:.1g}"
    says = (
        f"The picture has the pattern that spark's decoder paints; {chance}. It says which model, not who ran it."
        if found.present
        else f"The pattern that spark's decoder paints is not seen; {chance}. Strong compression hides it."
    )
    detail = {
        "says": says,
        "looked": True,
        "p_value": found.p_value,
        "limit": TRACE_LIMIT,
        "scale": round(found.scale, 2),
    }
    return Finding("trace", "hint" if found.present else "none", None, detail)


def other_findings(credentials: Credentials, marks: Sequence[OtherMark]) -> list[Finding]:
    """Marks of other makers: shown as what they are, neither trusted nor counted."""
    found = []
    if credentials.generator not in {None, GENERATOR}:
        says = f"It carries Content Credentials of another maker ({credentials.generator}, {credentials.state} here)."
        found.append(Finding("other", "hint", None, {"says": says, "state": credentials.state, "standard": "C2PA"}))
    if credentials.generator != GENERATOR:
        found += [
            Finding(
                "other",
                "hint",
                None,
                {"says": f"{mark.standard} says: {mark.says}. Anybody can write that.", "standard": mark.standard},
            )
            for mark in marks
        ]
    if not found:
        says = f"No other maker's mark that can be read here. {UNREADABLE}"
        return [Finding("other", "none", None, {"says": says})]
    return found
