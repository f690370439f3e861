"""Which model answers to which name: those of the API that lost its provider, and what the operator maps.

`aliases.toml` in `KINEMARK_HOME` adds to it:

    [models]
    "sora-2-pro" = "wan2.1-14b"
    "house-style" = "my-finetune"
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kinemark.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Names that clients of the Videos API send; the default model answers to them.
INHERITED: Final = (
    "sora-2",
    "sora-2-pro",
    "sora-2-2025-10-06",
    "sora-2-pro-2025-10-06",
    "sora-2-2025-12-08",
)


@dataclass(frozen=True, slots=True)
class Names:
    """Models by what they are asked for as.

    Attributes:
        default: makes what is asked of no model, or of one of `INHERITED`.
        aliases: further names.
    """

    default: str = "spark"
    aliases: Mapping[str, str] = field(default_factory=dict)

    def model(self, asked: str | None) -> str:
        """The name of the model that answers.

        Raises:
            RequestError: it is a path: which files are read is the operator's to say.
        """
        if asked is None or (asked in INHERITED and asked not in self.aliases):
            return self.default
        name = self.aliases.get(asked)
        if name is None and (asked.endswith(".safetensors") or "/" in asked or "\\" in asked):
            raise RequestError(f"unknown model {asked!r}; files are named in the operator's aliases.toml")
        return name or asked


def read_names(path: Path, default: str) -> Names:
    """The names of an installation.

    Raises:
        RequestError: the file is there and cannot be read.
    """
    try:
        models = tomllib.loads(path.read_text("utf-8")).get("models", {})
    except FileNotFoundError:
        return Names(default)
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read ({error}); correct it, or remove it") from error
    if not isinstance(models, dict) or not all(isinstance(name, str) for name in models.values()):
        raise RequestError(f'{path} is to have a table [models] of names, such as "sora-2" = "spark"')
    return Names(default, models)
