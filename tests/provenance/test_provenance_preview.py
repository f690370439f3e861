"""A preview is judged before it is seen, marked, and says what it is."""

import random

import numpy as np
import pytest

from drawn_face import drawn_face
from kinemark.cli.footage import rendered
from kinemark.errors import RefusedError
from kinemark.provenance.marks.watermark import detect
from kinemark.provenance.preview import NO_CLIP, preview
from kinemark.provenance.signing.keys import require_keys
from kinemark.safety.classifiers.seam import Classifiers
from kinemark.safety.content import closed_world, open_world
from kinemark.safety.gates import BlockGate, judge_prompt
from kinemark.safety.policy.file import load_policy

POLICY = load_policy()
JUDGED = judge_prompt("a red boat", POLICY)


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return rendered(random.Random(2), 17, (256, 256))


def blocks(frames_THWC: np.ndarray) -> list[np.ndarray]:
    return [frames_THWC[:1], *(frames_THWC[start : start + 4] for start in range(1, len(frames_THWC), 4))]


def gate(content=None, fps: float = 8) -> BlockGate:
    return BlockGate(fps, JUDGED, POLICY, content or closed_world())


def test_every_block_is_sent_marked_and_labelled(scene, tmp_path):
    keys = require_keys(tmp_path)
    sent = list(preview(blocks(scene), gate(), keys))
    assert [len(block) for block in sent] == [1, 4, 4, 4, 4]
    whole = np.concatenate(sent)
    assert detect(whole, keys.watermark_key).payload == NO_CLIP
    corner = (whole[:, -40:, :120].astype(int) - scene[:, -40:, :120]).reshape(len(whole), -1)
    assert (np.abs(corner).mean(axis=1) > 20).all()


def test_flashes_across_blocks_end_it(scene, tmp_path):
    flashing = scene.copy()
    flashing[1::2] = 255 - flashing[1::2] // 8
    flashing[::2] //= 8
    sent = []
    with pytest.raises(RefusedError, match="flashes"):
        sent.extend(preview(blocks(flashing), gate(fps=16), require_keys(tmp_path)))
    assert 1 <= len(sent) < 4


def test_a_face_that_holds_across_blocks_ends_it(scene, tmp_path):
    frames = scene.copy()
    # Two frames at the end of a block and one at the beginning of the next.
    frames[7:10] = drawn_face()
    content = open_world(POLICY, (), Classifiers(), given=True, photoreal=False)
    sent = []
    with pytest.raises(RefusedError, match="A face is seen"):
        sent.extend(preview(blocks(frames), gate(content), require_keys(tmp_path)))
    assert len(sent) == 3


def test_nothing_is_sent_of_a_refused_prompt(scene, tmp_path):
    refused = BlockGate(8, judge_prompt("a beheaded soldier", POLICY), POLICY, closed_world())
    with pytest.raises(RefusedError):
        next(preview(blocks(scene), refused, require_keys(tmp_path)))
