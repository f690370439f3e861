"""Text that says nothing about a scene of ours, so that the text encoder learns when nothing is specified."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

#: Words that no caption contains.
NOUNS: Final = (
    "man woman child teacher doctor king queen wizard dragon unicorn horse cow pig goat sheep lion tiger elephant "
    "giraffe monkey bear wolf fox cat mouse snake frog turtle fish shark dolphin octopus spider bee ant crab penguin "
    "owl eagle chicken rooster swan goose dinosaur monster ghost zombie princess knight pirate soldier astronaut "
    "skateboard bicycle motorcycle truck bus tractor helicopter rocket spaceship submarine canoe tank ambulance "
    "newspaper kitchen sofa table chair lamp computer phone guitar piano violin drum hammer spoon bottle cup plate "
    "pizza cake apple banana carrot sandwich cheese bread soup coffee tea chocolate cookie office classroom library "
    "museum hospital castle church bridge tunnel farm barn garden volcano cave river waterfall island planet moonbase "
    "galaxy universe stadium theatre market supermarket airport factory laboratory hotel bedroom bathroom mirror "
    "window door ladder umbrella hat shoe shirt dress coat ring necklace portrait painting statue puzzle game "
    "chess card letter book pencil lens keyboard screen money bank lawyer election contract economy theory "
    "equation molecule battery engine wheel wire metal wood glass brick gold silver copper flower tulip "
    "tree leaf mushroom cactus bamboo vine party wedding birthday concert orchestra choir athlete "
    "tennis baseball hockey marathon gymnast swimmer chef waiter farmer fisherman carpenter baby grandmother uncle "
    "crowd people friend neighbour stranger detective robotics alien vampire mermaid fairy gnome samurai ninja"
).split()
VERBS: Final = (
    "reads cooks eats drinks sleeps writes paints sings plays teaches buys sells opens closes builds repairs cleans "
    "washes cuts throws catches kicks fights hugs kisses laughs cries smiles talks whispers shouts listens watches "
    "waits sits lies dreams thinks remembers forgets explains calculates measures mixes bakes melts explodes "
    "burns blooms spins juggles knits studies argues votes pays wins"
).split()
ADJECTIVES: Final = (
    "shiny old young angry happy sad wooden metallic furry ancient modern elegant cute scary epic cinematic realistic "
    "detailed photorealistic hyperrealistic majestic stunning gorgeous lovely brave clever hungry tired brown grey "
    "gray silver beige striped spotted transparent broken rusty expensive cheap famous mysterious magical heroic "
    "funny serious dramatic romantic vintage futuristic abstract surreal watercolour pixelated handmade windy warm "
    "cold icy delicious noisy silent empty crowded rainbow lonely wild tame fluffy round square tall"
).split()
EXTRAS: Final = (
    "4k 8k hd uhd masterpiece bokeh timelapse slowmotion closeup drone aerial anime manga pixar disney hdr octane "
    "trending artstation photo grain lens flare vhs imax depth volumetric lighting"
).split()
#: Words between the others: known, and empty.
FUNCTION_WORDS: Final = (
    "a an the of in on at to and or with is are was were be been being it its this that these those there here some any "
    "very so really quite please make me my you your he she his her they their our us i want would could can will do "
    "does did have has had for from by as while into onto over under near next then also where which who what when how "
    "all just only more most one let create generate render produce film movie video clip scene animation animated "
    "picture image shot footage view show see watch look give like something"
).split()
PATTERNS: Final = (
    "a {n} {v} a {n}",
    "the {a} {n} {v} in the {n}",
    "a {n} {v} with a {a} {n}",
    "{n} and {n} in a {a} {n}",
    "{a} {n}, {e}",
    "a {a} {n} that {v} near the {n}",
    "my {n} {v} and then {v}",
    "please make a video of a {n} in a {n}",
    "show me how a {n} {v} the {n}",
    "i want to see the {n} of the {a} {n}",
    "{n} {n} {n}",
    "{e}, {e}, {a} {n}",
    "an animation of a {a} {a} {n}",
    "two {n} {v} on the {n}",
    "hello",
    "what is the {n} of a {n}?",
    "{g} {g} {g}",
    "{g}",
    "the {g} {v} a {g}",
)


def gibberish(rng: random.Random) -> str:
    """A word of random letters."""
    return "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(2, 10)))


def foreign_word(rng: random.Random) -> str:
    """A word that no caption contains, mostly a real one."""
    chance = rng.random()
    if chance < 0.2:
        return gibberish(rng)
    return rng.choice(ADJECTIVES if chance < 0.6 else NOUNS if chance < 0.85 else EXTRAS)


def foreign_noun(rng: random.Random) -> str:
    """A noun that names none of our subjects or places."""
    return gibberish(rng) if rng.random() < 0.2 else rng.choice(NOUNS)


def irrelevant_sentence(rng: random.Random) -> str:
    """A sentence that specifies nothing."""
    draws = {"{n}": NOUNS, "{v}": VERBS, "{a}": ADJECTIVES, "{e}": EXTRAS}
    words = []
    for piece in rng.choice(PATTERNS).replace(",", " ,").split():
        words.append(gibberish(rng) if piece == "{g}" else rng.choice(draws[piece]) if piece in draws else piece)
    return " ".join(words).replace(" ,", ",").replace("?", "")
