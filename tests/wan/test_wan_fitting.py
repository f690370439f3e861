"""What is done when memory is short, in this order: guidance in turn, blocks that wait, no."""

import pytest
import torch

from kinemark.model.quantised import KINDS
from kinemark.sampling.methods import METHODS
from kinemark.wan.costs import Work
from kinemark.wan.fitting import fit
from kinemark.wan.releases import RELEASES

GPU, CPU = torch.device("cuda"), torch.device("cpu")
RELEASE = RELEASES["wan2.1-14b"]
SAMPLER = METHODS[RELEASE.method]
WORK = Work.of(21, (60, 104), SAMPLER)


def fitted(gigabytes, device=GPU, **changes):
    return fit(RELEASE, WORK, SAMPLER, device, int(gigabytes * 1e9), **{"guided": True} | changes)


def test_the_fastest_way_that_has_room_is_taken():
    roomy = fitted(80)
    assert (roomy.in_turn, roomy.waiting, str(roomy)) == (False, 0, "")
    assert roomy.weights == pytest.approx(2 * RELEASE.parameters, rel=0.03)
    tighter = fitted((roomy.weights + 0.8 * roomy.step) / 0.95 / 1e9)
    assert (tighter.in_turn, tighter.waiting) == (True, 0)
    assert tighter.step < 0.8 * roomy.step
    small = fitted(16)
    assert small.fits
    assert 0 < small.waiting < small.layers == 40
    assert small.weights + small.step <= 0.95 * 16e9
    assert fitted(12).waiting > small.waiting
    assert str(small) == f"guidance asks one after the other, and {small.waiting} of 40 blocks wait in host memory"
    assert not fitted(1).fits
    assert "too little memory" in str(fitted(1))


def test_without_a_gpu_nothing_waits():
    assert not fitted(16, CPU).fits
    assert fitted(100, CPU).fits


def test_weights_of_8_bits_take_half():
    whole, eighth = fitted(80), fitted(80, kind=KINDS["int8"])
    assert 0.5 < eighth.weights / whole.weights < 0.54
    assert fitted(24, kind=KINDS["int8"]).waiting == 0 < fitted(24).waiting


def test_a_model_without_guidance_has_nothing_to_ask_in_turn():
    small = fitted(16, guided=False)
    assert not small.in_turn
    assert small.waiting
