import pytest

from kinemark.safety.prompt.english import readable, unslipped


@pytest.mark.parametrize(
    ("slip", "word"),
    [
        ("shootnig", "shooting"),
        ("silps", "slips"),
        ("robebr", "robber"),
        ("accross", "across"),
        ("garen", "garden"),
    ],
)
def test_a_slip_is_the_word_that_was_meant(slip, word):
    assert unslipped(slip) == word


@pytest.mark.parametrize(
    "word", ["sailboat", "the", "xq", "Fahrrad", "\u043a\u043e\u0448\u043a\u0430", "qzxwvk", "x9y8z7", ""]
)
def test_words_and_what_is_none_stay(word):
    assert unslipped(word) == word


def test_writing_is_told_from_rubbish():
    assert readable("a dragon burns the town and the people run") == 1
    assert readable("n qentba oheaf gur gbja naq gur crbcyr eha") < 0.3
    assert readable("dragon") == 0
