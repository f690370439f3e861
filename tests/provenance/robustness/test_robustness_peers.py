import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from provenance_clips import texture

from kinemark.errors import RequestError
from kinemark.provenance.robustness import peers


@given(st.integers(0, 2**32 - 1))
def test_bits_and_numbers_are_the_same_thing(payload):
    assert peers._number(peers._bits(payload).astype(bool)) == payload
    repeated = np.resize(peers._bits(payload), 96).astype(np.float32)
    assert peers._number(peers._folded(repeated) > 0.5) == payload


def test_invisible_watermark_reads_what_it_wrote():
    method = peers.INVISIBLE[1]
    marked = method.embed(texture(frames=2), 0xC0FFEE42)
    assert method.read(marked).payload == 0xC0FFEE42
    assert method.read(marked[:, :100]).payload is None  # too small for it


@pytest.mark.parametrize(("method", "package"), [(peers.VideoSeal, "videoseal"), (peers.TrustMark, "trustmark")])
def test_without_its_package_a_method_says_what_to_install(method, package):
    with pytest.raises(RequestError, match=f"pip install {package}"):
        method.load()


class AnyImage:
    """Has the shape of TrustMark's model: it reads what each frame's first pixel says."""

    def decode(self, picture, MODE):
        value = picture.getpixel((0, 0))[0]
        return f"{value:032b}" + "0" * 8, value < 200, 1


def test_trustmark_takes_the_most_frequent_accepted_reading():
    frames = np.zeros((5, 64, 64, 3), np.uint8)
    frames[:, 0, 0, 0] = (7, 9, 7, 250, 250)
    assert peers.TrustMark(AnyImage()).read(frames).payload == 7
    frames[:, 0, 0, 0] = 255
    assert not peers.TrustMark(AnyImage()).read(frames).present
