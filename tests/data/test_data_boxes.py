import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinemark.data.boxes import Box, outermost_boxes
from kinemark.data.encode import encode_mp4


def test_the_boxes_of_a_video_fill_its_file(tmp_path):
    path = tmp_path / "clip.mp4"
    encode_mp4(np.zeros((2, 16, 16, 3), np.uint8), 8.0, path)
    boxes = list(outermost_boxes(path))
    assert boxes[0].kind == b"ftyp"
    assert {b"moov", b"mdat"} <= {box.kind for box in boxes}
    assert boxes[0].start == 0
    assert [box.start + box.length for box in boxes[:-1]] == [box.start for box in boxes[1:]]
    assert boxes[-1].start + boxes[-1].length == path.stat().st_size


def test_lengths_of_64_bits_and_to_the_end_and_impossible_ones(tmp_path):
    path = tmp_path / "boxes"
    path.write_bytes((1).to_bytes(4) + b"long" + (16).to_bytes(8) + (0).to_bytes(4) + b"last" + bytes(5))
    assert list(outermost_boxes(path)) == [Box(b"long", 0, 16), Box(b"last", 16, 13)]
    path.write_bytes((9).to_bytes(4) + b"good" + b"." + (7).to_bytes(4) + b"none" + bytes(50))
    assert list(outermost_boxes(path)) == [Box(b"good", 0, 9), Box(b"none", 9, 7)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=120))
def test_any_bytes_give_an_end(data, tmp_path):
    (tmp_path / "any").write_bytes(data)
    boxes = list(outermost_boxes(tmp_path / "any"))
    assert all(box.length >= 8 for box in boxes[:-1])
    assert sum(box.length for box in boxes[:-1]) <= len(data)
