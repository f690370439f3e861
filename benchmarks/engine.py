"""One denoising step of Wan's transformer, Kinemark's and diffusers', in turn in one process, on the same weights.

    python benchmarks/engine.py [--size small|cpu|1.3b|5b|14b] [--rounds N] [--no-compile] [--json]

"small" is for trying the script, "cpu" has 100 million weights and 1,280 video tokens, the others are Wan's (a GPU, and
random weights: speed does not depend on them). Each runs in the precision that the device is measured to be fast at,
eager and compiled; a ratio above 1 says that Kinemark is faster. On a GPU, Kinemark fuses its small kernels without
being compiled as a whole, weights of 8 bits are measured too (with how far off their answer is), and it streams with
the causal four-step method behind a window of 12 slots, denoising only and with decoding. `peak_memory_ratio` is of
all that is alive while a step runs, weights included; below 1 Kinemark takes less.

Two factors of published speeds are kept apart: these are kernels, at an equal number of steps; fewer steps are a
distilled model's.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from kinemark.model.configs import TransformerConfig, wan_1_3b, wan_5b, wan_14b
from kinemark.model.naming import to_diffusers
from kinemark.model.precision import fast_dtype
from kinemark.model.quantised import KINDS, quantise
from kinemark.model.transformer import Transformer
from kinemark.sampling.conditions import Conditions
from kinemark.sampling.methods import METHODS
from kinemark.sampling.streaming import stream
from kinemark.wan.autoencoder import WanAutoencoder
from kinemark.wan.memory import living

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn


@dataclass(frozen=True)
class Size:
    """A transformer and the latent (slots, height, width) that it makes."""

    config: TransformerConfig
    latent: tuple[int, int, int]


_SMALL = replace(wan_1_3b(), width=256, heads=2, ffn=512, layers=2)
_CPU = replace(wan_1_3b(), width=768, heads=6, ffn=4480, layers=8)
SIZES = {
    "small": Size(_SMALL, (3, 16, 16)),
    "cpu": Size(_CPU, (5, 32, 32)),
    "1.3b": Size(wan_1_3b(), (21, 60, 104)),
    "5b": Size(wan_5b(), (31, 44, 80)),
    "14b": Size(wan_14b(), (21, 90, 160)),
}


def reference(ours: Transformer) -> nn.Module:
    """Diffusers' transformer with the same weights, kept in float32 where diffusers keeps them so."""
    config = ours.config
    with torch.device("meta"):
        theirs = WanTransformer3DModel(
            patch_size=config.patch,
            num_attention_heads=config.heads,
            attention_head_dim=config.head_dim,
            in_channels=config.in_channels,
            out_channels=config.out_channels,
            text_dim=config.text_dim,
            ffn_dim=config.ffn,
            num_layers=config.layers,
        )
    rope = WanTransformer3DModel(num_layers=0, attention_head_dim=config.head_dim, num_attention_heads=1).rope
    theirs.load_state_dict(to_diffusers(ours.state_dict()), strict=True, assign=True)
    theirs.rope = rope.to(ours.head.head.weight.device)
    for name, parameter in theirs.named_parameters():
        if any(kept in name for kept in WanTransformer3DModel._keep_in_fp32_modules):  # noqa: SLF001
            parameter.data = parameter.data.float()
    return theirs.eval().requires_grad_(requires_grad=False)


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    """How long a call takes, everything on the device included."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def in_turn(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int, device: torch.device
) -> dict[str, float]:
    """Median seconds of both, run one after the other so that what else the machine does meets both; and the ratio."""
    ours(), theirs()
    times = [(seconds_of(ours, device), seconds_of(theirs, device)) for _ in range(rounds)]
    own, other = (statistics.median(column) for column in zip(*times, strict=True))
    return {"ours_s": own, "theirs_s": other, "ratio": statistics.median(b / a for a, b in times)}


def peak_of(call: Callable[[], object], weights: Iterable[Tensor]) -> int:
    """Bytes at the most while a call runs: of GPU memory, or on a CPU of weights and other tensors."""
    if not torch.cuda.is_available():
        kept = list(weights)
        return living(call, kept)[0] + sum(weight.nbytes for weight in kept)
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()


def streaming(transformer: Transformer, size: Size, device: torch.device) -> dict[str, float]:
    """Frames a second of the causal four-step method with a window of 12 slots, after the window is full."""
    slots, (_, height, width) = 24, size.latent
    config = size.config
    shape = (config.in_channels, slots, height, width)
    conditions = Conditions.from_text(torch.randn(1, config.text_len, config.text_dim), [1], shape).to(device)
    network = AutoencoderKLWan(z_dim=config.in_channels).to(device, torch.bfloat16).eval()
    decode = WanAutoencoder(network).decoder((height, width))
    figures = {}
    for name, last in (("stream_fps", None), ("stream_decode_fps", decode)):
        begin, made = 0.0, 0
        for number, (block, latent_BCFHW) in enumerate(stream(transformer, conditions, METHODS["longlive"])):
            if last is not None:
                for slot in latent_BCFHW.unbind(2):
                    decode(slot, slot if number or made else None)
            torch.cuda.synchronize()
            if number == 4:
                begin = time.perf_counter()
            made += 4 * len(block) if number > 4 else 0
        figures[name] = made / (time.perf_counter() - begin)
    return figures


@torch.inference_mode()
def measure(size: Size, rounds: int, *, compiled: bool) -> dict[str, Any]:
    """Every figure that this device can give."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = fast_dtype(device)
    config = size.config
    with torch.device(device):
        transformer = Transformer(config).to(dtype)
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    theirs = reference(transformer)
    transformer.in_fast_precision()
    slots, height, width = size.latent
    x = torch.randn(1, config.in_channels, slots, height, width, device=device, dtype=dtype)
    text = torch.randn(1, config.text_len, config.text_dim, device=device, dtype=dtype)
    level = torch.full((1,), 0.5, device=device)

    read = transformer.read(text)  # once for all steps, as samplers do; diffusers' pipelines read it at every step

    def step(network: Callable[..., Tensor]) -> Tensor:
        return network(x, level, read)

    def their_step(network: Callable[..., Any]) -> Tensor:
        return network(x, 1000 * level, text, return_dict=False)[0]

    ours, other = step(transformer).float(), their_step(theirs).float()
    figures: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "dtype": str(dtype).removeprefix("torch."),
        "parameters": sum(parameter.numel() for parameter in transformer.parameters()),
        "tokens": slots * height * width // 4,
        "difference": float((ours - other).norm() / other.norm()),
    }
    where = "cpu" if device.type == "cpu" else "gpu"
    eager = in_turn(partial(step, transformer), partial(their_step, theirs), rounds, device)
    figures |= {f"eager_{key}": value for key, value in eager.items()}
    figures[f"{where}_step_ratio_eager"] = eager["ratio"]
    if compiled:
        fast = in_turn(
            partial(step, torch.compile(transformer)), partial(their_step, torch.compile(theirs)), rounds, device
        )
        figures |= {f"compiled_{key}": value for key, value in fast.items()}
        figures[f"{where}_step_ratio_compiled"] = fast["ratio"]
    peaks = [
        peak_of(call, network.parameters())
        for call, network in ((partial(step, transformer), transformer), (partial(their_step, theirs), theirs))
    ]
    figures["peak_memory_ratio"] = peaks[0] / peaks[1]
    if device.type == "cuda":
        figures["attention"] = attention_of(device)
        figures["gpu_step_ratio"] = figures["gpu_step_ratio_eager"]
        figures |= streaming(transformer, size, device)
    figures |= in_8_bits(transformer, partial(their_step, theirs), (x, level, text), rounds, where)
    return figures


def attention_of(device: torch.device) -> str:
    """Which of torch's kernels attends at the shapes of Wan's tokens."""
    q = torch.zeros(1, 2, 4096, 128, device=device, dtype=torch.bfloat16)
    able = torch.backends.cuda.SDPAParams(q, q, q, None, 0.0, False, False)  # noqa: FBT003  as torch has it
    kinds = {
        "cudnn": torch.backends.cuda.can_use_cudnn_attention(able),
        "flash": torch.backends.cuda.can_use_flash_attention(able),
        "efficient": torch.backends.cuda.can_use_efficient_attention(able),
    }
    return "+".join(kind for kind, can in kinds.items() if can) or "math"


def in_8_bits(
    transformer: Transformer,
    their_step: Callable[[], object],
    arguments: tuple[Tensor, Tensor, Tensor],
    rounds: int,
    where: str,
) -> dict[str, float]:
    """Steps with weights of 8 bits beside diffusers' of the same precision as before, and how far off answers are.

    float8 is measured where the device computes with it.
    """
    x, level, text = arguments
    whole = transformer(x, level, transformer.read(text)).float()
    figures = {}
    for name in ("int8", "float8") if where == "gpu" else ("int8",):
        eighth = copy.deepcopy(transformer)
        quantise(eighth.blocks, KINDS[name])
        step = partial(eighth, x, level, eighth.read(text))
        figures[f"{name}_error"] = float((step().float() - whole).norm() / whole.norm())
        figures[f"{where}_step_ratio_{name}"] = in_turn(step, their_step, rounds, x.device)["ratio"]
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=tuple(SIZES), default="cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-compile", action="store_true", help="leave out the compiled runs")
    parser.add_argument("--json", action="store_true", help="print one flat object")
    arguments = parser.parse_args()
    figures = measure(SIZES[arguments.size], arguments.rounds, compiled=not arguments.no_compile)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<26}{value:.4g}" if isinstance(value, float) else f"{name:<26}{value}")


if __name__ == "__main__":
    main()
