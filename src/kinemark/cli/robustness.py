"""`kinemark robustness`: the published tables, made again by anyone."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kinemark import __version__
from kinemark.cli.output import Json, err, out, print_json, write_text
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kinemark.provenance.robustness.measure import Method, RowResult, Source
    from kinemark.provenance.robustness.report import Report

SECONDS: Final = 4.0
PROMPTS: Final = (
    "a red sailboat drifts right across the sea at sunset",
    "a bird flies over the snow at dawn",
    "a car drives left through the city at night",
    "a horse walks over the meadow in the rain",
    "a yellow balloon rises over the hills",
    "a fish swims over the reef",
)


@dataclass(frozen=True, slots=True)
class Suite:
    """How much is measured: trials as a multiple of what each row says, at 256 pixels and at 720p, and the rest."""

    small: float
    large: float
    rendered: int
    spark: int
    segments: int
    keys: int


SUITES: Final = {
    "quick": Suite(small=0.1, large=0, rendered=6, spark=0, segments=12, keys=8),
    "core": Suite(small=1, large=0.2, rendered=18, spark=6, segments=240, keys=1000),
    "full": Suite(small=5, large=5, rendered=60, spark=6, segments=2400, keys=10_000),
}


def robustness(
    suite: Annotated[str, typer.Option(help=f"One of: {', '.join(SUITES)}.")] = "core",
    clips: Annotated[Path | None, typer.Option(help="A folder of real footage to measure with, too.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the tables to this .md file.")] = None,
    rows: Annotated[str | None, typer.Option(help="Only rows whose name contains this.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 2,
    peers: Annotated[bool, typer.Option("--peers", help="Measure invisible-watermark beside it.")] = False,
    json: Json = False,
) -> None:
    """Mark clips, attack them, and count how often the marks are found again.

    The exit code is 1 if a row stays below its target.
    """
    from kinemark.provenance.robustness.report import missed, to_json, to_markdown

    if suite not in SUITES:
        raise RequestError(f"the suite is {suite!r}; choose one of: {', '.join(SUITES)}")
    if clips is not None and not clips.is_dir():
        raise RequestError(f"there is no folder {clips}; give a folder with videos, or leave --clips out")
    report = _measure(SUITES[suite], suite, clips, rows, jobs, peers=peers)
    if output is not None:
        write_text(output, to_markdown(report))
    if json:
        print_json(to_json(report))
    elif output is None:
        out().print(to_markdown(report), soft_wrap=True)
    if missed(report):
        raise typer.Exit(1)


def _measure(suite: Suite, name: str, clips: Path | None, rows: str | None, jobs: int, *, peers: bool) -> Report:
    from rich.progress import track

    from kinemark.provenance.robustness import measure
    from kinemark.provenance.robustness.peers import INVISIBLE
    from kinemark.provenance.robustness.report import Report
    from kinemark.provenance.robustness.table import ROWS

    chosen = [row for row in ROWS if rows is None or rows in row.name]
    if not chosen:
        raise RequestError(f"no row's name contains {rows!r}; they are: {'; '.join(row.name for row in ROWS)}")
    own = measure.Kinemark()
    methods: list[Method] = [own, *INVISIBLE] if peers else [own]
    report = Report({"date": dt.datetime.now(dt.UTC).date().isoformat(), "kinemark": __version__, "suite": name})
    for size, factor in (("256", suite.small), ("720p", suite.large)):
        if not factor:
            continue
        sources = _sources(suite, clips, size)
        kinds = [source.kind for source in sources]
        report.facts[f"clips at {size}"] = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
        report.tables[size], report.marks[size] = {}, {}
        for method in methods:
            running = measure.run_rows(chosen, sources, method, factor=factor, jobs=jobs)
            shown = track(running, f"{size}  {method.name}", measure.marked_clips(chosen, factor), console=err())
            results = measure.results(chosen, [trial for trials in shown for trial in trials])
            for result in results:
                _tell(size, method, result)
            report.tables[size][method.name] = results
            report.marks[size][method.name] = measure.run_imperceptibility(sources, method, jobs=jobs)
        if size == "256" and rows is None:
            report.unmarked = measure.run_unmarked(sources, own, segments=suite.segments, jobs=jobs)
            report.wrong_keys = measure.run_wrong_keys(sources, keys=suite.keys, jobs=jobs)
            report.averaged = measure.averaged_mark(sources, own, count=100)
    return report


def _tell(size: str, method: Method, result: RowResult) -> None:
    shares = ", ".join(f"{measure} {rate.share:.0%}" for measure, rate in result.rates.items())
    trials = next(iter(result.rates.values())).n
    err().print(f"{size}  {method.name}  {result.row.name}: {shares} of {trials}", soft_wrap=True)


# --- footage ----------------------------------------------------------------------------------------------------------


def _sources(suite: Suite, clips: Path | None, size: str) -> list[Source]:
    """Footage of four seconds: rendered, generated and real, dealt so that the first few clips hold every kind."""
    kinds = [list(_rendered(suite.rendered, size)), list(_real(clips, size)) if clips else []]
    if size == "256":
        kinds.append(list(_generated(suite.spark)))
    dealt = [source for turn in range(max(map(len, kinds))) for kind in kinds for source in kind[turn : turn + 1]]
    return dealt if size == "256" else dealt[:16]


def _rendered(count: int, size: str) -> Iterator[Source]:
    from kinemark.cli.footage import rendered
    from kinemark.provenance.robustness.measure import Source
    from kinemark.provenance.robustness.pixels import Clip
    from kinemark.timeline import SPARK_FPS

    rng = random.Random(2026)
    shape = (256, 256) if size == "256" else (720, 1280)
    for index in range(count):
        frames = rendered(rng, round(SECONDS * SPARK_FPS), shape)
        yield Source(f"rendered {index}", "rendered", Clip(frames, float(SPARK_FPS)))


def _generated(count: int) -> Iterator[Source]:
    from kinemark.generate import generate
    from kinemark.provenance.robustness.measure import Source
    from kinemark.provenance.robustness.pixels import Clip

    for seed, prompt in enumerate(PROMPTS[:count]):
        clip = generate(prompt, seconds=SECONDS, seed=seed)
        yield Source(f"spark: {prompt}", "spark", Clip(clip.frames_THWC, float(clip.fps)))


def _real(folder: Path, size: str) -> Iterator[Source]:
    """Every video of a folder, its first four seconds; at 720p only footage that is at least as tall."""
    from kinemark.data.video import VIDEO_SUFFIXES, read_video
    from kinemark.provenance.robustness.measure import Source
    from kinemark.provenance.robustness.pixels import Clip

    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            continue
        first = read_video(path, max_frames=1).frames_THWC
        if size != "256" and first.shape[1] < 720:
            continue
        shape = (720, 1280) if size != "256" else _even(first.shape[1], first.shape[2])
        video = read_video(path, size=shape, max_frames=64)
        count = max(8, round(SECONDS * video.fps))
        yield Source(path.name, "real", Clip(video.frames_THWC[:count], video.fps))


def _even(height: int, width: int) -> tuple[int, int]:
    scale = 256 / (height * width) ** 0.5
    return round(height * scale / 2) * 2, round(width * scale / 2) * 2
