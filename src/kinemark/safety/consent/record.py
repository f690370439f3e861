"""A record of consent, read from a YAML file that a person fills: who may be shown, and what for."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  (pydantic reads the annotations)
from typing import TYPE_CHECKING, Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kinemark.errors import RequestError
from kinemark.safety.policy.phrases import PhraseError, compile_phrases

if TYPE_CHECKING:
    from pathlib import Path

Verb = Literal["generate", "edit"]
"""`generate`: shown in what a model makes; `edit`: shown in a picture or clip that is given and kept."""
Assurance = Literal["attested", "verified"]
Text = Annotated[str, Field(min_length=1, max_length=2000)]

MAX_FILE: Final = 64 << 10
MAX_YEARS: Final = 10


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scope(_Strict):
    """What the person agreed to; whatever is not named is not agreed to.

    `forbidden` are phrases, in the language of the policy, of what they are never shown with. `audience` says who may
    ask: the names that `listed` has, or everybody.
    """

    verbs: list[Verb] = Field(min_length=1)
    modalities: list[Literal["face", "voice"]] = Field(min_length=1)
    audience: Literal["listed", "all"]
    listed: list[Text] = []
    commercial: bool = False
    forbidden: list[Text] = []
    until: dt.date

    @model_validator(mode="after")
    def _sensible(self) -> Scope:
        if (self.audience == "listed") != bool(self.listed):
            raise ValueError("`listed` names who may ask if, and only if, the audience is listed")
        compile_phrases(self.forbidden, {})
        return self


class Consent(_Strict):
    """The record.

    Attributes:
        handle: how prompts name the person: `@handle`.
        description: what a prompt says in place of the handle, such as "a tall woman with short grey hair".
        given_by: the person, or the estate of somebody who is dead. Nobody agrees for a minor.
        adult: must be true.
        proof: what shows that the person agreed: a signed form, a recording, papers of the estate.
        scope: what they agreed to.
    """

    handle: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}$")]
    description: Text
    given_by: Literal["person", "estate"]
    adult: Literal[True]
    proof: Text
    scope: Scope


def read_consent(path: Path, *, today: dt.date) -> Consent:
    """Read and check a record.

    Args:
        path: a YAML file.
        today: consent that has run out, or that would last more than ten years, is none.

    Raises:
        RequestError: no such file, no YAML, or not a record; the message names the field.
    """
    try:
        if path.stat().st_size > MAX_FILE:
            raise RequestError(f"{path} is larger than {MAX_FILE >> 10} KiB; a record of consent is a page of text")
        fields = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(fields, dict):
            raise RequestError(f"{path} is not a record of consent: it begins with {type(fields).__name__}, not fields")
        consent = Consent(**fields)
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}; give a record of consent as YAML") from error
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
        raise RequestError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except (ValidationError, PhraseError) as error:
        raise RequestError(f"{path} is not a record of consent: {_first(error)}") from error
    latest = today.replace(year=today.year + MAX_YEARS, day=min(today.day, 28))
    if not today <= consent.scope.until <= latest:
        raise RequestError(
            f"{path}: consent until {consent.scope.until} cannot be entered today; "
            f"it lasts to a day between {today} and {latest}"
        )
    return consent


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'record'}: {problem['msg']}"
