import random
from dataclasses import replace

import pytest
import torch

from kinemark.model.layout_reader import LayoutReader, LayoutReaderConfig
from kinemark.training.layout_reader import (
    LayoutReaderRecipe,
    draw_slots,
    mirrored,
    reader_loss,
    train_layout_reader,
    varied,
)
from kinemark.training.stream import build_pool
from kinemark.worlds.spec import ATTRIBUTES, COLUMN, PLAIN_MIX

TINY = LayoutReaderRecipe(steps=3, batch=16, pool=32, pool_steps=2)
SMALL = LayoutReaderConfig(width=8, hidden=16, dilations=(1,))


@pytest.fixture(scope="module")
def pool():
    return build_pool(32, 3, torch.device("cpu"), PLAIN_MIX)


def draw(pool, *, still=False, seed=0, **changes):
    recipe = replace(TINY, **{"batch": 64, "cut": 0.0, **changes})
    return draw_slots(recipe, pool, (64, 64), torch.Generator().manual_seed(seed), still=still)


def test_a_slot_shows_the_subject_where_its_layout_says(pool):
    """Around the place the picture differs from what is there when the subject has moved on; so does its colour."""
    slots = draw(pool)
    layout = slots.layout_NSK[:, 0]
    there = layout[:, 0].isfinite()
    assert there.float().mean() > 0.9
    assert ((layout[there, 0] > -0.2) & (layout[there, 0] < 1.2)).all()
    assert (slots.layout_NSK[:, 1].isnan()).all()
    assert slots.ordered_N.all()


def test_a_still_repeats_one_frame_and_shows_no_velocity(pool):
    slots = draw(pool, still=True)
    frames = slots.slot_NCHW.unflatten(1, (4, 3))
    assert torch.equal(frames, frames[:, :1].expand_as(frames))
    assert (slots.layout_NSK[..., 3:5].nan_to_num() == 0).all()


def test_halves_without_subjects_hold_nothing(pool):
    cut, whole = draw(pool, cut=1.0), draw(pool)
    assert cut.layout_NSK[:, 0, 0].isnan().float().mean() > 0.6
    assert whole.layout_NSK[:, 0, 0].isnan().float().mean() < 0.1


def test_a_mirror_shows_left_for_right(pool):
    slots = draw(pool)
    other = mirrored(slots)
    assert torch.equal(other.slot_NCHW.flip(-1), slots.slot_NCHW)
    there = slots.layout_NSK[:, 0].isfinite().all(-1)
    seen, real = other.layout_NSK[there, 0], slots.layout_NSK[there, 0]
    torch.testing.assert_close(seen[:, 0], 1 - real[:, 0])
    torch.testing.assert_close(seen[:, [1, 2, 4]], real[:, [1, 2, 4]])
    torch.testing.assert_close(seen[:, [3, 5]], -real[:, [3, 5]])
    direction = COLUMN["direction"]
    values = ATTRIBUTES[direction].values
    for one, turned in (("left", "right"), ("right", "left"), ("up", "up")):
        says = slots.said_NL[:, direction] == values.index(one)
        assert (other.said_NL[says, direction] == values.index(turned)).all()
    assert torch.equal(mirrored(other).said_NL, slots.said_NL)


def test_a_part_of_a_slot_shows_the_subject_where_its_layout_says(pool):
    """The colour at the subject's middle is the same in the part as in the whole."""
    slots = draw(pool, still=True)
    rng = random.Random(1)
    for _ in range(8):
        part = varied(slots, rng)
        height, width = part.slot_NCHW.shape[-2:]
        assert torch.allclose(part.aspect_N, torch.tensor(width / height))
        inside = part.layout_NSK[:, 0].isfinite().all(-1)
        assert 0.3 < inside.float().mean() <= 1
        turned = not torch.equal(part.said_NL, slots.said_NL)
        whole = mirrored(slots) if turned else slots
        close = 0
        for clip in inside.nonzero().flatten().tolist():
            seen, real = (_at(one.slot_NCHW[clip], one.layout_NSK[clip, 0]) for one in (part, whole))
            close += (seen - real).abs().max() < 0.3
        assert close > 0.8 * inside.sum()


def _at(slot_CHW, layout_K):
    height, width = slot_CHW.shape[-2:]
    y, x = (min(int(at * side), side - 1) for at, side in ((layout_K[1], height), (layout_K[0], width)))
    return slot_CHW[:3, y, x]


def test_loss_is_learnt_from(pool):
    torch.manual_seed(0)
    reader, slots = LayoutReader(SMALL), draw(pool)
    optimiser = torch.optim.AdamW(reader.parameters(), 5e-3)
    losses = []
    for step in range(30):
        loss = reader_loss(reader, slots, torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


def test_two_subjects_that_the_prompt_does_not_order_may_be_found_in_either_order():
    pool = build_pool(32, 5, torch.device("cpu"), replace(PLAIN_MIX, one_subject=0.0))
    slots = draw(pool, text_dropout=1.0)
    assert not slots.ordered_N.any()
    torch.manual_seed(0)
    reader = LayoutReader(SMALL)
    crossed = replace(slots, layout_NSK=slots.layout_NSK.flip(1))
    one, other = (reader_loss(reader, s, torch.Generator().manual_seed(1)) for s in (slots, crossed))
    assert one.item() == pytest.approx(other.item(), rel=0.05)


def test_the_same_recipe_gives_the_same_reader():
    one, other = (train_layout_reader(TINY, lambda _: None, SMALL) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
