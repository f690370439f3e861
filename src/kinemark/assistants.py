"""`assistants.toml`: which models of others write prompts at length, and say what a clip shows.

[expand]
url = "http://127.0.0.1:8080/v1"
model = "qwen3-8b"
key_file = "expand.key"             # beside this file; its first line is sent as a bearer token

[caption]
url = "http://127.0.0.1:8081/v1"
model = "qwen3-vl-8b"               # it sees five frames of every four seconds

[caption]                           # or a vision-language model in a folder, run here through transformers
folder = "blip"

Where the file, or a part of it, is missing, spark's own do it, which know spark's world and nothing else.

Shapes: K pictures, H height, W width, C colour channels (RGB, uint8).
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path  # noqa: TC003  (pydantic reads the annotations)
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from kinemark.endpoints import Served, Strict, picture_part, read_named, requiring_use
from kinemark.errors import FailureError

if TYPE_CHECKING:
    import numpy as np

    from kinemark.endpoints import Endpoint

Expand = Callable[[str], str]
"""A prompt -> the same at length."""
Describe = Callable[["np.ndarray"], str]
"""frames_KHWC, a few of a clip in order -> what it shows."""

_EXPAND: Final = (
    "You write prompts for a video model. Say the user's prompt at length, in one paragraph of at most {words} words: "
    "keep everything that it says, add setting, light, weather, movement and camera where it leaves them open, and "
    "name no real person, brand or work that it does not name. Answer with the new prompt alone."
)
_DESCRIBE: Final = (
    "These are frames of one video, in order. Say in one plain paragraph of at most 50 words what it shows: subjects "
    "with their colours, where they are and how they move, light, weather and camera. Answer with nothing else."
)
#: Words that an expanded prompt may have; the text encoder reads a few more.
WORDS: Final = 50
_TOKENS: Final = 200


class _Folder(Strict):
    folder: Path


class _File(Strict):
    expand: Served | None = None
    caption: Served | _Folder | None = None


@dataclass(frozen=True, slots=True)
class Assistants:
    """What the operator named; None where spark's own does it."""

    expand: Expand | None = None
    describe: Describe | None = None


def load_assistants(path: Path) -> Assistants:
    """The assistants that a file names; none where there is no file.

    Raises:
        RequestError: the file, or a key's file, cannot be read or says something else than the above.
    """
    text = read_named(path, "assistants")
    if text is None:
        return Assistants()
    with requiring_use(path, "assistants"):
        file, beside = _File(**tomllib.loads(text)), path.parent
        expand = ChatExpander(file.expand.endpoint(beside)) if file.expand else None
        if isinstance(file.caption, Served):
            return Assistants(expand, ChatCaptioner(file.caption.endpoint(beside)))
        return Assistants(expand, LocalCaptioner(beside / file.caption.folder) if file.caption else None)


@dataclass(frozen=True, slots=True)
class ChatExpander:
    """A language model behind a chat endpoint, asked to say a prompt at length."""

    endpoint: Endpoint

    def __call__(self, prompt: str) -> str:
        """The prompt at length.

        Raises:
            FailureError: no answer.
        """
        asked = [
            {"role": "system", "content": _EXPAND.format(words=WORDS)},
            {"role": "user", "content": prompt},
        ]
        return " ".join(self.endpoint.reply(asked, _TOKENS).split())


@dataclass(frozen=True, slots=True)
class ChatCaptioner:
    """A vision-language model behind a chat endpoint."""

    endpoint: Endpoint

    def __call__(self, frames_KHWC: np.ndarray) -> str:
        """What frames show.

        Raises:
            FailureError: no answer.
        """
        parts = [*(picture_part(frame_HWC) for frame_HWC in frames_KHWC), {"type": "text", "text": _DESCRIBE}]
        return " ".join(self.endpoint.reply([{"role": "user", "content": parts}], _TOKENS).split())


@dataclass(frozen=True, slots=True)
class LocalCaptioner:
    """A vision-language model in a folder, run here; it says of the middle frame what it shows."""

    folder: Path

    def __call__(self, frames_KHWC: np.ndarray) -> str:
        """What frames show.

        Raises:
            FailureError: the model cannot be loaded.
        """
        processor, model = _loaded(self.folder)
        inputs = processor(images=Image.fromarray(frames_KHWC[len(frames_KHWC) // 2]), return_tensors="pt")
        told = processor.batch_decode(model.generate(**inputs, max_new_tokens=60), skip_special_tokens=True)
        return " ".join(str(told[0]).split())


@cache
def _loaded(folder: Path) -> tuple[Any, Any]:
    try:
        from transformers import AutoModelForImageTextToText, AutoProcessor
    except ImportError as error:
        raise FailureError("a captioner in a folder needs transformers: pip install 'kinemark[classifiers]'") from error
    try:
        # Only weights that cannot run code, and no code that a folder brings along.
        model = AutoModelForImageTextToText.from_pretrained(str(folder), use_safetensors=True)
        return AutoProcessor.from_pretrained(str(folder)), model
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise FailureError(f"cannot load the captioner in {folder}: {error}") from error
