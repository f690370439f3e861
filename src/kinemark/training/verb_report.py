"""What the trials of the verbs have shown, as figures, as lines and as a page.

A figure of yes and no is a share with its interval; a ratio with bounds is its median, and the share that lies within
them; anything else is a mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Final

from kinemark.shares import Share
from kinemark.training.report import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kinemark.training.verbs import Figures

#: A join may be no more visible than this many times the clip's median change.
SEAM: Final = 1.5
#: Ratios, and between what they have to lie.
_BOUNDS: Final = {
    "seam": (0.0, SEAM),
    "around": (0.0, SEAM),
    "sharpness": (0.8, 99.0),
    "decoded_psnr": (30.0, 99.0),
    "luminance_drift": (0.0, 0.08),
    "saturation_drift": (0.0, 0.08),
    "truth_luminance_drift": (0.0, 0.08),
    "truth_saturation_drift": (0.0, 0.08),
}

_HEAD: Final = """# How well the verbs keep, join and change what they are given

Measured on decoded frames of 256x256 against rendered truth, by `kinemark evaluate --verbs all`; what is read is read
by the probe. Shares have 95 % intervals; a seam is the largest change across a join, in units of the clip's median
change."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a verb: a share, a middle, or a middle with the share that lies within bounds."""

    name: str
    middle: float | None = None
    share: Share | None = None

    def __str__(self) -> str:
        """As it is printed."""
        parts = []
        if self.middle is not None:
            parts.append(f"{'median' if self.share else 'mean'} {self.middle:.3g}")
        if self.share is not None:
            low, high = _BOUNDS.get(self.name, (0.0, 0.0))
            within = f"within {low:g} to {high:g}: " if self.middle is not None else ""
            parts.append(f"{within}{self.share}")
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """What JSON holds of it."""
        told: dict[str, Any] = {} if self.middle is None else {"middle": self.middle}
        if self.share is not None:
            low, high = self.share.interval
            told |= {"share": self.share.rate, "low": low, "high": high, "n": self.share.n}
        return told


def summary(trials: Sequence[Figures]) -> list[Figure]:
    """The figures of one verb; motion is the sum over all clips, as a share of truth's: some scenes hardly move."""
    names = dict.fromkeys(name for trial in trials for name in trial if name not in ("moved", "truth_moved"))
    figures = [_figure(name, [trial[name] for trial in trials if name in trial]) for name in names]
    moved, real = (sum(trial.get(name, 0.0) for trial in trials) for name in ("moved", "truth_moved"))
    return [*figures, Figure("motion", moved / real)] if real else figures


def _figure(name: str, values: Sequence[float]) -> Figure:
    if name in _BOUNDS:
        low, high = _BOUNDS[name]
        return Figure(name, median(values), Share(sum(low <= value <= high for value in values), len(values)))
    if set(values) <= {0.0, 1.0}:
        return Figure(name, share=Share(int(sum(values)), len(values)))
    return Figure(name, fmean(values))


def told(trials: Mapping[str, Sequence[Figures]]) -> list[str]:
    """Lines that tell the figures of all verbs."""
    lines = []
    for verb, own in trials.items():
        lines.append(f"{verb} (n = {len(own)})")
        lines += [f"  {figure.name:<24} {figure}" for figure in summary(own)]
    return lines


def write_verbs(trials: Mapping[str, Sequence[Figures]], folder: Path) -> Path:
    """Write `verbs.md`, a table for each verb; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_HEAD]
    for verb, own in trials.items():
        rows = [(figure.name.replace("_", " "), str(figure)) for figure in summary(own)]
        parts.append(f"## {verb} (n = {len(own)})\n\n{table(('', ''), rows)}")
    page = folder / "verbs.md"
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page
