"""The parts that the renderer is made of: random draws, distances, figures, light."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kinemark.worlds.noise import draws, spread
from kinemark.worlds.palette import HOURS, light_between, luminance, vivid
from kinemark.worlds.shapes import box, capsule, circle, convex, coverage, ellipse, turned, union, wedge
from kinemark.worlds.spec import KINDS, TIMES
from kinemark.worlds.sprite import Painted, Pose, Sprite
from kinemark.worlds.subjects import FIGURES


def grid(count: int = 64, reach: float = 1.0) -> tuple[Tensor, Tensor]:
    line = ((torch.arange(count) + 0.5) / count - 0.5) * 2.0 * reach
    return line.view(1, 1, -1), line.view(1, -1, 1)


def test_draws_are_uniform_and_independent() -> None:
    table = draws(torch.arange(4096), 8)
    assert table.min() >= 0.0
    assert table.max() < 1.0
    torch.testing.assert_close(table.mean(0), torch.full((8,), 0.5), atol=0.02, rtol=0)
    centred = table - 0.5
    torch.testing.assert_close(12.0 * (centred.T @ centred) / 4096, torch.eye(8), atol=0.06, rtol=0)


def test_draws_use_all_bits_of_the_seed() -> None:
    seeds = torch.tensor([5, 5 + (1 << 40), -5, 6])
    assert len(draws(seeds, 1).unique()) == 4


def test_draws_do_not_depend_on_how_many_are_asked_for() -> None:
    seeds = torch.tensor([1, 2, 3])
    assert torch.equal(draws(seeds, 4), draws(seeds, 9)[:, :4])


def test_spread_fills_the_unit_interval_evenly() -> None:
    for sequence in range(7):
        values = spread(torch.arange(-50.0, 50.0), torch.tensor(0.3), sequence)
        assert ((values >= 0.0) & (values < 1.0)).all()
        histogram = torch.histc(values, 10, 0.0, 1.0)
        assert histogram.min() >= 7


def test_areas_of_anti_aliased_figures() -> None:
    u, v = grid(64)
    pixel = 2.0 / 64
    areas = {
        math.pi * 0.25: circle(u, v, (0.1, 0.0), 0.5),
        math.pi * 0.18: ellipse(u, v, (0.0, 0.1), (0.6, 0.3)),
        0.8: box(u, v, (0.05, 0.0), (0.5, 0.4)),
        math.pi * 0.04 + 0.4: capsule(u, v, (-0.5, 0.0), (0.5, 0.0), 0.2),
        0.5: convex(u, v, ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5))),
    }
    for area, distance in areas.items():
        assert coverage(distance, pixel).sum() * pixel**2 == pytest.approx(area, rel=0.02)


def test_convex_takes_corners_in_either_order() -> None:
    u, v = grid(16)
    corners = ((-0.5, -0.5), (0.5, -0.4), (0.3, 0.5))
    torch.testing.assert_close(convex(u, v, corners), convex(u, v, corners[::-1]))


def test_wedge_tapers() -> None:
    v = torch.linspace(-0.5, 0.5, 101).view(1, -1, 1)
    for place, width in ((-0.5, 0.4), (0.0, 0.3), (0.5, 0.2)):
        inside = wedge(torch.tensor([[[place]]]), v, (-0.5, 0.0), (0.5, 0.0), 0.2, 0.1) < 0
        assert inside.sum() * 0.01 == pytest.approx(width, abs=0.03)


def test_turning_and_union() -> None:
    u, v = turned(torch.tensor(1.0), torch.tensor(0.0), math.pi / 2)
    assert u == pytest.approx(0.0, abs=1e-6)
    assert v == pytest.approx(-1.0)
    assert union(torch.tensor(1.0), torch.tensor(-2.0), torch.tensor(0.5)) == -2.0


def painted(kind: int, clock: Tensor, count: int = 64, reach: float = 1.3, size: float = 0.4) -> Painted:
    """A figure at several times in a box much larger than itself."""
    wide = torch.ones(len(clock), 1, 1)
    pose = Pose(
        size=wide * size,
        facing=wide,
        clock=clock.view(-1, 1, 1),
        colour=torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1).expand(len(clock), -1, -1, -1),
        light=torch.ones(len(clock), 3, 1, 1),
        paper=wide < 0,
        neon=wide < 0,
    )
    u, v = grid(count, reach)
    sprite = Sprite(u * wide * size, v * wide * size, 2.0 * reach * size / count, pose)
    FIGURES[kind].draw(sprite)
    return sprite.paint()


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=KINDS)
def test_a_figure_never_leaves_its_box(kind: int) -> None:
    figure = FIGURES[kind]
    alpha = painted(kind, torch.linspace(0.0, 12.0, 25)).alpha_NHW.amax(0)
    u, v = grid(64, 1.3)
    rim = 0.02 / 0.4 + 0.02
    outside = (u.abs() > figure.aside + rim) | (v < -figure.above - rim) | (v > figure.below + rim)
    assert alpha[outside[0]].max() < 0.02


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=KINDS)
def test_cycles_last_at_least_a_second(kind: int) -> None:
    """Two frames an eighth of a second apart differ less than two a quarter apart: 8 fps does not alias."""
    clock = torch.arange(0.0, 6.0, 0.125)
    pictures = painted(kind, clock).colour_NCHW * painted(kind, clock).alpha_NHW[:, None]
    eighth, quarter = ((pictures[step:] - pictures[:-step]).abs().mean() for step in (1, 2))
    assert 0.0 < eighth < quarter


def test_light_mixes_from_start_to_end() -> None:
    noon, night = torch.tensor([1]), torch.tensor([4])
    for progress, time in ((0.0, 1), (1.0, 4)):
        light = light_between(noon, night, torch.tensor([progress]))
        torch.testing.assert_close(light.sky_top[0, :, 0, 0], torch.tensor(HOURS[time].sky_top))
        assert light.sun_height.item() == pytest.approx(HOURS[time].sun_height)
    assert len(HOURS) == len(TIMES)


def test_vivid_keeps_hue_and_luminance_weighs_green_most() -> None:
    colour = torch.tensor([0.2, 0.1, 0.05]).view(1, 3, 1, 1)
    lit = vivid(colour).flatten()
    assert lit[0] == pytest.approx(1.0)
    assert lit[0] > lit[1] > lit[2]
    red, green = torch.eye(3)[:2].view(2, 3, 1, 1).split(1)
    assert luminance(green) > luminance(red)
