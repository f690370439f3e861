"""What a run would take, before anything is loaded: memory, time and download."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from kinemark.model.precision import fast_dtype
from kinemark.wan.costs import TEXT_ENCODER, Work, decoding_cost
from kinemark.wan.fitting import fit
from kinemark.wan.memory import free_memory

if TYPE_CHECKING:
    from kinemark.model.quantised import Kind
    from kinemark.sampling.streaming import SamplerConfig
    from kinemark.timeline import Timeline
    from kinemark.wan.releases import Release

#: How much of the rate of large matrix products a whole step reaches, measured beside diffusers'.
_EFFICIENCY: Final = 0.75


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would take.

    Attributes:
        download: bytes that a pull brings, about; 0 where the model is here.
        weights: bytes of the transformers on the device.
        step: bytes that a denoising step takes beside them, its cache included.
        decode: bytes that decoding a slot takes.
        memory: bytes at the most.
        flop: of all denoising steps.
        seconds: that they would take on this device, about.
        how: what is done to make it fit, in words; empty where nothing has to be.
    """

    download: int
    weights: int
    step: int
    decode: int
    memory: int
    flop: float
    seconds: float
    how: str = ""

    def __str__(self) -> str:
        """In words."""
        pull = f"a pull of about {self.download / 1e9:.0f} GB, " if self.download else ""
        minutes = f"{self.seconds / 60:.1f} minutes" if self.seconds > 90 else f"{self.seconds:.0f} s"
        parts = {"weights": self.weights, "a step": self.step, "decoding": self.decode, "the prompt": TEXT_ENCODER}
        each = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in parts.items())
        return (
            f"{pull}{self.memory / 1e9:.1f} GB of memory ({each}), and about {minutes} of denoising on this device "
            f"({self.flop / 1e12:.0f} TFLOP){f'; to fit: {self.how}' if self.how else ''}"
        )


def estimate(
    release: Release, timeline: Timeline, sampler: SamplerConfig, *, here: bool, kind: Kind | None = None
) -> Estimate:
    """What a clip would take on this machine's fastest device.

    Args:
        release: by whom it is made.
        timeline: what is asked.
        sampler: how it is sampled.
        here: whether the model is on this machine.
        kind: of the weights of its linear layers, where they are quantised.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    grid = release.target.sizes.grid(timeline.size)
    scale = release.target.sizes.multiple // 2
    latent = (grid[0] // scale, grid[1] // scale)
    work = Work.of(timeline.num_slots, latent, sampler)
    guided = release.guidance[0] != 1
    autoencoder, decode = decoding_cost(release, latent)
    found = fit(release, work, sampler, device, free_memory(device) - autoencoder, guided=guided, kind=kind)
    flop = work.forwards * found.flop
    return Estimate(
        download=0 if here else 2 * release.parameters + TEXT_ENCODER,
        weights=found.weights,
        step=found.step,
        decode=decode,
        memory=autoencoder + max(TEXT_ENCODER, found.weights + max(found.step, decode)),
        flop=flop,
        seconds=flop / (_EFFICIENCY * _rate(device, fast_dtype(device))),
        how=str(found),
    )


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
