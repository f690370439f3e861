"""Other open watermarks behind the same two functions, so that they can be measured in the same run.

`INVISIBLE` needs `pip install kinemark[robustness]`. VideoSeal and TrustMark need their weights, which their packages
download: install `videoseal` or `trustmark` first.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kinemark.errors import RequestError
from kinemark.provenance.robustness.measure import Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinemark.data.video import Frames

BITS = 32


@dataclass(frozen=True, slots=True)
class Invisible:
    """A method of `invisible-watermark`: 32 bits on every frame at its default strength; the frames' bits are averaged.

    It has no check: what it reads counts as an id only if it is the right one, and it never says that there is none.
    """

    method: str

    @property
    def name(self) -> str:
        """What it is called in the tables."""
        return f"invisible-watermark {self.method}"

    def embed(self, frames_THWC: Frames, payload: int) -> Frames:
        """Mark every frame."""
        encoder = _module("imwatermark", "kinemark[robustness]").WatermarkEncoder()
        encoder.set_watermark("bits", _bits(payload).tolist())
        return np.stack([encoder.encode(frame[..., ::-1], self.method)[..., ::-1] for frame in frames_THWC])

    def read(self, frames_THWC: Frames) -> Outcome:
        """The bits of all frames, averaged; pictures below 256 x 256 cannot be read by it."""
        if frames_THWC.shape[1] * frames_THWC.shape[2] < 256 * 256:
            return Outcome(None, present=False)
        decoder = _module("imwatermark", "kinemark[robustness]").WatermarkDecoder("bits", BITS)
        read = [decoder.decode(np.ascontiguousarray(frame[..., ::-1]), self.method) for frame in frames_THWC]
        return Outcome(_number(np.mean(np.asarray(read, float), axis=0) > 0.5), present=True)


INVISIBLE: Final = (Invisible("dwtDct"), Invisible("dwtDctSvd"))


@dataclass(frozen=True, slots=True, eq=False)
class VideoSeal:
    """Meta's VideoSeal with a 32-bit id in its first bits, repeated; needs the package and its downloaded weights."""

    model: Any
    name: str = "VideoSeal"

    @classmethod
    def load(cls) -> VideoSeal:
        """Load the default model of the `videoseal` package."""
        return cls(_module("videoseal", "videoseal").load("videoseal"))

    def embed(self, frames_THWC: Frames, payload: int) -> Frames:
        """Mark a clip."""
        torch = _module("torch", "torch")
        length = int(self.model.embedder.msg_processor.nbits)
        message = torch.from_numpy(np.resize(_bits(payload), length).astype(np.float32))[None]
        marked = self.model.embed(_tensor(frames_THWC), msgs=message, is_video=True)["imgs_w"]
        return np.asarray((marked.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy())

    def read(self, frames_THWC: Frames) -> Outcome:
        """Bits averaged over frames and over the repeats."""
        message = self.model.extract_message(_tensor(frames_THWC)).float().numpy().ravel()
        return Outcome(_number(_folded(message) > 0.5), present=True)


@dataclass(frozen=True, slots=True, eq=False)
class TrustMark:
    """Adobe's TrustMark on every frame; its own error correction; the id is the most frequent reading."""

    model: Any
    name: str = "TrustMark"

    @classmethod
    def load(cls) -> TrustMark:
        """Load variant Q of the `trustmark` package."""
        return cls(_module("trustmark", "trustmark").TrustMark(verbose=False, model_type="Q"))

    def embed(self, frames_THWC: Frames, payload: int) -> Frames:
        """Mark every frame."""
        image = _module("PIL.Image", "pillow")
        secret = "".join(map(str, _bits(payload)))
        drawn = [self.model.encode(image.fromarray(frame), secret, MODE="binary") for frame in frames_THWC]
        return np.stack([np.asarray(picture.convert("RGB"), np.uint8) for picture in drawn])

    def read(self, frames_THWC: Frames) -> Outcome:
        """The id that most frames agree on, if its error correction accepted any."""
        image = _module("PIL.Image", "pillow")
        votes: Counter[str] = Counter()
        for frame in frames_THWC:
            secret, found, _ = self.model.decode(image.fromarray(frame), MODE="binary")
            votes.update([secret[:BITS]] if found else [])
        if not votes:
            return Outcome(None, present=False)
        return Outcome(int(votes.most_common(1)[0][0], 2), present=True)


def _bits(payload: int) -> NDArray[np.uint8]:
    return np.unpackbits(np.frombuffer(payload.to_bytes(BITS // 8, "big"), np.uint8))


def _number(bits: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits.astype(np.uint8)).tobytes(), "big")


def _folded(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean of every 32nd value: what a message that repeats an id says of each bit."""
    return np.array([values[bit::BITS].mean() for bit in range(BITS)])


def _tensor(frames_THWC: Frames) -> Any:  # noqa: ANN401  (a torch tensor, and torch is optional)
    torch = _module("torch", "torch")
    return torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(0, 3, 1, 2).float() / 255


def _module(name: str, package: str) -> Any:  # noqa: ANN401  (a module has no type)
    try:
        return import_module(name)
    except ImportError as error:
        raise RequestError(f"this comparison needs {name}: pip install {package}") from error
