import pytest
import torch

from kinemark.model.layout import LAYOUT, MAP_CHANNELS, SUBJECTS, empty_layout, layout_map, stilled

SIZE, FACING, VX = (LAYOUT.index(name) for name in ("size", "facing", "vx"))
#: Channels of the map: 14 of the picture, then for each subject its window, 14 of its place, and two of its velocity.
WINDOW, FORWARD, BELOW = 14, 15, 16


def one(x=0.5, y=0.5, size=0.3, vx=0.0, vy=0.0, facing=1.0):
    layout = empty_layout(1, 1)
    layout[0, 0, 0] = torch.tensor([x, y, size, vx, vy, facing])
    return layout


def middle_of(channel_HW):
    """The centre of mass (x, y) of a window, in widths and heights."""
    height, width = channel_HW.shape
    down, across = (torch.arange(n) + 0.5 for n in (height, width))
    total = channel_HW.sum()
    return (channel_HW.sum(0) @ across / width / total).item(), (channel_HW.sum(1) @ down / height / total).item()


def test_the_map_has_the_stated_shape_and_is_finite():
    drawn = layout_map(torch.cat([one(), empty_layout(1, 1)]), 16, 24)
    assert drawn.shape == (2, MAP_CHANNELS, 1, 16, 24)
    assert drawn.isfinite().all()


def test_a_subject_that_is_not_there_leaves_no_trace():
    drawn = layout_map(empty_layout(1, 2), 16, 16)
    assert (drawn[:, WINDOW:] == 0).all()
    assert (drawn[:, :WINDOW] != 0).any()
    first_alone = layout_map(one(), 16, 16)
    assert (first_alone[:, WINDOW + (MAP_CHANNELS - WINDOW) // SUBJECTS :] == 0).all()


@pytest.mark.parametrize(("x", "y"), [(0.5, 0.5), (0.3, 0.6), (0.7, 0.4)])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 96)])
def test_the_window_is_where_the_subject_is(x, y, height, width):
    window = layout_map(one(x, y), height, width)[0, WINDOW, 0]
    across, down = middle_of(window)
    assert across == pytest.approx(x, abs=0.01)
    assert down == pytest.approx(y - 0.3 * (1.1 - 0.75) / 2, abs=0.02)  # it reaches further up than down


def test_forwards_is_positive_whichever_way_it_looks():
    right, left = (layout_map(one(facing=side), 32, 32)[0, FORWARD, 0] for side in (1.0, -1.0))
    torch.testing.assert_close(right, left.flip(1))
    assert right[16, 20] > 0 > right[16, 11]


def test_own_coordinates_are_in_units_of_the_size():
    small, large = (layout_map(one(size=size), 64, 64)[0, BELOW, 0] for size in (0.2, 0.4))
    assert small[38, 32].item() == pytest.approx(2 * large[38, 32].item(), abs=1e-5)


def test_the_middle_of_a_moving_slot_is_drawn():
    moving, still = one(vx=0.4), stilled(one(vx=0.4), torch.tensor([True]))
    assert still[0, 0, 0, VX] == 0
    shift = (
        middle_of(layout_map(still, 64, 64)[0, WINDOW, 0])[0] - middle_of(layout_map(moving, 64, 64)[0, WINDOW, 0])[0]
    )
    assert shift == pytest.approx(0.4 * 1.5 / 8, abs=0.005)


def test_stilled_keeps_everything_else():
    layout = torch.rand(2, SUBJECTS, 3, len(LAYOUT))
    layout[1, 1] = torch.nan
    quiet = stilled(layout, torch.tensor([True, False, False]))
    torch.testing.assert_close(quiet[:, :, 1:], layout[:, :, 1:], equal_nan=True)
    torch.testing.assert_close(quiet[..., [0, 1, 2, 5]], layout[..., [0, 1, 2, 5]], equal_nan=True)


def test_a_cut_of_the_map_is_the_map_of_a_cut_for_the_subject():
    """What the stream relies on: channels of a subject depend on nothing but the distance from it."""
    whole = layout_map(one(0.5, 0.5), 32, 32)[0, WINDOW:, 0]
    moved = layout_map(one(0.625, 0.75), 32, 32)[0, WINDOW:, 0]
    torch.testing.assert_close(whole[:, 4:20, 4:24], moved[:, 12:28, 8:28], atol=2e-5, rtol=0)
