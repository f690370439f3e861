"""Every verb from arguments to a signed file, with a tiny model that is said to be trained for everything."""

import json
import os
import subprocess
import sys

import c2pa
import numpy as np
import pytest

from command_line import run
from kinemark import catalogue
from kinemark.cli.blend import parse_curve
from kinemark.cli.recut import parse_kept
from kinemark.conform import share_at
from kinemark.data.encode import encode_mp4
from kinemark.data.video import read_image, read_video
from kinemark.errors import RequestError
from kinemark.timeline import Capability, Kept
from kinemark.training.sheet import write_png
from tiny_models import tiny_model

PROMPT = "a red sailboat drifts right across the sea"
QUICK = ("--model", "tiny", "--steps", "2", "--seed", "7", "--json")


@pytest.fixture(scope="module")
def model():
    return tiny_model(frozenset(Capability))


@pytest.fixture(autouse=True)
def _tiny_by_name(model, monkeypatch):
    monkeypatch.setitem(catalogue.KNOWN, "tiny", catalogue.Entry(model.target, lambda: model))


def pictures(frames, height=128, width=128, shift=0):
    y, x = np.mgrid[0:height, 0:width]
    clip = [np.stack([(x + 3 * t + shift) % 256, y % 256, (x + y) // 2 % 256], -1) for t in range(frames)]
    return np.stack(clip).astype(np.uint8)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    encode_mp4(pictures(16), 8, folder / "a.mp4")
    encode_mp4(pictures(13, shift=90), 8, folder / "b.mp4")
    encode_mp4(pictures(48, 144, 192), 24, folder / "wide.mp4")
    write_png(folder / "first.png", pictures(1)[0])
    return folder


def make(capsys, *arguments):
    code, out, err = run(capsys, *arguments, *QUICK)
    assert code == 0, err
    return json.loads(out)


def frames_of(path):
    return read_video(path).frames_THWC.astype(int)


def alike(one, other):
    """How far two clips are apart: marks and compression move pixels by a few levels."""
    return np.abs(one - other).mean()


def test_a_clip_is_extended_both_ways_and_kept(capsys, tmp_path, clips):
    given = frames_of(clips / "a.mp4")
    extend = ("extend", clips / "a.mp4", PROMPT, "--seconds", "1")
    after = make(capsys, *extend, "-o", tmp_path / "after.mp4")
    before = make(capsys, *extend, "--before", "-o", tmp_path / "before.mp4")
    assert after["frames"] == before["frames"] == 24
    assert after["given"] == [[0.0, 2.0, "kept"]]
    assert before["given"] == [[1.0, 3.0, "kept"]]
    assert alike(frames_of(tmp_path / "after.mp4")[:16], given) < 4
    assert alike(frames_of(tmp_path / "before.mp4")[8:], given) < 4


def test_two_clips_are_connected(capsys, tmp_path, clips):
    facts = make(
        capsys, "connect", clips / "a.mp4", clips / "b.mp4", PROMPT, "--seconds", "1", "-o", tmp_path / "o.mp4"
    )
    made = frames_of(tmp_path / "o.mp4")
    assert facts["frames"] == 16 + 8 + 13
    assert alike(made[:16], frames_of(clips / "a.mp4")) < 4
    assert alike(made[24:], frames_of(clips / "b.mp4")) < 4


def test_two_clips_are_blended_along_a_curve(capsys, tmp_path, clips):
    facts = make(
        capsys, "blend", clips / "a.mp4", clips / "b.mp4", PROMPT, "--curve", "0:1,0.4:1,1:0", "-o", tmp_path / "o.mp4"
    )
    assert facts["frames"] == 13
    assert any("first 13" in note for note in facts["notes"])
    assert alike(frames_of(tmp_path / "o.mp4")[:5], frames_of(clips / "a.mp4")[:5]) < 4


def test_a_clip_is_made_endless(capsys, tmp_path, clips):
    facts = make(capsys, "loop", clips / "a.mp4", PROMPT, "--seam", "0.5", "-o", tmp_path / "o.mp4")
    made, given = frames_of(tmp_path / "o.mp4"), frames_of(clips / "a.mp4")
    assert facts["frames"] == 20
    assert alike(made[:8], given[8:]) < 4
    assert alike(made[12:], given[:8]) < 4


def test_a_clip_is_remixed(capsys, tmp_path, clips):
    facts = make(capsys, "remix", clips / "a.mp4", PROMPT, "--strength", "0.3", "-o", tmp_path / "o.mp4")
    assert facts["frames"] == 16
    assert facts["given"] == [[0.0, 2.0, "changed"]]


def test_the_best_of_a_clip_is_kept(capsys, tmp_path, clips):
    facts = make(
        capsys, "recut", clips / "a.mp4", PROMPT, "--keep", "0.5-1.0@0.25", "--seconds", "2", "-o", tmp_path / "o.mp4"
    )
    assert facts["frames"] == 16
    assert alike(frames_of(tmp_path / "o.mp4")[2:6], frames_of(clips / "a.mp4")[4:8]) < 4


def test_a_board_becomes_a_film(capsys, tmp_path, clips):
    board = tmp_path / "board.yaml"
    board.write_text(
        f"size: 128x128\nseconds: 3\ncards:\n  - {{at: 0, text: {PROMPT}, image: {clips}/first.png}}\n"
        f"  - {{at: 1.3, text: a red sailboat drifts left}}\n  - {{at: 2, clip: {clips}/b.mp4}}\n"
    )
    code, _, err = run(capsys, "storyboard", board, "-o", tmp_path / "film.mp4", *QUICK)
    assert code == 2
    assert "leave the clip" in err  # the clip of card 3 lasts longer than the film
    board.write_text(board.read_text().replace("seconds: 3", "seconds: 4"))
    facts = make(capsys, "storyboard", board, "-o", tmp_path / "film.mp4")
    assert facts["frames"] == 32
    assert facts["prompt"].splitlines() == [PROMPT, "a red sailboat drifts left"]
    assert "card 2: 1.3 s is taken as frame 10 at 8 a second: 1.25 s." in facts["notes"]
    assert alike(frames_of(tmp_path / "film.mp4")[:1], pictures(1).astype(int)) < 4


def test_a_picture_is_made_and_recognised(capsys, tmp_path):
    facts = make(capsys, "image", PROMPT, "--size", "128x160", "-o", tmp_path / "boat.png")
    assert facts["frames"] == 1
    assert read_image(tmp_path / "boat.png").shape == (160, 128, 3)
    code, out, _ = run(capsys, "verify", tmp_path / "boat.png", "--json")
    assert code == 0
    states = {finding["signal"]: finding["verdict"] for finding in json.loads(out)["findings"]}
    assert states["credentials"] == states["watermark"] == "match"


def test_what_was_conformed_is_said(capsys, tmp_path, clips):
    facts = make(capsys, "extend", clips / "wide.mp4", PROMPT, "--seconds", "0.33", "-o", tmp_path / "o.mp4")
    assert facts["size"] == "192x144"
    assert facts["frames"] == 16 + 3
    assert [note.split(";")[0] for note in facts["notes"]] == [
        "wide.mp4 has 24 frames a second",
        "seconds 0.33 is taken as 3 frames at 8 a second: 0.375 s.",
    ]


def test_a_clip_of_another_shape_is_cut_to_it(capsys, tmp_path, clips):
    facts = make(capsys, "remix", clips / "wide.mp4", PROMPT, "--size", "128x128", "-o", tmp_path / "o.mp4")
    assert facts["size"] == "128x128"
    assert facts["notes"][0] == "wide.mp4 is 192x144; it is scaled to 171x128 and cut at the centre to 128x128."


def test_the_source_is_an_ingredient(capsys, tmp_path):
    source = make(capsys, "generate", PROMPT, "--seconds", "1", "--size", "128x128", "-o", tmp_path / "source.mp4")
    make(capsys, "extend", tmp_path / "source.mp4", PROMPT, "--seconds", "1", "-o", tmp_path / "longer.mp4")
    with c2pa.Reader(tmp_path / "longer.mp4") as reader:
        store = json.loads(reader.json())
    (ingredient,) = store["manifests"][store["active_manifest"]]["ingredients"]
    assert store["manifests"][ingredient["active_manifest"]]["title"] == f"Kinemark {source['id']}"


def test_a_stream_plays_and_the_file_is_released_beside_it(tmp_path):
    """In a process of its own: what is piped is bytes."""
    command = [sys.executable, "-m", "kinemark", "generate", PROMPT, "--seconds", "1", "--size", "128x128"]
    done = subprocess.run(
        [*command, "--steps", "1", "--stream", "-", "-o", tmp_path / "kept.mp4"],
        capture_output=True, check=True, env=os.environ | {"KINEMARK_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    (tmp_path / "streamed.mp4").write_bytes(done.stdout)
    streamed, kept = frames_of(tmp_path / "streamed.mp4"), frames_of(tmp_path / "kept.mp4")
    assert streamed.shape == kept.shape == (8, 128, 128, 3)
    assert np.abs(streamed - kept).mean(axis=(0, 2, 3))[:64].mean() < 6  # above the label it is the same clip
    assert b"id " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("extend", "{a}", PROMPT, "--seconds", "59", "-o", "{o}"), "longer than 60 seconds"),
        (("extend", "{a}", PROMPT, "--seconds", "0", "-o", "{o}"), "seconds is 0"),
        (("extend", "/nowhere.mp4", PROMPT, "-o", "{o}"), "/nowhere.mp4"),
        (("extend", "{png}", PROMPT, "-o", "{o}"), "is a picture"),
        (("connect", "{a}", "{a}", PROMPT, "--seconds", "nan", "-o", "{o}"), "seconds is nan"),
        (("blend", "{a}", "{b}", PROMPT, "--curve", "0:2", "-o", "{o}"), "point '0:2'"),
        (("blend", "{a}", "{b}", PROMPT, "--curve", "1:0,0:1", "-o", "{o}"), "in order"),
        (("loop", "{a}", PROMPT, "--seam", "-1", "-o", "{o}"), "seam is -1"),
        (("remix", "{a}", PROMPT, "--strength", "much", "-o", "{o}"), "'much'"),
        (("remix", "{a}", PROMPT, "--strength", "2", "-o", "{o}"), "sigma_cap is 2"),
        (("remix", "{a}", PROMPT, "--strength", "0", "-o", "{o}"), "nothing would be generated"),
        (("recut", "{a}", PROMPT, "--keep", "1", "-o", "{o}"), "write START-END"),
        (("recut", "{a}", PROMPT, "--keep", "0.5-0.3", "-o", "{o}"), "not the time of a frame"),
        (("recut", "{a}", PROMPT, "--keep", "1-0.5", "-o", "{o}"), "not within"),
        (("recut", "{a}", PROMPT, "--keep", "0-1", "--keep", "0.5-1.5", "-o", "{o}"), "overlap"),
        (("storyboard", "/nowhere.yaml", "-o", "{o}"), "/nowhere.yaml"),
        (("image", PROMPT, "-o", "{o}"), "written as .png"),
        (("image", PROMPT, "--size", "9000x9000", "-o", "{png2}"), "9000x9000"),
        (("generate", PROMPT), "nowhere to write to"),
        (("generate", PROMPT, "--stream", "file.mp4"), "--stream is 'file.mp4'"),
        (("generate", PROMPT, "--stream", "-"), "both write to stdout"),
    ],
)
def test_what_cannot_be_made_is_told_and_leaves_nothing(capsys, tmp_path, clips, arguments, complaint):
    places = {
        "a": clips / "a.mp4", "b": clips / "b.mp4", "png": clips / "first.png",
        "o": tmp_path / "o.mp4", "png2": tmp_path / "o.png",
    }  # fmt: skip
    code, out, err = run(capsys, *(str(argument).format(**places) for argument in arguments), *QUICK)
    assert code == 2
    assert complaint in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
    assert "path" not in out or json.loads(out)


def test_curves_are_straight_between_their_points():
    points = parse_curve("0.25:1,0.75:0.5")
    assert [share_at(points, time) for time in (0.0, 0.25, 0.5, 0.75, 1.0)] == [1.0, 1.0, 0.75, 0.5, 0.5]


def test_kept_spans_stay_where_they_are_unless_told():
    assert parse_kept(["0.5-1", "2-3"], 8) == [Kept(4, 8, 0), Kept(16, 24, 12)]
    assert parse_kept(["0.5-1@2"], 8) == [Kept(4, 8, 16)]
    with pytest.raises(RequestError, match="no number"):
        parse_kept(["a-b"], 8)
