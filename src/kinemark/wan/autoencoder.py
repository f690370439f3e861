"""Wan's autoencoder (diffusers' `AutoencoderKLWan`), one slot at a time.

It is causal, and keeps what later frames need of earlier ones as features; holding those outside of it, several clips
can be under way at once, and a clip that is decoded slot by slot is the same as one that is decoded whole.

Shape suffixes: B batch, F slots, T frames, C channels, H W size (of latents in names that begin with `latent`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, patchify, unpatchify
from einops import rearrange
from torch import Tensor, nn

from kinemark.engine import whole
from kinemark.errors import FailureError
from kinemark.wan.memory import free_memory, living

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kinemark.engine import Decoder, Pictures
    from kinemark.sampling.conditions import Latents


#: Latent pixels along a tile and from one to the next, those of diffusers' tiles for Wan 2.1.
_TILE: Final = 32
_STRIDE: Final = 24

Encoder = Callable[[Tensor], Tensor]
"""`video_BTCHW` in [0, 1] of the next slot -> its latent `[B, C, H, W]`."""


@dataclass(frozen=True, slots=True)
class WanAutoencoder:
    """Between pixels and Wan's normalised latents; computes in the precision of its weights."""

    network: Any

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> WanAutoencoder:
        """Load it in float32 from a folder that diffusers wrote.

        Raises:
            FailureError: the folder holds no such autoencoder, or not the whole of it.
        """
        try:
            network = AutoencoderKLWan.from_pretrained(
                folder, torch_dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
            )
        except (OSError, ValueError, KeyError) as error:
            raise FailureError(f"no autoencoder of Wan in {folder} ({error}); pull the model again") from error
        return cls(network.to(device).eval().requires_grad_(requires_grad=False))

    @property
    def channels(self) -> int:
        """Channels of a latent."""
        return int(self.network.config.z_dim)

    @property
    def scale(self) -> int:
        """Pixels along one side of a latent pixel."""
        return int(self.network.config.scale_factor_spatial)

    def known(self, pictures: Pictures, slots: int) -> Latents:  # noqa: ARG002  there are no stills in Wan's latents
        """The latents of given slots, which are those from the first one on: each is encoded after the ones before."""
        encode = self.encoder()
        done: list[Tensor] = []

        def latents(asked: Sequence[int]) -> Tensor:
            while len(done) <= max(asked):
                done.append(encode(whole(pictures(len(done)))[None]))
            return torch.stack([done[slot] for slot in asked], dim=2)

        return latents

    def encoder(self) -> Encoder:
        """What encodes one clip, slot by slot: of one frame at first, then of four."""
        return _Encoding(self, _memory_of(self.network.encoder))

    def decoder(self, latent: tuple[int, int]) -> Decoder:
        """What decodes one clip, slot by slot: in tiles, where the device has no room for whole frames."""
        tiled = self.slot_bytes(latent) > free_memory(self.network.device)
        return self.in_tiles(latent) if tiled else Decoding(self, _memory_of(self.network.decoder))

    def in_tiles(self, latent: tuple[int, int], tile: int = _TILE, stride: int = _STRIDE) -> InTiles:
        """What decodes one clip in tiles of so many latent pixels, one every `stride` of them."""
        rows, columns = ([slice(at, at + tile) for at in range(0, side, stride)] for side in latent)
        tiles = [
            [(row, column, Decoding(self, _memory_of(self.network.decoder))) for column in columns] for row in rows
        ]
        scale = self.scale // (self.network.config.patch_size or 1)
        return InTiles(self, tiles, scale, stride * scale, (tile - stride) * scale)

    def slot_bytes(self, latent: tuple[int, int]) -> int:
        """The most bytes that are alive while a slot of so many rows and columns is decoded after others."""
        with torch.device("meta"):
            network = nn.Module.to(AutoencoderKLWan.from_config(self.network.config), self.network.dtype)
            latent_BCHW = torch.empty(1, self.channels, *latent)
        decoding = Decoding(WanAutoencoder(network), _memory_of(network.decoder))

        def run() -> None:
            for first in (True, False, False):
                decoding.raw(latent_BCHW, first=first)

        return living(run, network.parameters())[0]

    def normalised(self, latent_BCFHW: Tensor) -> Tensor:
        """Latents as the transformer knows them: of mean 0 and variance 1 in each channel."""
        mean_C111, std_C111 = self._statistics(latent_BCFHW)
        return (latent_BCFHW - mean_C111) / std_C111

    def restored(self, latent_BCFHW: Tensor) -> Tensor:
        """The inverse of `normalised`."""
        mean_C111, std_C111 = self._statistics(latent_BCFHW)
        return latent_BCFHW * std_C111 + mean_C111

    def pictures(self, raw_BCTHW: Tensor) -> Tensor:
        """Frames `video_BTCHW` in [0, 1], in host memory, of what the decoder made."""
        if self.network.config.patch_size is not None:
            raw_BCTHW = unpatchify(raw_BCTHW, patch_size=self.network.config.patch_size)
        video_BTCHW: Tensor = rearrange((raw_BCTHW.float().cpu().clamp(-1, 1) + 1) / 2, "B C T H W -> B T C H W")
        return video_BTCHW

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        config = self.network.config
        mean, std = (like.new_tensor(values) for values in (config.latents_mean, config.latents_std))
        return mean[:, None, None, None], std[:, None, None, None]

    def matching(self, x: Tensor) -> Tensor:
        """A tensor on the network's device, in its precision."""
        return x.to(self.network.device, self.network.dtype)


def _memory_of(network: nn.Module) -> list[Any]:
    """Room for what each causal convolution of a network keeps."""
    return [None] * sum(isinstance(module, WanCausalConv3d) for module in network.modules())


@dataclass(frozen=True, slots=True)
class _Encoding:
    """An encoder in the middle of a clip."""

    autoencoder: WanAutoencoder
    memory: list[Any]

    @torch.no_grad()
    def __call__(self, video_BTCHW: Tensor) -> Tensor:
        """The latent `[B, C, H, W]` of the next slot: of one frame at first, then of four."""
        network = self.autoencoder.network
        x = self.autoencoder.matching(rearrange(video_BTCHW * 2 - 1, "B T C H W -> B C T H W"))
        if network.config.patch_size is not None:
            x = patchify(x, patch_size=network.config.patch_size)
        moments = network.quant_conv(network.encoder(x, feat_cache=self.memory, feat_idx=[0]))
        mean_BCFHW = moments.chunk(2, dim=1)[0]
        return self.autoencoder.normalised(mean_BCFHW)[:, :, 0].float().cpu()


@dataclass(frozen=True, slots=True)
class InTiles:
    """A decoder in the middle of a clip that decodes tiles, and fades each into those above it and left of it.

    What each tile's convolutions keep waits in host memory. The middle of the network attends to all of a frame, and
    here to all of a tile, so that frames are not quite those of `Decoding`; they are those of diffusers' tiles.

    Attributes:
        autoencoder: decodes them.
        tiles: rows of tiles: which rows and columns of the latent, and its decoder.
        scale: how many times larger what comes out is than a latent; where it is patches of pixels, so many patches.
        stride: from one tile to the next, in what comes out.
        fade: over how much of it two tiles are mixed.
    """

    autoencoder: WanAutoencoder
    tiles: Sequence[Sequence[tuple[slice, slice, Decoding]]]
    scale: int
    stride: int
    fade: int

    def __call__(self, latent_BCHW: Tensor, last_BCHW: Tensor | None) -> Tensor:
        """The frames of the next slot."""
        above: list[Tensor] = []
        bands = []
        for row in self.tiles:
            line: list[Tensor] = []
            for index, (rows, columns, decode) in enumerate(row):
                tile = decode.parked(latent_BCHW[..., rows, columns], first=last_BCHW is None)
                if above:
                    _fade_in(above[index].mT, tile.mT, self.fade)
                if line:
                    _fade_in(line[-1], tile, self.fade)
                line.append(tile)
            bands.append(torch.cat([tile[..., : self.stride, : self.stride] for tile in line], dim=-1))
            above = line
        height, width = (self.scale * side for side in latent_BCHW.shape[-2:])
        return self.autoencoder.pictures(torch.cat(bands, dim=-2)[..., :height, :width])


def _fade_in(left: Tensor, right: Tensor, extent: int) -> None:
    """Mix the last columns of one tile into the first ones of the next, in place."""
    extent = min(left.shape[-1], right.shape[-1], extent)
    share = torch.arange(extent) / extent
    right[..., :extent] = torch.lerp(left[..., -extent:], right[..., :extent], share)


@dataclass(frozen=True, slots=True)
class Decoding:
    """A decoder in the middle of a clip."""

    autoencoder: WanAutoencoder
    memory: list[Any]

    @torch.no_grad()
    def __call__(self, latent_BCHW: Tensor, last_BCHW: Tensor | None) -> Tensor:
        """The frames of the next slot; what is pasted into the last one changes nothing, for only latents are read."""
        return self.autoencoder.pictures(self.raw(latent_BCHW, first=last_BCHW is None))

    @torch.no_grad()
    def parked(self, latent_BCHW: Tensor, *, first: bool) -> Tensor:
        """What `raw` gives, in host memory, where what is kept from slot to slot waits, too."""
        self._move(self.autoencoder.network.device)
        raw_BCTHW = self.raw(latent_BCHW, first=first).float().cpu()
        self._move(torch.device("cpu"))
        return raw_BCTHW

    def _move(self, device: torch.device) -> None:
        self.memory[:] = [kept.to(device) if isinstance(kept, Tensor) else kept for kept in self.memory]

    def raw(self, latent_BCHW: Tensor, *, first: bool) -> Tensor:
        """What the network makes of the next slot, where it makes it, BCTHW; `pictures` turns it into frames."""
        network = self.autoencoder.network
        latent_BCFHW = self.autoencoder.restored(self.autoencoder.matching(latent_BCHW[:, :, None]))
        raw_BCTHW: Tensor = network.decoder(
            network.post_quant_conv(latent_BCFHW), feat_cache=self.memory, feat_idx=[0], first_chunk=first
        )
        return raw_BCTHW
