"""Linear layers with weights of 8 bits: half the memory of bfloat16, and products on units that are faster still.

Each row of the weights and each token has a scale of its own, so that the largest value of a row is the largest that
8 bits can say (LLM.int8(), arXiv 2208.07339, section 2.1; FP8-LM, arXiv 2310.18313). Attention, norms, the embeddings
and the head stay as they are.

L tokens (of all items of a batch), I and O width of what comes in and goes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Kind:
    """A number format of 8 bits.

    Attributes:
        dtype: of the numbers.
        most: the largest of them.
        product: numbers LI, numbers OI, scales L1, scales O -> the product LO in a dtype.
    """

    dtype: torch.dtype
    most: float
    product: Callable[[Tensor, Tensor, Tensor, Tensor, torch.dtype], Tensor]


def _int8(x_LI: Tensor, weight_OI: Tensor, scale_L1: Tensor, scale_O: Tensor, dtype: torch.dtype) -> Tensor:
    sums_LO: Tensor = torch._int_mm(x_LI, weight_OI.mT)  # noqa: SLF001  the product of int8 has no public name
    return (sums_LO * scale_L1).mul_(scale_O).to(dtype)


def _float8(x_LI: Tensor, weight_OI: Tensor, scale_L1: Tensor, scale_O: Tensor, dtype: torch.dtype) -> Tensor:
    scaled_LO: Tensor = torch._scaled_mm(  # noqa: SLF001  nor has that of float8
        x_LI, weight_OI.mT, scale_a=scale_L1, scale_b=scale_O[None], out_dtype=torch.bfloat16
    )
    return scaled_LO.to(dtype)


KINDS: Final[Mapping[str, Kind]] = {
    "int8": Kind(torch.int8, 127.0, _int8),
    "float8": Kind(torch.float8_e4m3fn, 448.0, _float8),
}


class QuantisedLinear(nn.Module):
    """A linear layer whose weights are numbers of 8 bits with a scale for each row."""

    weight: Tensor
    scale: Tensor

    def __init__(self, layer: nn.Linear, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        weight_OI, scale_O1 = _quantised(layer.weight, kind)
        self.register_buffer("weight", weight_OI)
        self.register_buffer("scale", scale_O1[:, 0])
        self.bias = layer.bias

    def _apply(self, fn: Any, recurse: bool = True) -> QuantisedLinear:  # noqa: ANN401  nn.Module's
        """Move as modules do, but stay in this format whatever precision others are turned into."""
        weight, scale = self.weight, self.scale
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.weight, self.scale = weight.to(self.weight.device), scale.to(self.scale.device)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return the product; what comes in is quantised token by token. Shape and dtype are as of `nn.Linear`."""
        numbers_LI, scale_L1 = _quantised(x.flatten(0, -2), self.kind)
        out_LO = self.kind.product(numbers_LI, self.weight, scale_L1, self.scale, x.dtype)
        return out_LO.add_(self.bias).view(*x.shape[:-1], -1)


def _quantised(x_LI: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """Numbers of 8 bits, and what they are to be multiplied by, for each row."""
    scale_L1 = (x_LI.abs().amax(dim=-1, keepdim=True).float() / kind.most).clamp(min=1e-12)
    scaled_LI = x_LI / scale_L1
    return (scaled_LI if kind.dtype.is_floating_point else scaled_LI.round_()).to(kind.dtype), scale_L1


def quantise(module: nn.Module, kind: Kind) -> None:
    """Turn every linear layer in a module into one of 8 bits; each by itself, so that there are never two copies."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, QuantisedLinear(child, kind))
        else:
            quantise(child, kind)
