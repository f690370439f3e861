"""The page that says how good a model is: the figures, and the first clips as they came.

python -m kinemark.training.report --model spark --out docs/spark
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kinemark.model.load import load_networks
from kinemark.timeline import SPARK_FPS
from kinemark.training.evaluate import evaluate
from kinemark.training.exam import SIX
from kinemark.training.probe import USABLE
from kinemark.training.sheet import SHEET_FRAMES, Bar, bars_svg, contact_sheet, write_png

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinemark.shares import Share
    from kinemark.training.summary import Report

_MEANINGS: Final = {
    "motion_energy": "change over half a second; a frozen clip has 0, truth 1",
    "edge_sharpness": "steepness of edges; blur is below 1",
    "flicker": "change that is not steady; truth is 1",
    "drift": "change of colours from the first second to the last; truth is 1",
    "nearest": "distance to the most similar training clip; a copy is near 0, fresh truth 1",
}


def write_page(report: Report, folder: Path) -> Path:
    """Write `README.md`, `sheet.png`, `shares.svg` and `evaluation.json`; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(report.to_dict(), indent=2) + "\n", encoding="utf-8")
    bars_svg(folder / "shares.svg", list(_bars(report)), title=f"Share of {report.n} prompts that are followed")
    parts = [_head(report), _shares_section(report), _figures_section(report), _limits_section(report)]
    if report.sheet_BTCHW is not None:
        write_png(folder / "sheet.png", contact_sheet(report.sheet_BTCHW / 255, frames=range(len(SHEET_FRAMES))))
        parts.insert(1, _sheet_section(report))
    page = folder / "README.md"
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page


def _bars(report: Report) -> list[Bar]:
    groups = {"": report.adherence, "held out: ": report.held_out, "apart: ": report.apart}
    named = [(prefix + _words(name), share) for prefix, group in groups.items() for name, share in group.items()]
    return [Bar(name, share.rate, *share.interval) for name, share in named]


def _head(report: Report) -> str:
    right = report.adherence["all"]
    low, high = right.interval
    frames = report.facts.get("frames")
    return (
        f"# {report.facts.get('model', 'model')}: how well it does what it is told\n\n"
        f"Everything right in **{right.rate:.1%}** of {right.n} prompts (95 % interval {low:.1%} to {high:.1%}): "
        f"{', '.join(SIX)}. The prompts are drawn with a fixed seed; none was picked. Clips have {frames} frames and "
        f"were sampled with {report.facts.get('first_steps')} steps for the first slot, {report.facts.get('steps')} "
        f"for each other, and guidance {report.facts.get('guidance')}."
    )


def _sheet_section(report: Report) -> str:
    seconds = ", ".join(f"{frame / SPARK_FPS:g}" for frame in SHEET_FRAMES)
    prompts = "\n".join(f"{number}. {prompt}" for number, prompt in enumerate(report.sheet_prompts, start=1))
    return (
        f"## The first {len(report.sheet_prompts)} prompts\n\nFrames at {seconds} s, at the resolution of the latents "
        f"(people get four times as many pixels a side).\n\n![contact sheet](sheet.png)\n\n{prompts}"
    )


def _shares_section(report: Report) -> str:
    rows = [
        (
            _words(name),
            _share(share),
            _share(report.held_out.get(name)),
            f"{report.shuffled[name].rate:.1%}",
            f"{report.chance[name]:.1%}",
            f"{report.truth[name].rate:.1%}",
        )
        for name, share in report.adherence.items()
    ]
    header = ("", "as trained", "held-out compositions", "prompts shuffled", "chance", "rendered truth")
    apart = [(_words(name), _share(share)) for name, share in report.apart.items()]
    return (
        "## Adherence\n\n![shares](shares.svg)\n\n"
        + table(header, rows)
        + "\n\nHeld-out compositions are pairs of subject and colour, or subject and setting, that no training clip "
        "shows. With the prompts shuffled, each clip is held against another clip's prompt: that has to fall to "
        "chance. Rendered truth is what the same probe reads in the scenes as they should look."
        + (f"\n\nReported apart:\n\n{table(('', 'share'), apart)}" if apart else "")
    )


def _figures_section(report: Report) -> str:
    rows = [(_words(name), f"{ratio:.2f}", _MEANINGS[name]) for name, ratio in report.ratios.items()]
    text = "## Motion and picture\n\n" + table(("ratio to rendered truth", "", "meaning"), rows)
    if report.decoded:
        latent, decoded = report.decoded["latent"], report.decoded["decoded"]
        text += (
            f"\n\nRead once more at 256 pixels, after the decoder: everything right in {decoded.rate:.1%} of "
            f"{decoded.n} clips, {latent.rate:.1%} of the same clips at 64 pixels."
        )
    return text


def _limits_section(report: Report) -> str:
    listed = ", ".join(f"{_words(name)} {rate:.2%}" for name, rate in report.ceilings.items() if rate < USABLE)
    text = (
        "## How it was read\n\nA probe, a small network trained on rendered scenes, reads each attribute. Only what "
        f"it reads right in at least {USABLE:.1%} of fresh renders is reported. It has learnt from the renderer that "
        "the model has learnt from: it says whether a clip shows what was asked in the way of these worlds, and not "
        "whether it is beautiful."
    )
    return text + (f" Not reported, with the probe's own share: {listed}." if listed else "")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _share(share: Share | None) -> str:
    return "" if share is None else str(share)


def _words(name: str) -> str:
    return "everything" if name == "all" else name.replace("_", " ")


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate a model and write its page."""
    parser = argparse.ArgumentParser(description="Evaluate a model and write the page that says how good it is.")
    parser.add_argument("--model", default="spark")
    parser.add_argument("--out", type=Path, default=Path("docs/spark"), help="folder of the page")
    parser.add_argument("--work", type=Path, help="folder that keeps finished batches")
    asked = parser.parse_args(arguments)
    report = evaluate(load_networks(asked.model), work=asked.work, progress=_print_progress)
    print(write_page(report, asked.out))


def _print_progress(done: int, total: int) -> None:
    print(f"batch {done} of {total}", file=sys.stderr)


if __name__ == "__main__":
    main()
