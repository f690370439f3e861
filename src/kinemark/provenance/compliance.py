"""What laws ask of a generator's output, as data, and what of it a file that was just made can be shown to have.

Engineering guidance, not legal advice: each duty is checked on one file, or it says that it is "not shown". Sources and
how sure they are stand with each profile; laws move.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kinemark.errors import RequestError
from kinemark.provenance.labels import AIGC_KEY, LEAST_SECONDS, LEAST_SHARE, Label, combined, letter_height

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinemark.data.video import Frames
    from kinemark.provenance.detect import Verification
    from kinemark.provenance.marks.watermark import WatermarkFinding


class Shown(StrEnum):
    """What a check can say."""

    SHOWN = "shown"
    NOT_MET = "not met"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """One file that was just made, and what was read back from it.

    Attributes:
        plain: the frames that were released, before label and marks.
        seen: the decoded frames of the file.
        fps: frames a second.
        label: what was to be drawn.
        manifest: the active C2PA manifest, as JSON values.
        tags: the container's metadata.
        verified: what `verify` said of the file.
        stripped: what the watermark says of the same frames after another encoding, which takes the manifest away.
        content: the file's bytes.
        private: texts that must not stand in it: the prompt, folders of the person who made it.
    """

    plain: Frames
    seen: Frames
    fps: float
    label: Label | None
    manifest: dict[str, Any]
    tags: dict[str, str]
    verified: Verification
    stripped: WatermarkFinding
    content: bytes
    private: tuple[str, ...]


Check = Callable[[Evidence], tuple[bool, str]]


@dataclass(frozen=True, slots=True)
class Duty:
    """One duty: what is asked, and how it is checked; None: a file cannot show it, and `says` tells why."""

    asks: str
    check: Check | None
    says: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """A legal regime: its law, since when, how sure the reading is, the label that it needs, and its duties."""

    name: str
    law: str
    since: str
    confidence: str
    label: Label | None
    duties: tuple[Duty, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one duty."""

    profile: str
    asks: str
    shown: Shown
    says: str


def profiles_named(names: str) -> list[Profile]:
    """The profiles that a list separated by commas names; none for an empty one.

    Raises:
        RequestError: one of them is not known.
    """
    asked = [name.strip().lower() for name in names.split(",") if name.strip()]
    for name in asked:
        if name not in PROFILES:
            raise RequestError(f"there is no profile {name!r}; choose among: {', '.join(PROFILES)}")
    return [PROFILES[name] for name in dict.fromkeys(asked)]


def examine(profiles: Sequence[Profile], evidence: Evidence) -> list[Result]:
    """Check every duty of every profile."""
    results = []
    for profile in profiles:
        for duty in profile.duties:
            if duty.check is None:
                results.append(Result(profile.name, duty.asks, Shown.NOT_SHOWN, duty.says))
                continue
            met, says = duty.check(evidence)
            results.append(Result(profile.name, duty.asks, Shown.SHOWN if met else Shown.NOT_MET, says))
    return results


def label_of(profiles: Sequence[Profile]) -> Label | None:
    """The label that satisfies all profiles; None if none needs one."""
    return combined(tuple(profile.label for profile in profiles if profile.label))


# --- checks -----------------------------------------------------------------------------------------------------------


def _finding(verified: Verification, signal: str) -> str:
    return next(finding.verdict for finding in verified.findings if finding.signal == signal)


def _signed(evidence: Evidence) -> tuple[bool, str]:
    state = _finding(evidence.verified, "credentials")
    return state == "match", f"C2PA manifest read back: {state}"


def _says_ai(evidence: Evidence) -> tuple[bool, str]:
    text = json.dumps(evidence.manifest)
    kind = next((k for k in ("compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicMedia") if k in text), "none")
    return kind != "none", f"digitalSourceType {kind}"


def _watermarked(evidence: Evidence) -> tuple[bool, str]:
    payload = evidence.stripped.payload
    read = "nothing" if payload is None else f"{payload:08x}"
    return (
        read == evidence.verified.id,
        f"after another encoding, which strips the manifest, the watermark reads {read}",
    )


def _two_layers(evidence: Evidence) -> tuple[bool, str]:
    layers = [_signed(evidence), _watermarked(evidence)]
    return all(met for met, _ in layers), "; ".join(says for _, says in layers)


def _detectable(evidence: Evidence) -> tuple[bool, str]:
    technique = [finding.signal for finding in evidence.verified.findings if finding.verdict == "match"]
    return evidence.verified.recognised, f"kinemark verify recognises it by: {', '.join(technique) or 'nothing'}"


def _latent(evidence: Evidence) -> tuple[bool, str]:
    said = evidence.tags.get("comment", "")
    text = json.dumps(evidence.manifest)
    needed = {
        "provider": "Kinemark" in said and "Kinemark" in text,
        "system and version": "system " in said and "modelName" in text,
        "time": '"when"' in text,
        "unique identifier": bool(evidence.verified.id) and str(evidence.verified.id) in said,
    }
    missing = [name for name, there in needed.items() if not there]
    return not missing, f"missing: {', '.join(missing)}" if missing else "in manifest and container"


def _nothing_private(evidence: Evidence) -> tuple[bool, str]:
    found = [word for word in evidence.private if word and word.encode() in evidence.content]
    return not found, f"{len(found)} of {len(evidence.private)} private texts stand in the file's bytes"


def _aigc(evidence: Evidence) -> tuple[bool, str]:
    try:
        tag = json.loads(evidence.tags.get(AIGC_KEY, ""))
    except ValueError:
        return False, "the container has no AIGC tag"
    right = (
        tag.get("Label") == "1" and tag.get("ProduceID") == evidence.verified.id and bool(tag.get("ContentProducer"))
    )
    return right, f"AIGC tag: Label {tag.get('Label')}, ProduceID {tag.get('ProduceID')}"


def _labelled(evidence: Evidence) -> tuple[bool, str]:
    """The label is where the decoded frames differ strongly from what was released without it."""
    if evidence.label is None:
        return False, "no label was drawn"
    height, width = evidence.seen.shape[1:3]
    rows = letter_height(evidence.label, height, width)
    change = np.abs(evidence.seen.astype(np.float32) - evidence.plain).mean(axis=3)
    box = change[:, height // 2 :].reshape(len(change), -1)
    there = np.percentile(box, 99, axis=1) > 40
    lasts = (np.argmin(there) if not there.all() else len(there)) / evidence.fps
    share = rows / min(height, width)
    needed = min(LEAST_SECONDS, len(change) / evidence.fps)
    met = bool(there[0]) and share >= LEAST_SHARE and lasts >= needed
    return met, f"letters of {share:.1%} of the shortest side, from the first frame, for {lasts:.1f} s"


def _says_synthetic_performer(evidence: Evidence) -> tuple[bool, str]:
    text = evidence.label.text if evidence.label else ""
    return "synthetic performer" in text.lower() and _labelled(evidence)[0], f"the label says {text!r}"


# --- the laws ---------------------------------------------------------------------------------------------------------

_FINES: Final = Duty("fines, contracts and terms", None, "a matter of the operator's terms, not of a file")
_TAKEDOWN: Final = Duty("removal on request within the legal clock", None, "a duty of a hosted service")

PROFILES: Final = {
    profile.name: profile
    for profile in (
        Profile(
            "eu",
            "AI Act, Article 50(2) (Regulation (EU) 2024/1689), Code of Practice of 10 June 2026",
            "2026-08-02; systems on the market before: 2026-12-02",
            "dates high, details medium",
            None,
            (
                Duty("outputs are marked as made by AI, in a machine-readable way", _says_ai),
                Duty("two layers for video: signed metadata and an imperceptible watermark", _two_layers),
                Duty("the marking is detectable, by a free tool that says which technique it rests on", _detectable),
                Duty("signed metadata carry a time stamp", None, "no time stamping authority is set"),
                Duty("deployers label deepfakes visibly", None, "the deployer's duty; choose a profile with a label"),
                _FINES,
            ),
        ),
        Profile(
            "california",
            "SB 942 and AB 853 (Business and Professions Code 22757 ff.)",
            "2026-08-02; hosting platforms 2027-01-01",
            "medium to high",
            None,
            (
                Duty("a latent disclosure: provider, system and version, time, unique identifier", _latent),
                Duty("the disclosure is detectable by a free tool, and hard to remove", _watermarked),
                Duty("no personal information in what the tool returns or the file says", _nothing_private),
                Duty("a public tool that takes uploads and addresses", None, "a duty of a hosted service"),
                Duty("licensees keep the disclosure; 96 hours to revoke", None, "a matter of the licence"),
            ),
        ),
        Profile(
            "china",
            "Measures for labelling AI-generated content, GB 45438-2025",
            "2025-09-01",
            "medium to high",
            Label("AI 生成"),
            (
                Duty("a visible label: AI and 生成, 5 % of the shortest side, 2 s from the start", _labelled),
                Duty("an implicit label: the AIGC tag in the container", _aigc),
                Duty("logs for six months where unlabelled output is supplied", None, "a duty of a hosted service"),
            ),
        ),
        Profile(
            "india",
            "G.S.R. 120(E), amendment of the IT Rules",
            "2026-02-20",
            "medium",
            Label("AI-generated"),
            (
                Duty("a prominent visible label", _labelled),
                Duty("permanent metadata with a unique identifier", _two_layers),
                _TAKEDOWN,
            ),
        ),
        Profile(
            "korea",
            "AI Basic Act",
            "2026-01-22, at least a year of grace on fines",
            "medium; details of the decree not read",
            Label("AI 생성"),
            (
                Duty("generative output carries a notice or mark", _labelled),
                Duty("a machine can tell it, too", _says_ai),
                Duty("a notice in the interface", None, "a duty of the interface that people use"),
            ),
        ),
        Profile(
            "new-york",
            "General Business Law 396-b (S.8420-A), advertisements",
            "2026-06-09",
            "medium",
            Label("Contains a synthetic performer"),
            (Duty("a conspicuous disclosure that a synthetic performer is shown", _says_synthetic_performer), _FINES),
        ),
    )
}
"""The profiles by name; their sources are read in summaries, not in the acts themselves, unless they say otherwise."""
