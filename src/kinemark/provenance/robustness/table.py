"""The rows of the published table: what is done to a clip, and which share is to survive it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from kinemark.data.transcode import AV1, H264, H265, JPEG, VP9
from kinemark.provenance.robustness import pixels as p
from kinemark.provenance.robustness import sequences as s

if TYPE_CHECKING:
    from kinemark.provenance.robustness.pixels import Clip
    from kinemark.provenance.robustness.sequences import Attack, Generator

Measure = Literal["payload", "presence", "span"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        name: what is done, in words.
        attack: what is done; None for a splice, which needs other footage.
        targets: shares that are to survive, at 256 pixels and at 720p, by what is measured; None: only reported.
        trials: clips times payloads in the core suite.
    """

    name: str
    attack: Attack | None
    targets: tuple[tuple[Measure, float | None, float | None], ...]
    trials: int = 60


def _payload(at_256: float | None, at_720: float | None) -> tuple[tuple[Measure, float | None, float | None], ...]:
    return (("payload", at_256, at_720),)


_SCREEN: Final[tuple[tuple[Measure, float | None, float | None], ...]] = (
    ("presence", 0.8, 0.8),
    ("payload", 0.5, 0.5),
)

CHAINS: Final = (
    s.then_shared(p.crop(0.1), p.resize),
    s.then_shared(p.crop(0.1), p.brightness),
    s.then_shared(p.resize, p.gamma, s.trim(2)),
    s.then_shared(p.flip, p.crop(0.1)),
    s.then_shared(p.flip, p.contrast),
    s.then_shared(p.subtitles, p.resize),
    s.then_shared(p.subtitles, p.crop(0.1)),
    s.then_shared(p.logo, s.speed),
    s.then_shared(p.pad, p.subtitles),
    s.then_shared(p.pad, p.resize, p.saturation),
    s.then_shared(p.rotate, p.brightness),
    s.then_shared(p.rotate, s.every_second_lost),
    s.then_shared(p.blur, p.contrast),
    s.then_shared(p.noise, p.resize),
    s.then_shared(s.encoded(JPEG, 2, 8), p.crop(0.1)),
    s.then_shared(s.trim(2), p.flip, p.resize),
    s.then_shared(s.reverse, p.grayscale),
    s.then_shared(s.frame_rate, p.crop(0.1)),
    s.chain(p.resize, s.encoded(H265, 22, 28), s.encoded(H264, 20, 26)),
    s.chain(p.crop(0.1), s.encoded(VP9, 25, 33), s.encoded(H264, 20, 26)),
)
"""Twenty chains of two or three attacks; a row of the table draws among them."""


def _any_chain(clip: Clip, rng: Generator) -> Clip:
    return CHAINS[rng.integers(len(CHAINS))](clip, rng)


ROWS: Final = (
    Row("H.264, CRF 18-32", s.encoded(H264, 18, 32), _payload(0.95, 0.99), 120),
    Row("H.265, CRF 18-32", s.encoded(H265, 18, 32), _payload(0.95, 0.99)),
    Row("VP9, CRF 20-40", s.encoded(VP9, 20, 40), _payload(0.95, 0.99)),
    Row("AV1, CRF 25-45", s.encoded(AV1, 25, 45), _payload(0.95, 0.99)),
    Row(
        "two generations, H.264 CRF 18-28",
        s.chain(s.encoded(H264, 18, 28), s.encoded(H264, 18, 28)),
        _payload(0.95, 0.99),
    ),
    Row("H.264, CRF 40", s.encoded(H264, 40, 40), (("presence", 0.9, None), ("payload", None, 0.8))),
    Row("resize 50-200 %", s.then_shared(p.resize), _payload(0.95, 0.98)),
    Row("crop up to 10 %", s.then_shared(p.crop(0.1)), _payload(0.95, 0.98)),
    Row("black bars", s.then_shared(p.pad), _payload(0.95, 0.98)),
    Row("brightness", s.then_shared(p.brightness), _payload(0.95, 0.98)),
    Row("contrast", s.then_shared(p.contrast), _payload(0.95, 0.98)),
    Row("gamma", s.then_shared(p.gamma), _payload(0.95, 0.98)),
    Row("saturation", s.then_shared(p.saturation), _payload(0.95, 0.98)),
    Row("grayscale", s.then_shared(p.grayscale), _payload(0.95, 0.98)),
    Row("blur", s.then_shared(p.blur), _payload(0.95, 0.98)),
    Row("noise", s.then_shared(p.noise), _payload(0.95, 0.98)),
    Row("JPEG frames, scale 2-12", s.then_shared(s.encoded(JPEG, 2, 12)), _payload(0.95, 0.98)),
    Row("crop up to 25 %", s.then_shared(p.crop(0.25)), _payload(0.9, 0.95)),
    Row("turned up to 5 degrees", s.then_shared(p.rotate), _payload(0.9, 0.95)),
    Row("mirrored", s.then_shared(p.flip), _payload(0.9, 0.95)),
    Row("subtitles", s.then_shared(p.subtitles), _payload(0.9, 0.95)),
    Row("a logo over 10 %", s.then_shared(p.logo), _payload(0.9, 0.95)),
    Row("perspective, corners up to 2 %", s.then_shared(p.perspective(0.02)), _payload(0.8, 0.85)),
    Row("perspective, corners up to 5 %", s.then_shared(p.perspective(0.05)), _payload(None, None)),
    Row("trimmed to 1 s", s.then_shared(s.trim(1.0)), _payload(0.9, 0.95)),
    Row("every second frame lost", s.then_shared(s.every_second_lost), _payload(0.9, 0.95)),
    Row("speed 0.5-2", s.then_shared(s.speed), _payload(0.9, 0.95)),
    Row("another frame rate", s.then_shared(s.frame_rate), _payload(0.9, 0.95)),
    Row("backwards", s.then_shared(s.reverse), _payload(0.9, 0.95)),
    Row("spliced with other footage", None, (("span", 0.8, 0.8), ("payload", None, None))),
    Row("screen filmed by hand (simulated)", s.chain(p.recapture, s.encoded(H264, 28, 28)), _SCREEN),
    Row("GIF", s.gif, _SCREEN),
    Row("chains of two or three of these", _any_chain, _payload(None, None), 80),
    Row("one frame as a screenshot", s.screenshot, (("presence", None, None), ("payload", None, None))),
)
