"""The policy: what is refused, why, and how to appeal, read from a versioned data file.

`policy.toml` beside this module is the policy that ships. An operator may load another file; whatever it says, the rule
on minors (`minors`) and the gates that a release needs (`decision.REQUIRED_GATES`) are code and stay.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kinemark.errors import RequestError
from kinemark.safety.decision import ACTIONS, Action
from kinemark.safety.policy.phrases import PhraseError, compiled, expression

SHIPPED: Final = Path(__file__).with_name("policy.toml")

Severity = Literal["low", "medium", "high", "critical"]
Text = Annotated[str, Field(min_length=1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Rule(_Strict):
    """What the lexical gate looks for: any of `phrases`, unless one of `unless` stands in the same prompt.

    A rule whose action is `rewrite` puts `instead` in the place of the phrase.
    """

    id: Text
    phrases: list[Text] = Field(min_length=1)
    unless: list[Text] = []
    action: Action | None = None
    instead: Text | None = None
    reason: Text | None = None


class Category(_Strict):
    """One kind of harm.

    `allowed` are phrases that look like a hit and are none; they are taken out of a prompt before it is judged by this
    category. `near_misses` and `examples` are whole prompts on either side of the line: every policy is tested by them.
    `threshold` is how sure the reader (`prompt.meaning`) has to be, as a probability, before a prompt falls under this
    category by its meaning; without one, words alone decide.
    """

    id: Text
    title: Text
    definition: Text
    reason: Text
    severity: Severity
    action: Action
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    appeal: Text | None = None
    source: Text | None = None
    rules: list[Rule] = []
    allowed: list[Text] = []
    near_misses: list[Text] = []
    examples: list[Text] = []


@dataclass(frozen=True, slots=True)
class Matcher:
    """A rule ready to be looked for: its phrases as expressions for `phrases.compiled`, its action settled."""

    category: Category
    rule: Rule
    action: Action
    phrases: str
    unless: str
    allowed: str


class Policy(_Strict):
    """A policy file as it was read; `digest` is the SHA-256 of its bytes."""

    version: Text
    date: Text
    appeal: Text
    digest: Text
    vocabularies: dict[str, list[Text]]
    digests: dict[str, list[Digest]] = {}
    categories: list[Category] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Policy:
        for kind, names in (
            ("category", [category.id for category in self.categories]),
            ("rule", [rule.id for category in self.categories for rule in category.rules]),
        ):
            repeated = {name for name in names if names.count(name) > 1}
            if repeated:
                raise ValueError(f"{kind} ids must be unique; repeated: {', '.join(sorted(repeated))}")
        for matcher in self.matchers:
            if (matcher.action == "rewrite") != (matcher.rule.instead is not None):
                raise ValueError(f"rule {matcher.rule.id}: a rule has `instead` if and only if its action is rewrite")
        return self

    @cached_property
    def matchers(self) -> tuple[Matcher, ...]:
        """Every rule; the strictest action first, so that the first hit decides."""
        found = [self._matcher(category, rule) for category in self.categories for rule in category.rules]
        return tuple(sorted(found, key=lambda matcher: -ACTIONS.index(matcher.action)))

    @cached_property
    def digest_lists(self) -> dict[str, frozenset[str]]:
        """The digest lists by name, as `phrases.mark_digests` takes them."""
        return {name: frozenset(entries) for name, entries in self.digests.items()}

    def with_digests(self, digests: dict[str, list[str]]) -> Policy:
        """The same policy with other digest lists."""
        other = self.model_copy(update={"digests": digests})
        # A copy takes along what was computed from the old lists.
        other.__dict__.pop("digest_lists", None)
        return other

    @cached_property
    def _allowed(self) -> dict[str, str]:
        """For each category the expression of what looks like a hit and is none."""
        return {category.id: expression(category.allowed, self.vocabularies) for category in self.categories}

    def _matcher(self, category: Category, rule: Rule) -> Matcher:
        try:
            return Matcher(
                category=category,
                rule=rule,
                action=rule.action or category.action,
                phrases=expression(rule.phrases, self.vocabularies),
                unless=expression(rule.unless, self.vocabularies),
                allowed=expression(category.allowed, self.vocabularies),
            )
        except PhraseError as error:
            raise PhraseError(f"category {category.id}, rule {rule.id}: {error}") from error

    def without_allowed(self, category: Category, line: str) -> str:
        """A line without the phrases that look like a hit of the category and are none; the line itself if it has none.

        Args:
            category: one of this policy.
            line: words, as a person writes them or as a view of a prompt.
        """
        spaced = f" {line.strip()} "
        spared = compiled(self._allowed[category.id]).sub("", spaced)
        return line if spared == spaced else spared.strip()

    def category(self, category_id: str) -> Category:
        """The category with that id.

        Raises:
            RequestError: there is none.
        """
        for category in self.categories:
            if category.id == category_id:
                return category
        raise RequestError(
            f"the policy has no category {category_id!r}; it has {', '.join(c.id for c in self.categories)}"
        )

    def appeal_for(self, category: Category) -> str:
        """How a refusal under `category` is appealed."""
        return category.appeal or self.appeal


def load_policy(path: Path = SHIPPED) -> Policy:
    """Read and check a policy file.

    Raises:
        RequestError: the file is missing, no TOML, or not a policy; the message names the place.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RequestError(
            f"cannot read the policy {path}: {error.strerror}; give the path of a policy file"
        ) from error
    return _parse(data, path)


@cache
def _parse(data: bytes, path: Path) -> Policy:
    """Equal bytes are parsed once: compiling a policy is most of what a `check` takes."""
    try:
        fields = tomllib.loads(data.decode())
        return Policy(digest=hashlib.sha256(data).hexdigest(), **fields)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"the policy {path} is not TOML: {error}") from error
    except (ValidationError, PhraseError, TypeError) as error:
        raise RequestError(f"the policy {path} is not valid: {_where(error, data)}") from error


def _where(error: Exception, data: bytes) -> str:
    """The first problem of a validation error, with the line of the category that it is in where that can be told."""
    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"]) or "policy"
    message = f"{place}: {problem['msg']}"
    match problem["loc"]:
        case ("categories", int(index), *_):
            starts = [m.start() for m in re.finditer(rb"^\[\[categories\]\]", data, re.MULTILINE)]
            if index < len(starts):
                line = data[: starts[index]].count(b"\n") + 1
                message += f" (category that begins at line {line})"
    return message
