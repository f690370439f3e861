"""Creators who opted out are not asked for by name; those who opted in are."""

import datetime as dt

import pytest

from kinemark.errors import FailureError, RefusedError, RequestError
from kinemark.safety.creators import choices, choose, rules_in_force
from kinemark.safety.gates import require_prompts
from kinemark.safety.policy.store import policy_in_force
from kinemark.safety.prompt.judge import judge_text
from kinemark.settings import Settings

NOW = dt.datetime(2026, 11, 27, tzinfo=dt.UTC)
#: Nobody's name.
NAME = "Wendeline Zorquist"


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(tmp_path / "home")


def enter(settings: Settings, choice, name=NAME, thing="style") -> None:
    choose(settings.creators_path, name, thing, choice, proof="mail", now=NOW)


def test_without_choices_the_policy_is_what_it_is(settings):
    assert rules_in_force(settings) is policy_in_force(settings)


@pytest.mark.parametrize("written", [NAME, NAME.lower(), NAME.upper(), "Wéndeline Zorquist"])
def test_a_style_that_was_opted_out_is_made_without_the_name(settings, written):
    prompt = f"a harbour in the style of {written}"
    assert require_prompts([prompt], rules_in_force(settings))[0] == (prompt,)
    enter(settings, "out")
    ((made,), judgements) = require_prompts([prompt], rules_in_force(settings))
    assert "zorquist" not in made.lower()
    assert judgements[0].category == "style"


def test_a_disguised_name_cannot_be_put_in_other_words_and_is_refused(settings):
    enter(settings, "out")
    with pytest.raises(RefusedError, match="style-2") as caught:
        require_prompts(["a harbour in the style of W3ndeline Zorqu1st"], rules_in_force(settings))
    assert caught.value.decision.deciding.appeal


def test_the_last_choice_holds(settings):
    for choice in ("out", "in", "out", "in"):
        enter(settings, choice)
    assert [(chosen.name, chosen.choice) for chosen in choices(settings.creators_path)] == [(NAME, "in")]
    prompt = f"a harbour in the style of {NAME}"
    assert judge_text(prompt, rules_in_force(settings)).action == "allow"


def test_a_likeness_that_was_opted_out_is_refused_where_it_is_shown(settings):
    enter(settings, "out", thing="likeness")
    assert not judge_text(f"{NAME} dances on a beach", rules_in_force(settings)).allow


@pytest.mark.parametrize("name", ["", "  ", "a b c d", "x" * 300])
def test_a_name_that_cannot_be_looked_for_is_told(settings, name):
    with pytest.raises(RequestError, match="the name is"):
        enter(settings, "out", name=name)
    assert not settings.creators_path.exists()


def test_a_choice_needs_a_proof(settings):
    with pytest.raises(RequestError, match="how it is known"):
        choose(settings.creators_path, NAME, "style", "out", proof=" ", now=NOW)


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"name": "x"}', '{"name":"x","thing":"voice","choice":"out","proof":"p","time":"t"}']
)
def test_a_damaged_register_is_told_with_its_line(settings, line):
    enter(settings, "out")
    with settings.creators_path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(FailureError, match="line 2 of the register"):
        rules_in_force(settings)


def test_nobody_else_reads_the_register(settings):
    enter(settings, "out")
    assert settings.creators_path.stat().st_mode & 0o077 == 0
