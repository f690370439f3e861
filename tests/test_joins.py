from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinemark.joins import FADE, joined

SIZE = (3, 24, 24)


def slots_of(frames):
    """Frames as slots: one frame, then four each."""
    return [torch.stack(frames[:1]), *(torch.stack(frames[i : i + 4]) for i in range(1, len(frames), 4))]


def run(frames, exact):
    out = list(joined(iter(slots_of(frames)), exact))
    assert len(out) == len(frames)
    return out


def textured(seed=0):
    return torch.rand(SIZE, generator=torch.Generator().manual_seed(seed)) * 0.5 + 0.25


@given(st.lists(st.booleans(), min_size=1, max_size=90))
def test_every_frame_comes_out_once_and_kept_ones_as_they_are(exact):
    frames = [torch.full(SIZE, 0.5 + 0.001 * index) for index in range(len(exact))]
    out = run(frames, exact)
    for index, is_exact in enumerate(exact):
        if is_exact:
            assert torch.equal(out[index], frames[index])
        assert (out[index] - frames[index]).abs().max() < 0.1


def test_within_a_slot_nothing_changes():
    frames = [textured(seed) for seed in range(5)]
    out = run(frames[:1], [False])
    assert torch.equal(out[0], frames[0])
    moving = [frames[0].roll(2 * t, dims=2) for t in range(5)]  # all of it moves
    assert max((a - b).abs().mean() for a, b in zip(run(moving, [False] * 5), moving, strict=True)) < 0.02


def test_slots_that_are_off_by_a_little_do_not_pulse():
    scene = textured()
    frames = [scene + 0.02 * (-1) ** ((t + 3) // 4) for t in range(41)]
    before, after = (
        torch.stack([(b - a).abs().mean() for a, b in pairwise(clip)]).max()
        for clip in (frames, run(frames, [False] * 41))
    )
    assert before == pytest.approx(0.04, abs=1e-3)
    assert after < 0.012


@pytest.mark.parametrize("after", [True, False])
def test_an_error_of_the_made_frames_is_gone_at_the_join_and_let_go_slowly(after):
    """A still scene, kept on one side and made a little too bright and soft on the other."""
    scene = textured()
    wrong = (scene + 0.04 * torch.ones(SIZE) + 0.02 * textured(1)).clamp(0, 1)
    kept, made = [scene] * 4, [wrong] * 40
    frames, exact = kept + made, [True] * 4 + [False] * 40
    if not after:
        frames, exact = frames[::-1], exact[::-1]
    out = run(frames, exact)
    error = [(frame - scene).abs().mean().item() for frame in (out if after else out[::-1])]
    full = (wrong - scene).abs().mean().item()
    assert error[4] < 0.25 * full
    steps = [abs(b - a) for a, b in pairwise(error)]
    assert max(steps) < 0.25 * full
    assert error[-1] == pytest.approx(full, rel=0.2)


@pytest.mark.parametrize("gap", [1, 4, 12, 20, 31, 32, 40])
def test_between_two_kept_ends_the_error_is_taken_once(gap):
    scene = textured()
    wrong = (scene + 0.03).clamp(0, 1)
    out = run([scene] * 2 + [wrong] * gap + [scene] * 2, [True] * 2 + [False] * gap + [True] * 2)
    errors = torch.stack([(frame - scene).mean() for frame in out[2 : 2 + gap]])
    assert errors[0] < 0.02
    assert errors[-1] < 0.02
    assert (errors > -0.005).all()
    assert (errors < 0.031).all()


def test_what_moves_is_left_alone():
    """A bright square goes on: neither it nor the place that it left is touched."""

    def square(at):
        frame = torch.zeros(SIZE)
        frame[:, 8:14, at : at + 6] = 1
        return frame

    frames = [square(2 + 3 * t) for t in range(5)]
    out = run(frames, [True] + [False] * 4)
    assert max((a - b).abs().mean() for a, b in zip(out, frames, strict=True)) < 0.01


def moving(frames, step, seed=0):
    """A texture that slides to the right."""
    wide = torch.rand(3, 48, 160, generator=torch.Generator().manual_seed(seed))
    soft = torch.nn.functional.avg_pool2d(wide, 5, 1, 2)
    soft = (soft - 0.5) * 2.5 + 0.5
    return [soft[:, :, 100 - step * t : 148 - step * t].clamp(0, 1) for t in range(frames)]


@pytest.mark.parametrize("after", [True, False])
def test_beside_two_kept_frames_what_moves_goes_on(after):
    """Kept frames that slide, and made ones of something else: the first of these is what the kept ones lead to."""
    truth = moving(17, 2)
    other = moving(17, 2, seed=1)
    exact = [(t < 9) == after for t in range(17)]
    frames = [real if keep else made for real, made, keep in zip(truth, other, exact, strict=True)]
    out = run(frames, exact)
    beside, far = (9, 16) if after else (8, 0)
    inner = (slice(None), slice(4, -4), slice(12, -12))
    apart = (truth[beside] - other[beside])[inner].abs().mean()
    assert (out[beside] - truth[beside])[inner].abs().mean() < 0.35 * apart
    assert (out[far] - other[far]).abs().mean() < 0.05


def test_frames_wait_only_where_a_kept_one_is_near():
    taken = []

    def slots():
        for index in range(0, 101, 4):
            taken.append(index)
            yield torch.full((1 if index == 0 else 4, *SIZE), 0.5)

    exact = [False] * 97 + [True] * 4
    for count, _ in enumerate(joined(slots(), exact)):
        assert taken[-1] - count <= FADE + 5
    assert taken[-1] == 100
