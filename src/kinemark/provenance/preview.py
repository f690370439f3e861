"""What may be seen of a clip while it is made: judged block by block, marked, and labelled as what it is.

A preview has no signature and no entry in the ledger: those are of the whole clip. So it says on its face, from the
first to the last frame, that it is one, and carries the mark with the id of no clip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kinemark.provenance.labels import Label, draw
from kinemark.provenance.marks.watermark import embed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kinemark.data.video import Frames
    from kinemark.provenance.signing.keys import Keys
    from kinemark.safety.gates import BlockGate

LABEL: Final = Label("AI preview, unsigned")
#: The id of no clip.
NO_CLIP: Final = 0


def preview(blocks: Iterable[Frames], gate: BlockGate, keys: Keys) -> Iterator[Frames]:
    """The blocks of a clip as they may be sent, each as soon as it was judged.

    Args:
        blocks: uint8 RGB frames [T, H, W, 3], in order.
        gate: judges them; what it refuses ends the preview.
        keys: whose mark they carry.

    Raises:
        RefusedError: a block is refused; it was not given out.
        RequestError: the frames are smaller than 64 x 64 pixels.
    """
    for block_THWC in blocks:
        gate.require(block_THWC)
        yield embed(draw(block_THWC, LABEL, gate.fps), NO_CLIP, keys.watermark_key)
