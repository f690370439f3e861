import datetime as dt
import re
import shutil

import pytest

from kinemark.errors import RequestError
from kinemark.provenance import evidence
from kinemark.provenance.detect import verify
from kinemark.provenance.evidence import MAX_REPORT, check_report, report
from kinemark.provenance.signing.keys import load_keys, require_keys

NOW = dt.datetime(2026, 11, 26, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def text(released_once):
    settings, released = released_once
    return report(verify(released.path, settings), load_keys(settings.keys_dir), NOW)


@pytest.fixture
def page(text, tmp_path):
    (tmp_path / "evidence.html").write_text(text, newline="")
    return tmp_path / "evidence.html"


def test_a_report_says_what_was_looked_at_and_is_intact(page, released_once):
    checked = check_report(page)
    assert checked.intact
    assert checked.content["file"]["sha256"] == released_once[1].sha256
    assert checked.content["answer"]["made_by"] == "this_installation"
    assert len(checked.signer) == 64
    text = page.read_text()
    for part in (released_once[1].sha256, "2026-11-26T12:00:00", "Not tested", "SynthID", "once in 2^34"):
        assert part in text


def test_it_needs_nothing_from_outside_and_runs_nothing(page):
    text = page.read_text()
    assert "http://" not in text.replace("http://cv.iptc.org", "")
    assert "https://" not in text
    assert "src=" not in text
    assert text.count("<script") == 1  # the data


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Made by this installation", "Made by nobody"),
        ("this_installation", "operator:x"),
        ("2026-11-26", "2020-01-01"),
    ],
)
@pytest.mark.parametrize("where", ["everywhere", "page", "data"])
def test_an_edit_anywhere_is_seen(page, old, new, where):
    shown, data = page.read_text().split("<script", 1)
    if where != "data":
        shown = shown.replace(old, new)
    if where != "page":
        data = data.replace(old, new)
    edited = shown + "<script" + data
    if edited != page.read_text():
        page.write_text(edited, newline="")
        assert not check_report(page).intact


def test_values_are_shown_as_a_reader_wants_them(page):
    shown = page.read_text().split("<script", 1)[0]
    assert re.search(r"<td>0\.0-\d\.\d s, confirmed, 1</td>", shown)
    assert "<td>no</td>" in shown
    assert "[[" not in shown


def test_a_report_of_another_version_is_checked_too(released_once, tmp_path, monkeypatch):
    settings, released = released_once
    with monkeypatch.context() as older:
        older.setattr(evidence, "_STYLE", "body{margin:0}")
        text = report(verify(released.path, settings), load_keys(settings.keys_dir), NOW)
    (tmp_path / "old.html").write_text(text, newline="")
    assert check_report(tmp_path / "old.html").intact


def test_another_installations_certificate_does_not_fit(page, tmp_path):
    other = require_keys(tmp_path / "other").chain_pem.replace("\n", "\\n")
    text = page.read_text()
    start = text.index('"certificates":"') + len('"certificates":"')
    stop = text.index('"', start)
    page.write_text(text[:start] + other + text[stop:], newline="")
    assert not check_report(page).intact


def test_a_hostile_file_name_is_text(released_once, tmp_path):
    settings, released = released_once
    name = "<img onerror=alert(1)>&'\".mp4"
    shutil.copy(released.path, tmp_path / name)
    text = report(verify(tmp_path / name, settings, quick=True), load_keys(settings.keys_dir))
    assert "<img" not in text
    (tmp_path / "r.html").write_text(text, newline="")
    assert check_report(tmp_path / "r.html").content["file"]["name"] == name


@pytest.mark.parametrize(
    "text", ["", "<html></html>", '<script type="application/json" id="evidence">{}</script>', "x" * 99]
)
def test_what_is_no_report_is_a_request_error(tmp_path, text):
    (tmp_path / "no.html").write_text(text)
    with pytest.raises(RequestError, match="not a report"):
        check_report(tmp_path / "no.html")


def test_a_huge_page_is_not_read(tmp_path):
    (tmp_path / "huge.html").write_bytes(b" " * (MAX_REPORT + 1))
    with pytest.raises(RequestError, match="at most"):
        check_report(tmp_path / "huge.html")
