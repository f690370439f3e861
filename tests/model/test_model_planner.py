import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinemark.model.layout import LAYOUT, empty_layout
from kinemark.model.planner import (
    OVERLAP,
    WINDOW,
    LayoutPlanner,
    PlannerConfig,
    _next_piece,
    from_values,
    lay_out,
    straight_between,
    to_values,
)
from kinemark.model.scene_code import scene_tokens

VELOCITY = [LAYOUT.index("vx"), LAYOUT.index("vy")]


@pytest.fixture(scope="module")
def planner():
    torch.manual_seed(0)
    return LayoutPlanner(PlannerConfig(width=24, layers=2)).eval()


def text(clips, slots):
    return scene_tokens([{"subject": "car", "direction": "left"}]).expand(clips, slots, -1, -1)


def test_values_and_layouts_are_two_ways_of_saying_the_same():
    layout = torch.rand(3, 2, 5, len(LAYOUT))
    layout[..., -1] = torch.where(torch.rand(3, 2, 5) < 0.5, -1.0, 1.0)
    layout[2, 1] = torch.nan
    torch.testing.assert_close(from_values(to_values(layout)), layout, equal_nan=True)


def test_absence_is_a_value():
    values = to_values(empty_layout(1, 4))
    assert (values[..., :-1] == 0).all()
    assert (values[..., -1] == -1).all()


@pytest.mark.parametrize("slots", [1, WINDOW, WINDOW + 1, 3 * WINDOW])
def test_plans_have_as_many_slots_as_asked(planner, slots):
    assert planner.plan(text(2, slots), [1, 2], 1.0).shape == (2, 2, slots, len(LAYOUT))


def test_a_plan_is_a_function_of_its_seed_alone(planner):
    both = planner.plan(text(2, 12), [3, 4], 1.5)
    torch.testing.assert_close(planner.plan(text(1, 12), [4], 1.5), both[1:], equal_nan=True, atol=1e-5, rtol=0)
    assert not torch.equal(both[0].nan_to_num(), both[1].nan_to_num())


def test_a_longer_plan_begins_with_the_shorter_one(planner):
    long, short = (planner.plan(text(1, slots), [5], 1.0) for slots in (2 * WINDOW, WINDOW))
    values_long, values_short = to_values(long)[:, :, :WINDOW], to_values(short)
    torch.testing.assert_close(values_long[..., :-2], values_short[..., :-2])


def test_given_slots_are_seen(planner):
    """The window after the first is planned from the last slots of the one before."""
    kept = torch.randn(1, 2, WINDOW, len(LAYOUT) + 1)
    noise = torch.randn(1, 2, WINDOW, len(LAYOUT) + 1)
    first, tokens = torch.arange(WINDOW) < OVERLAP, text(1, 1)[:, 0]
    one, other = (planner._window(noise.clone(), k, first, tokens, 1.0, fresh=False) for k in (kept, -kept))
    assert not torch.allclose(one[:, :, OVERLAP:], other[:, :, OVERLAP:])


@pytest.mark.parametrize("known", [[0], [0, 1, 2], [30], [38, 39], [0, 39], [10, 11, 30], [0, 1, 12, 13]])
def test_what_is_given_stays_and_everything_else_is_planned(planner, known):
    fixed = empty_layout(1, 40)
    fixed[:, :1, known] = torch.rand(1, 1, len(known), len(LAYOUT))
    fixed[:, :1, known, -1] = 1.0
    planned = planner.plan(text(1, 40), [1], 1.0, fixed)
    torch.testing.assert_close(planned[:, :, known], fixed[:, :, known], equal_nan=True)
    other = planner.plan(text(1, 40), [1], 1.0)
    free = [slot for slot in range(40) if slot not in known]
    assert not torch.equal(to_values(planned)[:, :, free], to_values(other)[:, :, free])


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.lists(st.integers(1, 59), max_size=3))
def test_pieces_fill_every_gap_and_never_touch_what_is_known(known, changes):
    known_F, changes = torch.tensor(known), sorted(set(changes))
    for _ in range(200):
        if known_F.all():
            break
        piece = _next_piece(known_F, changes)
        assert len(piece.made) > 0
        assert not known_F[piece.made.start : piece.made.stop].any()
        assert piece.start <= piece.made.start
        assert piece.made.stop <= piece.start + WINDOW
        assert not any(piece.made.start < change < piece.made.stop for change in changes)
        known_F[piece.made.start : piece.made.stop] = True
    assert known_F.all()


def test_a_new_prompt_begins_a_new_piece():
    known_F = torch.zeros(20, dtype=torch.bool)
    known_F[:6] = True
    assert _next_piece(known_F, [6]).fresh
    assert not _next_piece(known_F, [8]).fresh
    assert _next_piece(known_F, [8]).made == range(6, 8)


def test_the_first_slot_of_a_clip_stands_still(planner):
    layout = lay_out(planner, text(4, 6), range(4), (64, 96))
    there = layout[layout[..., 0, 0].isfinite()]
    if len(there):
        assert (there[:, 0, VELOCITY] == 0).all()
        assert (there[:, 1:, VELOCITY] != 0).any()


def test_after_one_given_frame_the_prompt_says_where_things_go():
    known_F = torch.zeros(9, dtype=torch.bool)
    known_F[0] = True
    assert _next_piece(known_F, []).fresh
    known_F[1] = True
    assert not _next_piece(known_F, []).fresh
    assert not _next_piece(torch.zeros(9, dtype=torch.bool), []).fresh


def test_from_slot_to_slot_the_way_is_straight():
    """Between given slots a line, beyond them what is nearest, and nothing where nothing is given."""
    values = torch.full((3, 2, WINDOW, len(LAYOUT) + 1), 99.0)
    given = torch.zeros(3, WINDOW)
    given[0, [2, 6]] = given[1, 4] = 1
    values[0, :, 2], values[0, :, 6], values[1, :, 4] = 1.0, 3.0, 5.0
    straight = straight_between(values, given)
    assert straight[0, 0, :8, 0].tolist() == [1.0, 1.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.0]
    assert (straight[1] == 5).all()
    assert (straight[2] == 0).all()
