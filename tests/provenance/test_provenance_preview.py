"""A preview is judged before it is seen, marked, and says what it is."""

import io
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from drawn_face import drawn_face
from kinemark.cli.footage import rendered
from kinemark.data.video import read_tags, read_video
from kinemark.errors import FailureError, RefusedError, RequestError
from kinemark.provenance.marks.watermark import detect
from kinemark.provenance.preview import NO_CLIP, PreviewStream, preview
from kinemark.provenance.signing.keys import Keys, require_keys
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


def previewed(frames_THWC: np.ndarray, gate: BlockGate, keys: Keys) -> Iterator[np.ndarray]:
    for block in blocks(frames_THWC):
        gate.require(block)
        yield preview(block, gate, keys)


def test_every_block_is_sent_marked_and_labelled(scene, tmp_path):
    keys = require_keys(tmp_path)
    sent = list(previewed(scene, gate(), keys))
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
        sent.extend(previewed(flashing, gate(fps=16), require_keys(tmp_path)))
    assert 1 <= len(sent) < 4


def test_a_face_that_holds_across_blocks_ends_it(scene, tmp_path):
    frames = scene.copy()
    # Two frames at the end of a block and one at the beginning of the next.
    frames[7:10] = drawn_face()
    content = open_world(POLICY, (), Classifiers(), given=True, photoreal=False)
    sent = []
    with pytest.raises(RefusedError, match="A face is seen"):
        sent.extend(previewed(frames, gate(content), require_keys(tmp_path)))
    assert len(sent) == 3


def test_nothing_is_sent_of_a_refused_prompt(scene, tmp_path):
    refused = BlockGate(8, judge_prompt("a beheaded soldier", POLICY), POLICY, closed_world())
    with pytest.raises(RefusedError):
        next(previewed(scene, refused, require_keys(tmp_path)))


def test_frames_that_no_gate_let_pass_are_not_sent(scene, tmp_path):
    judging, keys = gate(), require_keys(tmp_path)
    with pytest.raises(FailureError, match="not the ones"):
        preview(scene[:1], judging, keys)
    judging.require(scene[:1])
    with pytest.raises(FailureError, match="not the ones"):
        preview(scene[1:5], judging, keys)
    assert len(preview(scene[:1], judging, keys)) == 1


class Pipe(io.RawIOBase):
    """What a program reads from: it can only be written to."""

    def __init__(self) -> None:
        self.arrived = b""

    def write(self, data) -> int:
        self.arrived += bytes(data)
        return len(data)


def test_a_stream_plays_while_it_is_sent(scene, tmp_path):
    """After every block but its last frame, what has arrived is a video of all frames so far."""
    pipe, judging, keys, counts = Pipe(), gate(), require_keys(tmp_path), []
    with PreviewStream(pipe, (256, 256), judging, keys) as stream:
        for block in blocks(scene):
            judging.require(block)
            stream.send(block)
            counts.append(decoded(pipe.arrived, tmp_path))
    assert counts == [0, 4, 8, 12, 16]
    assert decoded(pipe.arrived, tmp_path) == 17
    tags = read_tags(tmp_path / "arrived.mp4")
    assert "preview" in tags["comment"]
    assert json.loads(tags["AIGC"])["ProduceID"] == f"{NO_CLIP:08x}"


def test_a_reader_that_left_is_told_of(scene, tmp_path):
    class Closed(Pipe):
        def write(self, data) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    judging = gate()
    judging.require(scene[:9])
    with (
        pytest.raises(FailureError, match="Broken pipe"),
        PreviewStream(Closed(), (256, 256), judging, require_keys(tmp_path)) as stream,
    ):
        stream.send(scene[:9])


def decoded(data: bytes, folder: Path) -> int:
    """How many frames of what has arrived can be decoded."""
    path = folder / "arrived.mp4"
    path.write_bytes(data)
    try:
        return len(read_video(path).frames_THWC)
    except RequestError:
        return 0
