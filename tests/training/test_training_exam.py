import pytest

from kinemark.training.exam import HELD_OUT, PLAIN, SIX, WIDE, draw_questions
from kinemark.worlds.captions import STYLES


@pytest.mark.parametrize("group", [PLAIN, HELD_OUT, WIDE], ids=lambda group: group.name)
def test_questions_state_the_six_and_only_what_is_true(group):
    for question in draw_questions(group, 40):
        truth = question.scene.values() | {"count": str(len(question.scene.subjects))}
        assert set(SIX) <= question.said.keys()
        assert all(truth[name] == value for name, value in question.said.items())


def test_a_longer_list_begins_with_a_shorter_one():
    assert draw_questions(PLAIN, 12)[:5] == draw_questions(PLAIN, 5)


def test_the_list_is_fixed():
    assert draw_questions(PLAIN, 3) == draw_questions(PLAIN, 3)
    assert draw_questions(PLAIN, 3) != draw_questions(PLAIN, 3, seed=1)
    assert draw_questions(PLAIN, 3) != draw_questions(HELD_OUT, 3)


def test_the_headline_is_plain_and_nothing_of_it_is_held_out():
    for question in draw_questions(PLAIN, 40):
        scene = question.scene
        assert (len(scene.subjects), scene.look, scene.camera, scene.time) == (1, "flat", "static", scene.time_end)
        assert not scene.is_held_out()


def test_held_out_questions_are_held_out():
    assert all(question.scene.is_held_out() for question in draw_questions(HELD_OUT, 20))


def test_wide_questions_vary_what_the_plain_ones_do_not():
    scenes = [question.scene for question in draw_questions(WIDE, 60)]
    assert {len(scene.subjects) for scene in scenes} == {1, 2}
    assert len({scene.look for scene in scenes}) == 3
    assert len({scene.camera for scene in scenes}) == 6
    assert any(scene.time != scene.time_end for scene in scenes)


def test_both_subjects_are_described():
    for question in draw_questions(WIDE, 40):
        if len(question.scene.subjects) == 2:
            assert {"second_subject", "second_colour", "second_direction"} <= question.said.keys()


def test_what_is_unusual_is_said():
    for question in draw_questions(WIDE, 40):
        assert question.scene.camera == "static" or "camera" in question.said
        assert question.scene.look == "flat" or "look" in question.said


def test_no_seed_comes_twice():
    seeds = [q.seed for group in (PLAIN, HELD_OUT, WIDE) for q in draw_questions(group, 50)]
    assert len(set(seeds)) == len(seeds)


def test_six_attributes_make_everything_right():
    assert SIX == ("setting", "time", "weather", "subject", "colour", "direction")
    assert len(STYLES) == 3
