"""spark's own expander keeps what a prompt says, and the operator's takes its place."""

import pytest

from kinemark.expanding import expander_of, in_sparks_words
from kinemark.model.load import load_networks
from kinemark.settings import load_settings

PROMPTS = ("a red sailboat at sunset", "a dog in the snow", "a blue kite flies left", "rain over the city")


@pytest.mark.parametrize("prompt", PROMPTS)
def test_what_a_prompt_says_is_kept(prompt):
    told = in_sparks_words(prompt)
    before, after = (reading.said for reading in load_networks("spark").text.read([prompt, told]))
    assert all(after.get(name) == value for name, value in before.items())
    assert told == in_sparks_words(prompt)


def test_most_prompts_become_longer():
    assert sum(in_sparks_words(prompt) != prompt for prompt in PROMPTS) >= 2


def test_the_operators_model_comes_first():
    settings = load_settings()
    settings.home.mkdir(exist_ok=True)
    settings.assistants_path.write_text('[expand]\nurl = "http://127.0.0.1:9/v1"\nmodel = "m"\n')
    assert expander_of(settings) is not in_sparks_words
    settings.assistants_path.unlink()
    assert expander_of(settings) is in_sparks_words
