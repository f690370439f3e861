"""PDQ as its authors publish it."""

import numpy as np
import pytest

from kinemark.safety.frames.pdq import ALIKE, BYTES, pdq


def scene(height: int, width: int, seed: int) -> np.ndarray:
    """Waves that any implementation can draw again."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    planes = [127 + 60 * np.sin(9 * x * (k + seed) + 5 * y) + 60 * np.cos(7 * y * (k + 2) - 3 * x) for k in range(3)]
    return np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)


def apart(one: bytes, other: bytes) -> int:
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


#: Made with pdqhash 0.2.8, which wraps the authors' C++.
GOLDEN = {
    (256, 256, 1): ("029a1f4baa9a7f4baa9aff4baa9aff4baa9affcb0011ff4b0011ff48001300b6", 100),
    (144, 256, 2): ("824f00fe924b02bea24fa2bea24fa2bea24faabeaa4faeffb24f04d5a245009d", 100),
    (480, 640, 3): ("12eb580212efd80212ffd80a12ffd80b12fffa2f92ffd9151255d801127427ff", 100),
}


@pytest.mark.parametrize(("height", "width", "seed"), GOLDEN)
def test_the_authors_implementation_says_the_same(height, width, seed):
    value, quality = pdq(scene(height, width, seed))
    assert len(value) == BYTES
    digits, expected = GOLDEN[height, width, seed]
    assert (value.hex(), quality) == (digits, expected)


def test_a_smaller_darker_copy_is_alike_and_another_picture_is_not():
    one = scene(240, 320, 1)
    darker = (one[::2, ::2] * 0.8).astype(np.uint8)
    assert apart(pdq(one)[0], pdq(darker)[0]) <= ALIKE
    assert apart(pdq(one)[0], pdq(scene(240, 320, 4))[0]) > 2 * ALIKE


def test_an_empty_picture_has_no_quality():
    assert pdq(np.zeros((64, 64, 3), np.uint8))[1] == 0
