"""What a prompt means: a small transformer encoder that says how likely a prompt asks for each kind of harm.

It reads sentences where the policy's phrases read words. NumPy only, so that gates run without torch; training and the
card are in `training.prompt_gate` and docs/safety.

Shapes: N windows, L pieces, D width, H heads, C categories.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from kinemark.errors import FailureError
from kinemark.safety.prompt.pieces import UNKNOWN, Pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

WEIGHTS: Final = Path(__file__).parents[1] / "weights"
FILE: Final = "prompt_gate.safetensors"
PIECES_FILE: Final = "prompt_gate.pieces"

HEADS: Final = 4
WINDOW: Final = 64
_OVERLAP: Final = 16
_BATCH: Final = 64
_EPSILON: Final = 1e-6


@dataclass(frozen=True, eq=False)
class PromptReader:
    """The encoder with its heads.

    Attributes:
        pieces: how a text is cut.
        tensors: weights by name, float32.
        categories: the policy's categories, in the order of the outputs; one more output says "any of them".
    """

    pieces: Pieces
    tensors: dict[str, Array]
    categories: tuple[str, ...]

    def read(self, texts: Sequence[str]) -> Array:
        """Probabilities [texts, C + 1] that each text asks for each category, and (last) for any.

        A long text is read in windows that overlap, and has the largest probability of all its windows.
        """
        windows = [_windows(self.pieces.encode(text.lower())) for text in texts]
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

    def _logits(self, windows: Sequence[Sequence[int]]) -> Array:
        length = max(map(len, windows))
        ids_NL = np.zeros((len(windows), length), np.int64)
        mask_NL = np.zeros((len(windows), length), np.bool_)
        for index, window in enumerate(windows):
            ids_NL[index, : len(window)] = window
            mask_NL[index, : len(window)] = True
        w = self.tensors
        angle = np.arange(length, dtype=np.float32)[:, None] * w["timescales"]
        x_NLD = 2 * w["embedding"][ids_NL] + np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
        for layer in ("layer0", "layer1"):
            mixed = self._attention(self._norm(x_NLD, f"{layer}.norm1"), mask_NL, layer)
            # The first layer doubles the width: what goes past it is widened by a map of its own.
            past = self._linear(x_NLD, "widen") if layer == "layer0" else x_NLD
            x_NLD = past + mixed
            hidden = np.maximum(self._linear(self._norm(x_NLD, f"{layer}.norm2"), f"{layer}.up"), 0)
            x_NLD = x_NLD + self._linear(hidden, f"{layer}.down")
        weight_NL1 = mask_NL[..., None].astype(np.float32)
        mean = (x_NLD * weight_NL1).sum(axis=1) / weight_NL1.sum(axis=1)
        top = np.where(mask_NL[..., None], x_NLD, -np.inf).max(axis=1)
        hidden = np.tanh(self._linear(np.concatenate([mean, top], axis=1), "head"))
        return self._linear(hidden, "out")

    def _attention(self, x_NLD: Array, mask_NL: NDArray[np.bool_], layer: str) -> Array:
        count, length, _ = x_NLD.shape
        qkv = self._linear(x_NLD, f"{layer}.qkv").reshape(count, length, 3, HEADS, -1)
        q, k, v = qkv.transpose(2, 0, 3, 1, 4)
        score = q @ k.swapaxes(2, 3) / np.float32(np.sqrt(q.shape[-1]))
        score = np.where(mask_NL[:, None, None, :], score, np.float32(-np.inf))
        weight = np.exp(score - score.max(axis=-1, keepdims=True))
        weight /= weight.sum(axis=-1, keepdims=True)
        mixed = (weight @ v).transpose(0, 2, 1, 3).reshape(count, length, -1)
        return self._linear(mixed, f"{layer}.mix")

    def _linear(self, x: Array, name: str) -> Array:
        return np.asarray(x @ self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"], np.float32)

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + np.float32(_EPSILON))
        return np.asarray(centred / scale * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"], np.float32)


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
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
        return PromptReader(Pieces.read(folder / PIECES_FILE), tensors, tuple(json.loads(metadata["categories"])))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise FailureError(
            f"the prompt gate's weights {path} cannot be read: {error}. Install the package again."
        ) from error


def _windows(ids: Sequence[int]) -> list[Sequence[int]]:
    if len(ids) <= WINDOW:
        return [ids or [UNKNOWN]]
    starts = range(0, len(ids) - _OVERLAP, WINDOW - _OVERLAP)
    return [ids[start : start + WINDOW] for start in starts]
