"""Slot by slot as in one go, and as diffusers does."""

import pytest
import torch
from diffusers import AutoencoderKLWan

from kinemark.errors import FailureError
from kinemark.wan.autoencoder import InTiles, WanAutoencoder

KINDS = {
    "2.1": {"base_dim": 8, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1},
    "2.2": {
        "base_dim": 8,
        "decoder_base_dim": 8,
        "z_dim": 16,
        "dim_mult": [1, 1, 1, 1],
        "num_res_blocks": 1,
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_spatial": 16,
    },
}


@pytest.fixture(scope="module", params=KINDS)
def autoencoder(request):
    torch.manual_seed(0)
    network = AutoencoderKLWan(**KINDS[request.param]).eval().requires_grad_(requires_grad=False)
    return WanAutoencoder(network)


def clip(slots, scale):
    return torch.rand(1, 1 + 4 * (slots - 1), 3, 4 * scale, 6 * scale, generator=torch.Generator().manual_seed(1))


def test_slots_are_encoded_like_the_whole(autoencoder):
    video = clip(3, autoencoder.scale)
    parts = [video[0, :1], video[0, 1:5], video[0, 5:9]]
    known = autoencoder.known(lambda slot: dict(enumerate(parts[slot])), 3)
    whole = autoencoder.network.encode((video * 2 - 1).movedim(2, 1)).latent_dist.mode()
    torch.testing.assert_close(known([0, 1, 2]), autoencoder.normalised(whole), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(known([2]), known([0, 1, 2])[:, :, 2:])


def test_slots_are_decoded_like_the_whole(autoencoder):
    latent = torch.randn(1, autoencoder.channels, 4, 4, 6, generator=torch.Generator().manual_seed(2))
    whole = autoencoder.network.decode(autoencoder.restored(latent)).sample.movedim(1, 2) / 2 + 0.5
    decode, last, pieces = autoencoder.decoder((4, 6)), None, []
    for slot in latent.unbind(2):
        pieces.append(decode(slot, last))
        last = pieces[-1][:, -1]
    assert [piece.shape[1] for piece in pieces] == [1, 4, 4, 4]
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(4, 4), (7, 9), (3, 8)])
def test_tiles_are_those_of_diffusers(autoencoder, size):
    """Smaller ones than are used: 4 latent pixels, one every 3."""
    network, scale = autoencoder.network, autoencoder.scale
    latent = torch.randn(1, autoencoder.channels, 3, *size, generator=torch.Generator().manual_seed(2))
    network.enable_tiling(4 * scale, 4 * scale, 3 * scale, 3 * scale)
    theirs = network.tiled_decode(autoencoder.restored(latent)).sample.movedim(1, 2) / 2 + 0.5
    network.use_tiling = False
    decode, last, pieces = autoencoder.in_tiles(size, tile=4, stride=3), None, []
    for slot in latent.unbind(2):
        pieces.append(decode(slot, last))
        last = pieces[-1][:, -1]
    torch.testing.assert_close(torch.cat(pieces, dim=1), theirs.clamp(0, 1), atol=1e-5, rtol=1e-4)


def test_tiles_are_taken_where_frames_have_no_room(autoencoder, monkeypatch):
    assert not isinstance(autoencoder.decoder((4, 6)), InTiles)
    needs = autoencoder.slot_bytes((4, 6))
    assert autoencoder.slot_bytes((8, 12)) > 3 * needs
    monkeypatch.setattr("kinemark.wan.autoencoder.free_memory", lambda _device: needs - 1)
    assert isinstance(autoencoder.decoder((4, 6)), InTiles)


def test_two_clips_can_be_under_way(autoencoder):
    latents = torch.randn(2, 1, autoencoder.channels, 3, 4, 4)
    alone = []
    for latent in latents:
        decode = autoencoder.decoder((4, 6))
        alone.append([decode(slot, None if n == 0 else slot) for n, slot in enumerate(latent.unbind(2))])
    first, second = autoencoder.decoder((4, 6)), autoencoder.decoder((4, 4))
    for n in range(3):
        last = None if n == 0 else latents[0, :, :, n]
        assert torch.equal(first(latents[0, :, :, n], last), alone[0][n])
        assert torch.equal(second(latents[1, :, :, n], last), alone[1][n])


def test_normalising_is_undone(autoencoder):
    latent = torch.randn(1, 16, 2, 3, 3)
    torch.testing.assert_close(autoencoder.restored(autoencoder.normalised(latent)), latent, atol=1e-6, rtol=1e-5)


def test_a_folder_without_an_autoencoder(tmp_path):
    with pytest.raises(FailureError, match=r"no autoencoder of Wan in .*; pull the model again"):
        WanAutoencoder.load(tmp_path, torch.device("cpu"))
