"""The audit tells skew from chance, and what is left out from what is rare."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemark.errors import RequestError
from kinemark.safety.audit import Label, as_json, as_page, audit, read_labels, read_reference

EVEN = {"hair": {"dark": 0.5, "fair": 0.3, "red": 0.2}}


HEADER = "attribute,value,share\n"


def labels(**counts: int) -> list[Label]:
    return [Label("a person", "hair", value) for value, count in counts.items() for _ in range(count)]


def test_what_is_as_expected_is_no_skew():
    (found,) = audit(labels(dark=50, fair=30, red=20), EVEN)
    assert (found.distance, found.skewed, found.left_out) == (0, False, ())


def test_what_is_not_is_told_with_its_size():
    (found,) = audit(labels(dark=90, fair=10), EVEN)
    assert found.distance == pytest.approx(0.4)
    assert found.skewed
    assert found.left_out == ("red",)
    assert "Left out: red" in as_page([found])
    assert as_json([found])["hair"]["values"]["red"]["expected"] == 0.2


def test_few_clips_leave_things_out_by_chance():
    (found,) = audit(labels(dark=3, fair=2), EVEN)
    assert (found.skewed, found.left_out) == (False, ())


def test_a_value_that_nobody_expected_is_shown():
    (found,) = audit(labels(dark=50, fair=30, green=20), EVEN)
    assert found.seen["green"].hits == 20
    assert found.distance == pytest.approx(0.2)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000))
def test_samples_of_the_reference_are_rarely_skewed(seed):
    rng = random.Random(seed)
    values, weights = list(EVEN["hair"]), list(EVEN["hair"].values())
    samples = [[Label("p", "hair", value) for value in rng.choices(values, weights, k=80)] for _ in range(8)]
    verdicts = [audit(sample, EVEN) for sample in samples]
    assert sum(found.skewed for (found,) in verdicts) <= 4


def test_an_attribute_that_was_never_labelled_is_told():
    with pytest.raises(RequestError, match="no label is about 'hair'"):
        audit([Label("p", "age", "old")], EVEN)


def test_tables_are_read(tmp_path):
    (tmp_path / "l.csv").write_text("prompt,attribute,value\na person,hair,dark\n")
    (tmp_path / "r.csv").write_text("attribute,value,share\nhair,dark,0.5\nhair,fair,0.5\n")
    assert read_labels(tmp_path / "l.csv") == [Label("a person", "hair", "dark")]
    assert read_reference(tmp_path / "r.csv") == {"hair": {"dark": 0.5, "fair": 0.5}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "begins with"),
        ("attribute,value\n", "begins with"),
        (f"{HEADER}hair,dark\n", "line 2 is"),
        (f"{HEADER}hair,dark,half\n", "the share is 'half'"),
        (f"{HEADER}hair,dark,nan\n", "the share is"),
        (f"{HEADER}hair,dark,0.4\n", "add up to 0.400"),
        (f"{HEADER}hair, ,0.4\n", "line 2 is"),
    ],
)
def test_mistakes_in_a_reference_are_told(tmp_path, text, told):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(RequestError) as caught:
        read_reference(tmp_path / "r.csv")
    assert told in str(caught.value)


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "l.csv").write_bytes(b"\xff\x00")
    with pytest.raises(RequestError, match="cannot read"):
        read_labels(tmp_path / "l.csv")
