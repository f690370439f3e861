"""Saying a short prompt at length before it is made, as large systems have a language model do.

What comes out is a prompt like any other: it is shown, judged again and recorded.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from safetensors.torch import load_file

from kinemark.assistants import load_assistants
from kinemark.errors import FailureError
from kinemark.model.expander import Expander, expander_config
from kinemark.model.load import WEIGHTS, load_networks

if TYPE_CHECKING:
    from kinemark.assistants import Expand
    from kinemark.settings import Settings

EXPANDER: Final = WEIGHTS / "expander.safetensors"
#: Ways to say a prompt that are drawn, of which the fullest one that keeps everything is taken.
_DRAWN: Final = 24


def expander_of(settings: Settings) -> Expand:
    """What says prompts at length here: the operator's, else spark's own.

    Raises:
        RequestError: the operator's file cannot be read.
    """
    return load_assistants(settings.assistants_path).expand or in_sparks_words


def in_sparks_words(prompt: str) -> str:
    """A prompt at length in the words of spark's world; as it is where none of what is drawn keeps what it says."""
    told = _expander().say(prompt, _DRAWN, seed=0)
    encoder = load_networks("spark").text
    kept, *found = [reading.said for reading in encoder.read([prompt, *told])]
    best, most = prompt, len(kept)
    for text, said in zip(told, found, strict=True):
        if len(said) > most and all(said.get(name) == value for name, value in kept.items()):
            best, most = text, len(said)
    return best


@cache
def _expander() -> Expander:
    if not EXPANDER.is_file():
        raise FailureError(f"no expander at {EXPANDER}; install the package again")
    expander = Expander(expander_config())
    expander.load_state_dict({name: tensor.float() for name, tensor in load_file(EXPANDER).items()})
    return expander.eval()
