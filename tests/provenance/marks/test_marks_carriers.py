import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemark.provenance.marks import carriers

KEY = bytes(range(32))
IDS = st.integers(0, 2**32 - 1)


def vectors(waves):
    return set(zip(waves.y.tolist(), waves.x.tolist(), strict=True))


def test_pilot_and_payload_share_the_band_and_no_wave():
    pilot, payload = vectors(carriers.pilot_waves()), vectors(carriers.payload_waves())
    assert not pilot & payload
    assert len(payload) / len(pilot) == pytest.approx(carriers.PILOT_SHARE - 1, abs=0.05)
    both = pilot | payload
    assert all(carriers.BAND[0] <= np.hypot(*wave) <= carriers.BAND[1] for wave in both)
    assert not any((-y, -x) in both for y, x in both)  # a wave and its opposite are the same


def test_every_dimension_is_dealt_at_most_once_and_every_bit_has_as_many():
    dealt = carriers.carriers(KEY)
    assert dealt.dims.shape[0] == carriers.CODED_BITS
    assert len(np.unique(dealt.dims)) == dealt.dims.size
    assert dealt.dims.max() < 2 * len(carriers.payload_waves())


def test_salts_are_unlike_each_other():
    signs = carriers.carriers(KEY).signs[:64].reshape(64, -1)
    likeness = signs @ signs.T / signs.shape[1] - np.eye(64)
    assert np.abs(likeness).max() < 6 / np.sqrt(signs.shape[1])


@given(IDS)
def test_an_id_is_read_back_from_its_own_amplitudes(payload):
    value = carriers.payload_amplitudes(payload, KEY)
    salt = carriers.salt_of(payload, KEY)
    dealt = carriers.carriers(KEY)
    soft = (np.stack([value.real, value.imag], axis=1).ravel()[dealt.dims] * dealt.signs[salt]).mean(axis=1)
    assert carriers.read_word(soft, salt, KEY) == payload
    assert carriers.read_word(soft, (salt + 1) % carriers.SALTS, KEY) is None
    assert carriers.read_word(soft, salt, b"another key") is None


def test_a_word_of_noise_is_no_id():
    noise = np.random.default_rng(0).standard_normal((50, carriers.CODED_BITS))
    assert all(carriers.read_word(soft, 3, KEY) is None for soft in noise)


def test_the_waves_are_fixed_for_all_time():
    # Clips that left must be readable by every later version: these numbers may never change.
    def digest(*arrays):
        return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:16]

    zero = bytes(32)
    pilot, payload, dealt = carriers.pilot_waves(), carriers.payload_waves(), carriers.carriers(zero)
    found = [
        digest(pilot.y, pilot.x, carriers.pilot()),
        digest(payload.y, payload.x),
        digest(dealt.dims, dealt.signs),
        digest(carriers.payload_amplitudes(7, zero)),
    ]
    assert found == ["9c2054ed4fef73be", "5f25c1eeab4d338c", "84759fe5c52bd0cd", "bfaa06b0422e5228"]
