"""Wan's autoencoder (diffusers' `AutoencoderKLWan`), one slot at a time.

It is causal, and keeps what later frames need of earlier ones as features; holding those outside of it, several clips
can be under way at once, and a clip that is decoded slot by slot is the same as one that is decoded whole.

Shape suffixes: B batch, F slots, T frames, C channels, H W size (of latents in names that begin with `latent`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, patchify, unpatchify
from einops import rearrange

from kinemark.engine import whole
from kinemark.errors import FailureError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from kinemark.engine import Pictures
    from kinemark.sampling.conditions import Latents


Encoder = Callable[["Tensor"], "Tensor"]
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

    def decoder(self) -> Decoding:
        """What decodes one clip, slot by slot."""
        return Decoding(self, _memory_of(self.network.decoder))

    def normalised(self, latent_BCFHW: Tensor) -> Tensor:
        """Latents as the transformer knows them: of mean 0 and variance 1 in each channel."""
        mean_C111, std_C111 = self._statistics(latent_BCFHW)
        return (latent_BCFHW - mean_C111) / std_C111

    def restored(self, latent_BCFHW: Tensor) -> Tensor:
        """The inverse of `normalised`."""
        mean_C111, std_C111 = self._statistics(latent_BCFHW)
        return latent_BCFHW * std_C111 + mean_C111

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
class Decoding:
    """A decoder in the middle of a clip."""

    autoencoder: WanAutoencoder
    memory: list[Any]

    @torch.no_grad()
    def __call__(self, latent_BCHW: Tensor, last_BCHW: Tensor | None) -> Tensor:
        """The frames of the next slot; what is pasted into the last one changes nothing, for only latents are read."""
        video_BCTHW = self.raw(latent_BCHW, first=last_BCHW is None).float().cpu()
        video_BTCHW: Tensor = rearrange((video_BCTHW.clamp(-1, 1) + 1) / 2, "B C T H W -> B T C H W")
        return video_BTCHW

    def raw(self, latent_BCHW: Tensor, *, first: bool) -> Tensor:
        """What the network makes of the next slot, where it makes it: `video_BCTHW` in about [-1, 1]."""
        network = self.autoencoder.network
        latent_BCFHW = self.autoencoder.restored(self.autoencoder.matching(latent_BCHW[:, :, None]))
        video_BCTHW: Tensor = network.decoder(
            network.post_quant_conv(latent_BCFHW), feat_cache=self.memory, feat_idx=[0], first_chunk=first
        )
        if network.config.patch_size is not None:
            video_BCTHW = unpatchify(video_BCTHW, patch_size=network.config.patch_size)
        return video_BCTHW
