"""Which part of a clip was given and which was generated: recorded so that real footage is never passed off as made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class GivenSpan:
    """Seconds `start` to `stop` of a clip that show given footage: "kept" as it is, or "changed" in part."""

    start: float
    stop: float
    how: Literal["kept", "changed"] = "kept"


def given_spans(caps: Sequence[float], fps: float) -> tuple[GivenSpan, ...]:
    """Runs of frames that are given, from the noise level at which each frame of a clip joins.

    Level 0 keeps a frame as it is, levels below 1 change it in part; at 1 nothing of what was given remains.
    """
    spans, start = [], 0
    for stop in range(1, len(caps) + 1):
        how = _how(caps[start])
        if stop == len(caps) or _how(caps[stop]) != how:
            if how:
                spans.append(GivenSpan(start / fps, stop / fps, how))
            start = stop
    return tuple(spans)


def _how(cap: float) -> Literal["kept", "changed"] | None:
    return "kept" if cap == 0 else "changed" if cap < 1 else None


def describe_spans(spans: Sequence[GivenSpan], seconds: float) -> str:
    """In words: "given 0.0-3.2 s, generated 3.2-6.0 s"; "generated" where nothing was given."""
    if not spans:
        return "generated"
    words, at = [], 0.0
    for span in sorted(spans, key=lambda span: span.start):
        if span.start > at:
            words.append(f"generated {at:.1f}-{span.start:.1f} s")
        changed = " and changed in part" if span.how == "changed" else ""
        words.append(f"given {span.start:.1f}-{span.stop:.1f} s{changed}")
        at = span.stop
    if at < seconds:
        words.append(f"generated {at:.1f}-{seconds:.1f} s")
    return ", ".join(words)
