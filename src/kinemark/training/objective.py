"""What spark minimises: clean-frame prediction under per-slot noise, weighted as in velocity space.

Shape suffixes: B batch, F slots, C channels, H W latent size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

#: Below this noise level the velocity-space weight 1 / sigma^2 stops growing.
SIGMA_FLOOR: Final = 0.15


@dataclass(frozen=True, slots=True)
class NoiseMix:
    """How noise levels are dealt to the slots of a clip. The three shares add up to 1.

    Attributes:
        history: share of clips with h slots of history at one low level, and one level for the rest.
        shared: share with one level for all slots.
        independent: share with an independent, uniform level for each slot (Diffusion Forcing, arXiv 2407.01392).
        history_sigma: the highest level of a history.
        mean: mean of the normal whose sigmoid is the level (JiT, arXiv 2511.13720: -0.8 with t = 1 for clean).
        std: its standard deviation.
        uniform: share of levels drawn uniformly instead.
        handover: the highest level, by which all others are multiplied: where latents come in that a coarse pass made
            (`degrade.arriving_noise`); 1: nothing comes in, clips begin as noise.
    """

    history: float = 0.5
    shared: float = 0.3
    independent: float = 0.2
    history_sigma: float = 0.3
    mean: float = 0.8
    std: float = 0.8
    uniform: float = 0.1
    handover: float = 1.0


def _levels(shape: tuple[int, ...], mix: NoiseMix, generator: Generator) -> Tensor:
    device = generator.device
    normal = torch.randn(shape, generator=generator, device=device) * mix.std + mix.mean
    uniform = torch.rand(shape, generator=generator, device=device)
    pick = torch.rand(shape, generator=generator, device=device) < mix.uniform
    return mix.handover * torch.where(pick, uniform, torch.sigmoid(normal))


def draw_sigma(
    batch: int, slots: int, mix: NoiseMix, generator: Generator, past_B: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Draw the noise level of every slot.

    Args:
        batch: clips.
        slots: of each.
        mix: the shares.
        generator: of the step.
        past_B: slots that are history at least, in every clip: those that follow another prompt. None: none has to be.

    Returns:
        `sigma_BF` in (0, `mix.handover`), and `learn_BF`, 1 where the slot counts in the loss: history is a condition,
        not a task.
    """
    device = generator.device
    sigma_BF = _levels((batch, 1), mix, generator).expand(batch, slots).clone()
    learn_BF = torch.ones(batch, slots, device=device)
    if slots == 1:
        return sigma_BF, learn_BF
    kind_B1 = torch.rand((batch, 1), generator=generator, device=device)
    length_B1 = torch.randint(1, slots, (batch, 1), generator=generator, device=device)
    if past_B is not None:
        kind_B1, length_B1 = torch.zeros_like(kind_B1), torch.maximum(length_B1, past_B[:, None])
    low_B1 = torch.rand((batch, 1), generator=generator, device=device) * min(mix.history_sigma, mix.handover)
    past_BF = (torch.arange(slots, device=device) < length_B1) & (kind_B1 < mix.history)
    free_B1 = kind_B1 >= mix.history + mix.shared
    levels_BF = torch.rand((batch, slots), generator=generator, device=device) * mix.handover
    sigma_BF = torch.where(past_BF, low_B1, torch.where(free_B1, levels_BF, sigma_BF))
    return sigma_BF, torch.where(past_BF, torch.zeros_like(learn_BF), learn_BF)


def velocity_weight(sigma_BF: Tensor) -> Tensor:
    """Weight that turns a squared error of clean frames into one of velocity: (x - clean)/sigma has error/sigma.

    From x = (1 - sigma) clean + sigma noise, velocity = (x - clean) / sigma. Bounded below `SIGMA_FLOOR`.
    """
    return sigma_BF.clamp(min=SIGMA_FLOOR) ** -2


def subject_weight(mask_BFHW: Tensor, share: float) -> Tensor:
    """Weights of pixels, with a mean of 1 in every slot, that give subjects a fixed share of its loss.

    However small the subjects of a slot are, they weigh `share` of it beyond what their area would; the rest is spread
    evenly. A slot that shows none has weight 1 everywhere.

    Args:
        mask_BFHW: where the subjects are, in [0, 1].
        share: in [0, 1].
    """
    area_BF11 = mask_BFHW.mean(dim=(-2, -1), keepdim=True)
    return torch.where(area_BF11 > 0, 1 - share + share * mask_BFHW / area_BF11, 1.0)


def clean_loss(
    predicted_BCFHW: Tensor, clean_BCFHW: Tensor, sigma_BF: Tensor, learn_BF: Tensor, weight_BFHW: Tensor
) -> Tensor:
    """Velocity-weighted squared error of every slot, `[B, F]`; slots that are not learnt are 0.

    `weight_BFHW` weighs pixels; its mean in a slot should be 1, so that it shifts attention within the slot and does
    not change the scale of the loss.
    """
    error_BFHW = (predicted_BCFHW - clean_BCFHW).square().mean(dim=1)
    return (error_BFHW * weight_BFHW).mean(dim=(-2, -1)) * velocity_weight(sigma_BF) * learn_BF
