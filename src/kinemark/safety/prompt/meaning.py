"""What a prompt means: a small transformer encoder that says how likely a prompt asks for each kind of harm.

It reads sentences where the policy's phrases read words. NumPy only, so that gates run without torch. The encoder is
BERT's (Devlin et al. 2019, arXiv:1810.04805) with the tanh form of GELU; weights are kept as int8 with a scale for
every row, and read back to float32.

Shapes: N windows, L pieces, D width, H heads, C categories.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from kinemark.errors import FailureError
from kinemark.safety.prompt.wordpiece import START, STOP, WordPieces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

WEIGHTS: Final = Path(__file__).parents[1] / "weights"
FILE: Final = "prompt_gate.safetensors"
PIECES_FILE: Final = "prompt_gate.txt"

HEAD_WIDTH: Final = 32
WINDOW: Final = 62
"""Pieces of a text that are read together; with start and stop, 64."""
_OVERLAP: Final = 16
_BATCH: Final = 32
_EPSILON: Final = 1e-12
_SCALE: Final = ".scale"


@dataclass(frozen=True, eq=False)
class PromptReader:
    """The encoder with its heads.

    Attributes:
        pieces: how a text is cut.
        tensors: weights by name, float32; matrices as [in, out].
        categories: the policy's categories, in the order of the outputs; one more output says "any of them".
    """

    pieces: WordPieces
    tensors: Mapping[str, Array]
    categories: tuple[str, ...]

    @cached_property
    def layers(self) -> int:
        """How many layers the encoder has."""
        return sum(name.endswith(".qkv.weight") for name in self.tensors)

    def read(self, texts: Sequence[str]) -> Array:
        """Probabilities [texts, C + 1] that each text asks for each category, and (last) for any.

        A long text is read in windows that overlap, and has the largest probability of all its windows.
        """
        windows = [self._windows(text) for text in texts]
        flat = [window for of_text in windows for window in of_text]
        # Windows of about one length go together, so that little is computed for padding.
        order = sorted(range(len(flat)), key=lambda index: len(flat[index]))
        logits = np.empty((len(flat), len(self.categories) + 1), np.float32)
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            logits[chosen] = self._logits([flat[index] for index in chosen])
        ends = np.cumsum([0, *map(len, windows)])
        largest = np.stack([logits[start:stop].max(axis=0) for start, stop in pairwise(ends)])
        return np.asarray(1 / (1 + np.exp(-largest)), np.float32)

    def _windows(self, text: str) -> list[list[int]]:
        ids, known = self.pieces.encode(text), self.pieces.ids
        starts = range(0, max(1, len(ids) - _OVERLAP), WINDOW - _OVERLAP)
        return [[known[START], *ids[start : start + WINDOW], known[STOP]] for start in starts]

    def _logits(self, windows: Sequence[Sequence[int]]) -> Array:
        length, w = max(map(len, windows)), self.tensors
        ids_NL = np.zeros((len(windows), length), np.int64)
        mask_NL = np.zeros((len(windows), length), np.bool_)
        for index, window in enumerate(windows):
            ids_NL[index, : len(window)] = window
            mask_NL[index, : len(window)] = True
        x_NLD = self._norm(w["pieces"][ids_NL] + w["positions"][:length], "norm")
        blind = np.where(mask_NL, np.float32(0), np.float32(-1e9))[:, None, None, :]
        for layer in range(self.layers):
            x_NLD = self._norm(x_NLD + self._attention(x_NLD, blind, f"{layer}"), f"{layer}.norm1")
            hidden = _gelu(self._linear(x_NLD, f"{layer}.up"))
            x_NLD = self._norm(x_NLD + self._linear(hidden, f"{layer}.down"), f"{layer}.norm2")
        there_NL1 = mask_NL[..., None].astype(np.float32)
        mean = (x_NLD * there_NL1).sum(axis=1) / there_NL1.sum(axis=1)
        top = np.where(mask_NL[..., None], x_NLD, np.float32(-1e4)).max(axis=1)
        hidden = np.tanh(self._linear(np.concatenate([mean, top], axis=1), "head"))
        return self._linear(hidden, "out")

    def _attention(self, x_NLD: Array, blind_N11L: Array, layer: str) -> Array:
        count, length, width = x_NLD.shape
        qkv = self._linear(x_NLD, f"{layer}.qkv").reshape(count, length, 3, width // HEAD_WIDTH, HEAD_WIDTH)
        q, k, v = qkv.transpose(2, 0, 3, 1, 4)
        score = q @ k.swapaxes(2, 3) * np.float32(1 / math.sqrt(HEAD_WIDTH)) + blind_N11L
        weight = np.exp(score - score.max(axis=-1, keepdims=True))
        weight /= weight.sum(axis=-1, keepdims=True)
        mixed = (weight @ v).transpose(0, 2, 1, 3).reshape(count, length, width)
        return self._linear(mixed, f"{layer}.mix")

    def _linear(self, x: Array, name: str) -> Array:
        matrix = self.tensors[f"{name}.weight"]
        flat = x.reshape(-1, len(matrix)) @ matrix
        flat += self.tensors[f"{name}.bias"]
        return flat.reshape(*x.shape[:-1], -1)

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + np.float32(_EPSILON))
        return np.asarray(centred / scale * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"], np.float32)


def _gelu(x: Array) -> Array:
    """The tanh form (Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2)."""
    inner = x * x
    inner *= np.float32(0.044715)
    inner += 1
    inner *= x
    inner *= np.float32(math.sqrt(2 / math.pi))
    np.tanh(inner, out=inner)
    inner += 1
    inner *= x
    inner *= np.float32(0.5)
    return inner


def packed(tensors: Mapping[str, Array]) -> dict[str, NDArray[np.generic]]:
    """Tensors as they are kept: matrices as int8 with the scale of every row, vectors as float16."""
    kept: dict[str, NDArray[np.generic]] = {}
    for name, value in tensors.items():
        if value.ndim == 1:
            kept[name] = value.astype(np.float16)
            continue
        scale = np.maximum(np.abs(value).max(axis=1), 1e-8) / 127
        kept[name] = np.rint(value / scale[:, None]).astype(np.int8)
        kept[name + _SCALE] = scale.astype(np.float32)
    return kept


def unpacked(kept: Mapping[str, NDArray[np.generic]]) -> dict[str, Array]:
    """The tensors again, float32."""
    plain = {name: np.asarray(value, np.float32) for name, value in kept.items()}
    return {
        name: value * plain[name + _SCALE][:, None] if value.ndim > 1 else value
        for name, value in plain.items()
        if not name.endswith(_SCALE)
    }


@cache
def load_reader(folder: Path = WEIGHTS) -> PromptReader:
    """Read the encoder that ships.

    Raises:
        FailureError: its files are missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE
    try:
        with safe_open(path, "numpy") as file:
            categories = json.loads((file.metadata() or {})["categories"])
            tensors = unpacked({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        return PromptReader(WordPieces.read(folder / PIECES_FILE), tensors, tuple(categories))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise FailureError(
            f"cannot read the prompt gate's weights {path}: {error}. Install the package again."
        ) from error
