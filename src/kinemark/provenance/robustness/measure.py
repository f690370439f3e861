"""Trials: mark a clip, release it as H.264, attack it, look for the marks; many of them, on several processes."""

from __future__ import annotations

import multiprocessing
import os
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kinemark.data.transcode import H264
from kinemark.provenance.marks import watermark
from kinemark.provenance.robustness.pixels import Clip
from kinemark.provenance.robustness.sequences import RELEASE_CRF, encoded, splice, then_shared
from kinemark.provenance.robustness.statistics import Rate, flicker, gamma_tail, overlap, psnr, ssim
from kinemark.provenance.robustness.table import ROWS, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kinemark.data.video import Frames

KEY = b"a key that only the suite uses; "
SPAN_OVERLAP = 0.7
"""Intersection over union from which the span of a splice counts as found."""

released = encoded(H264, RELEASE_CRF, RELEASE_CRF)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Footage to mark: its name, where it is from ("spark", "rendered", "real"), and the clip."""

    name: str
    kind: str
    clip: Clip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was read: the id, whether some mark is there, and the frames [start, stop) that carry it."""

    payload: int | None
    present: bool
    spans: tuple[tuple[int, int], ...] = ()


class Method(Protocol):
    """A watermark under test."""

    @property
    def name(self) -> str:
        """What it is called in the tables."""
        ...

    def embed(self, frames_THWC: Frames, payload: int) -> Frames:
        """Mark frames with a 32-bit id."""
        ...

    def read(self, frames_THWC: Frames) -> Outcome:
        """What is found, without the original."""
        ...


@dataclass(frozen=True, slots=True)
class Kinemark:
    """This package's watermark, with the blind search where the quick look finds no id."""

    name: str = "kinemark"

    def embed(self, frames_THWC: Frames, payload: int) -> Frames:
        """Both marks."""
        return watermark.embed(frames_THWC, payload, KEY)

    def read(self, frames_THWC: Frames) -> Outcome:
        """Quick look, then search."""
        found = watermark.detect(frames_THWC, KEY)
        if found.payload is None:
            searched = watermark.search(frames_THWC, KEY)
            found = searched if searched.payload is not None or not found.present else found
        return Outcome(found.payload, found.present, found.spans)


@dataclass(frozen=True, slots=True)
class Trial:
    """One clip, one id, one attack: what came of it. `false_id` is a wrong id that was accepted: it must never be."""

    row: str
    clip: int
    presence: bool
    payload: bool
    span: bool
    false_id: bool


@dataclass(frozen=True, slots=True)
class Imperceptibility:
    """How much marking changed one clip."""

    clip: int
    psnr: float
    worst_frame: float
    ssim: float
    flicker: float


@dataclass(frozen=True, slots=True)
class RowResult:
    """The rates of one row under one method."""

    row: Row
    rates: dict[str, Rate]
    false_ids: int


def trials_of(row: Row, factor: float) -> int:
    """How often a row is tried; at least twice."""
    return max(2, round(factor * row.trials))


def marked_clips(rows: Sequence[Row], factor: float) -> int:
    """How many clips are marked for these rows."""
    return max(trials_of(row, factor) for row in rows)


def run_rows(
    rows: Sequence[Row], sources: Sequence[Source], method: Method, *, factor: float, jobs: int
) -> Iterator[list[Trial]]:
    """Mark and release one clip after the other, and try every row on each; the same arguments give the same numbers.

    Yields the trials of a marked clip, in the order of the rows; clip i carries the same id for every row.

    Args:
        rows: what to measure.
        sources: footage; marked clip i is of clip i modulo their number.
        method: the watermark.
        factor: trials as a multiple of what each row says.
        jobs: processes.
    """
    tasks = [
        ([ROWS.index(row) for row in rows if index < trials_of(row, factor)], index)
        for index in range(marked_clips(rows, factor))
    ]
    with _workers(sources, method, jobs) as pool:
        yield from pool.map(_trials, tasks)


def results(rows: Sequence[Row], trials: Sequence[Trial]) -> list[RowResult]:
    """The rates of every row that the trials are of."""
    found = []
    for row in rows:
        own = [trial for trial in trials if trial.row == row.name]
        clips = [trial.clip for trial in own]
        rates: dict[str, Rate] = {
            measure: Rate.of([getattr(trial, measure) for trial in own], clips) for measure, _, _ in row.targets
        }
        found.append(RowResult(row, rates, sum(trial.false_id for trial in own)))
    return found


def run_imperceptibility(sources: Sequence[Source], method: Method, *, jobs: int) -> list[Imperceptibility]:
    """Mark every clip once and compare."""
    with _workers(sources, method, jobs) as pool:
        return list(pool.map(_compare, range(len(sources))))


def run_unmarked(sources: Sequence[Source], method: Method, *, segments: int, jobs: int) -> list[Trial]:
    """Look for marks in segments of 8 frames that carry none, each somewhere else, cropped and encoded differently."""
    with _workers(sources, method, jobs) as pool:
        return list(pool.map(_unmarked, range(segments), chunksize=4))


def run_wrong_keys(sources: Sequence[Source], *, keys: int, jobs: int) -> list[float]:
    """Chances under the null law of the statistic that 1,024 salts of each wrong key give on marked clips, sorted."""
    with _workers(sources, Kinemark(), jobs) as pool:
        chances = pool.map(_wrong_key, range(keys), chunksize=8)
        return sorted(chance for of_key in chances for chance in of_key)


def averaged_mark(sources: Sequence[Source], method: Method, *, count: int) -> Outcome:
    """What is read from new footage that the average of the marks of `count` clips was added to."""
    last = sources[-1].clip.frames[:8]
    rng = np.random.default_rng(1)
    height, width = last.shape[1:3]
    total = np.zeros((height, width, 3))
    for _ in range(count):
        plain = np.full((1, height, width, 3), 128, np.uint8)
        total += method.embed(plain, int(rng.integers(2**32)))[0].astype(float) - 128
    forged = (last + total / count).round().clip(0, 255).astype(np.uint8)
    return method.read(released(Clip(forged, sources[-1].clip.fps), rng).frames)


# --- in a worker ------------------------------------------------------------------------------------------------------

_sources: list[Source] = []
_method: list[Method] = []


def _workers(sources: Sequence[Source], method: Method, jobs: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, context, initializer=_prepare, initargs=(list(sources), method))


def _prepare(sources: list[Source], method: Method) -> None:
    # Some encoders write to the error stream whatever they are told; what fails here comes back as an exception.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _sources[:] = sources
    _method[:] = [method]


def _seeded(name: str, index: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(name.encode()), index])


def _trials(task: tuple[list[int], int]) -> list[Trial]:
    rows, index = task
    number = index % len(_sources)
    source, method, rng = _sources[number], _method[0], _seeded("marked", index)
    payload = int(rng.integers(2**32))
    clip = released(Clip(method.embed(source.clip.frames, payload), source.clip.fps), rng)
    other = _sources[(number + 1 + index // len(_sources)) % len(_sources)].clip.frames
    done = []
    for row in (ROWS[row] for row in rows):
        attack: Callable[[Clip, np.random.Generator], Clip] = row.attack or then_shared(splice(other))
        attacked = attack(clip, _seeded(row.name, index))
        found = method.read(attacked.frames)
        span = attacked.ours is not None and bool(found.spans) and overlap(found.spans, attacked.ours) >= SPAN_OVERLAP
        right = found.payload == payload
        done.append(Trial(row.name, number, found.present, right, span, found.payload is not None and not right))
    return done


def _compare(number: int) -> Imperceptibility:
    frames, rng = _sources[number].clip.frames, _seeded("imperceptibility", number)
    marked = _method[0].embed(frames, int(rng.integers(2**32)))
    ratios = psnr(frames, marked)
    middle = len(frames) // 2
    return Imperceptibility(
        number,
        float(np.median(ratios)),
        float(ratios.min()),
        ssim(frames[middle], marked[middle]),
        flicker(frames, marked),
    )


def _unmarked(index: int) -> Trial:
    rng, number = _seeded("unmarked", index), index % len(_sources)
    clip = _sources[number].clip
    start = int(rng.integers(0, max(1, len(clip.frames) - 8)))
    top, left = (int(rng.integers(0, side // 4)) for side in clip.frames.shape[1:3])
    piece = Clip(clip.frames[start : start + 8, top:, left:], clip.fps)
    found = _method[0].read(encoded(H264, 18, 32)(piece, rng).frames)
    return Trial("unmarked", number, found.present, False, False, found.payload is not None)  # noqa: FBT003


def _wrong_key(index: int) -> list[float]:
    number = index % len(_sources)
    frames = watermark.embed(_sources[number].clip.frames[:4], index, KEY)
    energies, mean, variance = watermark.wrong_key_energies(frames, _seeded("wrong key", index).bytes(32))
    return [gamma_tail(float(energy), mean, variance) for energy in energies]
