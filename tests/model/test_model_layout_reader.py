import pytest
import torch

from kinemark.model.layout import LAYOUT
from kinemark.model.layout_reader import REACH, LayoutReader, LayoutReaderConfig, _glance, cell_centres
from kinemark.model.scene_code import scene_tokens

SMALL = LayoutReaderConfig(width=8, hidden=8, dilations=(1, 2))


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(0)
    return LayoutReader(SMALL).eval()


@pytest.mark.parametrize("size", [(64, 64), (40, 64), (128, 32), (32, 32)])
def test_slots_of_every_size_are_read(reader, size):
    latent = torch.rand(2, 12, 5, *size) * 2 - 1
    text = scene_tokens([{"subject": "car"}]).expand(2, 5, -1, -1)
    layout = reader.read(latent, text, torch.tensor([True, False, False, False, True]))
    assert layout.shape == (2, 2, 5, len(LAYOUT))
    there = layout[layout.isfinite().all(-1)]
    assert set(there[:, -1].tolist()) <= {-1.0, 1.0}
    velocity = layout[..., 3:5][:, :, [0, 4]]
    assert (velocity.nan_to_num() == 0).all()


def test_no_slots_are_a_layout_of_nothing(reader):
    empty = reader.read(torch.zeros(1, 12, 0, 32, 32), torch.zeros(1, 0, 16, 128), torch.zeros(0, dtype=torch.bool))
    assert empty.shape == (1, 2, 0, len(LAYOUT))


def test_a_slot_is_read_the_same_alone_and_among_many(reader):
    latent = torch.rand(1, 12, 40, 32, 48) * 2 - 1
    text = scene_tokens([{}]).expand(1, 40, -1, -1)
    many = reader.read(latent, text, torch.zeros(40, dtype=torch.bool))
    alone = reader.read(latent[:, :, 35:36], text[:, :1], torch.zeros(1, dtype=torch.bool))
    torch.testing.assert_close(many[:, :, 35:36], alone, equal_nan=True, atol=1e-5, rtol=0)


@pytest.mark.parametrize("aspect", [1.0, 2.0, 0.5])
def test_a_glance_shows_what_is_around_a_place(aspect):
    height, width = 64, round(64 * aspect)
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    slot = torch.stack([(across + 0.5) / width, (down + 0.5) / height])[None]
    seen = _glance(slot, torch.tensor([[0.5, 0.6]]), torch.tensor([aspect]))[0]
    assert seen.mean(dim=(1, 2)).tolist() == pytest.approx([0.5, 0.6], abs=0.01)
    # A square in heights, as far as the picture goes.
    assert (seen[1, -1, 0] - seen[1, 0, 0]).item() == pytest.approx(REACH, abs=0.02)
    assert (seen[0, 0, -1] - seen[0, 0, 0]).item() == pytest.approx(min(REACH / aspect, 1 - 1 / width), abs=0.02)


def test_cells_are_named_row_by_row():
    centres = cell_centres(torch.zeros(1, 1, 2, 4))
    assert centres[0].tolist() == [0.125, 0.25]
    assert centres[4].tolist() == [0.125, 0.75]


def test_a_config_survives_json():
    assert LayoutReaderConfig.from_json({"width": 8, "hidden": 8, "dilations": [1, 2]}) == SMALL
