"""Frames, slots and verbs. Sizes are small: nothing here depends on how large a picture is."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinemark.errors import RequestError
from kinemark.sizes import SPARK_SIZES, SizeRange
from kinemark.timeline import (
    BLEND_CAP,
    STRENGTHS,
    Capability,
    Card,
    Kept,
    Known,
    PromptSpan,
    Timeline,
    frames_of_slot,
    slot_count,
    slot_of_frame,
    video_from_frames,
)

SIZE = (6, 10)
GRID = (8, 12)
lengths = st.integers(1, 40)
gaps = st.integers(0, 30)


def clip(frames, value=None):
    """A video in which every frame says its number (red, in 100ths) and every column its place (green)."""
    video = torch.zeros(frames, 3, *SIZE)
    video[:, 0] = torch.arange(frames)[:, None, None] / 100 if value is None else value
    video[:, 1] = torch.arange(SIZE[1]) / 10
    return video


def kept(timeline):
    """{frame of the clip: number of the given frame that is pasted there}, from slots and placements alone."""
    found = {}
    for slot in range(timeline.num_slots):
        in_slot, in_clip = timeline.placement(slot)
        given_at = timeline.given(slot, GRID, sigma_cap=0.0)
        for position, frame in zip(range(in_slot.start, in_slot.stop), range(in_clip.start, in_clip.stop), strict=True):
            if position in given_at:
                found[frame] = round(given_at[position][0, 0, 0].item() * 100)
    return found


# Frames and slots.


@given(st.integers(1, 4000))
def test_slots_hold_all_frames_and_no_slot_is_empty(frames):
    slots = slot_count(frames)
    assert 1 + 4 * (slots - 2) < frames <= 1 + 4 * (slots - 1)


@given(st.integers(0, 4000))
def test_every_frame_is_in_its_slot(frame):
    assert frame in frames_of_slot(slot_of_frame(frame))


def test_the_grid_begins_with_a_single_frame():
    assert [list(frames_of_slot(slot)) for slot in range(3)] == [[0], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert slot_count(33) == 9
    assert slot_count(32) == 9
    assert slot_count(1) == 1


@given(lengths, gaps, gaps)
def test_the_clip_is_cut_out_of_the_grid_without_gaps(length, before, after):
    timeline = Timeline.extend(clip(length), "p", before=before, after=after, fps=8)
    placed = []
    for slot in range(timeline.num_slots):
        in_slot, in_clip = timeline.placement(slot)
        assert in_slot.stop - in_slot.start == in_clip.stop - in_clip.start
        assert 0 <= in_slot.start <= in_slot.stop <= len(frames_of_slot(slot))
        placed += range(in_clip.start, in_clip.stop)
    assert placed == list(range(timeline.num_frames))


# Sizes.


@given(st.integers(128, 512), st.integers(128, 512))
def test_sizes_are_rounded_up_to_the_grid_by_less_than_one_cell(height, width):
    grid = SPARK_SIZES.grid((height, width))
    for asked, run in zip((height, width), grid, strict=True):
        assert run % 32 == 0
        assert asked <= run < asked + 32


def test_a_wide_clip_runs_on_a_wider_grid():
    assert SizeRange(32, 128, 512).grid((144, 256)) == (160, 256)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 12), st.integers(0, 12))
def test_pictures_are_mirrored_out_to_the_grid_and_cropped_back(height, width, more_high, more_wide):
    video = torch.rand(1, 3, height, width)
    timeline = Timeline.extend(video, "p", fps=8)
    grid = (height + more_high, width + more_wide)
    picture = timeline.given(0, grid)[0]
    assert picture.shape == (3, *grid)
    rows, columns = timeline.crop(grid)
    assert torch.equal(picture[:, rows, columns], video[0])
    assert set(picture.flatten().tolist()) == set(video.flatten().tolist())
    if more_high >= 2 and height >= 2:
        assert torch.equal(picture[:, rows.start - 1, columns], video[0, :, 1])


# What is given.


@given(lengths, gaps)
def test_extending_forward_never_cuts_a_slot(length, after):
    timeline = Timeline.extend(clip(length), "p", after=after, fps=8)
    assert kept(timeline) == {frame: frame for frame in range(length)}
    assert not timeline.anchors(GRID)
    assert Capability.STILL not in timeline.needs
    caps = [timeline.slot_cap(slot) for slot in range(timeline.num_slots)]
    assert caps == sorted(caps)
    assert set(caps) <= {0.0, 1.0}


@given(lengths, gaps)
def test_extending_backward_never_cuts_a_slot(length, before):
    timeline = Timeline.extend(clip(length), "p", before=before, fps=8)
    assert kept(timeline) == {frame + before: frame for frame in range(length)}
    assert not timeline.anchors(GRID)


@given(lengths, lengths, st.integers(1, 30))
def test_connecting_keeps_both_ends(first, second, gap):
    timeline = Timeline.connect(clip(first), clip(second), "p", gap=gap, fps=8)
    assert timeline.num_frames == first + gap + second
    expected = {frame: frame for frame in range(first)} | {first + gap + frame: frame for frame in range(second)}
    assert kept(timeline) == expected
    if gap % 4 == 0:
        assert not timeline.anchors(GRID)
    assert len(timeline.anchors(GRID)) <= 2
    assert timeline.needs <= {Capability.HISTORY, Capability.FUTURE, Capability.STILL}


@given(st.integers(0, 40), st.integers(1, 41))
def test_a_still_leads_at_its_own_time(frame, after):
    timeline = Timeline(frame + after, 8, SIZE, (Known(clip(1, 0.5), frame),), (PromptSpan("p"),))
    assert kept(timeline) == {frame: 50}
    fills_its_slot = timeline.slot_cap(slot_of_frame(timeline.lead + frame)) == 0
    assert [anchor.time for anchor in timeline.anchors(GRID)] == (
        [] if fills_its_slot else [(timeline.lead + frame) / 4]
    )


def test_a_slot_that_is_cut_is_made_anew_between_its_edges():
    timeline = Timeline.connect(clip(5), clip(6), "p", gap=5, fps=8)
    cut = [slot for slot in range(timeline.num_slots) if 0 < len(timeline.given(slot, GRID)) < 4 and slot]
    assert len(cut) == 1
    assert timeline.slot_cap(cut[0]) == 1.0
    (anchor,) = timeline.anchors(GRID)
    assert anchor.time * 4 - timeline.lead in (4, 10)
    assert anchor.picture_CHW.shape == (3, *GRID)
    assert timeline.needs == {Capability.HISTORY, Capability.FUTURE, Capability.STILL}


def test_frames_beyond_the_clip_repeat_its_ends():
    timeline = Timeline.extend(clip(10), "p", after=8, fps=8)
    assert timeline.lead == 3
    shown = [
        [round(picture[0, 0, 0].item() * 100) for picture in timeline.given(slot, GRID).values()] for slot in (0, 1)
    ]
    assert shown == [[0], [0, 0, 0, 1]]


def test_knowns_and_timelines_are_values():
    timeline = Timeline.from_text("p", num_frames=32, fps=8, size=SIZE)
    with pytest.raises(FrozenInstanceError):
        timeline.fps = 3
    with pytest.raises(FrozenInstanceError):
        Known(clip(1)).start = 3


# Verbs.


def test_from_text_gives_nothing():
    timeline = Timeline.from_text("a boat", num_frames=32, fps=8, size=SIZE)
    assert (timeline.num_frames, timeline.num_slots, timeline.lead) == (32, 9, 0)
    assert timeline.prompts == (PromptSpan("a boat"),)
    assert timeline.needs == frozenset()
    assert all(timeline.slot_cap(slot) == 1 and not timeline.given(slot, GRID) for slot in range(9))


def test_an_image_is_a_clip_of_one_frame():
    timeline = Timeline.image("a boat", size=SIZE)
    assert (timeline.num_frames, timeline.num_slots) == (1, 1)


def test_from_image_gives_the_first_slot():
    timeline = Timeline.from_image(clip(1)[0], "p", num_frames=32, fps=8)
    assert [timeline.slot_cap(slot) for slot in range(9)] == [0, *[1] * 8]
    assert timeline.needs == {Capability.HISTORY}


@given(st.integers(2, 30), st.integers(1, 20))
def test_a_loop_ends_where_it_begins(length, seam):
    timeline = Timeline.loop(clip(length), "p", seam=seam, fps=8)
    pasted = kept(timeline)
    assert sorted(pasted.values()) == list(range(length))
    assert (pasted[timeline.num_frames - 1] + 1) % length == pasted[0]


def test_a_blend_is_freest_where_the_shares_are_equal():
    first, second = clip(9, 1.0), clip(9, 0.0)
    timeline = Timeline.blend(first, second, "p", fps=8)
    (known,) = timeline.knowns
    assert known.video_TCHW[:, 0, 0, 0].tolist() == pytest.approx([1 - t / 8 for t in range(9)])
    assert known.cap(0) == known.cap(8) == 0
    assert known.cap(4) == BLEND_CAP
    assert known.cap(2) == pytest.approx(0.5)
    assert timeline.needs == {Capability.HISTORY, Capability.LEVELS}
    constant = Timeline.blend(first, second, "p", curve=[0.9] * 9, fps=8)
    assert [constant.slot_cap(slot) for slot in range(3)] == pytest.approx([0.2] * 3)


@pytest.mark.parametrize("strength", [*STRENGTHS, 0.3])
def test_a_remix_is_given_whole_at_one_level(strength):
    timeline = Timeline.remix(clip(9), "p", strength=strength, fps=8)
    assert {timeline.slot_cap(slot) for slot in range(timeline.num_slots)} == {STRENGTHS.get(strength, strength)}
    assert timeline.needs == {Capability.LEVELS}
    assert kept(timeline) == {}


def test_a_recut_keeps_spans_and_moves_them():
    spans = [Kept(0, 3, at=0), Kept(8, 12, at=20)]
    timeline = Timeline.recut(clip(12), "p", kept=spans, num_frames=28, fps=8)
    assert kept(timeline) == {0: 0, 1: 1, 2: 2, 20: 8, 21: 9, 22: 10, 23: 11}


def test_a_storyboard_has_pictures_and_prompts_in_time():
    cards = [Card(24, "night falls"), Card(0, "a boat", clip(1)), Card(13, video_TCHW=clip(1, 0.5))]
    timeline = Timeline.storyboard(cards, num_frames=33, fps=8, size=SIZE)
    assert timeline.prompts == (PromptSpan("a boat"), PromptSpan("night falls", 24))
    assert kept(timeline) == {0: 0, 13: 50}
    assert [timeline.prompt_of_slot(slot) for slot in range(9)] == [0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert timeline.needs == {Capability.HISTORY, Capability.STILL, Capability.PROMPTS}


# Requests that cannot be carried out.


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Timeline.from_text("p", num_frames=0, fps=8, size=SIZE), "at least one frame, not 0"),
        (lambda: Timeline(9, 8, SIZE, (), ()), "prompts begin at frames"),
        (lambda: Timeline(9, 8, SIZE, (), (PromptSpan("p", 2),)), "the first begins at frame 0"),
        (lambda: Timeline(9, 8, SIZE, (), (PromptSpan("p"), PromptSpan("q", 9))), "within the clip"),
        (lambda: Timeline(9, 8, SIZE, (Known(clip(5), 7),), (PromptSpan("p"),)), "make the clip longer"),
        (lambda: Timeline(9, 8, SIZE, (Known(clip(5)), Known(clip(1), 4)), (PromptSpan("p"),)), "overlap"),
        (lambda: Timeline.connect(clip(4), clip(4), "p", gap=-1, fps=8), "overlap"),
        (lambda: Timeline(9, 8, (8, 8), (Known(clip(1)),), (PromptSpan("p"),)), "10x6 in a clip of 8x8"),
        (lambda: Timeline.loop(clip(1), "p", seam=4, fps=8), "given frames have shape"),
        (lambda: Timeline.blend(clip(4), clip(5), "p", fps=8), "two videos of one shape"),
        (lambda: Timeline.blend(clip(4), clip(4), "p", curve=[0, 2, 0, 0], fps=8), "in 0..1"),
        (lambda: Timeline.remix(clip(4), "p", strength="wild", fps=8), "subtle, mild, strong"),
        (lambda: Timeline.remix(clip(4), "p", strength=1.5, fps=8), "sigma_cap is 1.5"),
        (lambda: Timeline.recut(clip(4), "p", kept=[Kept(2, 6, 0)], num_frames=9, fps=8), "not within the 4"),
        (lambda: Timeline.storyboard([], num_frames=9, fps=8, size=SIZE), "the first begins at frame 0"),
        (lambda: Known(torch.zeros(3, 4, 4)), "give \\[frames, 3, height, width\\]"),
        (lambda: Known(torch.zeros(1, 3, 4, 4, dtype=torch.uint8)), "torch.uint8"),
        (lambda: Known(clip(2), 0, (0.5, float("nan"))), "one for each frame"),
        (lambda: Known(clip(2), 0, (0.5, 0.5, 0.5)), "one for each frame"),
        (lambda: video_from_frames(np.zeros((2, 4, 4), np.uint8)), "give RGB bytes"),
        (lambda: video_from_frames(np.zeros((2, 4, 4, 3))), "float64"),
    ],
)
def test_impossible_requests_say_what_to_do(make, says):
    with pytest.raises(RequestError, match=says):
        make()


def test_bytes_become_pixels_and_back():
    frames_THWC = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    video_TCHW = video_from_frames(frames_THWC)
    assert video_TCHW.shape == (1, 3, 16, 16)
    assert np.array_equal((video_TCHW * 255).round().byte().permute(0, 2, 3, 1).numpy(), frames_THWC)
