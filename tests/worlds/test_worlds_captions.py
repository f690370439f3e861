import random
import re
from dataclasses import replace

import pytest

from kinemark.worlds import frames, lexicon
from kinemark.worlds.captions import MAX_CAPTION_WORDS, STYLES, caption
from kinemark.worlds.spec import (
    AIR,
    ATTRIBUTES,
    CAMERAS,
    COLOURS,
    DIRECTIONS,
    KINDS,
    LOOKS,
    PLAIN_MIX,
    SETTINGS,
    SIZES,
    SPEEDS,
    TIME_CHANGES,
    TIMES,
    WEATHERS,
    Scene,
    SceneMix,
    Subject,
    sample_scene,
)
from kinemark.worlds.telling import participle, third_person, with_article

VARIED = SceneMix(one_subject=0.5, plain_look=0.5, static_camera=0.4, constant_time=0.6)


def _captions(n, seed=0, mix=VARIED, styles=STYLES):
    rng = random.Random(seed)
    for _ in range(n):
        scene = sample_scene(rng, mix)
        yield scene, caption(scene, rng, rng.choice(styles))


def _words(text):
    return re.findall(r"\w+", text.lower())


def _without_colours(text):
    """Black may be "jet black", but that is no jet."""
    return re.sub(r"jet[ -]black", "black", text.lower())


def _mentions(text, phrase):
    return re.search(rf"\b{re.escape(phrase)}\b", text.lower()) is not None


def test_what_is_said_is_true():
    for scene, told in _captions(200):
        assert told.said.items() <= scene.values().items()


def test_said_is_in_the_order_of_the_attributes():
    order = [a.name for a in ATTRIBUTES]
    for _, told in _captions(100):
        assert list(told.said) == [name for name in order if name in told.said]


def test_time_is_said_with_its_end():
    for _, told in _captions(300):
        assert ("time" in told.said) == ("time_end" in told.said)


def test_what_is_said_stands_in_the_text():
    unmistakable = {"subject": lexicon.NOUNS, "colour": lexicon.COLOURS, "size": lexicon.SIZES}
    for _, told in _captions(200):
        for name, table in unmistakable.items():
            if name in told.said:
                assert any(_mentions(told.text, word) for word in table[told.said[name]]), (told.text, name)


@pytest.mark.parametrize("name", ["subject", "size"])
def test_what_is_not_said_does_not_stand_in_the_text(name):
    table = {"subject": lexicon.NOUNS, "size": lexicon.SIZES}[name]
    for _, told in _captions(200, seed=1):
        stated = {told.said.get(name), told.said.get(f"second_{name}")}
        for value, words in table.items():
            if value not in stated:
                homonyms = {"big", "little", "medium"} if name == "size" else set()
                text = _without_colours(told.text)
                assert not any(_mentions(text, word) for word in words if word not in homonyms), told.text


def test_colours_of_the_landscape_are_not_the_subjects():
    scene = Scene("meadow", "noon", "clear", (Subject("rabbit", "white"),))
    rng = random.Random(3)
    texts = [caption(scene, rng, "paraphrased") for _ in range(120)]
    assert any("green" in told.text.lower() for told in texts)
    assert all(told.said.get("colour", "white") == "white" for told in texts)


def test_left_and_right_agree_with_the_scene():
    for scene, told in _captions(200, seed=2, mix=PLAIN_MIX):
        direction = scene.subjects[0].direction
        words = _words(told.text)
        if "direction" not in told.said:
            assert not {"left", "right", "leftward", "rightward"} & set(words)
        elif direction in ("left", "right"):
            other = {"left": "right", "right": "left"}[direction]
            pair = [word for word in words if word in ("left", "right")]
            assert pair != [other] or "from the" in told.text.lower()


def test_a_direction_that_is_said_is_in_the_text():
    rng = random.Random(16)
    scene = Scene("sea", "noon", "clear", (Subject("balloon", "red", direction="up"),))
    phrases = lexicon.RISING["up"] + lexicon.RISING_VERBS["up"]
    ways = {word for phrase in phrases for word in phrase.split()}
    ways |= {third_person(word) for word in ways} | {participle(word) for word in ways}
    for _ in range(150):
        told = caption(scene, rng, rng.choice(STYLES))
        words = set(_words(told.text))
        assert ("direction" in told.said) <= bool(words & (ways - {"the", "sky", "air"})), told.text


def test_settings_snow_and_falling_snow_are_kept_apart():
    rng = random.Random(4)
    snowy_place = Scene("snow", "noon", "clear", (Subject("dog", "red"),))
    snowing = Scene("city", "noon", "snowfall", (Subject("dog", "red"),))
    falling = ("snowfall", "snowing", "snows", "falling", "snowstorm", "blizzard", "snowflakes")
    for _ in range(80):
        told = caption(snowy_place, rng, rng.choice(STYLES))
        assert not any(_mentions(told.text, word) for word in falling), told.text
        told = caption(snowing, rng, rng.choice(STYLES))
        assert not any(_mentions(told.text, phrase) for phrase in ("in the snow", "snowy field")), told.text


def test_the_sun_crosses_the_horizon_in_two_of_the_changes():
    assert "as the sun rises" in lexicon.CHANGES["night", "dawn"]
    assert "as the sun sets" in lexicon.CHANGES["sunset", "dusk"]
    phrases = [phrase for options in lexicon.CHANGES.values() for phrase in options]
    assert len(phrases) == len(set(phrases))


def test_stars_only_in_clear_nights():
    for scene, told in _captions(300, seed=5):
        if any(_mentions(told.text, word) for word in ("stars", "starry", "starlit")):
            assert (scene.time, scene.weather) == ("night", "clear")
            assert {"time", "weather"} <= told.said.keys()


def test_the_first_subject_is_told_first():
    two = SceneMix(one_subject=0.0)
    seen = 0
    for scene, told in _captions(150, seed=6, mix=two):
        if "second_subject" not in told.said:
            assert not any(name.startswith("second_") for name in told.said)
            continue
        seen += 1
        body = re.sub(r"(camera|view) (follows|tracks) the [\w -]+", "", _without_colours(told.text))
        first, second = (
            min(found.start() for word in lexicon.NOUNS[subject.kind] for found in re.finditer(rf"\b{word}\b", body))
            for subject in scene.subjects
        )
        assert first < second, told.text
    assert seen > 100


def test_every_value_has_words():
    tables = (
        (lexicon.NOUNS, KINDS),
        (lexicon.VERBS, KINDS),
        (lexicon.COLOURS, COLOURS),
        (lexicon.SIZES, SIZES),
        (lexicon.SPEED_ADVERBS, SPEEDS),
        (lexicon.SPEED_ADJECTIVES, SPEEDS),
        (lexicon.PLACES, SETTINGS),
        (lexicon.AT_PLACES, SETTINGS),
        (lexicon.TIME_PHRASES, TIMES),
        (lexicon.TIME_NOUNS, TIMES),
        (lexicon.CHANGES, TIME_CHANGES),
        (lexicon.WEATHER_PHRASES, WEATHERS),
        (lexicon.WEATHER_SENTENCES, WEATHERS),
        (lexicon.CAMERA_CLAUSES, CAMERAS),
        (lexicon.LOOK_PHRASES, LOOKS),
    )
    for table, values in tables:
        assert set(table) == set(values)
        assert all(table.values())
    for table in (lexicon.RISING, lexicon.RECEDING):
        assert set(table) | set(lexicon.SIDEWAYS) == set(DIRECTIONS)


@pytest.mark.parametrize(
    "table",
    [lexicon.NOUNS, lexicon.COLOURS, lexicon.SIZES, lexicon.SPEED_ADVERBS, lexicon.SIDEWAYS, lexicon.PLACES,
     lexicon.AT_PLACES, lexicon.TIME_PHRASES, lexicon.TIME_NOUNS, lexicon.WEATHER_PHRASES, lexicon.CAMERA_CLAUSES,
     lexicon.CAMERA_NOUNS, lexicon.LOOK_PHRASES],
)  # fmt: skip
def test_no_phrase_means_two_things(table):
    phrases = [phrase for options in table.values() for phrase in options]
    assert len(phrases) == len(set(phrases))


def test_there_are_many_frames_and_each_can_say_everything():
    bodies = frames.SHORT + frames.DETAILED + frames.PARAPHRASED
    assert len(set(bodies)) >= 40
    for frame in bodies:
        names = frames.slots(frame)
        assert sum(name.split("_")[0] in ("act", "shot", "bare") for name in names) == 1, frame
        assert sum(name.endswith("_there") or name in ("where", "place") for name in names) == 1, frame
        moment = [name for name in names if name in ("moment", "moment_s", "when", "when_s", "weather", "weather_s")]
        assert len(moment) == (1 if moment[0].startswith("moment") else 2), frame
    for wrap in frames.WRAPS:
        assert sorted(name.split("_")[0] for name in frames.slots(wrap)) == ["body", "camera", "look"]


def test_brackets_hold_one_slot():
    for frame in frames.SHORT + frames.DETAILED + frames.PARAPHRASED + frames.WRAPS + (frames.SCENERY,):
        for group in re.findall(r"\[([^\]]*)\]", frame):
            assert group.count("{") == 1, frame


def test_filling_drops_empty_brackets_and_tidies():
    parts = {"act_there": "a dog walks", "moment_s": "", "body": "", "moment": "at noon"}
    assert frames.fill("{act_there}. [{moment_s}]", parts) == "a dog walks"
    assert frames.fill("[{moment}, ]{act_there}", parts) == "at noon, a dog walks"
    assert frames.tidy(" , a  dog ,, walks ., ") == "a dog, walks"


def test_texts_are_clean():
    for _, told in _captions(200, seed=7):
        assert told.text == told.text.strip()
        assert told.text
        assert not re.search(r"  | [,.;:!]|[,;:][,.;:!]|\.\.|[{}\[\]]|\ba [aeiou]|\ban [^aeiou]", told.text.lower()), (
            told.text
        )
        assert len(_words(told.text)) <= MAX_CAPTION_WORDS


def test_defaults_are_mostly_left_out():
    said = [told.said for _, told in _captions(200, seed=8, mix=SceneMix(one_subject=1.0))]
    for name, value in (("size", "medium"), ("speed", "medium"), ("camera", "static"), ("look", "flat")):
        share = sum(s.get(name) == value for s in said) / len(said)
        assert 0 < share < 0.25, name
    assert sum("subject" in s for s in said) / len(said) > 0.9


def test_attributes_are_left_out_at_random():
    said = [told.said for _, told in _captions(400, seed=9, mix=PLAIN_MIX, styles=("paraphrased", "detailed"))]
    for name in ("setting", "time", "colour", "direction"):
        assert 0.65 < sum(name in s for s in said) / len(said) < 0.95, name


def test_styles_differ_in_length():
    mean = {}
    for style in STYLES:
        texts = [told.text for _, told in _captions(60, seed=10, styles=(style,))]
        mean[style] = sum(len(_words(text)) for text in texts) / len(texts)
    assert mean["short"] < mean["paraphrased"] < mean["detailed"]


def test_one_scene_has_many_captions():
    scene = sample_scene(random.Random(11))
    rng = random.Random(12)
    assert len({caption(scene, rng, "paraphrased").text for _ in range(100)}) > 90


def test_same_random_numbers_same_caption():
    first = [told for _, told in _captions(20, seed=13)]
    again = [told for _, told in _captions(20, seed=13)]
    assert first == again


def test_the_seed_of_a_scene_is_not_told():
    scene = sample_scene(random.Random(14))
    other = replace(scene, seed=scene.seed + 1)
    assert caption(scene, random.Random(1), "detailed") == caption(other, random.Random(1), "detailed")


def test_what_flies_rises_and_what_does_not_moves_away():
    rng = random.Random(15)
    for kind in KINDS:
        setting = "lake" if kind in ("sailboat", "duck", "whale") else "meadow"
        scene = Scene(setting, "noon", "clear", (Subject(kind, "red", direction="up"),))
        texts = " ".join(caption(scene, rng, "paraphrased").text.lower() for _ in range(60))
        away = any(_mentions(texts, word) for word in ("away", "distance", "horizon", "recedes", "receding"))
        rises = any(_mentions(texts, word) for word in ("rises", "climbs", "ascends", "upward", "upwards", "higher"))
        assert (rises, away) == ((True, False) if kind in AIR else (False, True)), kind


@pytest.mark.parametrize(
    ("verb", "third", "ing"),
    [
        ("fly", "flies", "flying"),
        ("come closer", "comes closer", "coming closer"),
        ("rush", "rushes", "rushing"),
        ("hop", "hops", "hopping"),
        ("go", "goes", "going"),
        ("sway", "sways", "swaying"),
        ("glide", "glides", "gliding"),
    ],
)
def test_verbs_are_inflected(verb, third, ing):
    assert third_person(verb) == third
    assert participle(verb) == ing


def test_articles():
    assert with_article("orange car") == "an orange car"
    assert with_article("car") == "a car"
