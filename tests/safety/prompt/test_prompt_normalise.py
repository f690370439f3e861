"""Disguises are undone, and words that wear none are left alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemark.safety.prompt.normalise import views


def words(text: str) -> set[str]:
    return {word for view in views(text) for word in view.split()}


@pytest.mark.parametrize(
    "disguised",
    [
        "d r a g o n",
        "d.r.a.g.o.n",
        "d-r-a-g-o-n",
        "d_r_a_g_o_n",
        "dr4g0n",
        "dr@g0n!",
        "dra\u200bgon",
        "dra\u00adgon",
        "\u202edragon\u202c",
        "\uff44\uff52\uff41\uff47\uff4f\uff4e",
        "\U0001d41d\U0001d42b\U0001d41a\U0001d420\U0001d428\U0001d427",
        "dr\u0430g\u043en",
        "dr\u00e1g\u00f3n",
        "draaaagon",
        "DRAGON",
    ],
)
def test_disguises_are_undone(disguised):
    assert "dragon" in {word.lower() for word in words(f"a {disguised} over a town")}


@pytest.mark.parametrize(
    ("disguised", "meant"), [("ki11", "kill"), ("b1te", "bite"), ("5h1p", "ship"), ("w@ter", "water")]
)
def test_digits_stand_for_letters(disguised, meant):
    assert meant in words(disguised)


@pytest.mark.parametrize("plain", ["4k", "8k", "3d", "90s", "1st", "35mm", "2024", "16x9", "f16", "80"])
def test_numbers_are_numbers(plain):
    assert words(f"a {plain} video") == {"a", plain, "video"}


@pytest.mark.parametrize(
    "text",
    [
        "\u043a\u043e\u0448\u043a\u0430 \u0438 \u0441\u043e\u0431\u0430\u043a\u0430",
        "\u4e00\u53ea\u732b",
        "\u0642\u0637\u0629 \u0648\u0643\u0644\u0628",
        "\u092c\u093f\u0932\u094d\u0932\u0940",
    ],
)
def test_other_scripts_are_left_alone(text):
    assert text.split()[0] in views(text)[0] or views(text)[0].strip()
    assert not any(word.isascii() for word in words(text))


def test_a_plain_prompt_has_one_view_with_a_space_around_every_word():
    assert views("A red boat, at sunset. The end") == (" A red boat at sunset . The end ",)


def test_articles_do_not_join_their_neighbours():
    assert "aboat" not in words("a boat on a lake")


def test_names_keep_their_apostrophe():
    assert "cat's" in words("the cat\u2019s tail")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=100))
def test_any_text_has_views_and_the_first_is_stable(text):
    first = views(text)[0]
    assert first.startswith(" ")
    assert first.endswith(" ")
    assert views(first)[0].split() == first.split()


@pytest.mark.parametrize("text", ["a" * 32_000, "\u0430" * 32_000, "@a" * 16_000, "1a" * 16_000, "\U0001f600" * 10_000])
def test_long_words_are_read_as_they_are(text):
    assert views(text)


@pytest.mark.parametrize("gap", ["  ", "   ", " \t "])
def test_letters_set_apart_with_gaps_between_words_are_words_of_any_length(gap):
    text = gap.join(" ".join(word) for word in ["a", "garage", "of", "an", "imam", "is", "on", "fire"])
    assert " a garage of an imam is on fire " in views(text)


def test_ordinary_text_with_wide_gaps_stays():
    assert views("a  red   boat")[0] == " a red boat "
    assert not any("aredboat" in view for view in views("a  red   boat"))
