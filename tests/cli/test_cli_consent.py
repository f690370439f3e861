import json

import numpy as np
import pytest
from PIL import Image

from command_line import run
from drawn_face import drawn_face

RECORD = """
handle: ada
description: a tall woman with short grey hair
given_by: person
adult: true
proof: signed form, folder 12
scope:
  verbs: [edit]
  modalities: [face]
  audience: all
  until: {until}
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "home"))


@pytest.fixture
def record(tmp_path):
    import datetime as dt

    path = tmp_path / "ada.yaml"
    path.write_text(RECORD.format(until=dt.datetime.now(dt.UTC).date() + dt.timedelta(days=90)))
    return path


def picture(tmp_path, name, *pictures):
    Image.fromarray(np.hstack(pictures)).save(tmp_path / name)
    return tmp_path / name


def test_consent_is_entered_listed_looked_at_and_withdrawn(capsys, tmp_path, record):
    photo = picture(tmp_path, "ada.png", drawn_face())
    code, out, _ = run(capsys, "consent", "add", record, "--media", photo)
    assert code == 0
    assert "attested" in out
    code, out, _ = run(capsys, "consent", "list", "--json")
    (entry,) = json.loads(out)["consents"]
    assert (entry["handle"], entry["assurance"], entry["revoked"]) == ("ada", "attested", None)
    assert run(capsys, "consent", "face", "@ada", "-o", tmp_path / "face.png")[0] == 0
    with Image.open(tmp_path / "face.png") as face:
        assert face.size[0] > 100
    assert "Nothing was made" in run(capsys, "consent", "uses", "ada")[1]
    assert "withdrawn" in run(capsys, "consent", "revoke", "ada")[1]
    assert "withdrawn" in run(capsys, "consent", "list")[1]
    code, _, err = run(capsys, "consent", "face", "ada", "-o", tmp_path / "again.png")
    assert (code, "deleted" in err) == (2, True)


def test_a_picture_of_nobody_or_of_two_is_refused(capsys, tmp_path, record):
    nobody = picture(tmp_path, "wall.png", np.full((256, 256, 3), 120, np.uint8))
    code, _, err = run(capsys, "consent", "add", record, "--media", nobody)
    assert (code, "no face is seen" in err) == (2, True)
    two = picture(tmp_path, "two.png", drawn_face(), drawn_face())
    code, _, err = run(capsys, "consent", "add", record, "--media", two)
    assert (code, "2 faces are seen at once" in err) == (2, True)
    assert "Nobody is registered" in run(capsys, "consent", "list")[1]


def test_the_operator_says_who_checked(capsys, tmp_path, record):
    photo = picture(tmp_path, "ada.png", drawn_face())
    out = run(capsys, "consent", "add", record, "--media", photo, "--verified-by", "Office", "--json")[1]
    assert (json.loads(out)["assurance"], json.loads(out)["verified_by"]) == ("verified", "Office")


def test_an_unknown_handle_is_told(capsys):
    code, _, err = run(capsys, "consent", "uses", "nobody")
    assert (code, "no record of consent" in err) == (2, True)
