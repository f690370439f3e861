"""Muon for the hidden matrices, AdamW for everything else, and the warm-restart learning rate.

Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/) replaces the momentum of a matrix by the nearest
orthogonal matrix, found by a Newton-Schulz iteration. `torch.optim.Muon` runs that iteration in bfloat16, one matrix
at a time; on a CPU without bfloat16 units that is several times slower than the training step itself. Here matrices of
one shape are stacked and orthogonalised together, in the precision that the device is fast at.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch

from kinemark.model.precision import fast_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix_NRC: Tensor, steps: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrix to each of a stack `[N, rows, columns]`, to about 30 % in its singular values.

    Quintic Newton-Schulz iteration with the coefficients of Jordan et al. (2024); the result has singular values
    within about 0.7 to 1.2, which is all that Muon needs.
    """
    a, b, c = _NEWTON_SCHULZ
    tall = matrix_NRC.shape[-2] > matrix_NRC.shape[-1]
    x = matrix_NRC.mT if tall else matrix_NRC
    x = x.to(fast_dtype(x.device))
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x.to(matrix_NRC.dtype)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised: for two-dimensional weights of hidden layers only.

    Args:
        params: matrices.
        lr: learning rate; an update has about `lr * sqrt(max(1, rows / columns))` in each singular direction.
        momentum: Nesterov momentum.
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 4e-3, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply one update to every matrix that has a gradient."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                self._step_stack(parameters, group)

    def _step_stack(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        updates = []
        for parameter in parameters:
            gradient = parameter.grad
            assert gradient is not None
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            momentum = state["momentum"].lerp_(gradient, 1 - group["momentum"])
            updates.append(gradient.lerp(momentum, group["momentum"]))
        rows, columns = parameters[0].shape
        scale = max(1.0, rows / columns) ** 0.5
        for parameter, update in zip(parameters, orthogonalise(torch.stack(updates)), strict=True):
            parameter.add_(update, alpha=-group["lr"] * scale)


def make_optimisers(
    blocks: nn.Module, others: Iterable[nn.Module], *, matrix_lr: float, other_lr: float
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices in `blocks`; AdamW (no decay, betas 0.9 and 0.95) for the rest and for `others`."""
    matrices = [p for p in blocks.parameters() if p.ndim == 2]
    rest = [p for p in blocks.parameters() if p.ndim != 2]
    rest += [p for module in others for p in module.parameters() if p.requires_grad]
    return [
        Muon(matrices, lr=matrix_lr),
        torch.optim.AdamW(rest, lr=other_lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def set_learning_rates(optimisers: list[torch.optim.Optimizer], factor: float) -> None:
    """Set every rate to `factor` times the one that its optimiser was made with."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = optimiser.defaults["lr"] * factor


def learning_rate_factor(steps_done: int, fraction_done: float, *, warmup: int = 100, decay: float = 0.6) -> float:
    """Warm up over `warmup` steps, stay at 1, and fall linearly to 0 over the last `decay` of the run.

    Args:
        steps_done: steps since this run (or warm restart) began.
        fraction_done: share of the run's time that has passed, in [0, 1].
        warmup: steps until the full rate.
        decay: share of the run in which the rate falls.
    """
    rise = min(1.0, (steps_done + 1) / warmup)
    fall = min(1.0, max(0.0, (1.0 - fraction_done) / decay))
    return rise * fall


def warmed_cosine(optimiser: torch.optim.Optimizer, steps: int, warmup: int) -> torch.optim.lr_scheduler.LambdaLR:
    """The schedule of the small networks, whose length is known in steps: a linear warm-up times a cosine to zero."""
    return torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / warmup) * 0.5 * (1.0 + math.cos(math.pi * step / steps))
    )


class Ema:
    """An exponential moving average of a module's parameters, with a short memory at first.

    The decay after n updates is min(decay, (1 + n) / (10 + n)), so that early averages forget the initial weights.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.values = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards the module's present parameters."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        present = dict(module.named_parameters())
        # The public optimisers use it too: one call instead of hundreds.
        torch._foreach_lerp_(list(self.values.values()), [present[name].detach() for name in self.values], 1 - decay)
