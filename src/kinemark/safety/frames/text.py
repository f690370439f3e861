"""Text in pictures: read, so that it can be judged like a prompt.

RapidOCR (Apache-2.0) runs the PaddleOCR models that it carries through ONNX Runtime, on one thread.

Shapes: H height, W width, C colour channels (RGB, uint8).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

#: How sure of a line the reader has to be, 0 to 1.
SURE: Final = 0.6
_LETTERS: Final = 2


def text_in(frame_HWC: np.ndarray) -> list[str]:
    """The lines of text in a picture, from top to bottom.

    Args:
        frame_HWC: uint8 RGB.
    """
    found = _reader()(np.ascontiguousarray(frame_HWC[..., ::-1]), use_cls=False)
    if found.txts is None:
        return []
    lines = sorted(zip(found.boxes, found.txts, found.scores, strict=True), key=lambda line: float(line[0][0][1]))
    return [text for _, text, score in lines if score >= SURE and sum(map(str.isalnum, text)) >= _LETTERS]


@cache
def _reader() -> Callable[..., Any]:
    from rapidocr import RapidOCR

    threads = {f"EngineConfig.onnxruntime.{part}_op_num_threads": 1 for part in ("intra", "inter")}
    reader: Callable[..., Any] = RapidOCR(params={"Global.log_level": "critical", **threads})
    return reader
