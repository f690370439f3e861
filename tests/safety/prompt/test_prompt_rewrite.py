"""Prompts in other words: what the policy replaces, and nothing else."""

import pytest

from kinemark.errors import RefusedError, RequestError
from kinemark.safety.gates import require_prompts
from kinemark.safety.policy.file import SHIPPED, load_policy
from kinemark.safety.prompt.judge import judge_text
from kinemark.safety.prompt.rewrite import rewritten

POLICY = load_policy()


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ("a red ferrari drives by the sea, golden hour", "a red sports car drives by the sea golden hour"),
        ("an iphone on a desk", "a phone on a desk"),
        ("a boy builds a lego tower. Snow falls", "a boy builds a toy brick tower. Snow falls"),
        ("a castle, art by Banksy", "a castle art in a style of its own"),
        ("a f3rrari in the rain", "a f3rrari in the rain"),
    ],
)
def test_names_become_things(asked, made):
    assert rewritten(asked, POLICY) == made


@pytest.mark.parametrize(
    "plain", ["a red sailboat, at sunset", "the amazon river from above", "a documentary about Banksy"]
)
def test_what_needs_no_other_words_keeps_its_own(plain):
    assert rewritten(plain, POLICY) == plain


def test_a_rewritten_prompt_is_told_and_judged_again():
    (made,), judgements = require_prompts(["a lego castle by a lake"], POLICY)
    assert made == "a toy brick castle by a lake"
    assert [judgement.action for judgement in judgements] == ["rewrite", "allow"]
    assert "without the name" in judgements[0].reason


def test_other_words_for_a_brand_do_not_make_the_rest_allowed():
    asked = "a man is beheaded with a machete beside a lego castle"
    with pytest.raises(RefusedError, match="violence"):
        require_prompts([asked], POLICY)


def test_a_disguise_that_cannot_be_put_in_other_words_is_refused():
    disguised = "a l e g o castle"
    assert judge_text(disguised, POLICY).action == "rewrite"
    with pytest.raises(RefusedError, match="without the name"):
        require_prompts([disguised], POLICY)


def test_a_rule_rewrites_if_and_only_if_it_has_other_words(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(SHIPPED.read_text().replace('instead = "toy brick"\n', ""))
    with pytest.raises(RequestError, match="brands-bricks"):
        load_policy(path)
