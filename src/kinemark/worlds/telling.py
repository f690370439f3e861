"""How a caption is told: from the attributes to say to a sentence, part by part.

The parts and their names are those of `worlds.frames`, the words those of `worlds.lexicon`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from kinemark.worlds import frames, lexicon
from kinemark.worlds.spec import AIR, WATER

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from kinemark.worlds.spec import Scene, Subject

#: How wordy a caption is: telegraphic, several sentences with nearly everything, or one sentence in unusual words.
Style = Literal["short", "detailed", "paraphrased"]
STYLES: Final[tuple[Style, ...]] = ("short", "detailed", "paraphrased")
FRAMES: Final = {"short": frames.SHORT, "detailed": frames.DETAILED, "paraphrased": frames.PARAPHRASED}
#: What is said of a subject beside its kind.
SUBJECT_PARTS: Final = ("colour", "size", "speed", "direction")


@dataclass(slots=True)
class Teller:
    """One caption in the making: `keep` is what it shall state, `pending` what is not yet told."""

    scene: Scene
    values: Mapping[str, str]
    rng: random.Random
    keep: frozenset[str]
    pending: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.pending = set(self.keep)

    def tell(self, style: Style) -> str:
        """The finished text, in one of the style's frames or as bare words."""
        scenery = not any(part in self.keep for part in ("subject", *SUBJECT_PARTS))
        two = "second_subject" in self.keep
        if style == "short" and self.rng.random() < 0.3:
            return self._finish(self._keywords())
        coda = self._coda() if style == "detailed" and not two and self.rng.random() < 0.25 else ""
        frame = frames.SCENERY if scenery and self.rng.random() < 0.7 else self.rng.choice(FRAMES[style])
        body = self._fill(frame)
        wrapped = self._fill(self.rng.choice(frames.WRAPS), body=f"{body}. {coda}" if coda else body)
        return self._finish(wrapped)

    # Choosing ---------------------------------------------------------------------------------------------------------

    def _pick(self, options: Sequence[str]) -> str:
        """The plain word in two of five, else any."""
        return options[0] if self.rng.random() < 0.4 else self.rng.choice(options)

    def _says(self, name: str) -> bool:
        return name in self.pending

    def _fill(self, frame: str, body: str = "") -> str:
        """Fill the slots; places first, because they may take the weather or the time into an adjective."""
        names = sorted(
            frames.slots(frame),
            key=lambda name: name.endswith("_there") + 2 * (name in ("where", "place")),
            reverse=True,
        )
        return frames.fill(frame, {name: body if name == "body" else self._slot(name) for name in names})

    def _slot(self, name: str) -> str:
        match name:
            case "act" | "act_there" | "shot" | "shot_there" | "bare" | "bare_there":
                form, _, there = name.partition("_")
                return self._action(form, self._where() if there else "")
            case "where":
                return self._where()
            case "place":
                return self._place() if self._says("setting") else ""
            case "moment":
                return self._moment()
            case "moment_s":
                return self._moment_sentence()
            case "when":
                return self._when()
            case "when_s":
                return self._when_sentence()
            case "weather":
                return self._table("weather", lexicon.WEATHER_PHRASES)
            case "weather_s":
                return self._table("weather", lexicon.WEATHER_SENTENCES)
            case "camera":
                if self.scene.camera == "follow" and {"camera", "subject"} <= self.pending and self.rng.random() < 0.4:
                    noun = self._pick(lexicon.NOUNS[self.scene.subjects[0].kind])
                    return f"{self._pick(lexicon.FOLLOWS)} the {noun}"
                return self._table("camera", lexicon.CAMERA_CLAUSES)
            case "camera_n":
                return self._table("camera", lexicon.CAMERA_NOUNS)
            case "look":
                return self._table("look", lexicon.LOOK_PHRASES)
            case "look_s":
                return self._table("look", lexicon.LOOK_SENTENCES)
        raise AssertionError(f"no such slot: {name}")

    def _table(self, name: str, table: Mapping[str, Sequence[str]]) -> str:
        return self._pick(table[self.values[name]]) if self._says(name) else ""

    # Place and moment -------------------------------------------------------------------------------------------------

    def _place(self) -> str:
        noun = self._pick(lexicon.PLACES[self.scene.setting])
        adjective = self._place_adjective()
        if not adjective:
            return noun
        head, _, rest = noun.partition(" ")
        if head == "the":
            return f"the {adjective} {rest}"
        return with_article(f"{adjective} {rest}") if head == "a" else f"{adjective} {noun}"

    def _place_adjective(self) -> str:
        """Sometimes the weather ("the foggy woods"), the time or the look, sometimes a word that states nothing."""
        chance = self.rng.random()
        snowy_snow = self.scene.setting == "snow" and self.scene.weather == "snowfall"
        both = lexicon.TIME_AND_WEATHER_ADJECTIVES.get((self.scene.time, self.scene.weather))
        if both and chance < 0.1 and self._says("weather") and self._says("time") and not self._light_changes:
            self.pending -= {"weather", "time"}
            return self._pick(both)
        if 0.5 < chance < 0.54 and self._says("look"):
            self.pending.discard("look")
            return lexicon.LOOK_ADJECTIVES[self.scene.look]
        if chance < 0.12 and self._says("weather") and not snowy_snow:
            self.pending.discard("weather")
            return self._pick(lexicon.WEATHER_ADJECTIVES[self.scene.weather])
        if chance > 0.88 and self._says("time") and not self._light_changes:
            self.pending.discard("time")
            moonlit = self._moonlit
            return self._pick([a for a in lexicon.TIME_ADJECTIVES[self.scene.time] if moonlit or a != "moonlit"])
        return self.rng.choice(lexicon.PLACE_ADJECTIVES) if 0.4 < chance < 0.48 else ""

    def _where(self) -> str:
        if not self._says("setting"):
            return ""
        if self.rng.random() < 0.35:
            return self._pick(lexicon.AT_PLACES[self.scene.setting])
        kind = self.scene.subjects[0].kind
        prepositions = lexicon.WATER_PREPOSITIONS if kind in WATER else lexicon.GROUND_PREPOSITIONS
        return f"{self._pick(lexicon.AIR_PREPOSITIONS if kind in AIR else prepositions)} {self._place()}"

    @property
    def _light_changes(self) -> bool:
        return self.scene.time != self.scene.time_end

    @property
    def _moonlit(self) -> bool:
        return self.scene.time == "night" and self.scene.weather in ("clear", "cloudy")

    def _when(self) -> str:
        if not self._says("time"):
            return ""
        if self._light_changes:
            return self._pick(lexicon.CHANGES[self.scene.time, self.scene.time_end])
        if self._moonlit and self.rng.random() < 0.25:
            return self.rng.choice(lexicon.MOONLIGHT)
        return self._pick(lexicon.TIME_PHRASES[self.scene.time])

    def _when_sentence(self) -> str:
        if not self._says("time"):
            return ""
        if self._light_changes:
            return self._when().removeprefix("as ").removeprefix("while ")
        noun = self._pick(lexicon.TIME_NOUNS[self.scene.time])
        return self.rng.choice((f"it is {noun}", f"the time is {noun}", f"the scene takes place {self._when()}"))

    def _moment(self) -> str:
        when, weather = self._when(), self._table("weather", lexicon.WEATHER_PHRASES)
        if when and weather and not self._light_changes:
            together = lexicon.TIME_AND_WEATHER.get((self.scene.time, self.scene.weather))
            if together and self.rng.random() < 0.35:
                return self._pick(together)
            if self.rng.random() < 0.35:
                return self._foggy_night(("on", "in", "at"))
        pair = [when, weather]
        self.rng.shuffle(pair)
        return self.rng.choice((" ", " ", ", ")).join(part for part in pair if part)

    def _foggy_night(self, prepositions: Sequence[str]) -> str:
        noun = self._pick(lexicon.TIME_NOUNS[self.scene.time])
        adjective = self._pick(lexicon.WEATHER_ADJECTIVES[self.scene.weather])
        return f"{self._pick(prepositions)} {with_article(f'{adjective} {noun}')}"

    def _moment_sentence(self) -> str:
        when, weather = self._when_sentence(), self._table("weather", lexicon.WEATHER_SENTENCES)
        if when and weather and not self._light_changes and self.rng.random() < 0.35:
            return self._foggy_night(("it is", "this is"))
        return self.rng.choice((" and ", ". ", " while ")).join(part for part in (when, weather) if part)

    # Subjects ---------------------------------------------------------------------------------------------------------

    def _action(self, form: str, where: str) -> str:
        """One clause for each subject that is said; the place stands in one of them."""
        subjects = self.scene.subjects if "second_subject" in self.keep else self.scene.subjects[:1]
        home = self.rng.randrange(len(subjects))
        clauses = [
            self._clause(subject, ordinal, form, where if index == home else "")
            for index, (subject, ordinal) in enumerate(zip(subjects, ("", "second_"), strict=False))
        ]
        joiners = (
            (" while ", " and ", " as ", ", and ", ", while ")
            if form == "act"
            else (" and ", " with ", ", and ", " and ")
        )
        return self.rng.choice(joiners).join(clauses)

    def _clause(self, subject: Subject, ordinal: str, form: str, where: str) -> str:
        speed = self._says(f"{ordinal}speed")
        adverb, adjective = "", ""
        verbs: tuple[str, ...] = ()
        if speed:
            chance = self.rng.random()
            verbs = lexicon.SPEED_VERBS[subject.speed] if chance < 0.2 else ()
            if subject.kind in AIR and subject.speed == "slow":
                verbs = ()
            if not verbs and chance > 0.7:
                adjective = self._pick(lexicon.SPEED_ADJECTIVES[subject.speed])
            elif not verbs:
                adverb = self._pick(lexicon.SPEED_ADVERBS[subject.speed])
        who = self._who(subject, ordinal, adjective)
        verb, path = self._verb_and_path(subject, ordinal, verbs)
        states_something = bool(adverb or verbs) or self._says(f"{ordinal}direction")
        if form == "shot" and not states_something and self.rng.random() < 0.4:
            verb = ""
        moving = self._inflected(verb, form) if verb else ""
        if subject.kind in AIR and self.rng.random() < 0.06:
            where = self._joined(self.rng.choice(lexicon.IN_THE_SKY), where)
        if adverb.endswith("ly") and self.rng.random() < 0.35:
            return self._joined(who, adverb, moving, *self._order(path, where))
        return self._joined(who, moving, *self._order(path, where, adverb))

    def _inflected(self, verb: str, form: str) -> str:
        if form == "act":
            return third_person(verb) if self.rng.random() < 0.8 else f"is {participle(verb)}"
        return participle(verb) if form == "shot" else verb

    def _verb_and_path(self, subject: Subject, ordinal: str, verbs: Sequence[str]) -> tuple[str, str]:
        """A verb that fits the subject, and the adverbial that says where to (a vertical verb may say it itself)."""
        if not verbs:
            own = lexicon.VERBS[subject.kind] if self._says(f"{ordinal}subject") else lexicon.ANY_VERBS
            verbs = own if self.rng.random() < 0.8 else lexicon.ANY_VERBS
            free = True
        else:
            free = False
        if not self._says(f"{ordinal}direction"):
            return self._pick(verbs), ""
        if subject.direction in lexicon.SIDEWAYS:
            options = lexicon.SIDEWAYS[subject.direction]
            verbs = ("head",) if free and self.rng.random() < 0.06 else verbs
            return self._pick(verbs), self._pick(options)
        flies = subject.kind in AIR
        if free and self.rng.random() < 0.45:
            own_way = lexicon.RISING_VERBS if flies else lexicon.RECEDING_VERBS
            return self._pick(own_way[subject.direction]), ""
        return self._pick(verbs), self._pick((lexicon.RISING if flies else lexicon.RECEDING)[subject.direction])

    def _order(self, path: str, *others: str) -> list[str]:
        """Shuffle what follows the verb; a path of one word stays right after it."""
        rest = [part for part in others if part]
        if self.rng.random() < 0.3:
            rest.reverse()
        if " " in path and self.rng.random() < 0.3:
            rest.insert(self.rng.randint(0, len(rest)), path)
            return rest
        return [path, *rest] if path else rest

    def _who(self, subject: Subject, ordinal: str, adjective: str) -> str:
        """The noun phrase: "a small red sailboat", "the blue bird", "something large", "a car that is red"."""
        kind = self._says(f"{ordinal}subject")
        noun = self._pick(lexicon.NOUNS[subject.kind]) if kind else self._pick(lexicon.SOMETHING)
        size = self._pick(lexicon.SIZES[subject.size]) if self._says(f"{ordinal}size") else ""
        colour = self._pick(lexicon.COLOURS[subject.colour]) if self._says(f"{ordinal}colour") else ""
        if noun == "something":
            return self._joined(noun, size, "and" if size and colour else "", colour, adjective)
        after = ""
        if colour and self.rng.random() < 0.1:
            colour, after = "", self.rng.choice((f"in {colour}", f"that is {colour}", f"of {colour} colour"))
        look = ""
        if self._says("look") and self.rng.random() < 0.05:
            look = lexicon.LOOK_ADJECTIVES[self.scene.look]
            self.pending.discard("look")
        adjectives = [part for part in (size, adjective, colour, look) if part]
        if self.rng.random() < 0.1:
            self.rng.shuffle(adjectives)
        phrase = self._joined(*adjectives, noun, after)
        chance = self.rng.random()
        if chance < 0.84:
            return with_article(phrase)
        return f"the {phrase}" if chance < 0.92 else f"one {phrase}" if chance < 0.94 else phrase

    def _coda(self) -> str:
        """Sentences of their own for some of the first subject's attributes, which the clause then leaves out."""
        name = self._pick(lexicon.NOUNS[self.scene.subjects[0].kind]) if self._says("subject") else "object"
        sentences = []
        for part in SUBJECT_PARTS:
            if self._says(part) and self.rng.random() < 0.5:
                sentences.append(self._trait(part, self.rng.choice(("it", "it", f"the {name}"))))
                self.pending.discard(part)
        return ". ".join(sentences)

    def _trait(self, part: str, it: str) -> str:
        subject = self.scene.subjects[0]
        if part == "speed":
            return f"{it} moves {self._pick(lexicon.SPEED_ADVERBS[subject.speed])}"
        if part == "direction":
            verb, path = self._verb_and_path(subject, "", ())
            return self._joined(it, third_person(verb), path)
        tables = {"colour": lexicon.COLOURS[subject.colour], "size": lexicon.SIZES[subject.size]}
        return f"{it} is {self._pick(tables[part])}"

    # Telegrams and finish ---------------------------------------------------------------------------------------------

    def _keywords(self) -> str:
        """The bare words in any order; each subject keeps its own together, and the first comes first."""
        bits = [self._table("camera", lexicon.CAMERA_NOUNS), self._table("look", lexicon.LOOK_PHRASES)]
        if self._says("setting"):
            bits.append(self._place().removeprefix("the ").removeprefix("a ").removeprefix("an "))
        if self._says("time"):
            constant = lexicon.TIME_NOUNS[self.scene.time]
            bits.append(self._when() if self._light_changes else self._pick(constant))
        bits.append(self._table("weather", lexicon.WEATHER_NOUNS))
        bits = [bit for bit in bits if bit]
        self.rng.shuffle(bits)
        positions = sorted(self.rng.randint(0, len(bits)) for _ in range(2))
        if "second_subject" in self.keep:
            bits.insert(positions[1], self._telegram(self.scene.subjects[1], "second_"))
        bits.insert(positions[0], self._telegram(self.scene.subjects[0], ""))
        return self.rng.choice((" ", ", ")).join(bit for bit in bits if bit)

    def _telegram(self, subject: Subject, ordinal: str) -> str:
        told = [part for part in SUBJECT_PARTS if self._says(f"{ordinal}{part}")]
        if not told and not self._says(f"{ordinal}subject"):
            return ""
        return re.sub(r"^(an?|the|one) ", "", self._clause(subject, ordinal, "shot", ""))

    def _joined(self, *parts: str) -> str:
        return " ".join(part for part in parts if part)

    def _finish(self, text: str) -> str:
        """Case and punctuation, as people type them."""
        text = frames.tidy(text)
        chance = self.rng.random()
        if chance < 0.35:
            return text
        if chance < 0.38:
            return text.upper()
        text = re.sub(r"(^|\. )(\w)", lambda match: match.group(1) + match.group(2).upper(), text)
        return f"{text}{'!' if chance < 0.40 else '' if chance < 0.55 else '.'}"


def with_article(phrase: str) -> str:
    """The phrase after "a" or "an"."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def third_person(verb: str) -> str:
    """Inflect the first word of a verb phrase: "come closer" -> "comes closer"."""
    head, space, rest = verb.partition(" ")
    if head.endswith("y") and head[-2] not in "aeiou":
        head = f"{head[:-1]}ie"
    elif head.endswith(("sh", "ch", "ss", "o")):
        head = f"{head}e"
    return f"{head}s{space}{rest}"


def participle(verb: str) -> str:
    """Inflect the first word of a verb phrase: "come closer" -> "coming closer"."""
    head, space, rest = verb.partition(" ")
    if head in lexicon.DOUBLING:
        head = f"{head}{head[-1]}"
    elif head.endswith("e"):
        head = head[:-1]
    return f"{head}ing{space}{rest}"
