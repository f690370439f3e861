"""The consent gate: people whom a prompt names, and faces in what is given. Who has no record is not shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kinemark.safety.consent.register import Asked, Register, handles
from kinemark.safety.decision import Judgement
from kinemark.safety.frames.faces import faces

if TYPE_CHECKING:
    import datetime as dt

    import numpy as np

    from kinemark.safety.consent.register import Entry
    from kinemark.safety.decision import Stage
    from kinemark.safety.frames.faces import Detector

GATE: Final = "consent"
_CATEGORY: Final = "likeness"
_PEOPLE: Final = "consent-people"
_FACES: Final = "consent-faces"


def judge_people(register: Register, asked: Asked, *, now: dt.datetime) -> tuple[Judgement, tuple[Entry, ...]]:
    """Whether everybody whom the prompts name agreed to what is asked; and their records."""
    named = handles(asked.texts)
    for handle in named:
        if reason := register.refuses(handle, asked, now=now):
            told = f"{reason[:1].upper()}{reason[1:]}. People are shown only as they agreed to be."
            return Judgement(GATE, "prompt", "refuse", _CATEGORY, _PEOPLE, told), ()
    said = f"Consent is on record for @{', @'.join(named)}." if named else "The prompt names nobody who is registered."
    return Judgement(GATE, "prompt", "allow", None, _PEOPLE, said), tuple(register.entry(handle) for handle in named)


def judge_faces(
    frames_THWC: np.ndarray,
    fps: float,
    people: tuple[Entry, ...],
    *,
    stage: Stage = "input",
    detect: Detector | None = None,
) -> Judgement:
    """Whether frames show a face that nobody vouches for.

    There is no matcher here, so a face cannot be held against a record: that it is the face of whoever is named is the
    word of whoever names them, and is entered under their record.

    Args:
        frames_THWC: what was given, or what came out; uint8 RGB.
        fps: frames a second.
        people: the records of those whom the prompt names, as `judge_people` found them.
        stage: "input" for what was given, "output" for what came out.
        detect: finds the faces of a picture; the frontal cascade, if None.
    """
    found, where = faces(frames_THWC, fps, detect), "what was given" if stage == "input" else "the clip"
    if not found:
        return Judgement(GATE, stage, "allow", None, _FACES, f"No face was found in {where}.")
    if people:
        names = ", ".join(f"@{entry.consent.handle}" for entry in people)
        return Judgement(GATE, stage, "label", _CATEGORY, _FACES, f"A face is seen, with the consent of {names}.")
    reason = (
        f"A face is seen from {found[0].start / fps:.1f} s on in {where}, and the prompt names nobody who "
        "agreed to it. Enter their consent (kinemark consent add) and name them as @handle, or do without a face."
    )
    return Judgement(GATE, stage, "refuse", _CATEGORY, _FACES, reason)
