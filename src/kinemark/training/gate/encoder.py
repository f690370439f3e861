"""The reader as a torch module, for training; `safety.prompt.meaning` reads what `save` writes.

Shapes: N prompts, L pieces, D width, C categories.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Final

import torch
from einops import rearrange
from safetensors.numpy import save_file
from safetensors.torch import load_file
from torch import nn

from kinemark.safety.prompt.meaning import FILE, HEAD_WIDTH, PIECES_FILE, WINDOW, packed
from kinemark.safety.prompt.wordpiece import START, STOP, WordPieces

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

CATEGORIES: Final = (
    "violence", "sexual", "animal-cruelty", "hate", "self-harm", "dangerous-acts", "crime", "harassment", "deception",
    "likeness", "characters", "style", "privacy",
)  # fmt: skip
_EPSILON: Final = 1e-12
_HIDDEN: Final = 256
_PARTS: Final = ("qkv", "mix", "up", "down", "norm1", "norm2")


class _Layer(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.qkv, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=_EPSILON) for _ in range(2))
        self.drop = nn.Dropout(dropout)

    def forward(self, x_NLD: Tensor, mask_NL: Tensor) -> Tensor:
        q, k, v = rearrange(self.qkv(x_NLD), "n l (three h d) -> three n h l d", three=3, d=HEAD_WIDTH)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask_NL[:, None, None, :])
        x_NLD = self.norm1(x_NLD + self.drop(self.mix(rearrange(mixed, "n h l d -> n l (h d)"))))
        hidden = nn.functional.gelu(self.up(x_NLD), approximate="tanh")
        out: Tensor = self.norm2(x_NLD + self.drop(self.down(hidden)))
        return out


class Encoder(nn.Module):
    """BERT's encoder, the mean and the maximum over the pieces, and a small head.

    Args:
        base: folder of a BERT of sentence-transformers: `model.safetensors` and `vocab.txt`.
        dropout: share of values that are left out in training.
    """

    def __init__(self, base: Path, dropout: float) -> None:
        super().__init__()
        stored = {name.removeprefix("bert."): value for name, value in load_file(base / "model.safetensors").items()}
        self.vocabulary = base / "vocab.txt"
        self.words = WordPieces.read(self.vocabulary)
        width = stored["embeddings.LayerNorm.weight"].numel()
        layers = 1 + max(int(name.split(".")[2]) for name in stored if name.startswith("encoder.layer."))
        self.pieces = nn.Parameter(stored["embeddings.word_embeddings.weight"].clone())
        positions = stored["embeddings.position_embeddings.weight"][: WINDOW + 2]
        self.positions = nn.Parameter(positions + stored["embeddings.token_type_embeddings.weight"][0])
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        _copy(self.norm, stored, "embeddings.LayerNorm")
        self.layers = nn.ModuleList(_Layer(width, dropout) for _ in range(layers))
        for index, layer in enumerate(self._each_layer()):
            place = f"encoder.layer.{index}"
            for kind in ("weight", "bias"):
                parts = [stored[f"{place}.attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
                getattr(layer.qkv, kind).data.copy_(torch.cat(parts))
            _copy(layer.mix, stored, f"{place}.attention.output.dense")
            _copy(layer.norm1, stored, f"{place}.attention.output.LayerNorm")
            _copy(layer.up, stored, f"{place}.intermediate.dense")
            _copy(layer.down, stored, f"{place}.output.dense")
            _copy(layer.norm2, stored, f"{place}.output.LayerNorm")
        self.head, self.out = nn.Linear(2 * width, _HIDDEN), nn.Linear(_HIDDEN, len(CATEGORIES) + 1)
        self.drop = nn.Dropout(dropout)

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return self.pieces.device

    def encode(self, prompt: str) -> list[int]:
        """Ids of a prompt's first window, with start and stop."""
        ids = self.words.ids
        return [ids[START], *self.words.encode(prompt)[:WINDOW], ids[STOP]]

    def forward(self, encoded: Sequence[Sequence[int]]) -> Tensor:
        """Logits [N, C + 1] of prompts that were encoded."""
        length = max(map(len, encoded))
        ids_NL = torch.tensor([[*ids, *[0] * (length - len(ids))] for ids in encoded], device=self.device)
        length_N1 = torch.tensor([[len(ids)] for ids in encoded], device=self.device)
        mask_NL = torch.arange(length, device=self.device) < length_N1
        x_NLD = self.drop(self.norm(self.pieces[ids_NL] + self.positions[:length]))
        for layer in self.layers:
            x_NLD = layer(x_NLD, mask_NL)
        there_NL1 = mask_NL[..., None].float()
        mean = (x_NLD * there_NL1).sum(dim=1) / there_NL1.sum(dim=1)
        top = x_NLD.masked_fill(~mask_NL[..., None], -1e4).amax(dim=1)
        logits: Tensor = self.out(self.drop(torch.tanh(self.head(self.drop(torch.cat([mean, top], dim=1))))))
        return logits

    def _each_layer(self) -> list[_Layer]:
        return [layer for layer in self.layers if isinstance(layer, _Layer)]

    def save(self, folder: Path) -> None:
        """Write what `safety.prompt.meaning` reads."""
        tensors: dict[str, Tensor] = {"pieces": self.pieces, "positions": self.positions}
        modules: dict[str, nn.Linear | nn.LayerNorm] = {"norm": self.norm, "head": self.head, "out": self.out}
        for index, layer in enumerate(self._each_layer()):
            modules |= {f"{index}.{part}": getattr(layer, part) for part in _PARTS}
        for name, module in modules.items():
            # Matrices are read as [in, out].
            weight = module.weight.T if module.weight.ndim > 1 else module.weight
            tensors |= {f"{name}.weight": weight, f"{name}.bias": module.bias}
        folder.mkdir(parents=True, exist_ok=True)
        kept = packed({name: value.detach().cpu().contiguous().numpy() for name, value in tensors.items()})
        save_file(kept, folder / FILE, metadata={"categories": json.dumps(CATEGORIES)})
        shutil.copyfile(self.vocabulary, folder / PIECES_FILE)


def _copy(module: nn.Module, stored: dict[str, Tensor], name: str) -> None:
    for kind in ("weight", "bias"):
        getattr(module, kind).data.copy_(stored[f"{name}.{kind}"])
