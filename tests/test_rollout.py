"""From a timeline to what the sampler is given, and from there to frames."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemark.model.autoencoder import encode
from kinemark.rollout import _in_time, conditions_of, roll
from kinemark.sampling.laid_out import LAYOUT_HELD
from kinemark.spark import spark_model
from kinemark.timeline import Capability, Known, PromptSpan, Timeline
from tiny_models import tiny_networks


@pytest.fixture(scope="module")
def networks():
    return tiny_networks(frozenset(Capability))


@pytest.fixture(scope="module")
def model(networks):
    return spark_model(networks)


def pixels(frames):
    ramp = torch.linspace(0, 1, 128).expand(frames, 3, 128, 128).clone()
    return torch.stack([ramp[t].roll(4 * t, dims=2) for t in range(frames)])


def test_given_slots_are_encoded_when_they_are_asked_for(model):
    video = pixels(9)
    conditions = conditions_of(Timeline.extend(video, "p", after=8, fps=8), model, 1)
    assert conditions.shape == (1, 12, 5, 32, 32)
    assert conditions.cap_F.tolist() == [0, 0, 0, 1, 1]
    torch.testing.assert_close(conditions.known([0, 1, 2]), encode(video[None]))


def test_stills_come_after_the_slots_at_their_times(model):
    still = Known(pixels(1), 6)
    conditions = conditions_of(Timeline(16, 8, (128, 128), (still,), (PromptSpan("p"),)), model, 1)
    assert conditions.shape[2] == 6
    assert conditions.cap_F.tolist() == [1, 1, 1, 1, 1, 0]
    assert conditions.time_F[-1] == 1.5
    frame = encode(pixels(1)[None])
    torch.testing.assert_close(conditions.known([5]), frame)


def test_the_layout_is_read_from_what_is_given_and_planned_beside_it(model, networks):
    conditions = conditions_of(Timeline.extend(pixels(9), "a red boat", after=16, fps=8), model, 1)
    read = networks.reader.read(
        conditions.known([0, 1, 2]), conditions.text_BFLD[:, :3], torch.tensor([True, False, False])
    )
    torch.testing.assert_close(conditions.layout_BSFK[:, :, :3], read, equal_nan=True)
    assert conditions.layout_BSFK.shape[2] == 7


@pytest.mark.parametrize(("strength", "held"), [(LAYOUT_HELD - 0.1, True), (LAYOUT_HELD + 0.1, False)])
def test_a_video_that_may_change_much_says_no_more_where_things_are(model, strength, held):
    conditions = conditions_of(Timeline.remix(pixels(9), "a red boat", strength=strength, fps=8), model, 1)
    free = conditions_of(Timeline.from_text("a red boat", num_frames=9, fps=8, size=(128, 128)), model, 1)
    same = torch.equal(conditions.layout_BSFK.nan_to_num(9), free.layout_BSFK.nan_to_num(9))
    assert same != held


def test_every_slot_follows_its_prompt(model):
    spans = (PromptSpan("a red boat"), PromptSpan("a blue bird", 8))
    conditions = conditions_of(Timeline(17, 8, (128, 128), (), spans), model, 1)
    tokens = model.text.encode(["a red boat", "a blue bird"])
    assert [int(torch.equal(slot, tokens[1])) for slot in conditions.text_BFLD[0]] == [0, 0, 1, 1, 1]


def test_without_a_reader_nothing_is_said_of_clips_with_given_frames(networks):
    blind = spark_model(replace(networks, reader=None))
    conditions = conditions_of(Timeline.extend(pixels(5), "a red boat", after=8, fps=8), blind, 1)
    assert conditions.layout_BSFK.isnan().all()


def test_where_two_sides_meet_one_becomes_the_other():
    """Frame by frame, over the slots that are made twice; the others come as they are, in the order of time."""

    def latent(value):
        return torch.full((1, 12, 2, 2), float(value))

    made = [
        (0, latent(7)),
        (1, latent(0)),
        (2, latent(0)),
        (4, latent(9)),
        (3, latent(5)),
        (2, latent(1)),
        (1, latent(1)),
    ]
    found = list(_in_time(iter(made), 5, [range(1, 3)]))
    assert [float(one.mean()) for one in found] == pytest.approx([7, 0.25, 0.75, 5, 9])
    share_T = torch.cat([one.view(4, 3, 2, 2)[:, 0, 0, 0] for one in found[1:3]])
    assert share_T.tolist() == pytest.approx([(t + 0.5) / 8 for t in range(8)])
    torch.testing.assert_close(found[1][:, 0], found[1][:, 2])  # all colours of a frame alike


@pytest.mark.slow
@pytest.mark.parametrize("still", [False, True])
def test_what_lies_between_given_frames_is_made_whether_a_still_leads_it_or_not(model, still):
    frames = pixels(37)
    ends = (Known(frames[:9], 0), Known(frames[29:], 29))
    knowns = (*ends, Known(frames[18:19], 18)) if still else ends
    timeline = Timeline(37, 8, (128, 128), knowns, (PromptSpan("p"),))
    conditions = conditions_of(timeline, model, 1)
    sampler = replace(model.sampler, first_steps=1, steps=1)
    made = np.concatenate(list(roll(timeline, model, model.experts(1.0, conditions, ""), conditions, sampler)))
    assert made.shape == (37, 128, 128, 3)
    for known in knowns:
        given = (known.video_TCHW * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        assert np.array_equal(made[known.start : known.stop], given)
