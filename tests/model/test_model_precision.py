import pytest
import torch

from kinemark.model import precision
from kinemark.model.precision import fast_dtype


@pytest.fixture(autouse=True)
def forget():
    precision._cpu_has_bfloat16.cache_clear()
    yield
    precision._cpu_has_bfloat16.cache_clear()


@pytest.mark.parametrize(
    ("seconds", "dtype"),
    [
        ({torch.float32: 3.0, torch.bfloat16: 1.0}, torch.bfloat16),
        ({torch.float32: 1.0, torch.bfloat16: 6.0}, torch.float32),
        ({torch.float32: 1.1, torch.bfloat16: 1.0}, torch.float32),
    ],
)
def test_the_faster_precision_is_chosen_by_measurement(monkeypatch, seconds, dtype):
    monkeypatch.setattr(precision, "_seconds", seconds.__getitem__)
    assert fast_dtype(torch.device("cpu")) is dtype


def test_a_processor_is_measured_once(monkeypatch):
    asked = []
    monkeypatch.setattr(precision, "_seconds", lambda dtype: asked.append(dtype) or 1.0)
    for _ in range(3):
        fast_dtype(torch.device("cpu"))
    assert len(asked) == 2


def test_the_measurement_takes_time():
    assert precision._seconds(torch.float32) > 0


def test_other_devices_are_not_measured(monkeypatch):
    monkeypatch.setattr(precision, "_seconds", lambda dtype: pytest.fail("measured"))
    assert fast_dtype(torch.device("cuda")) is torch.bfloat16
    assert fast_dtype(torch.device("meta")) is torch.float32
