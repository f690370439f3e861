import pytest
import torch
from einops import reduce
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemark.errors import RequestError
from kinemark.model.autoencoder import Upsampler, UpsamplerConfig, encode, pad_frames, unpack


def random_video(frames=9, height=64, width=96, batch=2, seed=0):
    return torch.rand(batch, frames, 3, height, width, generator=torch.Generator().manual_seed(seed))


def tiny_upsampler(seed=0):
    """A small network whose zero-initialised layers are filled, so that it does something."""
    torch.manual_seed(seed)
    upsampler = Upsampler(UpsamplerConfig(width=8, blocks=2))
    for parameter in upsampler.parameters():
        torch.nn.init.normal_(parameter, std=0.04)
    return upsampler.eval()


@given(frames=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_padding_reaches_the_next_length_and_keeps_what_was_there(frames):
    video = torch.arange(frames, dtype=torch.float32).reshape(1, frames, 1, 1, 1)
    padded = pad_frames(video)
    assert (padded.shape[1] - 1) % 4 == 0
    assert 0 <= padded.shape[1] - frames < 4
    assert torch.equal(padded[:, :frames], video)


@pytest.mark.parametrize(
    ("frames", "order"),
    [(1, [0]), (2, [0, 1, 0, 0, 0]), (3, [0, 1, 2, 1, 0]), (4, [0, 1, 2, 3, 2]), (7, [0, 1, 2, 3, 4, 5, 6, 5, 4])],
)
def test_padding_plays_the_end_backwards(frames, order):
    video = torch.arange(frames, dtype=torch.float32).reshape(1, frames, 1, 1, 1)
    assert pad_frames(video).flatten().tolist() == order


def test_encoding_is_the_block_mean_packed_by_frame_then_colour():
    video = random_video()
    latent = encode(video)
    assert latent.shape == (2, 12, 3, 16, 24)
    small = video.reshape(2, 9, 3, 16, 4, 24, 4).mean(dim=(4, 6))
    for slot, frames in enumerate([[0, 0, 0, 0], [1, 2, 3, 4], [5, 6, 7, 8]]):
        for position, frame in enumerate(frames):
            packed = latent[:, 3 * position : 3 * position + 3, slot]
            torch.testing.assert_close(packed, small[:, frame] * 2 - 1)


def test_encoding_covers_the_whole_range_of_pixels():
    assert encode(torch.zeros(1, 1, 3, 8, 8)).unique().tolist() == [-1.0]
    assert encode(torch.ones(1, 1, 3, 8, 8)).unique().tolist() == [1.0]


@given(slots=st.integers(1, 4), height=st.integers(1, 4), width=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_unpacking_inverts_encoding(slots, height, width, seed):
    video = random_video(4 * slots - 3, 4 * height, 4 * width, seed=seed)
    small = reduce(video, "b t c (h y) (w x) -> b t c h w", "mean", y=4, x=4)
    torch.testing.assert_close(unpack(encode(video)), small)


def test_first_slot_of_a_generated_latent_is_the_mean_of_its_four_frames():
    latent = torch.randn(1, 12, 1, 2, 2)
    mean = (latent[:, 0:3, 0] + latent[:, 3:6, 0] + latent[:, 6:9, 0] + latent[:, 9:12, 0]) / 4
    torch.testing.assert_close(unpack(latent)[:, 0], (mean + 1) / 2)


@pytest.mark.parametrize("frames", [2, 4, 8])
def test_a_length_off_the_grid_is_refused(frames):
    with pytest.raises(RequestError, match=f"{frames} frames.*pad_frames"):
        encode(random_video(frames))


@pytest.mark.parametrize("size", [(62, 64), (64, 65)])
def test_a_size_off_the_grid_is_refused(size):
    with pytest.raises(RequestError, match="multiples of 4"):
        encode(random_video(1, *size))


def test_a_picture_with_alpha_is_refused():
    with pytest.raises(RequestError, match="4 channels"):
        encode(torch.rand(1, 1, 4, 8, 8))


def test_decoding_a_stream_equals_decoding_the_clip():
    upsampler, latent = tiny_upsampler(), torch.randn(2, 12, 4, 16, 8)
    whole = upsampler.decode(latent)
    assert whole.shape == (2, 13, 3, 64, 32)
    frames, last = [], None
    for slot in range(4):
        video, last = upsampler.decode_slot(latent[:, :, slot], last)
        assert video.shape[1] == (1 if slot == 0 else 4)
        frames.append(video)
    assert torch.equal(torch.cat(frames, dim=1), whole)


def test_decoding_is_causal_over_slots():
    upsampler, latent = tiny_upsampler(), torch.randn(1, 12, 4, 8, 8)
    changed = latent.clone()
    changed[:, :, 2:] = 0
    before, after = upsampler.decode(latent), upsampler.decode(changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.equal(before[:, 5:], after[:, 5:])


def test_detail_is_carried_from_the_slot_before():
    upsampler, latent = tiny_upsampler(), torch.randn(1, 12, 8, 8).clamp(-1, 1)
    one, _ = upsampler.decode_slot(latent, torch.zeros(1, 3, 32, 32))
    other, _ = upsampler.decode_slot(latent, torch.rand(1, 3, 32, 32))
    assert not torch.equal(one, other)


def test_one_clip_decodes_alike_alone_and_in_a_batch():
    upsampler, latent = tiny_upsampler(), torch.randn(3, 12, 3, 8, 8)
    torch.testing.assert_close(upsampler.decode(latent)[1:2], upsampler.decode(latent[1:2]))


def test_decoded_pixels_are_in_range_whatever_the_latent():
    video = tiny_upsampler().decode(10 * torch.randn(1, 12, 2, 8, 8))
    assert video.min() >= 0
    assert video.max() <= 1
    assert not video.requires_grad


def test_an_untrained_upsampler_keeps_the_mean_of_every_block():
    upsampler = Upsampler(UpsamplerConfig(width=8, blocks=1))
    latent = encode(0.3 + 0.4 * random_video(5, 32, 32))
    torch.testing.assert_close(encode(upsampler(latent)), latent, atol=1e-5, rtol=0)


def test_what_a_place_adds_repeats_from_patch_to_patch_and_older_weights_have_no_such_output():
    with_place, without = (Upsampler(UpsamplerConfig(width=8, blocks=1, place=place)) for place in (True, False))
    assert without.place is None
    without.load_state_dict({name: value for name, value in with_place.state_dict().items() if name != "place"})
    with_place.place.data = 0.01 * torch.randn(51, 8, 8)
    latent = torch.rand(1, 12, 2, 20, 16) - 0.5
    added = (with_place(latent) - without(latent))[:, :1]
    torch.testing.assert_close(added[..., :32, :32], added[..., 32:64, 32:64], atol=1e-5, rtol=0)
    assert added.abs().max() > 0.005


def test_detail_cannot_shift_the_mean_of_a_block():
    upsampler = tiny_upsampler()
    upsampler.head.weight.data[-3:] = 0
    upsampler.head.bias.data[-3:] = 0
    upsampler.place.data[-3:] = 0
    latent = torch.rand(1, 12, 1, 8, 8) - 0.5
    torch.testing.assert_close(unpack(encode(upsampler(latent))), unpack(latent), atol=1e-5, rtol=0)


def test_gradients_reach_every_weight_through_the_chain_of_slots():
    upsampler = tiny_upsampler()
    upsampler(torch.randn(1, 12, 2, 8, 8))[:, 1:].square().mean().backward()
    for name, parameter in upsampler.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_shipped_size_stays_small():
    count = sum(parameter.numel() for parameter in Upsampler().parameters())
    assert 150_000 <= count <= 400_000


def test_a_kept_first_frame_comes_first_and_carries_its_detail():
    upsampler, video = tiny_upsampler(), random_video()
    latent = encode(video)
    with torch.no_grad():
        free, kept = upsampler(latent), upsampler(latent, video[:, 0])
    assert free.shape == kept.shape == video.shape
    assert torch.equal(kept[:, 0], video[:, 0])
    assert not torch.equal(free[:, 0], video[:, 0])
    assert not torch.equal(free[:, 1:5], kept[:, 1:5])
    again, _ = upsampler.decode_slot(latent[:, :, 1], video[:, 0])
    torch.testing.assert_close(again, kept[:, 1:5].clamp(0, 1))
