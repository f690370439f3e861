"""spark's parts as the engine asks for them."""

import pytest
import torch

from kinemark.errors import RequestError
from kinemark.model.autoencoder import encode
from kinemark.model.tokenizer import MAX_WORDS
from tiny_models import tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def test_a_prompt_that_is_too_long_is_not_cut(model):
    model.text.check("boat " * MAX_WORDS)
    with pytest.raises(RequestError, match=f"has {MAX_WORDS + 1} words; at most {MAX_WORDS} are read"):
        model.text.check("boat " * (MAX_WORDS + 1))


def test_slots_are_encoded_each_by_itself(model):
    video = torch.rand(9, 3, 64, 64)
    slots = [video[:1], video[1:5], video[5:9]]
    known = model.autoencoder.known(lambda slot: dict(enumerate(slots[slot])), 3)
    torch.testing.assert_close(known([0, 1, 2]), encode(video[None]))
    torch.testing.assert_close(known([2]), encode(video[None])[:, :, 2:])


def test_a_clip_is_decoded_beside_the_frame_before(model):
    latent = encode(torch.rand(1, 5, 3, 64, 64))
    decode = model.autoencoder.decoder((16, 16))
    first = decode(latent[:, :, 0], None)
    assert first.shape == (1, 1, 3, 64, 64)
    after = decode(latent[:, :, 1], first[:, -1])
    assert after.shape == (1, 4, 3, 64, 64)
    upsampler = model.autoencoder.upsampler
    assert torch.equal(after, upsampler.decode_slot(latent[:, :, 1], first[:, -1])[0])
    assert torch.equal(torch.cat((first, after), dim=1), upsampler.decode(latent))


def test_a_preview_is_small_frames(model):
    latent = encode(torch.rand(1, 9, 3, 64, 64))[0]
    assert model.preview(latent).shape == (9, 3, 16, 16)
