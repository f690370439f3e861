import io
import json
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from kinemark.training import sheet
from kinemark.training.sheet import Bar, Curve, bars_svg, contact_sheet, plot_log, plot_svg, read_log, write_png

SVG = "{http://www.w3.org/2000/svg}"


@given(image=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_pillow_reads_the_same_pixels_back(tmp_path_factory, image):
    path = tmp_path_factory.mktemp("png") / "picture.png"
    write_png(path, image)
    with Image.open(io.BytesIO(path.read_bytes())) as read:
        assert read.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(read), image)


def test_write_png_makes_the_folder_and_leaves_nothing_else(tmp_path):
    write_png(tmp_path / "a" / "b.png", np.zeros((2, 2, 3), dtype=np.uint8))
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.png"]


@pytest.mark.parametrize("image", [np.zeros((2, 2, 3)), np.zeros((2, 2), np.uint8), np.zeros((2, 2, 4), np.uint8)])
def test_write_png_refuses_what_is_not_an_rgb_picture(tmp_path, image):
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\]"):
        write_png(tmp_path / "x.png", image)


def test_a_failed_write_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sheet.Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_png(tmp_path / "x.png", np.zeros((2, 2, 3), dtype=np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_contact_sheet_places_frames_left_to_right_and_clips_down():
    video = torch.zeros(2, 33, 3, 8, 8)
    video[0, 8] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    video[1, 32] = torch.tensor([0.0, 0.0, 1.0])[:, None, None]
    image = contact_sheet(video, numbered=False)
    assert image.shape == (2 * 12, 5 * 10 + 4, 3)
    assert image[6, 2 + 10 + 5].tolist() == [255, 0, 0]
    assert image[12 + 6, 2 + 40 + 5].tolist() == [0, 0, 255]
    assert image[6, 2 + 5].tolist() == [0, 0, 0]


def test_contact_sheet_of_a_short_clip_in_two_columns():
    image = contact_sheet(torch.rand(3, 9, 3, 8, 8), columns=2, numbered=False)
    assert image.shape == (2 * 12, 2 * (2 * 10 + 4), 3)
    assert (image[12:, 24:] == 255).all()  # the place of the clip that is not there


def test_the_number_of_a_strip_stands_in_front_of_it():
    image = contact_sheet(torch.ones(2, 1, 3, 16, 16))
    margins = image[:, 2:22].reshape(2, 20, 20, 3)
    assert (margins == 0).any(axis=(1, 2, 3)).all()
    assert (margins[0] != margins[1]).any()


def test_plot_is_well_formed_and_drops_what_is_not_finite(tmp_path):
    curves = [Curve("a < b", [0, 1, 2], [1.0, math.nan, 3.0]), Curve("flat", [0, 2], [2.0, 2.0])]
    plot_svg(tmp_path / "p.svg", curves, title="T & U", x_label="step", y_label="loss")
    root = ET.parse(tmp_path / "p.svg").getroot()
    lines = [line.get("points").split() for line in root.iter(f"{SVG}polyline")]
    assert [len(points) for points in lines] == [2, 2]
    assert {"a < b", "flat", "T & U", "step", "loss"} <= {text.text for text in root.iter(f"{SVG}text")}


def test_bars_are_as_long_as_their_shares(tmp_path):
    bars_svg(tmp_path / "b.svg", [Bar("half", 0.5, 0.4, 0.6), Bar("all", 1.0, 0.9, 1.0)], title="T")
    root = ET.parse(tmp_path / "b.svg").getroot()
    _, half, whole = (float(rect.get("width")) for rect in root.iter(f"{SVG}rect"))
    assert whole == pytest.approx(2 * half)
    assert {"half", "all", "50.0%", "100.0%", "T"} <= {text.text for text in root.iter(f"{SVG}text")}


@pytest.mark.parametrize("curve", [Curve("none", [], []), Curve("one", [3], [7.0])])
def test_plot_of_nothing_and_of_one_point(tmp_path, curve):
    plot_svg(tmp_path / "p.svg", [curve], title="", x_label="", y_label="")
    assert ET.parse(tmp_path / "p.svg").getroot().tag == f"{SVG}svg"


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6))
def test_ticks_are_few_and_inside(low, width):
    ticks = sheet._ticks(low, low + width)
    assert 1 <= len(ticks) <= 7
    slack = 1e-6 * (abs(low) + width)
    assert all(low - slack <= tick <= low + width + slack for tick in ticks)


def test_log_is_read_past_a_line_cut_short(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"step": 1, "loss": 2.0, "note": "x", "ok": True}) + '\n{"step": 2, "lo')
    assert read_log(log) == [{"step": 1, "loss": 2.0}]


def test_plot_log_smooths_without_bias(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"step": s, "loss": 5.0}) + "\n" for s in range(4)))
    plot_log(log, tmp_path / "p.svg", names={"loss": "loss", "absent": "absent"})
    assert sheet._smoothed([5.0] * 4, 0.97) == pytest.approx([5.0] * 4)
    assert sheet._smoothed([1.0, 3.0], 0.0) == [1.0, 3.0]
    names = [t.text for t in ET.parse(tmp_path / "p.svg").getroot().iter(f"{SVG}text")]
    assert {"loss", "absent"} <= set(names)
