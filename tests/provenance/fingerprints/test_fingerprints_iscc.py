import subprocess
import xml.etree.ElementTree as ET

import iscc_lib
import numpy as np
import pytest
from provenance_clips import FPS, ball, sunset

from kinemark.data.encode import encode_mp4
from kinemark.data.video import read_video
from kinemark.provenance.fingerprints import iscc


@pytest.fixture(scope="module")
def clip():
    return ball(frames=24, height=144, width=256)


@pytest.fixture(scope="module")
def code(clip):
    return iscc.video_code(clip, FPS)


def test_a_code_is_a_video_code_of_256_bits(code):
    main, sub, _, _, bits = iscc_lib.iscc_decode(code)
    assert (main, sub, len(bits)) == (iscc_lib.MT.CONTENT, iscc_lib.ST.VIDEO, 32)
    assert iscc.bits_of(code) == bytes(bits)


def test_the_signature_reads_as_its_own_xml_says(clip, tmp_path):
    encode_mp4(clip, FPS, tmp_path / "clip.mp4")
    for kind in ("binary", "xml"):
        filters = f"fps=5,signature=format={kind}:filename={kind}"
        command = ["ffmpeg", "-nostdin", "-v", "error", "-i", "clip.mp4", "-vf", filters, "-f", "null", "-"]
        subprocess.run(command, cwd=tmp_path, check=True)
    space = "{urn:mpeg:mpeg7:schema:2001}"
    said = [
        [int(number) for number in element.text.split()]
        for element in ET.parse(tmp_path / "xml").iter(f"{space}FrameSignature")
    ]
    assert len(said) >= 10
    assert np.array_equal(iscc._read((tmp_path / "binary").read_bytes()), said)


def test_what_others_compute_from_the_file_is_a_match(clip, code, tmp_path):
    encode_mp4(clip, FPS, tmp_path / "clip.mp4")
    filters = "fps=5,signature=format=binary:filename=signature"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", "clip.mp4", "-vf", filters, "-f", "null", "-"]
    subprocess.run(command, cwd=tmp_path, check=True)
    signatures = iscc._read((tmp_path / "signature").read_bytes())
    theirs = iscc_lib.gen_video_code_v0(signatures.tolist(), iscc.BITS)["iscc"]
    assert iscc.distance(code, theirs) <= iscc.MATCH / 2


def test_a_re_encoded_copy_matches_and_another_clip_does_not(clip, code, tmp_path):
    encode_mp4(clip[:, ::2, ::2], FPS, tmp_path / "small.mp4")
    assert iscc.distance(code, iscc.video_code(read_video(tmp_path / "small.mp4").frames_THWC, FPS)) <= iscc.MATCH
    assert iscc.distance(code, iscc.video_code(sunset(frames=24, height=144, width=256), FPS)) > iscc.MATCH


@pytest.mark.parametrize(
    "text", ["", "ISCC:", "ISCC:AAAA", "ISCC:!!", "ISCC:KACT4EBWK27737D2", "x" * 10_000, "ISCC:EED"]
)
def test_what_is_no_video_code_has_no_distance(code, text):
    assert iscc.bits_of(text) is None
    assert iscc.distance(code, text) is None


def test_codes_of_other_lengths_have_no_distance(code):
    short = iscc_lib.gen_video_code_v0([[0] * 380], 64)["iscc"]
    assert iscc.bits_of(short) is not None
    assert iscc.distance(code, short) is None


def test_a_signature_that_ends_early_is_an_error(clip, tmp_path):
    for size in (0, 10, 40, 200):
        with pytest.raises(ValueError, match="ends early"):
            iscc._read(b"\xff" * size)


def test_without_the_program_there_is_no_code(clip, monkeypatch):
    monkeypatch.setattr(iscc.shutil, "which", lambda _: None)
    iscc._ffmpeg.cache_clear()
    assert iscc.video_code(clip, FPS) is None
    monkeypatch.undo()
    iscc._ffmpeg.cache_clear()
