"""What a run would take, before anything is loaded: the model itself runs, on tensors that have shapes and no data.

Memory is what is alive at the same time while a forward, or the decoding of a slot, runs; arithmetic is what torch
counts in it. Both are those of the code that would run, so that there is no formula to be kept in step with it.

Shape suffixes: B batch, F slots, C channels, H W latent size.
"""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from diffusers import AutoencoderKLWan
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from kinemark.model.cache import KVCache
from kinemark.model.precision import fast_dtype
from kinemark.model.transformer import Transformer
from kinemark.sampling.streaming import plan
from kinemark.wan.autoencoder import WanAutoencoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from kinemark.sampling.streaming import SamplerConfig
    from kinemark.timeline import Timeline
    from kinemark.wan.releases import Release

#: UMT5-XXL's encoder, in bfloat16.
TEXT_ENCODER: Final = 2 * 5_680_910_336
#: How much of the rate of large matrix products a whole step reaches, measured beside diffusers'.
_EFFICIENCY: Final = 0.75
_WAN_22_VAE: Final = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would take.

    Attributes:
        download: bytes that a pull brings, about; 0 where the model is here.
        weights: bytes of the transformers in memory.
        step: bytes that a denoising step takes beside them, its cache included.
        decode: bytes that decoding a slot takes.
        memory: bytes at the most.
        flop: of all denoising steps.
        seconds: that they would take on this device, about.
    """

    download: int
    weights: int
    step: int
    decode: int
    memory: int
    flop: float
    seconds: float

    def __str__(self) -> str:
        """In words."""
        pull = f"a pull of about {self.download / 1e9:.0f} GB, " if self.download else ""
        minutes = f"{self.seconds / 60:.1f} minutes" if self.seconds > 90 else f"{self.seconds:.0f} s"
        parts = {"weights": self.weights, "a step": self.step, "decoding": self.decode, "the prompt": TEXT_ENCODER}
        each = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in parts.items())
        return (
            f"{pull}{self.memory / 1e9:.1f} GB of memory ({each}), and about {minutes} of denoising on this device "
            f"({self.flop / 1e12:.0f} TFLOP)"
        )


def estimate(release: Release, timeline: Timeline, sampler: SamplerConfig, *, here: bool) -> Estimate:
    """What a clip would take on this machine's fastest device.

    Args:
        release: by whom it is made.
        timeline: what is asked.
        sampler: how it is sampled.
        here: whether the model is on this machine.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = fast_dtype(device)
    grid = release.target.sizes.grid(timeline.size)
    blocks = plan(torch.arange(timeline.num_slots), torch.ones(timeline.num_slots), sampler)
    largest = max(len(block.slots) for block in blocks) * sampler.joint_blocks
    batch = 1 if release.guidance[0] == 1 else 2
    cost = _step(release, dtype, batch, largest, grid, sampler)
    forwards = sum(block.steps / sampler.joint_blocks + (sampler.block_slots is not None) for block in blocks)
    weights = release.parameters * dtype.itemsize
    autoencoder, decode = _decoding(release, grid)
    flop = forwards * cost[1]
    return Estimate(
        download=0 if here else 2 * release.parameters + TEXT_ENCODER,
        weights=weights,
        step=cost[0],
        decode=decode,
        memory=autoencoder + max(TEXT_ENCODER, weights + max(cost[0], decode)),
        flop=flop,
        seconds=flop / (_EFFICIENCY * _rate(device, dtype)),
    )


class Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that operators give while it is on, and that are alive at the same time.

    Views count once. What was there before counts when it is looked at, but for `weights`.
    """

    def __init__(self, weights: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = self.peak = 0
        self._seen: dict[int, Any] = {weight.untyped_storage()._cdata: weight for weight in weights}  # noqa: SLF001

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Run an operator, and look at what it made."""
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self._born(leaf.untyped_storage())
        return made

    def _born(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata  # noqa: SLF001  what identifies a storage
        if key in self._seen:
            return
        size = storage.nbytes()
        self.alive += size
        self.peak = max(self.peak, self.alive)
        self._seen[key] = weakref.finalize(storage, self._died, key, size)

    def _died(self, key: int, size: int) -> None:
        self._seen.pop(key, None)
        self.alive -= size


def living(call: Callable[[], object], weights: Iterable[Tensor] = ()) -> tuple[int, float]:
    """The most bytes that are alive while something runs, beside weights, and its floating-point operations."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter, Living(weights) as mode:
        call()
    return mode.peak, float(counter.get_total_flops())


def _step(
    release: Release, dtype: torch.dtype, batch: int, slots: int, grid: tuple[int, int], sampler: SamplerConfig
) -> tuple[int, float]:
    """Memory and arithmetic of the largest step: with a full cache, where there is one."""
    config, scale = release.config, _scale(release)
    policy = sampler.cache
    with torch.device("meta"):
        transformer = Transformer(config).to(dtype)
        transformer.head.float()
        latent = torch.empty(batch, config.in_channels, 1, *(side // scale for side in grid))
        level, text = torch.empty(batch), torch.empty(batch, config.text_len, config.text_dim)
        condition = torch.empty(batch, config.condition_channels, 1, *latent.shape[-2:])
        image = torch.empty(1, max(257, config.image_positions), config.image_dim) if config.image_dim else None

    def run(count: int, cache: KVCache | None, *, write: bool = False) -> None:
        shown = condition.expand(-1, -1, count, -1, -1) if config.condition_channels else None
        transformer(
            latent.expand(-1, -1, count, -1, -1),
            level,
            text,
            cache=cache,
            write=write,
            condition_BCFHW=shown,
            image_BKI=image,
        )

    if sampler.block_slots is None:
        return living(lambda: run(slots, None), transformer.parameters())
    cache = KVCache(policy)
    kept = policy.sinks + (policy.window or 0)
    with torch.no_grad():
        for _ in range(0, kept, slots):
            run(slots, cache, write=True)
    return living(lambda: run(slots, cache), transformer.parameters())


def _decoding(release: Release, grid: tuple[int, int]) -> tuple[int, int]:
    """Memory of the autoencoder's weights, and of decoding a slot after others."""
    changes = _WAN_22_VAE if release.config.out_channels == _WAN_22_VAE["z_dim"] else {}
    with torch.device("meta"):
        network = AutoencoderKLWan(**changes)
        decode = WanAutoencoder(network).decoder()
        scale = _scale(release)
        latent = torch.empty(1, release.config.out_channels, *(side // scale for side in grid))
    weights: int = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())

    def run() -> None:
        for first in (True, False, False):
            decode.raw(latent, first=first)

    return weights, living(run, network.parameters())[0]


def _scale(release: Release) -> int:
    return release.target.sizes.multiple // 2


def _rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of large matrix products."""
    side = 4096 if device.type == "cuda" else 1024
    matrix = torch.full((side, side), 0.01, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        product = matrix @ matrix
        float(product[0, 0])  # waits for a GPU
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best
