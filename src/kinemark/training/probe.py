"""The probe: a small network, trained on rendered truth, that reads every attribute of a scene from a clip.

It looks at five frames spread evenly over the clip. A trunk sees them stacked in channels, reads what belongs to the
whole picture, and finds each subject in each frame (a softmax over 16x16 cells); crops around its first, middle and
last place say what the subject is; its track says how it moves. `training.probe_training` trains it; the
header of the weights says how often each attribute is read right on fresh renders, and what is read worse than
`USABLE` may not be reported.

Shape suffixes: B batch, M subjects of all clips, T pixel frames, K the five frames (or those of them that are looked at
closely), C channels, H W size, N cells, X (x, y), S subjects, D features, V values.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F  # noqa: N812  the name everybody uses
from einops import rearrange, reduce, repeat
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kinemark.errors import FailureError
from kinemark.worlds.spec import ATTRIBUTES, MAX_SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: How many frames the probe looks at.
LOOKS_AT: Final = 5
#: Side in pixels of the pictures that it reads; larger ones are averaged down to it.
SIDE: Final = 64
#: An attribute that is read right less often than this on fresh renders is not reported.
USABLE: Final = 0.995

#: Attributes of the whole picture, and those of each subject; `count` is how many subjects there are.
GLOBAL: Final = ("setting", "time", "time_end", "weather", "camera", "look")
PER_SUBJECT: Final = ("subject", "colour", "size", "speed", "direction")
VALUES: Final = {attribute.name: attribute.values for attribute in ATTRIBUTES} | {"count": ("1", "2")}

_CELLS: Final = 16
_CROP: Final = 32
_CROP_FRAMES: Final = (0, 2, 4)


@dataclass(frozen=True, slots=True)
class ProbeOutput:
    """What the probe makes of a batch.

    Attributes:
        whole: logits `[B, V]` of `GLOBAL` and `count`.
        subjects: logits `[B, S, V]` of `PER_SUBJECT`, zeros where there is none. One subject is the first; two are in
            either order.
        heat_BSKN: log-probabilities over the 16x16 cells of where each subject is in each of the five frames.
        place_BSKX: the expected place (x, y), in 0..1 of width and height.
    """

    whole: dict[str, Tensor]
    subjects: dict[str, Tensor]
    heat_BSKN: Tensor
    place_BSKX: Tensor


class Residual(nn.Module):
    """x + conv(relu(norm(x))), the pre-activation order of He et al. (2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Same shape out as in."""
        out: Tensor = x_BCHW + self.conv(F.relu(self.norm(x_BCHW)))
        return out


class Probe(nn.Module):
    """Reads attributes from five frames; about 350,000 weights and 0.1 GFLOP a clip."""

    def __init__(self, width: int = 80, crop_width: int = 80, hidden: int = 128) -> None:
        super().__init__()
        self.fine = nn.Conv2d(LOOKS_AT * 3, 32, 4, stride=2, padding=1)
        self.middle = nn.Sequential(nn.ReLU(), nn.Conv2d(32, 64, 3, stride=2, padding=1))
        self.deep = nn.Sequential(
            nn.GroupNorm(8, 64),
            nn.ReLU(),
            nn.Conv2d(64, width, 3, stride=2, padding=1),
            Residual(width),
            Residual(width),
        )
        self.lift = nn.Conv2d(width, 64, 1)
        self.heat = nn.Sequential(nn.GroupNorm(8, 64), nn.ReLU(), nn.Conv2d(64, MAX_SUBJECTS * LOOKS_AT, 3, padding=1))
        self.crop = nn.Sequential(
            nn.Conv2d(3, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.GroupNorm(8, 64),
            nn.ReLU(),
            nn.Conv2d(64, crop_width, 3, stride=2, padding=1),
            Residual(crop_width),
            nn.ReLU(),
        )
        self.whole = nn.Sequential(nn.Linear(2 * width + 2 * 32 + 1, hidden), nn.ReLU())
        self.what = nn.Sequential(nn.Linear(4 * crop_width + hidden, hidden), nn.ReLU())
        track = LOOKS_AT * 4 + 1 + len(_CROP_FRAMES) * 2 * crop_width
        self.moves = nn.Sequential(nn.Linear(track + hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.read_whole = nn.ModuleDict({name: nn.Linear(hidden, len(VALUES[name])) for name in (*GLOBAL, "count")})
        self.read_what = nn.ModuleDict({name: nn.Linear(hidden, len(VALUES[name])) for name in ("subject", "colour")})
        self.read_moves = nn.ModuleDict(
            {name: nn.Linear(hidden, len(VALUES[name])) for name in ("size", "speed", "direction")}
        )
        self.ceilings: dict[str, float] = {}

    def forward(
        self, frames_BKCHW: Tensor, seconds_B: Tensor, *, pairs_B: Tensor | None = None, jitter: float = 0.0
    ) -> ProbeOutput:
        """Read five frames.

        Args:
            frames_BKCHW: `[B, 5, 3, 64, 64]` in [0, 1].
            seconds_B: time from the first to the last of them.
            pairs_B: which clips have two subjects; by default what the probe itself reads.
            jitter: standard deviation, in widths of the picture, by which crops miss the subject (for training).
        """
        fine = self.fine(rearrange(frames_BKCHW * 2 - 1, "B K C H W -> B (K C) H W"))
        middle = self.middle(fine)
        deep = self.deep(middle)
        lifted = middle + F.interpolate(self.lift(deep), size=middle.shape[-2:], mode="nearest")
        heat_BSKN = rearrange(self.heat(lifted), "B (S K) H W -> B S K (H W)", S=MAX_SUBJECTS).log_softmax(dim=-1)
        place_BSKX, spread_BSKX = _moments(heat_BSKN)
        clock_B1 = seconds_B[:, None] / 4 - 0.5
        pooled = (_mean(deep), deep.amax(dim=(2, 3)), _mean(fine), fine.std(dim=(2, 3)), clock_B1)
        whole_BD = self.whole(torch.cat(pooled, dim=1))
        whole = {name: head(whole_BD) for name, head in self.read_whole.items()}

        # Only subjects that are there are looked at closely; M counts them.
        two_B = whole["count"].argmax(dim=-1) == 1 if pairs_B is None else pairs_B
        clip_M, subject_M = torch.stack([torch.ones_like(two_B), two_B], dim=1).nonzero(as_tuple=True)
        place_MKX, spread_MKX = place_BSKX[clip_M, subject_M], spread_BSKX[clip_M, subject_M]
        near = place_MKX.detach() + jitter * torch.randn_like(place_MKX)
        close_MKD = self._look_closely(frames_BKCHW[clip_M], near)
        what = self.what(torch.cat([close_MKD.amax(dim=1), close_MKD.mean(dim=1), whole_BD[clip_M]], dim=-1))
        track = rearrange(torch.cat([place_MKX, spread_MKX], dim=-1), "M K X -> M (K X)") * 2 - 1
        moves = self.moves(torch.cat([track, clock_B1[clip_M], close_MKD.flatten(1), whole_BD[clip_M]], dim=-1))
        logits_M = {name: head(what) for name, head in self.read_what.items()}
        logits_M |= {name: head(moves) for name, head in self.read_moves.items()}
        shape = (len(seconds_B), MAX_SUBJECTS)
        return ProbeOutput(
            whole=whole,
            subjects={
                name: logits.new_zeros(*shape, logits.shape[-1]).index_put((clip_M, subject_M), logits)
                for name, logits in logits_M.items()
            },
            heat_BSKN=heat_BSKN,
            place_BSKX=place_BSKX,
        )

    def _look_closely(self, frames_MKCHW: Tensor, place_MKX: Tensor) -> Tensor:
        """Mean and maximum over the features of a 32x32 crop around the place in some frames, `[M, 3, D]`."""
        chosen = list(_CROP_FRAMES)
        frames = rearrange(frames_MKCHW[:, chosen], "M K C H W -> (M K) C H W")
        crops = crop_around(frames, rearrange(place_MKX[:, chosen], "M K X -> (M K) X"))
        features = self.crop(crops * 2 - 1)
        pooled = torch.cat([_mean(features), features.amax(dim=(2, 3))], dim=1)
        return rearrange(pooled, "(M K) D -> M K D", K=len(chosen))

    def read(self, video_BTCHW: Tensor, fps: float = 8.0) -> list[dict[str, str]]:
        """Every attribute of each clip as {name: value}; those of a second subject where there are two.

        Args:
            video_BTCHW: clips in [0, 1], square, a multiple of 64 pixels a side.
            fps: frames a second.
        """
        seconds = (video_BTCHW.shape[1] - 1) / fps
        return self.read_frames(five_frames(video_BTCHW), video_BTCHW.new_full((video_BTCHW.shape[0],), seconds))

    @torch.no_grad()
    def read_frames(self, frames_BKCHW: Tensor, seconds_B: Tensor) -> list[dict[str, str]]:
        """The same from five frames at 64 pixels and the time between the first and the last."""
        out = self(frames_BKCHW, seconds_B)
        codes = {name: logits.argmax(dim=-1).tolist() for name, logits in (out.whole | out.subjects).items()}
        readings = []
        for item in range(len(seconds_B)):
            reading = {name: VALUES[name][codes[name][item]] for name in (*GLOBAL, "count")}
            for place, ordinal in zip(range(int(reading["count"])), ("", "second_"), strict=False):
                reading |= {f"{ordinal}{name}": VALUES[name][codes[name][item][place]] for name in PER_SUBJECT}
            readings.append(reading)
        return readings

    def require(self, attributes: Iterable[str]) -> None:
        """FailureError unless every one of these is read right often enough to be reported."""
        poor = {name: self.ceilings.get(name, 0.0) for name in attributes if not self.is_usable(name)}
        if poor:
            listed = ", ".join(f"{name} {rate:.2%}" for name, rate in poor.items())
            raise FailureError(
                f"the probe reads these right too rarely on real renders: {listed}; an attribute is reported only at "
                f"{USABLE:.1%} or more; train the probe again: python -m kinemark.training.probe_training"
            )

    def is_usable(self, attribute: str) -> bool:
        """Whether an attribute is read right often enough to be reported."""
        return self.ceilings.get(attribute, 0.0) >= USABLE


def five_frames(video_BTCHW: Tensor) -> Tensor:
    """The first and the last frame and three between them, averaged down to 64 pixels; `[B, 5, 3, 64, 64]`."""
    frames, height, width = video_BTCHW.shape[1], *video_BTCHW.shape[-2:]
    if height != width or height % SIDE:
        raise ValueError(f"the probe reads squares of a multiple of {SIDE} pixels, not {height}x{width}")
    chosen = torch.linspace(0, frames - 1, LOOKS_AT).round().long()
    return reduce(video_BTCHW[:, chosen], "B K C (H h) (W w) -> B K C H W", "mean", H=SIDE, W=SIDE)


def crop_around(picture_NCHW: Tensor, centre_N2: Tensor, side: int = _CROP) -> Tensor:
    """Square crops at whole pixels around (x, y) in 0..1; beyond the edge, the edge goes on."""
    size = picture_NCHW.shape[-1]
    offset = torch.arange(side, device=picture_NCHW.device) - side // 2
    index_N2P = ((centre_N2 * size).round().long()[..., None] + offset).clamp(0, size - 1)
    rows = picture_NCHW.gather(2, repeat(index_N2P[:, 1], "N P -> N C P W", C=picture_NCHW.shape[1], W=size))
    return rows.gather(3, repeat(index_N2P[:, 0], "N P -> N C Q P", C=picture_NCHW.shape[1], Q=side))


def cell_centres(device: torch.device) -> Tensor:
    """The middles (x, y) of the 16x16 cells in which subjects are found, row by row, in 0..1; `[256, 2]`."""
    centre = (torch.arange(_CELLS, device=device) + 0.5) / _CELLS
    y, x = torch.meshgrid(centre, centre, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=-1)


def in_order(reading: Mapping[str, str], said: Mapping[str, str]) -> dict[str, str]:
    """The reading with its two subjects in the order in which they are said; the probe finds them in either order."""
    subjects = ("subject", "second_subject")
    straight = sum(reading.get(name) == said.get(name) for name in subjects)
    crossed = sum(reading.get(name) == said.get(other) for name, other in zip(subjects, subjects[::-1], strict=True))
    if "second_subject" not in said or "second_subject" not in reading or crossed <= straight:
        return dict(reading)
    swapped = dict(reading)
    for name in PER_SUBJECT:
        swapped[name], swapped[f"second_{name}"] = reading[f"second_{name}"], reading[name]
    return swapped


def load_probe(path: Path | None = None) -> Probe:
    """The probe that ships with the package, or one from a file."""
    where = path or Path(str(files("kinemark.training").joinpath("weights/probe.safetensors")))
    if not where.is_file():
        raise FailureError(f"no probe at {where}; train one: python -m kinemark.training.probe_training --out {where}")
    with safe_open(str(where), framework="pt") as stored:
        metadata = stored.metadata()
        weights = {name: stored.get_tensor(name).float() for name in stored.keys()}  # noqa: SIM118  not a dictionary
    probe = Probe()
    probe.load_state_dict(weights)
    probe.ceilings = json.loads(metadata["ceilings"])
    return probe.eval()


def save_probe(probe: Probe, path: Path, facts: Mapping[str, object]) -> None:
    """Write the weights in half precision, with the ceilings and the facts of the training in the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"ceilings": probe.ceilings, "facts": dict(facts)}
    weights = {name: tensor.detach().half().contiguous() for name, tensor in probe.state_dict().items()}
    save_file(weights, path, metadata={key: json.dumps(value) for key, value in metadata.items()})


def _mean(x_BCHW: Tensor) -> Tensor:
    return x_BCHW.mean(dim=(2, 3))


def _moments(heat_BSKN: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (x, y) of a distribution over cells, `[B, S, K, 2]` each, in 0..1."""
    cell_NX = cell_centres(heat_BSKN.device)
    probability = heat_BSKN.exp()
    mean = probability @ cell_NX
    return mean, (probability @ cell_NX.square() - mean.square()).clamp(min=1e-6).sqrt()
