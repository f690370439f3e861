"""How much of this machine's matrix rate the denoiser reaches.

For spark at the shapes of a 256x256 clip (256 tokens to a slot, batch 2 for guidance) it times a forward of 1 to 9
slots in block-causal order, and of one slot behind a cache. Beside it stands the rate of the bare matrix products in
that very forward, same shapes, same threads, same precision; their ratio is what the rest of the network costs.

    python benchmarks/products.py [--size small|full] [--precision fast|float32] [--json]

"fast" is what `kinemark generate` runs in on this processor (`model.precision`).

B batch, F slots.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from kinemark.model.cache import KVCache
from kinemark.model.configs import TransformerConfig, spark
from kinemark.model.layers import PatchEmbedding
from kinemark.model.transformer import Transformer

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 2
LATENT = 64
SLOTS = {"small": (1, 3, 9), "full": tuple(range(1, 10))}
CACHED = {"small": (8,), "full": (1, 4, 8)}
ROUNDS = {"small": 5, "full": 15}

Shape = tuple[int, int, int]
"""(rows, inner, columns) of a matrix product."""


def fastest(call: Callable[[], object], rounds: int) -> float:
    """Return the seconds of the fastest of so many calls, after one that does not count."""
    call()
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def linear_shapes(model: Transformer, run: Callable[[], Tensor]) -> Counter[Shape]:
    """Return the matrix products in the linear layers of a forward, counted by shape."""
    shapes: Counter[Shape] = Counter()

    def record(module: nn.Module, _args: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Linear | PatchEmbedding)
        weight = module.weight.flatten(1)
        shapes[output.shape[:-1].numel(), weight.shape[1], weight.shape[0]] += 1

    hooks = [m.register_forward_hook(record) for m in model.modules() if isinstance(m, nn.Linear | PatchEmbedding)]
    run()
    for hook in hooks:
        hook.remove()
    return shapes


def attention_shapes(config: TransformerConfig, tokens: int, keys: int) -> Counter[Shape]:
    """Return the products of one head's self- and cross-attention, times heads, layers and batch."""
    times = BATCH * config.heads * config.layers
    width = config.head_dim
    return Counter(
        {
            (tokens, width, keys): times,
            (tokens, keys, width): times,
            (tokens, width, config.text_len): times,
            (tokens, config.text_len, width): times,
        }
    )


def products_seconds(shapes: Counter[Shape], dtype: torch.dtype, rounds: int, stack: int = 1) -> float:
    """Return the time of bare matrix products; `stack` of a shape are one batched product, as in attention."""
    seconds = 0.0
    for (rows, inner, columns), count in shapes.items():
        left, right = (torch.randn(stack, side, inner, dtype=dtype) for side in (rows, columns))
        call = partial(F.linear, left[0], right[0]) if stack == 1 else partial(torch.bmm, left, right.mT)
        seconds += count / stack * fastest(call, rounds)
    return seconds


def measure(model: Transformer, slots: int, cached: int, rounds: int) -> dict[str, float]:
    """Return figures of a forward of `slots` slots, behind a cache of `cached` ones (0: none, block-causal)."""
    config = model.config
    text = torch.randn(BATCH, config.text_len, config.text_dim)

    def latent(number: int) -> dict[str, Tensor]:
        x, condition = (
            torch.randn(BATCH, channels, number, LATENT, LATENT)
            for channels in (config.in_channels, config.condition_channels)
        )
        return {"x_BCFHW": x, "condition_BCFHW": condition}

    sigma = torch.tensor(0.5)
    cache = None
    if cached:
        cache = KVCache()
        model(**latent(cached), sigma_BF=sigma, text=text, cache=cache, write=True)
    block_F = torch.arange(slots)
    run = partial(model, **latent(slots), sigma_BF=sigma, text=text, block_F=block_F, cache=cache)
    per_slot = LATENT * LATENT // (config.patch[1] * config.patch[2])
    linear = linear_shapes(model, run)
    attention = attention_shapes(config, slots * per_slot, (slots + cached) * per_slot)
    flop = sum(
        2 * rows * inner * columns * count for s in (linear, attention) for (rows, inner, columns), count in s.items()
    )
    forward = fastest(run, rounds)
    dtype = model.blocks[0].self_attn.q.weight.dtype
    products = products_seconds(linear, dtype, rounds)
    products += products_seconds(attention, dtype, rounds, stack=BATCH * config.heads)
    return {
        "ms": 1e3 * forward,
        "gflops": flop / forward / 1e9,
        "gemm_gflops": flop / products / 1e9,
        "ratio": products / forward,
    }


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=tuple(SLOTS), default="small")
    parser.add_argument("--precision", choices=("fast", "float32"), default="fast")
    parser.add_argument("--json", action="store_true", help="print one flat object")
    arguments = parser.parse_args()
    model = Transformer(spark()).eval()
    if arguments.precision == "fast":
        model.in_fast_precision()
    cases = [(f"slots_{slots}", slots, 0) for slots in SLOTS[arguments.size]]
    cases += [(f"cached_{cached}", 1, cached) for cached in CACHED[arguments.size]]
    figures: dict[str, float] = {"threads": torch.get_num_threads(), "batch": BATCH}
    bits = 8 * model.blocks[0].self_attn.q.weight.element_size()
    figures["bits"] = bits
    for name, slots, cached in cases:
        figures |= {
            f"{name}_{key}": round(v, 3) for key, v in measure(model, slots, cached, ROUNDS[arguments.size]).items()
        }
    figures["ratio_min"] = min(value for key, value in figures.items() if key.endswith("_ratio"))
    if arguments.json:
        print(json.dumps(figures))
        return
    print(f"{torch.get_num_threads()} threads, {bits} bits")
    print(f"{'case':<12}{'ms':>10}{'GFLOP/s':>10}{'GEMM':>10}{'ratio':>8}")
    for name, _, _ in cases:
        ms, rate, gemm, ratio = (figures[f"{name}_{key}"] for key in ("ms", "gflops", "gemm_gflops", "ratio"))
        print(f"{name:<12}{ms:>10.1f}{rate:>10.1f}{gemm:>10.1f}{ratio:>8.2f}")


if __name__ == "__main__":
    main()
