import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from kinemark.training.exam import HELD_OUT, PLAIN, SIX, WIDE, draw_questions
from kinemark.training.report import write_page
from kinemark.training.summary import RATIOS, ClipRecord, summarise

ONES = dict.fromkeys(RATIOS, 1.0)
FACTS = {"model": "spark", "frames": 33, "first_steps": 8, "steps": 4, "guidance": 3.0}
CEILINGS = dict.fromkeys((*SIX, "size", "camera", "look"), 1.0) | {"second_subject": 0.91}


@pytest.fixture(scope="module")
def report():
    records = [
        ClipRecord(group.name, q.said, q.scene.values(), q.scene.values(), ONES | {"motion_energy": 0.8}, ONES)
        for group, n in ((PLAIN, 40), (HELD_OUT, 8), (WIDE, 20))
        for q in draw_questions(group, n)
    ]
    prompts = tuple(q.prompt for q in draw_questions(PLAIN, 20))
    sheet = torch.randint(0, 256, (20, 5, 3, 64, 64), dtype=torch.uint8)
    return replace(summarise(records, CEILINGS, FACTS), sheet_prompts=prompts, sheet_BTCHW=sheet)


def test_the_page_says_the_figures(report, tmp_path):
    text = write_page(report, tmp_path).read_text()
    assert "Everything right in **100.0%** of 40 prompts (95 % interval 91.2% to 100.0%)" in text
    assert "n = 8" in text
    assert "| motion energy | 0.80 |" in text
    assert "second subject 91.00%" in text
    assert "8 steps for the first slot" in text


def test_the_page_shows_the_first_twenty_prompts_in_order(report, tmp_path):
    text = write_page(report, tmp_path).read_text()
    for number, question in enumerate(draw_questions(PLAIN, 20), start=1):
        assert f"\n{number}. {question.prompt}" in text
    with Image.open(tmp_path / "sheet.png") as sheet:
        picture = np.asarray(sheet)
    assert picture.shape == (20 * 68, 5 * 66 + 24, 3)
    assert (picture[2:66, 23:87] == report.sheet_BTCHW[0, 0].permute(1, 2, 0).numpy()).all()


def test_the_json_is_the_contract(report, tmp_path):
    write_page(report, tmp_path)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == report.to_dict()


def test_every_share_has_a_bar(report, tmp_path):
    write_page(report, tmp_path)
    texts = {node.text for node in ET.parse(tmp_path / "shares.svg").getroot().iter("{http://www.w3.org/2000/svg}text")}
    assert {"everything", "held out: everything", "apart: camera", "direction"} <= texts


def test_a_page_without_clips_has_no_sheet(report, tmp_path):
    text = write_page(replace(report, sheet_BTCHW=None), tmp_path / "new").read_text()
    assert "sheet.png" not in text
    assert not (tmp_path / "new" / "sheet.png").exists()
