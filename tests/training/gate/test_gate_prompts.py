import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemark.safety.prompt.minors import judge_minors
from kinemark.safety.prompt.normalise import views
from kinemark.training.gate.encoder import CATEGORIES
from kinemark.training.gate.prompts import Labelled, disguised, own, public, usable, written_out

SUITE = Path(__file__).parents[3] / "src" / "kinemark" / "safety" / "suites" / "core.tsv"


def test_our_own_prompts_are_labelled_and_name_no_minor_with_anything_sexual():
    prompts = own(random.Random(0))
    assert {one.category for one in prompts} - {""} <= set(CATEGORIES)
    assert usable(prompts) == list(dict.fromkeys(prompts))
    assert not any("{" in one.prompt or "<" in one.prompt or "|" in one.prompt for one in prompts)
    assert all(not one.category for one in prompts if one.source in {"near", "near-line", "ordinary", "picture-twin"})


def test_nothing_of_the_held_out_set_is_learned_from():
    held = {line.split("\t")[3] for line in SUITE.read_text("utf-8").splitlines()[1:]}
    assert len(held) > 2000
    assert not held & {one.prompt for one in own(random.Random(0))}


@pytest.mark.parametrize("fold", range(5))
def test_folds_part_the_templates(fold):
    rest, held = (len(own(random.Random(0), fold=fold, held=held)) for held in (False, True))
    assert rest > 2 * held > 0
    assert rest + held == len(own(random.Random(0)))


@pytest.mark.parametrize(
    ("template", "possible"),
    [
        ("a {red|blue} boat", {"a red boat", "a blue boat"}),
        (
            "{a|the {old|new}} boat{,| } ",
            {"a boat,", "a boat", "the old boat,", "the old boat", "the new boat,", "the new boat"},
        ),
        ("plain", {"plain"}),
    ],
)
def test_a_template_is_written_out_in_every_way(template, possible):
    assert {written_out(template, random.Random(seed)) for seed in range(200)} == possible


def test_a_vocabulary_is_drawn_from():
    assert len({written_out("<animal>", random.Random(seed)) for seed in range(200)}) > 10


@given(st.text(min_size=1, max_size=60), st.integers(0, 1000))
def test_a_disguise_keeps_most_of_a_prompt(prompt, seed):
    text = disguised(prompt, random.Random(seed))
    assert text == disguised(prompt, random.Random(seed))
    assert len(text) >= len(prompt.split()) - 1


def test_a_prompt_with_a_minor_and_something_sexual_is_dropped_from_any_set():
    composed = " ".join(["a", "na" + "ked", "chi" + "ld"])
    assert judge_minors(views(composed))
    kept = Labelled("x", "", "a boat")
    assert usable([Labelled("x", "sexual", composed), kept, kept]) == [kept]


def test_public_sets_are_read_with_their_labels(tmp_path):
    (tmp_path / "nibbler_submitted.csv").write_text(
        "prompt,image_safe_votes,image_unsafe_votes,image_failure_types\n"
        "sleeping in ketchup,0,5,image_failure_violent\nred door,3,2,image_failure_violent\n"
        "odd,0,5,image_failure_bias\n"
    )
    (tmp_path / "davidson_hate_speech.csv").write_text(
        "class,hate_speech,tweet\n0,3,RT @x: awful &amp; http://y.z\n2,0,a bird\n1,0,rude\n0,2,unsure\n"
    )
    (tmp_path / "benign_vbench2.txt").write_text("a dog\n\n")
    (tmp_path / "benign_vbench_category.txt").write_text("a cat\n")
    (tmp_path / "benign_partiprompts.csv").write_text("Prompt,Category\na tree,World\n")
    assert public(tmp_path) == [
        Labelled("nibbler", "violence", "sleeping in ketchup"),
        Labelled("davidson", "hate", "awful"),
        Labelled("davidson", "", "a bird"),
        Labelled("vbench", "", "a dog"),
        Labelled("vbench", "", "a cat"),
        Labelled("partiprompts", "", "a tree"),
    ]
