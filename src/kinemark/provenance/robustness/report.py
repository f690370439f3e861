"""The published tables, as Markdown and as one JSON object."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kinemark.shares import Share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinemark.provenance.robustness.measure import Imperceptibility, Outcome, RowResult, Trial
    from kinemark.provenance.robustness.statistics import Rate


@dataclass(slots=True)
class Report:
    """Everything that was measured. Parts that are empty were not run, and the report says so.

    Attributes:
        facts: date, versions, command, numbers of clips by kind.
        tables: for each size ("256", "720p"), for each method, its rows in order.
        marks: for each size and method, how much marking changed the clips.
        unmarked: trials on unmarked segments.
        wrong_keys: chances under the null law, sorted.
        averaged: what the average of 100 marks gave.
    """

    facts: dict[str, Any]
    tables: dict[str, dict[str, list[RowResult]]] = field(default_factory=dict)
    marks: dict[str, dict[str, list[Imperceptibility]]] = field(default_factory=dict)
    unmarked: list[Trial] = field(default_factory=list)
    wrong_keys: list[float] = field(default_factory=list)
    averaged: Outcome | None = None


def missed(report: Report) -> list[str]:
    """Rows of Kinemark's own mark that stayed below their target."""
    return [
        f"{size}: {result.row.name} ({measure}): {result.rates[measure].share:.0%}, asked {target:.0%}"
        for size, methods in report.tables.items()
        for result in methods.get("kinemark", [])
        for measure, target in targets(result, size)
        if target is not None and result.rates[measure].share < target
    ]


def targets(result: RowResult, size: str) -> list[tuple[str, float | None]]:
    """What a row is to reach at a size, by measure."""
    return [(measure, small if size == "256" else large) for measure, small, large in result.row.targets]


def to_json(report: Report) -> dict[str, Any]:
    """One JSON object."""
    return {
        "facts": report.facts,
        "tables": {
            size: {
                method: [
                    {"row": r.row.name, "false_ids": r.false_ids, **{m: asdict(rate) for m, rate in r.rates.items()}}
                    for r in results
                ]
                for method, results in methods.items()
            }
            for size, methods in report.tables.items()
        },
        "marks": {size: {m: _mark(marks) for m, marks in of.items()} for size, of in report.marks.items()},
        "unmarked": {"segments": len(report.unmarked), "present": _present(report), "ids": _ids(report)},
        "wrong_keys": {"trials": len(report.wrong_keys), "tail": _tail(report.wrong_keys)},
        "averaged": asdict(report.averaged) if report.averaged else None,
        "missed": missed(report),
    }


def to_markdown(report: Report) -> str:
    """The tables that are published."""
    lines = ["# What the marks survive", "", "Made by `kinemark robustness`; the same command makes it again.", ""]
    lines += [f"- {name}: {value}" for name, value in report.facts.items()]
    for size, methods in report.tables.items():
        lines += ["", f"## {size} pixels" if size == "256" else f"## {size}", ""]
        names = list(methods)
        lines += [
            "| " + " | ".join(["attack", "measured", "asked", "n", "share (95 %)", "worst tenth", *names[1:]]) + " |",
            "|---|---|---|---|---|---|" + "---|" * len(names[1:]),
        ]
        lines += [line for index in range(len(methods[names[0]])) for line in _lines(methods, index, size)]
        for method, marks in report.marks.get(size, {}).items():
            mark = _mark(marks)
            lines += [
                "",
                (
                    f"{method}, before encoding, {len(marks)} clips: luma PSNR median {mark['psnr_median']:.1f} dB, "
                    f"worst 5 % of clips {mark['psnr_worst_5']:.1f} dB, worst frame {mark['psnr_worst_frame']:.1f} dB; "
                    f"SSIM median {mark['ssim_median']:.4f}, least {mark['ssim_least']:.4f}; "
                    f"flicker {mark['flicker']:.3f} steps."
                ),
            ]
    lines += ["", "## False alarms", "", *_false_alarms(report)]
    below = missed(report)
    lines += ["", "## Below what was asked", "", *([f"- {line}" for line in below] or ["Nothing."]), ""]
    return "\n".join(lines)


def _lines(methods: dict[str, list[RowResult]], index: int, size: str) -> list[str]:
    own, *others = [results[index] for results in methods.values()]
    lines = []
    for measure, target in targets(own, size):
        rate = own.rates[measure]
        asked = "-" if target is None else f"{target:.0%}"
        cells = [own.row.name, measure, asked, str(rate.n), _share(rate), f"{rate.worst:.0%}"]
        cells += [_share(other.rates[measure]) if measure != "presence" else "-" for other in others]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _share(rate: Rate) -> str:
    return f"{rate.share:.1%} ({rate.low:.0%}-{rate.high:.0%})"


def _false_alarms(report: Report) -> list[str]:
    lines = []
    if report.unmarked:
        n = len(report.unmarked)
        bound = Share(_present(report), n).interval[1]
        lines.append(
            f"- {n} unmarked segments under the full search: {_present(report)} with a presence mark, {_ids(report)} "
            f"with an id (95 % bound on either rate {bound:.2%})."
        )
    if report.wrong_keys:
        tail = ", ".join(f"{chance:g}: {ratio:.2f}" for chance, ratio in _tail(report.wrong_keys).items())
        lines.append(
            f"- {len(report.wrong_keys):,} wrong keys and salts on marked clips; observed over expected share below a "
            f"chance of {tail}."
        )
    if report.averaged:
        found = "no id" if report.averaged.payload is None else "an id"
        lines.append(f"- The average of the marks of 100 clips, added to new footage: {found} is read.")
    return lines or ["Not run."]


def _tail(chances: Sequence[float]) -> dict[float, float]:
    """Observed share of chances below a level, over the level itself, where at least ten are expected."""
    levels = [level for level in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6) if level * len(chances) >= 10]
    return {level: float(np.searchsorted(chances, level) / len(chances) / level) for level in levels}


def _mark(marks: Sequence[Imperceptibility]) -> dict[str, float]:
    ratio = np.array([mark.psnr for mark in marks])
    similar = np.array([mark.ssim for mark in marks])
    return {
        "psnr_median": float(np.median(ratio)),
        "psnr_worst_5": float(np.percentile(ratio, 5)),
        "psnr_worst_frame": min(mark.worst_frame for mark in marks),
        "ssim_median": float(np.median(similar)),
        "ssim_least": float(similar.min()),
        "flicker": float(np.median([mark.flicker for mark in marks])),
    }


def _present(report: Report) -> int:
    return sum(trial.presence for trial in report.unmarked)


def _ids(report: Report) -> int:
    return sum(trial.false_id for trial in report.unmarked)
