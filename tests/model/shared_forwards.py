"""Run by several processes: everything that is shared gives what one process gives alone. Prints how far off it was."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[1]))

from kinemark.model.parallel import Sharing, sharing_of
from kinemark.model.transformer import Transformer
from kinemark.sampling.conditions import Conditions
from kinemark.sampling.guidance import TOGETHER, Divided, Guided, Halves
from kinemark.sampling.methods import METHODS
from kinemark.sampling.streaming import sample_streaming
from wan_like import WAN_LIKE, inputs, randomised

CONFIG = replace(WAN_LIKE, width=144, heads=12, ffn=64)


def answers(model: Transformer) -> dict[str, torch.Tensor]:
    """Every kind of forward: full and block-causal attention, a cache of every placement, guidance."""
    x, sigma, text = inputs(CONFIG, 5, (6, 10))  # 15 tokens a slot: not even for 2, 4 or 8
    conditions = Conditions.from_text(text[:1], [3], (4, 9, 6, 10))
    return {
        "full": model(x, sigma, text),
        "block-causal": model(x, sigma, text, block_F=torch.tensor([0, 0, 1, 2, 2])),
        "longlive": sample_streaming(model, conditions, METHODS["longlive"]),
        "rolling": rolling(model, TOGETHER),
    }


def rolling(model: Transformer, halves: Halves) -> torch.Tensor:
    """A rollout with a cache under guidance."""
    _, _, text = inputs(CONFIG, 5, (6, 10))
    conditions = Conditions.from_text(text[:1], [3], (4, 9, 6, 10))
    guided = Guided(model, torch.zeros(6, 8), 3.0, halves=halves)
    return sample_streaming(guided, conditions, METHODS["rolling-forcing"])


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    model = randomised(CONFIG, scale=0.1)
    alone = answers(model)
    for across in map(int, sys.argv[1].split(",")):
        model.sharing = Sharing.of_all(across)
        tell(across, alone, answers(model))
    model.sharing = sharing_of(CONFIG.heads, "cpu", guided=True)
    tell(0, alone, {"rolling": rolling(model, Divided(model.sharing.twins))})
    dist.destroy_process_group()


def tell(across: int, alone: dict[str, torch.Tensor], shared_answers: dict[str, torch.Tensor]) -> None:
    """How far off the answers are, and whether all processes have the same."""
    for name, shared in shared_answers.items():
        error = (shared - alone[name]).norm() / alone[name].norm()
        everywhere = [torch.empty_like(shared) for _ in range(dist.get_world_size())]
        dist.all_gather(everywhere, shared.contiguous())
        same = all(torch.equal(one, shared) for one in everywhere)
        if dist.get_rank() == 0:
            print(f"{across} {name} {float(error):.1e} {same}")


if __name__ == "__main__":
    main()
