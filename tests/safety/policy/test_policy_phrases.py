"""The language of phrases, one construct at a time."""

import pytest

from kinemark.safety.policy.phrases import PhraseError, compile_phrases, mark_digests, word_digest

VOCABULARY = {"pet": ["cat|cats", "guinea pig*"], "big": ["very? large"]}


def found(phrase: str, text: str) -> bool:
    return compile_phrases([phrase], VOCABULARY).search(f" {text} ") is not None


@pytest.mark.parametrize(
    ("phrase", "hits", "misses"),
    [
        ("boat", ["boat", "a Boat sails"], ["boats", "lifeboat", "boat-house"]),
        ("boat*", ["boats", "boathouse"], ["lifeboat"]),
        ("red|blue boat", ["red boat", "blue boat"], ["boat", "red big boat"]),
        ("red ... boat", ["red boat", "red and rather old boat"], ["red . boat", "red a b c d e boat"]),
        ("the? boat sinks", ["boat sinks", "the boat sinks"], ["boat slowly sinks"]),
        ("red|the? boat", ["boat", "red boat", "the boat"], ["boats"]),
        ("<pet> sleeps", ["cat sleeps", "guinea pigs sleeps"], ["pig sleeps"]),
        ("<pet>|dog sleeps", ["dog sleeps", "cats sleeps"], ["sleeps"]),
        ("<big> dog", ["large dog", "very large dog"], ["very dog"]),
        ("captain <Name>", ["Captain Marlow", "captain O'Hara"], ["captain of", "captain marlow", "Captain Of"]),
    ],
)
def test_a_phrase_finds_what_it_says(phrase, hits, misses):
    for text in hits:
        assert found(phrase, text), text
    for text in misses:
        assert not found(phrase, text), text


def test_signs_of_regular_expressions_mean_themselves():
    assert not found("b.at", "boat")
    assert not found("(boat", "boat")


def test_no_phrases_find_nothing():
    assert not compile_phrases([], {}).search(" anything at all ")


def test_hits_that_touch_are_both_taken_out():
    assert compile_phrases(["red boat"], {}).sub("_ ", " red boat red boat sails ") == " _ _ sails "


@pytest.mark.parametrize("phrase", ["", "...", "... ..."])
def test_a_phrase_has_a_word(phrase):
    with pytest.raises(PhraseError, match="holds no word"):
        compile_phrases([phrase], {})


def test_an_unknown_vocabulary_is_named():
    with pytest.raises(PhraseError, match=r"<bird>.*big, pet"):
        compile_phrases(["<bird>"], VOCABULARY)


DIGESTS = {"hero": frozenset({word_digest("captain nobody"), word_digest("zorgle"), word_digest("the man of tin")})}


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("Zorgle flies", "#hero flies"),
        ("zorgle's hat", "#hero hat"),
        ("Captain Nobody and ZORGLE", "#hero and #hero"),
        ("captain somebody", "captain somebody"),
        ("", ""),
    ],
)
def test_digests_are_recognised(text, marked):
    assert mark_digests(f" {text} ", DIGESTS).split() == marked.split()


def test_a_digest_does_not_show_the_word():
    assert word_digest(" Captain  NOBODY ") == word_digest("captain nobody")
    assert len(word_digest("x")) == 16
