"""Wan's text encoder, UMT5, through transformers: loaded when a prompt is new, and let go when it has been read.

Shape suffixes: L tokens, D their width, P prompts.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch
from transformers import AutoTokenizer, UMT5EncoderModel
from transformers.utils.logging import disable_progress_bar

from kinemark.errors import FailureError, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from kinemark.model.text import Reading

#: Tokens that Wan attends to; shorter prompts are filled up with zeros, and those are attended to as well.
LENGTH: Final = 512


@dataclass(slots=True)
class WanText:
    """UMT5 of a model's folder, with the tokens of prompts that it has read.

    Attributes:
        folder: has `tokenizer` and `text_encoder` in it.
        device: where prompts are read.
        always: prompts that are read along with the first one, so that the encoder is loaded once.
        dtype: in which precision.
    """

    folder: Path
    device: torch.device
    always: tuple[str, ...] = ()
    dtype: torch.dtype = torch.bfloat16
    _read: dict[str, Tensor] = field(default_factory=dict)
    _tokenizer: Any = None

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """The tokens `[P, L, D]` of prompts in float32, with zeros after the last token of each.

        Raises:
            FailureError: the encoder is not there, or not whole.
        """
        wanted = dict.fromkeys(map(tidied, prompts))
        if not wanted.keys() <= self._read.keys():
            wanted |= dict.fromkeys(map(tidied, self.always))
            self._read |= self._encode([prompt for prompt in wanted if prompt not in self._read])
        return torch.stack([self._read[tidied(prompt)] for prompt in prompts])

    def read(self, prompts: Sequence[str]) -> Sequence[Reading]:  # noqa: ARG002  a `TextEncoder`
        """Nothing: it does not say what it understands."""
        return ()

    def check(self, prompt: str) -> None:
        """Raise a `RequestError` for a prompt of more than `LENGTH` tokens: nothing is cut off silently."""
        tokens = len(self._tokens()(tidied(prompt)).input_ids)
        if tokens > LENGTH:
            raise RequestError(f"the prompt has {tokens} tokens; at most {LENGTH} are read: shorten it")

    def _tokens(self) -> Any:  # noqa: ANN401  transformers' tokenizers have no common type
        if self._tokenizer is None:
            try:
                self._tokenizer = AutoTokenizer.from_pretrained(self.folder / "tokenizer", local_files_only=True)
            except (OSError, ValueError) as error:
                raise FailureError(f"no tokenizer in {self.folder} ({error}); pull the model again") from error
        return self._tokenizer

    @torch.no_grad()
    def _encode(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        disable_progress_bar()
        try:
            encoder = UMT5EncoderModel.from_pretrained(
                self.folder / "text_encoder", dtype=self.dtype, local_files_only=True
            )
        except (OSError, ValueError) as error:
            raise FailureError(f"no text encoder in {self.folder} ({error}); pull the model again") from error
        encoder = encoder.to(self.device).eval()
        read = {}
        for prompt in prompts:
            tokens = self._tokens()(prompt, return_tensors="pt").to(self.device)
            hidden_LD = encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state[0].float().cpu()
            read[prompt] = torch.nn.functional.pad(hidden_LD, (0, 0, 0, LENGTH - len(hidden_LD)))
        del encoder
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return read


def tidied(prompt: str) -> str:
    """A prompt without HTML entities and with single spaces, as Wan was trained on (diffusers' `prompt_clean`)."""
    return " ".join(html.unescape(html.unescape(prompt)).split())
