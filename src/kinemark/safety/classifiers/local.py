"""Classifiers that run here, through transformers: guard models for text, image classifiers for pictures.

Shapes: N pictures, H height, W width, C colour channels (RGB, uint8).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from kinemark.errors import FailureError
from kinemark.safety.classifiers.replies import category_of, messages
from kinemark.safety.classifiers.seam import judged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from kinemark.safety.classifiers.replies import Family
    from kinemark.safety.decision import Judgement
    from kinemark.safety.policy.file import Policy

_REPLY: Final = 16


@dataclass(frozen=True, slots=True)
class Guard:
    """A guard model in a folder, asked through its own chat template."""

    folder: Path
    family: Family

    def prompts(self, texts: Sequence[str], policy: Policy) -> list[Judgement]:
        """Judge texts one after the other.

        Raises:
            FailureError: the model cannot be loaded, or its answer is none that the family gives.
        """
        generate = _pipeline("text-generation", self.folder)
        found = []
        for text in texts:
            asked = messages(self.family, text, policy)
            reply = generate(asked, max_new_tokens=_REPLY, do_sample=False, return_full_text=False)
            category = category_of(self.family, str(reply[0]["generated_text"]), policy)
            found.append(judged(category, self.family, "prompt", policy))
        return found


@dataclass(frozen=True)
class Pictures:
    """An image classifier in a folder.

    Attributes:
        folder: as transformers' image-classification pipeline reads it.
        labels: which of its labels is which category of the policy; the others are harmless.
        threshold: probability from which on a label counts.
    """

    folder: Path
    labels: Mapping[str, str]
    threshold: float = 0.5

    def judge(self, frames_NHWC: np.ndarray, policy: Policy) -> list[Judgement]:
        """Judge pictures.

        Raises:
            FailureError: the model cannot be loaded, or has not the labels that were named.
        """
        classify = _pipeline("image-classification", self.folder)
        known = set(classify.model.config.id2label.values())
        if missing := set(self.labels) - known:
            raise FailureError(f"{self.folder} has no label {sorted(missing)}; it has {sorted(known)}")
        images = [Image.fromarray(frame_HWC) for frame_HWC in frames_NHWC]
        return [self._judged(scores, policy) for scores in classify(images, top_k=len(known))]

    def _judged(self, scores: Sequence[dict[str, Any]], policy: Policy) -> Judgement:
        hits = [one for one in scores if one["label"] in self.labels and one["score"] >= self.threshold]
        worst = max(hits, key=lambda one: float(one["score"]), default=None)
        return judged(self.labels[worst["label"]] if worst else None, "classifier", "output", policy)


@cache
def _pipeline(task: str, folder: Path) -> Any:  # noqa: ANN401  (transformers' pipelines have no common type)
    try:
        from transformers import pipeline
    except ImportError as error:
        raise FailureError("this classifier needs transformers: pip install 'kinemark[classifiers]'") from error
    try:
        # Only weights that cannot run code, and no code that a folder brings along.
        safe = {"use_safetensors": True}
        return pipeline(task, model=str(folder), device="cpu", model_kwargs=safe)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise FailureError(f"cannot load the classifier in {folder}: {error}") from error
