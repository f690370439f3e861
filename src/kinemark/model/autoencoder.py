"""spark's autoencoder: an encoder that is exact arithmetic, and a decoder that is a small learned upsampler.

Encoding averages every 4x4 block of pixels and packs four frames into the channels of one slot. It loses nothing that a
picture four times smaller can hold, and it needs no training. Decoding puts the detail back: a convolutional network at
the latent's resolution predicts the 4x4 pixels behind every latent pixel of a frame, given the frames beside it in the
slot and the last frame of the slot before, so that detail carries over and does not flicker. It works slot by slot, so
a stream and a whole clip decode to the same pixels.

Slot 0 holds one frame, four times; slot f holds frames 4f-3 .. 4f. A clip therefore has T = 1 + 4 (F - 1) frames.

Shape suffixes: B batch, F slots, T pixel frames, C channels, H W height and width (of the latent in `latent_BCFHW` and
`small_BTCHW`, of the picture in `video_BTCHW`), N pictures of all clips and frames, K the 16 pixels
behind a latent pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from einops import rearrange, reduce, repeat
from torch import nn
from torch.nn import functional

from kinemark.errors import RequestError
from kinemark.timeline import FRAMES_PER_SLOT

if TYPE_CHECKING:
    from torch import Tensor

#: Picture pixels along one side of a latent pixel.
SCALE: Final = 4
#: Channels of a latent: its frames, and in each of them its colours.
COLOURS: Final = 3
LATENT_CHANNELS: Final = COLOURS * FRAMES_PER_SLOT
#: Latent pixels along one side of a transformer patch: where imperfect latents have their seams.
PATCH: Final = 8
#: Differences between pixels are a tenth of the range of pixels; this brings them to the size of the other inputs.
CONTRAST: Final = 8.0


def pad_frames(video_BTCHW: Tensor) -> Tensor:
    """Lengthen a clip to the next T = 1 + 4k frames by playing its end backwards (one frame is repeated).

    Args:
        video_BTCHW: a clip of at least one frame.

    Returns:
        The clip itself where its length fits, else one that is up to three frames longer.
    """
    frames = video_BTCHW.shape[1]
    missing = -(frames - 1) % FRAMES_PER_SLOT
    if not missing:
        return video_BTCHW
    order = list(range(frames))
    backwards = order[-2::-1] or [0]
    order += [backwards[min(i, len(backwards) - 1)] for i in range(missing)]
    return video_BTCHW[:, order]


def encode(video_BTCHW: Tensor) -> Tensor:
    """Encode pixels exactly: the mean of every 4x4 block, four frames packed as (frame, rgb) into channels.

    Args:
        video_BTCHW: float pixels in [0, 1]; T = 1 + 4k (see `pad_frames`), H and W multiples of 4.

    Returns:
        `latent_BCFHW` in [-1, 1] with C = 12 and F = 1 + k.

    Raises:
        RequestError: a length or a size that is not on the grid.
    """
    frames, channels, height, width = video_BTCHW.shape[1:]
    if (frames - 1) % FRAMES_PER_SLOT:
        raise RequestError(
            f"a clip of {frames} frames cannot be encoded: it takes 1 + a multiple of {FRAMES_PER_SLOT} frames; "
            "lengthen it with pad_frames()"
        )
    if height % SCALE or width % SCALE or channels != 3:
        raise RequestError(
            f"a clip of {width}x{height} pixels with {channels} channels cannot be encoded: "
            f"it takes RGB and sides that are multiples of {SCALE}"
        )
    small_BTCHW = reduce(video_BTCHW, "b t c (h y) (w x) -> b t c h w", "mean", y=SCALE, x=SCALE)
    first = repeat(small_BTCHW[:, :1], "b 1 c h w -> b (k c) 1 h w", k=FRAMES_PER_SLOT)
    rest = rearrange(small_BTCHW[:, 1:], "b (f k) c h w -> b (k c) f h w", k=FRAMES_PER_SLOT)
    return torch.cat([first, rest], dim=2) * 2 - 1


def unpack(latent_BCFHW: Tensor) -> Tensor:
    """Lay a latent out as the small clip that it holds: the exact inverse of the packing in `encode`.

    Slot 0 becomes one frame, the mean of its four (equal in an encoded clip, not in a generated one).

    Returns:
        `small_BTCHW` with T = 1 + 4 (F - 1); in [0, 1] where the latent is in [-1, 1].
    """
    first = reduce(latent_BCFHW[:, :, :1], "b (k c) 1 h w -> b 1 c h w", "mean", k=FRAMES_PER_SLOT)
    rest = rearrange(latent_BCFHW[:, :, 1:], "b (k c) f h w -> b (f k) c h w", k=FRAMES_PER_SLOT)
    return (torch.cat([first, rest], dim=1) + 1) / 2


@dataclass(frozen=True, slots=True)
class UpsamplerConfig:
    """The size of an `Upsampler`, and whether it has an output of its own for each place in a patch."""

    width: int = 48
    blocks: int = 4
    place: bool = True


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), without normalisation, as in EDSR (arXiv 1707.02921, figure 2c)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return features of the same shape."""
        residual_NCHW: Tensor = self.second(functional.relu(self.first(x_NCHW)))
        return x_NCHW + residual_NCHW


class Upsampler(nn.Module):
    """Decode a latent to pixels four times its size, slot by slot.

    The network adds zero-mean detail inside each 4x4 block, so it cannot shift colours; a separate small correction of
    the block's mean mends imperfect latents (noise, seams between the transformer's patches) and learns to stay near
    zero where the latent is exact. Without that correction exact latents decoded 0.2 dB better, and imperfect ones
    0.4 dB worse and with a third more flicker (measured after 555 steps). The place of a pixel in its patch is an
    input, because that is where seams are.
    """

    #: own frame, its local contrast, the change from the frame before and to the one after (RGB each); the detail
    #: inside each 4x4 block of the last output frame; how recent that frame is (0: there is none); the place in the
    #: patch.
    IN_CHANNELS: Final = 12 + 3 * SCALE**2 + 1 + 4

    def __init__(self, config: UpsamplerConfig | None = None) -> None:
        super().__init__()
        self.config = config or UpsamplerConfig()
        width = self.config.width
        self.stem = nn.Conv2d(self.IN_CHANNELS, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(self.config.blocks)))
        self.head = nn.Conv2d(width, 3 * SCALE**2 + 3, 3, padding=1)
        # What the head adds at each place in a patch, whatever is seen there: what repeats from patch to patch.
        self.place = nn.Parameter(torch.zeros(3 * SCALE**2 + 3, PATCH, PATCH)) if self.config.place else None
        # A new network is plain bilinear enlargement, and every block starts as the identity.
        zeroed = [self.head, *(block.second for block in self.blocks if isinstance(block, ResidualBlock))]
        for layer in zeroed:
            nn.init.zeros_(layer.weight)
        for layer in (self.head, self.stem):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, latent_BCFHW: Tensor, kept_BCHW: Tensor | None = None) -> Tensor:
        """Decode a whole clip with gradients; the result is not clamped, apart from the frames carried over.

        Args:
            latent_BCFHW: the slots of the clip.
            kept_BCHW: its first frame, where that is given: it is kept as it is, and detail carries over from it.

        Returns:
            `video_BTCHW`, T = 1 + 4 (F - 1), H and W four times the latent's.
        """
        previous_BCHW = kept_BCHW
        outputs = [] if kept_BCHW is None else [kept_BCHW[:, None]]
        for slot_BCHW in latent_BCFHW.unbind(dim=2)[len(outputs) :]:
            output_BTCHW = self._decode_slot(slot_BCHW, previous_BCHW)
            previous_BCHW = output_BTCHW[:, -1].clamp(0, 1)
            outputs.append(output_BTCHW)
        return torch.cat(outputs, dim=1)

    @torch.no_grad()
    def decode(self, latent_BCFHW: Tensor) -> Tensor:
        """Decode a whole clip to `video_BTCHW` in [0, 1]; pixel for pixel what `decode_slot` gives in turn."""
        video_BTCHW: Tensor = self(latent_BCFHW)
        return video_BTCHW.clamp(0, 1)

    @torch.no_grad()
    def decode_slot(self, latent_BCHW: Tensor, previous_BCHW: Tensor | None) -> tuple[Tensor, Tensor]:
        """Decode one slot of a stream.

        Args:
            latent_BCHW: the slot.
            previous_BCHW: the last frame decoded so far (the second value returned by the call before), in [0, 1];
                None for the first slot of a clip, which holds one frame.

        Returns:
            `video_BTCHW` in [0, 1] with T = 1 for the first slot, else 4; and its last frame.
        """
        video_BTCHW = self._decode_slot(latent_BCHW, previous_BCHW).clamp(0, 1)
        return video_BTCHW, video_BTCHW[:, -1]

    def _decode_slot(self, latent_BCHW: Tensor, previous_BCHW: Tensor | None) -> Tensor:
        small_BTCHW = rearrange((latent_BCHW + 1) / 2, "b (k c) h w -> b k c h w", k=FRAMES_PER_SLOT)
        if previous_BCHW is None:
            small_BTCHW = small_BTCHW.mean(dim=1, keepdim=True)
        return self._enlarge(small_BTCHW, previous_BCHW)

    def _enlarge(self, small_BTCHW: Tensor, previous_BCHW: Tensor | None) -> Tensor:
        batch = small_BTCHW.shape[0]
        small_NCHW = rearrange(small_BTCHW, "b t c h w -> (b t) c h w")
        inputs_NCHW = _inputs(small_BTCHW, previous_BCHW).contiguous(memory_format=torch.channels_last)
        output_NCHW: Tensor = self.head(self.blocks(functional.relu(self.stem(inputs_NCHW))))
        if self.place is not None:
            height, width = output_NCHW.shape[-2:]
            patches = self.place.tile(1, -(-height // PATCH), -(-width // PATCH))
            output_NCHW = output_NCHW + patches[:, :height, :width]
        mend_NCHW = output_NCHW[:, -3:]
        smooth_NCHW = functional.interpolate(small_NCHW, scale_factor=SCALE, mode="bilinear")
        detail_NCHW = output_NCHW[:, :-3] + functional.pixel_unshuffle(smooth_NCHW, SCALE)
        detail_NCKHW = rearrange(detail_NCHW, "n (c k) h w -> n c k h w", c=3)
        detail_NCKHW = detail_NCKHW - detail_NCKHW.mean(dim=2, keepdim=True)
        blocks_NCKHW = detail_NCKHW + (small_NCHW + mend_NCHW)[:, :, None]
        return rearrange(blocks_NCKHW, "(b t) c (y x) h w -> b t c (h y) (w x)", b=batch, y=SCALE, x=SCALE)


def _inputs(small_BTCHW: Tensor, previous_BCHW: Tensor | None) -> Tensor:
    """Everything that the network sees of each frame of a slot, `[B * T, Upsampler.IN_CHANNELS, H, W]`."""
    batch, frames, _, height, width = small_BTCHW.shape
    if previous_BCHW is None:
        carried_BCHW = small_BTCHW.new_zeros(batch, 3 * SCALE**2, height, width)
        earlier_BCHW = small_BTCHW[:, 0]
        recency_T = small_BTCHW.new_zeros(frames)
    else:
        earlier_BCHW = reduce(previous_BCHW, "b c (h y) (w x) -> b c h w", "mean", y=SCALE, x=SCALE)
        blocks_BCKHW = rearrange(previous_BCHW, "b c (h y) (w x) -> b c (y x) h w", y=SCALE, x=SCALE)
        carried_BCHW = rearrange(blocks_BCKHW - earlier_BCHW[:, :, None], "b c k h w -> b (c k) h w")
        recency_T = 1 - torch.arange(frames, device=small_BTCHW.device, dtype=small_BTCHW.dtype) / FRAMES_PER_SLOT
    before = torch.cat([earlier_BCHW[:, None], small_BTCHW[:, :-1]], dim=1)
    after = torch.cat([small_BTCHW[:, 1:], small_BTCHW[:, -1:]], dim=1)
    parts = [
        small_BTCHW - 0.5,
        CONTRAST * _local_contrast(small_BTCHW),
        CONTRAST * (before - small_BTCHW),
        CONTRAST * (after - small_BTCHW),
        CONTRAST * repeat(carried_BCHW, "b c h w -> b t c h w", t=frames),
        repeat(recency_T, "t -> b t 1 h w", b=batch, h=height, w=width),
        0.5 * repeat(_patch_phase(height, width, small_BTCHW), "c h w -> b t c h w", b=batch, t=frames),
    ]
    return rearrange(torch.cat(parts, dim=2), "b t c h w -> (b t) c h w")


def _local_contrast(small_BTCHW: Tensor) -> Tensor:
    """What a pixel differs by from the mean of its 3x3 neighbourhood."""
    small_NCHW = rearrange(small_BTCHW, "b t c h w -> (b t) c h w")
    mean_NCHW = functional.avg_pool2d(small_NCHW, 3, stride=1, padding=1, count_include_pad=False)
    return small_BTCHW - mean_NCHW.view_as(small_BTCHW)


def _patch_phase(height: int, width: int, like: Tensor) -> Tensor:
    """The place of each latent pixel in its patch as sine and cosine along y and x, `[4, H, W]`."""
    angle_H = torch.arange(height, device=like.device, dtype=like.dtype) * (2 * math.pi / PATCH)
    angle_W = torch.arange(width, device=like.device, dtype=like.dtype) * (2 * math.pi / PATCH)
    rows = torch.stack([angle_H.sin(), angle_H.cos()])
    columns = torch.stack([angle_W.sin(), angle_W.cos()])
    return torch.cat([repeat(rows, "c h -> c h w", w=width), repeat(columns, "c w -> c h w", h=height)])
