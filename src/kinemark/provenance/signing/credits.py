"""Who made a clip, with which human part, who owns it, and how it may be used: written only where a person says so."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from kinemark.errors import RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from kinemark.settings import Settings

MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class Credits:
    """What a manifest says about rights, each in the person's own words; an empty one says nothing.

    Attributes:
        creator: who made it.
        human_part: what a human contributed, such as "prompt and edit".
        owner: who holds the rights.
        licence: how it may be used, such as "CC-BY-4.0".
    """

    creator: str = ""
    human_part: str = ""
    owner: str = ""
    licence: str = ""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file whose keys are the attributes.

        Raises:
            RequestError: it cannot be read, or has other keys, or a value that is no text of at most 500 characters.
        """
        known = [field.name for field in fields(cls)]
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise RequestError(
                f"cannot read the credits in {path}: {error}; write a TOML file with {', '.join(known)}"
            ) from error
        for name, value in values.items():
            if name not in known:
                raise RequestError(f"{path} says {name!r}; credits have only: {', '.join(known)}")
            if not isinstance(value, str) or len(value) > MAX_TEXT:
                raise RequestError(f"{path}: {name} is to be text of at most {MAX_TEXT} characters, not {value!r:.60}")
        return cls(**values)

    @classmethod
    def installed(cls, settings: Settings) -> Self | None:
        """What this installation says on everything it makes: `credits.toml` in its home, if that is there.

        Raises:
            RequestError: as `read`.
        """
        path = settings.home / "credits.toml"
        return cls.read(path) if path.is_file() else None

    def assertion(self) -> dict[str, Any] | None:
        """The CAWG metadata assertion (Dublin Core, XMP Rights, IPTC) that says it; None if nothing is said."""
        said = {
            "dc:creator": [self.creator] if self.creator else None,
            "dc:description": f"Human part: {self.human_part}" if self.human_part else None,
            "xmpRights:Owner": [self.owner] if self.owner else None,
            "xmpRights:UsageTerms": self.licence or None,
        }
        kept = {name: value for name, value in said.items() if value}
        context = {"dc": "http://purl.org/dc/elements/1.1/", "xmpRights": "http://ns.adobe.com/xap/1.0/rights/"}
        return {"@context": context, **kept} if kept else None
