"""The probe: a small network, trained on rendered truth, that reads every attribute of a scene from a clip.

It looks at five frames spread evenly over the clip: at each by itself and at how it differs from their mean, then at
all of them together. So it reads what belongs to the whole picture, and finds each subject in each frame (a softmax
over 16x16 cells). Crops around a subject's places say what it is, its track how it moves.

`training.probe_training` trains it. The header of the weights says how often each attribute is read right on fresh
renders; what is read worse than `USABLE` may not be reported.

Shape suffixes: B batch, M subjects of all clips, T pixel frames, K the five frames, C channels, H W size, N cells,
X (x, y), S subjects, D features, V values.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
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
#: What a mirror makes of a word.
MIRROR: Final = {"left": "right", "right": "left", "pan left": "pan right", "pan right": "pan left"}

_CELLS: Final = 16
_CROP: Final = 36


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at whole frames gives.

    Attributes:
        whole_BD: features of the whole clip.
        logits: `[B, V]` of `GLOBAL` and `count`.
        heat_BSKN: log-probabilities over the 16x16 cells of where each subject is in each of the five frames. One
            subject is the first; two are in either order.
        here_BSKD: features of the cells where it is.
        place_BSKX: the expected place (x, y), in 0..1 of width and height; `spread_BSKX`: its standard deviation.
    """

    whole_BD: Tensor
    logits: dict[str, Tensor]
    heat_BSKN: Tensor
    here_BSKD: Tensor
    place_BSKX: Tensor
    spread_BSKX: Tensor


class Conv(nn.Module):
    """Convolution and batch normalisation; the kernel is kept as a matrix, so that Muon can train it."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1) -> None:
        super().__init__()
        self.shape = (outputs, inputs, side, side)
        self.stride, self.padding = stride, (side - stride + 1) // 2
        self.weight = nn.Parameter(torch.randn(outputs, inputs * side * side) * (inputs * side * side) ** -0.5)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features, smaller by the stride."""
        out: Tensor = self.norm(
            F.conv2d(x_BCHW, self.weight.view(self.shape), stride=self.stride, padding=self.padding)
        )
        return out


class Residual(nn.Module):
    """x + conv(relu(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = Conv(width, width, 3)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Same shape out as in."""
        out: Tensor = x_BCHW + self.conv(F.relu(x_BCHW))
        return out


class Probe(nn.Module):
    """Reads attributes from five frames; a million weights and 0.7 GFLOP a clip."""

    def __init__(self, width: int = 48, wide: int = 96, close_width: int = 128, hidden: int = 128) -> None:
        super().__init__()
        self.each = nn.Sequential(Conv(6, 32, 4, stride=2), nn.ReLU(), Conv(32, width, 3, stride=2), Residual(width))
        self.together = nn.Sequential(
            nn.ReLU(),
            Conv(width * LOOKS_AT, wide, 2, stride=2),
            Residual(wide),
            Residual(wide),
            Residual(wide),
        )
        self.context = Conv(wide, width * LOOKS_AT, 1)
        self.again = nn.Sequential(Residual(width), nn.ReLU())
        self.heat = nn.Conv2d(width, MAX_SUBJECTS, 3, padding=1)
        self.close = nn.Sequential(
            Conv(3, 32, 4, stride=2),
            nn.ReLU(),
            Conv(32, 64, 3, stride=2),
            Residual(64),
            nn.ReLU(),
            Conv(64, close_width, 3, stride=2),
            Residual(close_width),
            nn.ReLU(),
        )
        seen = 2 * close_width + width
        self.whole = _mlp(2 * wide + (2 * LOOKS_AT + 1 + MAX_SUBJECTS) * width + 1, hidden)
        self.what = _mlp(2 * seen + hidden, hidden)
        self.glance = _mlp(seen, 64)
        self.moves = _mlp(4 * (2 * LOOKS_AT - 1) + 64 * LOOKS_AT + 1 + hidden, hidden, hidden)
        self.read_whole = _readers((*GLOBAL, "count"), hidden)
        self.read_what = _readers(("subject", "colour"), hidden)
        self.read_moves = _readers(("size", "speed", "direction"), hidden)
        self.ceilings: dict[str, float] = {}

    def find(self, frames_BKCHW: Tensor, seconds_B: Tensor) -> Found:
        """Look at five frames `[B, 5, 3, 64, 64]` in [0, 1], `seconds_B` from the first to the last."""
        change = frames_BKCHW - frames_BKCHW.mean(dim=1, keepdim=True)
        both = torch.cat([frames_BKCHW * 2 - 1, change * 4], dim=2)
        each = self.each(_channels_last(rearrange(both, "B K C H W -> (B K) C H W")))
        stacked = rearrange(each, "(B K) D H W -> B (K D) H W", K=LOOKS_AT)
        together = self.together(stacked)
        context = F.interpolate(self.context(together), size=stacked.shape[-2:], mode="nearest")
        again = self.again(rearrange(stacked + context, "B (K D) H W -> (B K) D H W", K=LOOKS_AT))
        heat = rearrange(self.heat(again).float(), "(B K) S H W -> B S K (H W)", K=LOOKS_AT)
        heat_BSKN = heat.log_softmax(dim=-1)
        cells_BKND = rearrange(again, "(B K) D H W -> B K (H W) D", K=LOOKS_AT)
        here_BSKD = rearrange(rearrange(heat_BSKN.exp(), "B S K N -> B K S N") @ cells_BKND, "B K S D -> B S K D")
        pooled = (
            _mean(together),
            together.amax(dim=(2, 3)),
            _mean(stacked),
            (_mean(stacked.square()) - _mean(stacked).square()).clamp(min=1e-4).sqrt(),
            cells_BKND.amax(dim=2).mean(dim=1),
            here_BSKD.mean(dim=2).flatten(1),
            _clock(seconds_B),
        )
        whole_BD = self.whole(torch.cat(pooled, dim=1))
        logits = {name: reader(whole_BD) for name, reader in self.read_whole.items()}
        return Found(whole_BD, logits, heat_BSKN, here_BSKD, *_moments(heat_BSKN))

    def recognise(
        self, frames_BKCHW: Tensor, seconds_B: Tensor, found: Found, two_B: Tensor, place_BSKX: Tensor
    ) -> dict[str, Tensor]:
        """Look closely at each subject that is there.

        Args:
            frames_BKCHW: what `find` saw; `seconds_B` too.
            seconds_B: from the first frame to the last.
            found: what `find` gave.
            two_B: which clips have two subjects.
            place_BSKX: where to look.

        Returns:
            Logits `[B, S, V]` of `PER_SUBJECT`; zeros where there is no subject.
        """
        clip_M, subject_M = torch.stack([torch.ones_like(two_B), two_B], dim=1).nonzero(as_tuple=True)
        frames = rearrange(frames_BKCHW[clip_M], "M K C H W -> (M K) C H W")
        centres = rearrange(place_BSKX[clip_M, subject_M], "M K X -> (M K) X")
        features = self.close(_channels_last(crop_around(frames, centres) * 2 - 1))
        pooled = torch.cat([_mean(features), features.amax(dim=(2, 3))], dim=1)
        here_MKD = found.here_BSKD[clip_M, subject_M]
        seen_MKD = torch.cat([rearrange(pooled, "(M K) D -> M K D", K=LOOKS_AT), here_MKD], dim=-1)
        whole_MD = found.whole_BD[clip_M]
        what = self.what(torch.cat([seen_MKD.amax(dim=1), seen_MKD.mean(dim=1), whole_MD], dim=-1))
        track = torch.cat([found.place_BSKX * 2 - 1, found.spread_BSKX.log() + 2.5], dim=-1)[clip_M, subject_M]
        steps = track.diff(dim=1) * 8
        glance = self.glance(seen_MKD)
        moving = (track.flatten(1), steps.flatten(1), _clock(seconds_B)[clip_M], glance.flatten(1), whole_MD)
        moves = self.moves(torch.cat(moving, dim=-1))
        logits = {name: reader(what) for name, reader in self.read_what.items()}
        logits |= {name: reader(moves) for name, reader in self.read_moves.items()}
        shape = (len(seconds_B), MAX_SUBJECTS)
        return {
            name: rows.new_zeros(*shape, rows.shape[-1]).index_put((clip_M, subject_M), rows)
            for name, rows in logits.items()
        }

    def forward(self, frames_BKCHW: Tensor, seconds_B: Tensor) -> dict[str, Tensor]:
        """Logits of every attribute: `[B, V]` of the whole clip's, `[B, S, V]` of the subjects'.

        They are the means over the clip and its mirror image: what is doubtful in one is often plain in the other.
        """
        views = (frames_BKCHW, frames_BKCHW.flip(-1))
        founds = [self.find(view, seconds_B) for view in views]
        logits = _mean_of_mirrors(*(found.logits for found in founds))
        two_B = logits["count"].argmax(dim=-1) == 1
        seen, mirror = (
            self.recognise(view, seconds_B, found, two_B, found.place_BSKX)
            for view, found in zip(views, founds, strict=True)
        )
        # Two subjects may be found in the other order in the mirror.
        place_BSKX = founds[1].place_BSKX * founds[1].place_BSKX.new_tensor([-1, 1]) + seconds_B.new_tensor([1, 0])
        straight_B, crossed_B = (
            (founds[0].place_BSKX - place).abs().sum(dim=(1, 2, 3)) for place in (place_BSKX, place_BSKX.flip(1))
        )
        swap_B11 = ((crossed_B < straight_B) & two_B)[:, None, None]
        mirror = {name: torch.where(swap_B11, rows.flip(1), rows) for name, rows in mirror.items()}
        return logits | _mean_of_mirrors(seen, mirror)

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
        codes = {name: logits.argmax(dim=-1).tolist() for name, logits in self(frames_BKCHW, seconds_B).items()}
        readings = []
        for item in range(len(seconds_B)):
            reading = {name: VALUES[name][codes[name][item]] for name in (*GLOBAL, "count")}
            for place, ordinal in zip(range(int(reading["count"])), ("", "second_"), strict=False):
                reading |= {f"{ordinal}{name}": VALUES[name][codes[name][item][place]] for name in PER_SUBJECT}
            readings.append(reading)
        return readings

    @torch.no_grad()
    def doubts(self, frames_BKCHW: Tensor, seconds_B: Tensor) -> list[dict[str, tuple[str, float]]]:
        """The same as `read_frames`, and how sure the probe is of each value: its probability."""
        logits = self(frames_BKCHW, seconds_B)
        readings = self.read_frames(frames_BKCHW, seconds_B)
        found = []
        for item, reading in enumerate(readings):
            sure = {}
            for name, value in reading.items():
                own = name.removeprefix("second_")
                row = logits[own][item][int(name != own)] if own in PER_SUBJECT else logits[own][item]
                sure[name] = (value, float(row.softmax(-1)[VALUES[own].index(value)]))
            found.append(sure)
        return found

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
        weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  not a dictionary
    probe = Probe()
    probe.load_state_dict(weights)
    probe.ceilings = json.loads(metadata["ceilings"])
    return probe.eval()


def save_probe(probe: Probe, path: Path, facts: Mapping[str, object]) -> None:
    """Write the weights in half precision, with the ceilings and the facts of the training in the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"ceilings": probe.ceilings, "facts": dict(facts)}
    weights = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in probe.state_dict().items()
    }
    save_file(weights, path, metadata={key: json.dumps(value) for key, value in metadata.items()})


def _mlp(*widths: int) -> nn.Sequential:
    """Linear layers of these widths, each before a ReLU, after a normalisation of the input."""
    layers: list[nn.Module] = [nn.LayerNorm(widths[0])]
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def _readers(names: Iterable[str], width: int) -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Linear(width, len(VALUES[name])) for name in names})


def _mean_of_mirrors(logits: dict[str, Tensor], mirror: dict[str, Tensor]) -> dict[str, Tensor]:
    """The means of the logits of clips and of their mirror images, left and right in their places."""
    means = {}
    for name, values in ((name, VALUES[name]) for name in logits):
        order = [values.index(MIRROR.get(value, value)) for value in values]
        means[name] = (logits[name] + mirror[name][..., order]) / 2
    return means


def _clock(seconds_B: Tensor) -> Tensor:
    return seconds_B[:, None] / 4 - 0.5


def _channels_last(x_BCHW: Tensor) -> Tensor:
    """The same pictures in the layout in which a processor's convolutions are a fifth faster."""
    return x_BCHW.contiguous(memory_format=torch.channels_last)


def _mean(x_BCHW: Tensor) -> Tensor:
    return x_BCHW.mean(dim=(2, 3))


def _moments(heat_BSKN: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (x, y) of a distribution over cells, `[B, S, K, 2]` each, in 0..1."""
    cell_NX = cell_centres(heat_BSKN.device)
    probability = heat_BSKN.exp()
    # Not a matrix product: that would be rounded to half precision in training.
    mean = (probability[..., None] * cell_NX).sum(dim=-2)
    squares = (probability[..., None] * cell_NX.square()).sum(dim=-2)
    return mean, (squares - mean.square()).clamp(min=1e-6).sqrt()
