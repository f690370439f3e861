import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemark.provenance.marks.code import coded_length, decode, encode


def bits(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2, count).astype(np.uint8)


@pytest.mark.parametrize("count", [1, 8, 64])
def test_length(count):
    assert encode(bits(count)).shape == (coded_length(count),)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=80))
def test_a_clean_word_decodes_to_its_message(message):
    message = np.array(message, np.uint8)
    assert (decode(1.0 - 2.0 * encode(message)) == message).all()


def test_eleven_wrong_bits_anywhere_are_corrected():
    # Free distance 24: any 11 errors leave the true word the nearest.
    message = bits(64)
    word = 1.0 - 2.0 * encode(message)
    for seed in range(10):
        hit = np.random.default_rng(seed).choice(len(word), 11, replace=False)
        damaged = word.copy()
        damaged[hit] *= -1
        assert (decode(damaged) == message).all()


def test_noise_that_flips_a_fifth_of_the_bits_is_survived():
    message = bits(64)
    word = 1.0 - 2.0 * encode(message)
    received = word + 1.25 * np.random.default_rng(3).standard_normal(len(word))
    assert np.mean(np.sign(received) != word) > 0.15
    assert (decode(received) == message).all()


def test_the_code_is_linear_and_starts_with_its_generators():
    one, two = bits(16, 1), bits(16, 2)
    assert (encode(one ^ two) == encode(one) ^ encode(two)).all()
    impulse = encode(np.array([1], np.uint8)).reshape(9, 4)
    columns = [int("".join(map(str, impulse[:, i])), 2) for i in range(4)]
    assert columns == [0o463, 0o535, 0o733, 0o745]
