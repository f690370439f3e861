"""From one record a clip to the figures of an evaluation.

Shape suffixes: B clips, T frames of a strip, C channels, H W size.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kinemark.errors import FailureError
from kinemark.shares import Share
from kinemark.training.exam import HELD_OUT, PLAIN, SIX, WIDE
from kinemark.training.probe import USABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from torch import Tensor

    #: What a prompt states, and what was read in a clip.
    Pair: TypeAlias = tuple[Mapping[str, str], Mapping[str, str]]

#: Reported apart: the attributes of plain scenes that are not among the six, and what only wide scenes vary.
_APART_PLAIN: Final = ("size", "speed")
_APART_WIDE: Final = (
    "count",
    "camera",
    "look",
    "time_end",
    "second_subject",
    "second_colour",
    "second_size",
    "second_speed",
    "second_direction",
)
#: Figures of a clip that are reported as a ratio to rendered truth.
RATIOS: Final = ("motion_energy", "edge_sharpness", "flicker", "drift", "nearest")
#: How sure one has to be that shuffled prompts are followed more often, or less often, than by chance.
_CONTROL_CONFIDENCE: Final = 0.9999


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """What was asked for, read and measured of one clip and of the rendered truth of the same scene.

    Attributes:
        group: name of the group of questions.
        said: what the prompt states, {attribute: value}.
        read: what the probe read in the clip; `truth_read`: in the truth.
        measured: figures of the clip, by the names of `RATIOS`; `truth_measured`: of the truth.
        decoded_read: what the probe read in the clip at 256 pixels; None for clips that were not decoded.
    """

    group: str
    said: dict[str, str]
    read: dict[str, str]
    truth_read: dict[str, str]
    measured: dict[str, float]
    truth_measured: dict[str, float]
    decoded_read: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The figures of an evaluation. Shares are of the plain group unless their name says otherwise.

    Attributes:
        adherence: share of clips that show what was said: each of the six attributes, and "all" of them.
        held_out: the same on compositions that no training clip shows.
        apart: attributes outside the headline, where the probe reads them well enough.
        truth: what the probe reads in rendered truth of the plain questions: the most that could be reached.
        shuffled: adherence when each clip is held against another clip's prompt; `chance`: what that must fall to.
        ratios: figures of the clips divided by those of truth.
        decoded: share of everything right at 64 pixels ("latent") and at 256 ("decoded") of the clips decoded; or none.
        ceilings: how often the probe reads each attribute right in fresh renders; below 99.5 % it is not reported.
        facts: the model and how it was sampled.
        sheet_prompts: the first questions, in order; `sheet_BTCHW`: frames of their clips (uint8), for a contact sheet.
    """

    adherence: dict[str, Share]
    held_out: dict[str, Share]
    apart: dict[str, Share]
    truth: dict[str, Share]
    shuffled: dict[str, Share]
    chance: dict[str, float]
    ratios: dict[str, float]
    decoded: dict[str, Share]
    ceilings: dict[str, float]
    facts: dict[str, object] = field(default_factory=dict)
    sheet_prompts: tuple[str, ...] = ()
    sheet_BTCHW: Tensor | None = None

    @property
    def n(self) -> int:
        """Clips of the plain group."""
        return self.adherence["all"].n

    def metrics(self) -> dict[str, float]:
        """The headline as flat figures, for the header of the weights."""
        groups = {"adherence": _rates(self.adherence), "held_out": _rates(self.held_out)}
        flat = {f"{group}_{name}": rate for group, rates in groups.items() for name, rate in rates.items()}
        return {"n": self.n, **flat, **_figures(self.ratios)}

    def to_dict(self) -> dict[str, object]:
        """The JSON contract: {"n", "adherence": {attribute: rate, "all": rate}, "held_out": {...}} and more keys."""
        groups = {
            "adherence": self.adherence,
            "held_out": self.held_out,
            "apart": self.apart,
            "truth": self.truth,
            "shuffled": self.shuffled,
            "decoded": self.decoded,
        }
        rates = {name: _rates(group) for name, group in groups.items()}
        return {
            **self.facts,  # first: a plan has fields of the names below, and the contract's keys win
            "n": self.n,
            **rates,
            "held_out": rates["held_out"] | {"n": self.held_out["all"].n if self.held_out else 0},
            "intervals": {name: _intervals(groups[name]) for name in ("adherence", "held_out", "apart")},
            "apart_n": {name: share.n for name, share in self.apart.items()},
            "chance": {name: round(rate, 4) for name, rate in self.chance.items()},
            **_figures(self.ratios),
            "probe_ceilings": self.ceilings,
            "not_reported": {name: rate for name, rate in self.ceilings.items() if rate < USABLE},
        }


def summarise(
    records: Sequence[ClipRecord], ceilings: Mapping[str, float], facts: Mapping[str, object] | None = None
) -> Report:
    """Compute all figures.

    Raises:
        FailureError: the text-shuffle control does not fall to chance, so that adherence would mean nothing.
    """
    by_group = {
        group.name: [record for record in records if record.group == group.name] for group in (PLAIN, HELD_OUT, WIDE)
    }
    plain, held_out, wide = by_group.values()
    usable = {name for name, rate in ceilings.items() if rate >= USABLE}
    shuffled, chance = _shuffle_control(plain)
    decoded = [record for record in plain if record.decoded_read is not None]
    return Report(
        adherence=_shares((record.said, record.read) for record in plain),
        held_out=_shares((record.said, record.read) for record in held_out) if held_out else {},
        apart=_apart(plain, _APART_PLAIN, usable) | _apart(wide, _APART_WIDE, usable),
        truth=_shares((record.said, record.truth_read) for record in plain),
        shuffled=shuffled,
        chance=chance,
        ratios={name: _ratio(plain, name) for name in RATIOS},
        decoded={
            "latent": _all_right((record.said, record.read) for record in decoded),
            "decoded": _all_right((record.said, record.decoded_read or {}) for record in decoded),
        }
        if decoded
        else {},
        ceilings=dict(ceilings),
        facts=dict(facts or {}),
    )


def _shares(pairs: Iterable[Pair]) -> dict[str, Share]:
    """Of (said, read) pairs: the share in which each of the six is right, and in which all are."""
    kept = list(pairs)
    shares = {name: Share(sum(said[name] == read[name] for said, read in kept), len(kept)) for name in SIX}
    return shares | {"all": _all_right(kept)}


def _all_right(pairs: Iterable[Pair]) -> Share:
    right = [all(said[name] == read[name] for name in SIX) for said, read in pairs]
    return Share(sum(right), len(right))


def _apart(records: Sequence[ClipRecord], names: Iterable[str], usable: set[str]) -> dict[str, Share]:
    """Shares of single attributes among the records that state them; a light that stays is not a change of light."""
    shares = {}
    for name in names:
        asked = [r for r in records if name in r.said and (name != "time_end" or r.said["time_end"] != r.said["time"])]
        if name in usable and asked:
            shares[name] = Share(sum(record.read.get(name) == record.said[name] for record in asked), len(asked))
    return shares


def _shuffle_control(records: Sequence[ClipRecord]) -> tuple[dict[str, Share], dict[str, float]]:
    """Hold every clip against the prompt half the list away; chance is what independent draws would agree on."""
    half = len(records) // 2
    shuffled = _shares((records[(i + half) % len(records)].said, record.read) for i, record in enumerate(records))
    chance = {}
    for name in (*SIX, "all"):
        key = SIX if name == "all" else (name,)
        said = Counter(tuple(record.said[part] for part in key) for record in records)
        read = Counter(tuple(record.read[part] for part in key) for record in records)
        chance[name] = sum(said[value] * read[value] for value in said) / len(records) ** 2
    for name, share in shuffled.items():
        low, high = share.interval_at(_CONTROL_CONFIDENCE)
        if not low <= chance[name] <= high:
            raise FailureError(
                f"the text-shuffle control fails: held against other clips' prompts, {name} is right in "
                f"{share.hits} of {share.n}, where chance is {chance[name]:.1%}; the reading does not depend on the "
                "clip alone, and nothing is reported"
            )
    return shuffled, chance


def _ratio(records: Sequence[ClipRecord], name: str) -> float:
    """The mean of a figure over the clips, divided by its mean over their truth."""
    truth = math.fsum(record.truth_measured[name] for record in records)
    return math.fsum(record.measured[name] for record in records) / truth if truth else math.nan


def _rates(shares: Mapping[str, Share]) -> dict[str, float]:
    return {name: round(share.rate, 4) for name, share in shares.items()}


def _figures(ratios: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}_ratio": round(ratio, 4) for name, ratio in ratios.items()}


def _intervals(shares: Mapping[str, Share]) -> dict[str, list[float]]:
    return {name: [round(bound, 4) for bound in share.interval] for name, share in shares.items()}
