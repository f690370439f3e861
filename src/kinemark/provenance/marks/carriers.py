"""Which waves carry the marks, and with which signs: the pilot that everybody can look for, and the keyed payload.

Both marks are sums of plane waves on one plane, the *canonical plane*: its origin is the centre of the frame, and its
unit is chosen so that the frame's area is 256 x 256, whatever its size and aspect. The waves repeat every 256 units, so
cropping and moving the picture is a shift of the waves, and a shift costs a detector no more than a Fourier transform.

One wave in four belongs to the **pilot**: the same on every clip of every installation, with signs that follow from a
published constant. It says "some Kinemark made this" and shows how the picture was cropped, turned and scaled. The
others carry the **payload**: 256 coded bits (`code`) of an id and its check, each on about 12 waves; the signs follow
from the operator's key and from one of 1,024 salts. The salt follows from the id, so clips of different ids have unlike
patterns and an average over many clips leaves none; the detector needs no list of ids, it tries all salts.

Shapes: K waves, D = 2 K dimensions (a cosine and a sine for each), M coded bits, S salts.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from kinemark.provenance.marks import code

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Signs = NDArray[np.float32]
    Integers = NDArray[np.int64]

PERIOD: Final = 256
"""Units of the canonical plane after which the waves repeat; also the square root of the frame's area."""
BAND: Final = (14.0, 40.0)
"""Radii of the wave vectors, in waves per period: slower ones drown in the picture, faster ones die in codecs."""
PILOT_SHARE: Final = 4
"""One wave in so many belongs to the pilot."""
ID_BITS: Final = 32
CHECK_BITS: Final = 24
SALT_BITS: Final = 10
SALTS: Final = 1 << SALT_BITS
CODED_BITS: Final = code.coded_length(ID_BITS + CHECK_BITS)

_PILOT_SEED: Final = b"kinemark presence mark 2"
_CARRIERS_SEED: Final = b"kinemark watermark carriers 2"
_SALT_SEED: Final = b"kinemark watermark salt 2"
_CHECK_SEED: Final = b"kinemark watermark check 2"


@dataclass(frozen=True, slots=True, eq=False)
class Waves:
    """Wave vectors, in waves per period: `y` and `x` [K] each, one of every pair of opposite ones."""

    y: Integers
    x: Integers

    def __len__(self) -> int:
        return len(self.y)

    def __add__(self, other: Waves) -> Waves:
        return Waves(np.concatenate([self.y, other.y]), np.concatenate([self.x, other.x]))


@dataclass(frozen=True, slots=True, eq=False)
class Carriers:
    """How a key deals the dimensions: `dims` [M, D'] carry a coded bit each, `signs` [S, M, D'] are +1 or -1."""

    dims: Integers
    signs: Signs


@cache
def pilot_waves() -> Waves:
    """The waves of the pilot."""
    return _split()[0]


@cache
def payload_waves() -> Waves:
    """The waves of the payload."""
    return _split()[1]


@cache
def pilot() -> NDArray[np.complex128]:
    """Amplitudes of the pilot's waves [K]: real and imaginary parts are +1 or -1."""
    signs = _signs(_PILOT_SEED + b" signs", 2 * len(pilot_waves()))
    return np.asarray(signs[0::2] + 1j * signs[1::2])


@lru_cache(maxsize=4)
def carriers(key: bytes) -> Carriers:
    """Deal the payload's dimensions to coded bits, and draw the signs for every salt.

    The random numbers come from SHAKE-256, not from a library's generator: a clip must be readable in ten years.
    """
    count = 2 * len(payload_waves())
    each = count // CODED_BITS
    order = _order(_CARRIERS_SEED + key, count)[: each * CODED_BITS]
    signs = _signs(_SALT_SEED + key, SALTS * len(order)).astype(np.float32)
    return Carriers(dims=order.reshape(CODED_BITS, each), signs=signs.reshape(SALTS, CODED_BITS, each))


def payload_amplitudes(payload: int, key: bytes) -> NDArray[np.complex128]:
    """Amplitudes of the payload's waves [K] for one id under one key."""
    dealt = carriers(key)
    word_M = 1.0 - 2.0 * codeword(payload, key)
    value_D = np.zeros(2 * len(payload_waves()))
    value_D[dealt.dims] = dealt.signs[salt_of(payload, key)] * word_M[:, None]
    return np.asarray(value_D[0::2] + 1j * value_D[1::2])


def codeword(payload: int, key: bytes) -> NDArray[np.uint8]:
    """Coded bits [M] of an id and its check."""
    raw = payload.to_bytes(ID_BITS // 8, "big")
    return code.encode(np.unpackbits(np.frombuffer(raw + _check(raw, key), np.uint8)))


def salt_of(payload: int, key: bytes) -> int:
    """The salt that belongs to an id: 0 to 1,023."""
    digest = hmac.digest(key, _SALT_SEED + payload.to_bytes(ID_BITS // 8, "big"), "sha256")
    return int.from_bytes(digest[:2], "big") % SALTS


def read_word(soft_M: Array, salt: int, key: bytes) -> int | None:
    """Decode soft coded bits; None where the check or the salt does not belong to the id.

    An unmarked clip passes once in 2^(24 + 10): the check has 24 bits, and the salt tried must be the id's own.
    """
    raw = np.packbits(code.decode(soft_M)).tobytes()
    head, tail = raw[: ID_BITS // 8], raw[ID_BITS // 8 :]
    payload = int.from_bytes(head, "big")
    fits = hmac.compare_digest(tail, _check(head, key)) and salt_of(payload, key) == salt
    return payload if fits else None


def _check(raw: bytes, key: bytes) -> bytes:
    return hmac.digest(key, _CHECK_SEED + raw, "sha256")[: CHECK_BITS // 8]


@cache
def _split() -> tuple[Waves, Waves]:
    """All waves of the band, dealt to pilot and payload."""
    reach = np.arange(-int(BAND[1]), int(BAND[1]) + 1)
    y, x = (part.ravel() for part in np.meshgrid(reach, reach, indexing="ij"))
    size = np.hypot(y, x)
    chosen = (size >= BAND[0]) & (size <= BAND[1]) & ((y > 0) | ((y == 0) & (x > 0)))
    y, x = y[chosen], x[chosen]
    order = _order(_PILOT_SEED + b" waves", len(y))
    mine = np.zeros(len(y), bool)
    mine[order[: len(y) // PILOT_SHARE]] = True
    return Waves(y[mine], x[mine]), Waves(y[~mine], x[~mine])


def _order(seed: bytes, count: int) -> Integers:
    stream = hashlib.shake_256(seed).digest(8 * count)
    return np.asarray(np.argsort(np.frombuffer(stream, ">u8"), kind="stable"), np.int64)


def _signs(seed: bytes, count: int) -> Array:
    stream = np.frombuffer(hashlib.shake_256(seed).digest(-(-count // 8)), np.uint8)
    return np.asarray(1.0 - 2.0 * np.unpackbits(stream)[:count], np.float64)
