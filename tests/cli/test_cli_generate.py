"""`kinemark generate` from arguments to a file, with a tiny model; and `kinemark verify` on what it made."""

import json

import numpy as np
import pytest

from command_line import run
from kinemark import catalogue
from kinemark.data.video import read_video
from kinemark.training.sheet import write_png
from tiny_models import tiny_model

PROMPT = "a red sailboat drifts right across the sea at sunset with a zorgle"
QUICK = ("--model", "tiny", "--size", "128x128", "--steps", "2", "--seconds", "1", "--seed", "7")


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(autouse=True)
def _tiny_by_name(model, monkeypatch):
    monkeypatch.setitem(catalogue.KNOWN, "tiny", catalogue.Entry(model.target, lambda: model))


def make(capsys, path, *more):
    code, out, err = run(capsys, "generate", PROMPT, "-o", path, *QUICK, "--json", *more)
    assert code == 0, err
    return json.loads(out)


def test_a_clip_is_made_and_recognised(capsys, tmp_path):
    facts = make(capsys, tmp_path / "boat.mp4")
    assert facts["path"] == str(tmp_path / "boat.mp4")
    assert (facts["seed"], facts["size"], facts["frames"], facts["fps"]) == (7, "128x128", 8, 8)
    assert read_video(tmp_path / "boat.mp4").frames_THWC.shape == (8, 128, 128, 3)
    code, out, _ = run(capsys, "verify", tmp_path / "boat.mp4", "--json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["recognised"], answer["made_by"], answer["id"]) == (True, "this_installation", facts["id"])
    assert {"credentials", "watermark", "fingerprint"} <= {finding["signal"] for finding in answer["findings"]}
    assert facts["id"] in run(capsys, "verify", tmp_path / "boat.mp4")[1]


def test_a_person_is_told_what_was_understood_and_where_the_file_is(capsys, tmp_path):
    code, out, _ = run(capsys, "generate", PROMPT, "-o", tmp_path / "boat.mp4", *QUICK)
    assert code == 0
    assert "Understood:" in out
    assert "Not understood: zorgle" in out
    assert "larger model" in out
    assert f"{tmp_path / 'boat.mp4'} (id " in out


def test_an_existing_file_is_kept_unless_forced(capsys, tmp_path):
    path = tmp_path / "boat.mp4"
    path.write_bytes(b"mine")
    code, _, err = run(capsys, "generate", PROMPT, "-o", path, *QUICK)
    assert code == 2
    assert "add --force" in err
    assert path.read_bytes() == b"mine"
    make(capsys, path, "--force")
    assert path.stat().st_size > 1000


def test_a_refused_prompt_leaves_no_file_and_says_which_rule(capsys, tmp_path):
    path = tmp_path / "no.mp4"
    code, out, err = run(capsys, "generate", "a beheaded soldier", "-o", path, *QUICK, "--json")
    answer = json.loads(out)
    assert code == answer["exit_code"] == 3
    assert (answer["allow"], answer["action"], answer["category"], answer["stage"]) == (
        False,
        "refuse",
        "violence",
        "prompt",
    )
    assert answer["rule"] in err
    assert answer["appeal"] in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "complaint"),
    [("missing/boat.mp4", "mkdir -p"), ("boat.avi", "that ending"), ("folder.mp4", "is a folder")],
)
def test_a_target_that_cannot_be_written_is_found_before_the_work(capsys, tmp_path, target, complaint):
    (tmp_path / "folder.mp4").mkdir()
    code, _, err = run(capsys, "generate", PROMPT, "-o", tmp_path / target, *QUICK)
    assert code == 2
    assert complaint in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--size", "12x12"), "12x12"),
        (("--size", "big"), "big"),
        (("--seconds", "0"), "seconds is 0"),
        (("--seconds", "1000000"), "at most 60"),
        (("--seconds", "nan"), "seconds is nan"),
        (("--steps", "0"), "steps is 0"),
        (("--seed", "-1"), "seed is -1"),
        (("--model", "sora"), "'sora'"),
        (("--image", "/nowhere.png"), "/nowhere.png"),
    ],
)
def test_a_bad_request_names_the_value(capsys, tmp_path, arguments, complaint):
    code, out, err = run(capsys, "generate", PROMPT, "-o", tmp_path / "boat.mp4", *QUICK, *arguments)
    assert code == 2
    assert complaint in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("prompt", ["", "  ", "word " * 1000])
def test_a_prompt_is_neither_empty_nor_endless(capsys, tmp_path, prompt):
    code, _, err = run(capsys, "generate", prompt, "-o", tmp_path / "boat.mp4", *QUICK)
    assert code == 2
    assert "prompt" in err


def test_the_same_seed_makes_the_same_clip(capsys, tmp_path):
    make(capsys, tmp_path / "one.mp4")
    make(capsys, tmp_path / "two.mp4")
    one, two = (read_video(tmp_path / name).frames_THWC.astype(int) for name in ("one.mp4", "two.mp4"))
    assert np.abs(one - two).mean() < 4  # the marks differ, the clips do not


def test_a_picture_is_animated(capsys, tmp_path):
    y, x = np.mgrid[0:200, 0:300]
    write_png(tmp_path / "first.png", np.stack([x * 255 // 300, y, (x + y) // 2], axis=-1).astype(np.uint8))
    facts = make(capsys, tmp_path / "out.mp4", "--image", tmp_path / "first.png")
    first = read_video(tmp_path / "out.mp4").frames_THWC[0].astype(int)
    assert facts["frames"] == 8
    # 300x200 is scaled to cover 128x128 and cut at the centre: red runs from a sixth to five sixths of its range.
    assert abs(first[:, 2, 0].mean() - 255 / 6) < 12
    assert abs(first[:, -3, 0].mean() - 255 * 5 / 6) < 12


def test_an_interrupt_leaves_nothing_behind(capsys, tmp_path, monkeypatch, model):
    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("kinemark.provenance.release.Mp4Writer", interrupted)
    code, _, err = run(capsys, "generate", PROMPT, "-o", tmp_path / "boat.mp4", *QUICK)
    assert code == 130
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
