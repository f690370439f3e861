from dataclasses import replace

import pytest
import torch

from kinemark.model.layout import LAYOUT
from kinemark.model.planner import OVERLAP, WINDOW, LayoutPlanner, PlannerConfig, from_values
from kinemark.model.scene_code import scene_tokens
from kinemark.training.planner import (
    PlannerRecipe,
    draw_windows,
    planner_loss,
    train_planner,
)
from kinemark.training.stream import build_pool
from kinemark.worlds.spec import DIRECTIONS, PLAIN_MIX

TINY = PlannerRecipe(steps=600, batch=64, pool=64, turned=0.0, arriving=0.1)
#: For so long nothing turns.
FOUR_SECONDS = 8
SMALL = PlannerConfig(width=64, layers=2)
X, VX, FACING = (LAYOUT.index(name) for name in ("x", "vx", "facing"))


@pytest.fixture(scope="module")
def pool():
    return build_pool(64, 3, torch.device("cpu"), PLAIN_MIX)


@pytest.fixture(scope="module")
def trained():
    reports: list[str] = []
    return train_planner(TINY, reports.append, SMALL), reports


def test_windows_are_tracks_of_what_the_captions_say(pool):
    windows = draw_windows(
        replace(TINY, late=0.0, turned=0.0, text_dropout=0.0), pool, 1.6, torch.Generator().manual_seed(1)
    )
    layout = from_values(windows.values_BSFV)
    assert layout.shape == (64, 2, WINDOW, len(LAYOUT))
    assert layout[:, 0].isfinite().all()
    assert layout[:, 1].isnan().all()  # the plain mix has one subject
    for direction, sign in (("left", -1.0), ("right", 1.0)):
        says = (windows.text_BLD[:, 10] == scene_tokens([{"direction": direction}])[0, 10]).all(-1)
        travelled = layout[says, 0, FOUR_SECONDS, X] - layout[says, 0, 0, X]
        assert (travelled * sign > 0).all()
        assert (layout[says, 0, : FOUR_SECONDS + 1, FACING] == sign).all()


def test_a_late_window_always_has_given_slots(pool):
    """By then what goes left has turned, so that its prompt alone does not say where it goes."""
    recipe = replace(TINY, late=1.0, given=0.0, turned=0.0, arriving=0.0)
    late = draw_windows(recipe, pool, 1.0, torch.Generator().manual_seed(2))
    assert late.given_BF[:, 0].all()
    assert not late.given_BF[:, OVERLAP:].any()
    early = draw_windows(replace(recipe, late=0.0), pool, 1.0, torch.Generator().manual_seed(2))
    assert not early.given_BF.any()


def test_what_arrives_somewhere_is_given_later_slots(pool):
    recipe = replace(TINY, batch=256, late=0.0, given=1.0, turned=0.0, arriving=1.0)
    given = draw_windows(recipe, pool, 1.0, torch.Generator().manual_seed(2)).given_BF
    assert given.any(1).all()
    assert given[:, OVERLAP:].any(1).float().mean() > 0.8
    assert 0.2 < (~given[:, 0]).float().mean() < 0.6
    assert given.sum(1).max() <= 2 * OVERLAP


def test_a_subject_that_turns_comes_from_elsewhere_and_goes_where_it_is_told(pool):
    recipe = replace(TINY, batch=256, late=0.0, turned=1.0, text_dropout=0.0)
    windows = draw_windows(recipe, pool, 1.0, torch.Generator().manual_seed(2))
    assert windows.fresh_B.all()
    assert windows.given_BF[:, 0].all()
    layout = from_values(windows.values_BSFV)[:, 0]
    says = (windows.text_BLD[:, 10] == scene_tokens([{"direction": "right"}])[0, 10]).all(-1)
    assert (layout[says, 6, VX] > 0).all()
    before = layout[says, 0, VX]
    assert (before <= 0).float().mean() > 0.4
    steps = layout[:, :, X].diff(dim=1).abs().amax(1)
    assert (steps < 0.12).float().mean() > 0.95  # nothing jumps


def test_given_slots_do_not_count(pool):
    torch.manual_seed(0)
    planner = LayoutPlanner(SMALL)
    windows = draw_windows(TINY, pool, 1.0, torch.Generator().manual_seed(4))
    everything = replace(windows, given_BF=torch.ones_like(windows.given_BF))
    assert planner_loss(planner, everything, torch.Generator().manual_seed(0)) == 0
    assert planner_loss(planner, windows, torch.Generator().manual_seed(0)) > 0


def test_training_teaches_which_way_to_go(trained):
    planner, _ = trained
    for direction, sign in (("left", -1.0), ("right", 1.0)):
        text = scene_tokens([{"subject": "car", "direction": direction, "speed": "fast"}]).expand(24, WINDOW, -1, -1)
        layout = planner.plan(text, range(24), 1.0)[:, 0]
        travelled = (layout[:, FOUR_SECONDS, X] - layout[:, 0, X]) * sign
        assert (travelled > 0).float().mean() > 0.7
    assert set(DIRECTIONS) == {"left", "right", "up", "down"}


def test_the_same_recipe_gives_the_same_planner():
    recipe = replace(TINY, steps=3)
    one, other = (train_planner(recipe, lambda _: None, SMALL) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
