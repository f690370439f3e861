"""Gaps between given slots are made from both sides."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinemark.sampling.coarse import Experts
from kinemark.sampling.conditions import Conditions, Use, stored
from kinemark.sampling.flow import per_slot, velocity_from_clean
from kinemark.sampling.sides import MEETING, count_all_steps, meetings, sides, stream_sides
from kinemark.sampling.streaming import SamplerConfig

SLOTS = st.lists(st.booleans(), min_size=1, max_size=30)


def ask(told, stills=0):
    """A request, one letter a slot: g for given, m for made."""
    caps = torch.tensor([0.0 if letter == "g" else 1.0 for letter in told] + [0.0] * stills)
    conditions = Conditions.from_text(torch.zeros(1, 3, 8), [5], (4, len(caps), 8, 8))
    return replace(conditions, cap_F=caps, known=stored(torch.rand(conditions.shape)))


CONFIG = SamplerConfig(first_steps=1, steps=1, ahead=2)


def parts(told, stills=0, config=CONFIG):
    return sides(ask(told, stills), config, len(told))


def letters(given_slots):
    return "".join("g" if one else "m" for one in given_slots)


@given(SLOTS)
def test_meetings_lie_in_the_middle_of_gaps_that_are_closed(given_slots):
    found = meetings(parts(letters(given_slots)))
    made_twice = {slot for where in found for slot in where}
    for slot, is_given in enumerate(given_slots):
        if is_given:
            assert slot not in made_twice
            continue
        if not (any(given_slots[:slot]) and any(given_slots[slot:])):
            assert slot not in made_twice
    for where in found:
        first = max(slot for slot in range(where.start) if given_slots[slot]) + 1
        last = min(slot for slot in range(where.stop, len(given_slots)) if given_slots[slot]) - 1
        assert len(where) == min(MEETING, last - first + 1)
        assert abs((where.start - first) - (last - where.stop + 1)) <= 1


@given(SLOTS)
def test_every_slot_is_answered_for_once_and_where_sides_meet_twice(given_slots):
    all_sides = parts(letters(given_slots))
    twice = {slot for where in meetings(all_sides) for slot in where}
    answered = [slot for side in all_sides for slot in side.own]
    assert all(answered.count(slot) == (2 if slot in twice else 1) for slot in range(len(given_slots)))


def test_a_side_sees_what_is_given_beside_it_and_a_little_of_what_comes():
    first, second = parts("ggmmmmggg")
    assert first.shown == (0, 1, 2, 3, 4, 6, 7)
    assert first.own == {0, 1, 2, 3, 4}
    assert second.shown == (3, 4, 5, 6, 7, 8)
    assert second.own == {3, 4, 5, 6, 7, 8}


@pytest.mark.parametrize("told", ["mmmm", "ggmm", "mmgg", "gggg", "mgm"])
def test_what_is_given_on_one_side_alone_is_made_in_one_go(told):
    (side,) = parts(told)
    assert side.shown == tuple(range(len(told)))
    assert meetings((side,)) == []


def test_a_clip_with_stills_is_made_in_one_go():
    (side,) = parts("gmmg", stills=1)
    assert side.shown == (0, 1, 2, 3, 4)


def test_so_is_any_by_a_model_without_blocks():
    (side,) = parts("gmmmg", config=replace(CONFIG, block_slots=None))
    assert side.shown == (0, 1, 2, 3, 4)


class Numbered:
    """Makes of every slot a picture of the order in which it was asked for it."""

    def __init__(self):
        self.made = []

    def __call__(self, x, sigma, text, **rest):
        if not rest.get("write"):
            self.made.append(rest["time_BF"][0].tolist())
        return velocity_from_clean(x, torch.full_like(x, float(len(self.made))), per_slot(sigma))


def test_sides_are_streamed_one_after_the_other():
    told, denoiser = "gmmmg", Numbered()
    conditions = ask(told)
    found = list(stream_sides(Experts(denoiser), conditions, CONFIG, parts(told)))
    order = [slot for slot, _ in found]
    assert sorted(order) == [0, 1, 1, 2, 2, 3, 4]
    assert denoiser.made == [[1.0], [2.0], [3.0], [2.0], [1.0]]  # forwards, then backwards from what comes
    given_slots = {slot: latent for slot, latent in found if told[slot] == "g"}
    for slot, latent in given_slots.items():
        assert torch.equal(latent, conditions.known([slot])[:, :, 0])
    assert count_all_steps(Experts(denoiser), conditions, CONFIG, parts(told)) == 5


def test_a_part_keeps_what_belongs_to_its_slots():
    conditions = ask("gmmmg")
    conditions = conditions.told(torch.rand(1, 2, 5, 6))
    part = conditions.part([1, 2, 4])
    assert part.shape == (1, 4, 3, 8, 8)
    assert part.cap_F.tolist() == [1, 1, 0]
    assert part.time_F.tolist() == [1, 2, 4]
    assert torch.equal(part.known([0, 2]), conditions.known([1, 4]))
    for use in Use:
        assert torch.equal(part.noise([0, 2], use), conditions.noise([1, 4], use))
    assert torch.equal(part.layout_BSFK, conditions.layout_BSFK[:, :, [1, 2, 4]])
