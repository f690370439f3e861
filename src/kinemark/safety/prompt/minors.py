"""The rule on minors. It is code: no policy file can loosen it, and no context excuses it.

A prompt that names a minor and anything sexual is refused, whatever stands between the two words and whatever story is
told around them. It is judged before everything else. Its reason never repeats the prompt.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kinemark.safety.decision import Judgement
from kinemark.safety.policy.phrases import compile_phrases

if TYPE_CHECKING:
    from collections.abc import Iterable

CATEGORY: Final = "minors"
RULE: Final = "minors-0"
REASON: Final = "Kinemark makes nothing sexual that involves a minor. No setting, story or purpose changes this."
APPEAL: Final = "If this prompt has nothing to do with that, write it in other words or ask the operator to look at it."

_ADULT: Final = 18

_MINOR: Final = compile_phrases(
    [
        "child|child's|children|children's|childlike|childhood|kid|kid's|kids|kiddie*|toddler*|infant*|baby|baby's|babies",
        "newborn*|preschool*|kindergart*|kindergarden*|schoolgirl*|schoolboy*|schoolkid*|schoolchild*|pupil|pupils",
        "teen|teens|teenage|teenaged|teenager*|preteen*|tween|tweens|juvenile*|adolescen*|pubescen*|prepubescen*|puberty",
        "underage|minor|minors|boy|boys|boy's|loli|lolis|lolita*|lolicon*|shota*|shotacon*|jailbait*",
        "little|young|younger|small|tiny girl|girls|girl's|daughter*|sister*|niece*|son|sons|nephew*|brother*",
        "school|high|middle|grade|elementary|junior school? girl*|boy*|student*|uniform*|class",
        "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth grade|grader*",
        "girl|boy scout*",
        "under 18|eighteen",
        "not yet 18|eighteen",
    ],
    {},
)
_SEXUAL: Final = compile_phrases(
    [
        "sex|sexual|sexually|sexualised|sexualized|sexy|sexier|sexiest|sexting|porn*|xxx|nsfw|hentai|erotic*|ecchi|ahegao",
        "nude|nudes|nudity|nudist*|naked|nakedness|topless|bottomless|undress*|unclothed|disrobe*|striptease*|stripper*",
        "lingerie|thong*|panties|bra|fetish*|bdsm|bondage|kink|kinky|orgasm*|orgy|orgies|masturbat*|intercourse|fellat*",
        "blowjob*|handjob*|cunnilingus|penis*|vagina*|genital*|nipple*|boob|boobs|tits|titties|busty|seduc*|sensual*",
        "lewd|lascivious*|lust|lustful*|horny|aroused|molest*|rape|raped|raping|rapist*|incest*|pedophil*|paedophil*",
        "upskirt*|groomer*",
        "g string",
        "grooming|groomed|grooms ... child|children|kid|kids|teen*|girl|girls|boy|boys|minor|minors|pupil*",
        "strip|strips|stripping|stripped naked|off|down|for",
        "suggestive|provocative|sultry pose|poses|posing|outfit*",
        "without|no clothes|clothing",
        "wearing|wears|wore nothing",
        "in|with|wearing only|just? her|his|their|only|just underwear",
        "make|makes|making|made love",
        "take|takes|taking|took off her|his|their? clothes|dress|bikini|underwear",
    ],
    {},
)
#: Phrases in which one half of the rule means something else. They are few, and none of them describes a body.
_INNOCENT: Final = compile_phrases(
    [
        "sex education|ed|educator*",
        "same|opposite|single|mixed sex",
        "gender|sex reveal",
        "naked mole|eye|truth|flame*|branch*|tree*|twig*",
        "bottomless pit|well|hole|ocean|chasm|abyss|brunch",
        "great|blue|coal|marsh|willow|crested|bearded tit|tits",
        "kinky hair*|curl*|coil*|afro*",
        "nude color*|colour*|tone*|lipstick|heels|nail*",
        "rape seed|field*|blossom*",
        "bottle nipple*",
        "love heart*|letter*|note*|potion*",
        "minor|minors key|keys|chord*|scale|league*|planet*|injury|injuries|detail*|asia|character*|repair*|road*",
        "a|b|c|d|e|f|g|ursa|canis|asia minor",
        "kid|kids goat*",
        "baby blue|pink|boomer*|grand|monitor|bump|bird*|elephant*|animal*",
        "bat|ball|bell boy*",
    ],
    {},
)
_AGE: Final = re.compile(
    r" (?:aged? (?P<after>\d{1,2})|(?P<before>\d{1,2})(?: |-)?(?:years?|yrs?|yo|y o|yr)(?: old)?)(?= )", re.IGNORECASE
)
_NUMBER_WORDS: Final = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
_SPELT_AGE: Final = re.compile(
    rf" (?:aged? (?:{'|'.join(_NUMBER_WORDS.split())})|(?:{'|'.join(_NUMBER_WORDS.split())}) years? old) ",
    re.IGNORECASE,
)


def judge_minors(views: Iterable[str]) -> Judgement | None:
    """The refusal, if any view of a prompt (`normalise.views`) names a minor and something sexual; None otherwise."""
    for view in views:
        text = _INNOCENT.sub("_ ", view)
        if _SEXUAL.search(text) and _names_minor(text):
            return Judgement("prompt", "prompt", "refuse", CATEGORY, RULE, REASON, APPEAL)
    return None


def _names_minor(text: str) -> bool:
    ages = (int(match["after"] or match["before"]) for match in _AGE.finditer(text))
    return bool(_MINOR.search(text) or _SPELT_AGE.search(text)) or any(age < _ADULT for age in ages)
