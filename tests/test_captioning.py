"""Clips of spark's world are turned back into sentences that mean what is seen."""

import random

import pytest
import torch

from kinemark.captioning import caption, seen, sentence
from kinemark.model.load import load_networks
from kinemark.training.exam import HELD_OUT, PLAIN, draw_questions
from kinemark.worlds.render import render
from kinemark.worlds.spec import batch_scenes


def rendered(scene, frames=33, size=(128, 128)):
    time_BT = (torch.arange(frames) / 8)[None]
    return render(batch_scenes([scene]), time_BT, size).video_BTCHW[0]


@pytest.mark.parametrize("size", [(128, 128), (144, 256)])
def test_what_is_seen_is_what_is_there(size):
    right = total = told = 0
    for question in draw_questions(PLAIN, 24):
        said = seen(rendered(question.scene, size=size), 8)
        truth = question.scene.values()
        right += sum(said[name] == truth[name] for name in said)
        total += len(said)
        told += "colour" in said
    assert right / total > (0.98 if size == (128, 128) else 0.9)
    assert told >= (20 if size == (128, 128) else 12)


def test_sentences_are_understood_as_they_are_meant():
    encoder = load_networks("spark").text
    for question in draw_questions(HELD_OUT, 12):
        said = {name: value for name, value in question.said.items() if name != "count"}
        assert encoder.read([sentence(said)])[0].said == said


def test_a_picture_says_nothing_of_movement():
    said = seen(rendered(draw_questions(PLAIN, 1)[0].scene, frames=1), 8)
    assert said
    assert not {"direction", "speed"} & said.keys()


def test_what_is_no_drawn_world_is_not_described():
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(9, 3, 128, 128, generator=generator)
    assert caption(noise, 8)[0].text == ""
    assert sentence({}) == ""


def test_a_long_clip_is_told_where_it_changes():
    first, second = (question.scene for question in draw_questions(PLAIN, 2, seed=random.Random(5).randrange(99)))
    video = torch.cat([rendered(first, 32), rendered(first, 32), rendered(second, 33)])
    captions = caption(video, 8)
    assert [part.start for part in captions] in ([0.0, 8.0], [0.0, 4.0, 8.0])
    assert captions[-1].said["setting"] == second.setting


def test_a_model_of_others_is_shown_five_frames():
    shown = []

    def describe(frames_KHWC):
        shown.append(frames_KHWC.shape)
        return "a field"

    (told,) = caption(torch.zeros(33, 3, 32, 48), 8, describe)
    assert (told.text, told.start, dict(told.said)) == ("a field", 0.0, {})
    assert shown == [(5, 32, 48, 3)]
