"""Models are found by name or file, and loaded when they are wanted."""

import pytest

from kinemark.catalogue import KNOWN, find_model, load_model
from kinemark.errors import FailureError, RequestError


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(RequestError, match=r"unknown model 'sprak' \(did you mean spark\?\); the models are: spark"):
        find_model("sprak")
    assert "spark" in KNOWN


def test_a_file_is_looked_at_when_it_is_loaded(tmp_path):
    entry = find_model(str(tmp_path / "absent.safetensors"))
    assert entry.target == KNOWN["spark"].target
    with pytest.raises(FailureError, match="no weights at"):
        entry.load()


def test_spark_is_ready():
    model = load_model("spark")
    assert (model.name, model.target.fps, model.photoreal) == ("spark", 8, False)
    assert len(model.weights_digest) == 64
