import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kinemark.training.optim import Ema, Muon, learning_rate_factor, make_optimisers, orthogonalise, set_learning_rates


@pytest.mark.parametrize("shape", [(4, 16, 16), (3, 8, 32), (3, 32, 8)])
def test_orthogonalise_brings_singular_values_near_one(shape):
    torch.manual_seed(0)
    singular = torch.linalg.svdvals(orthogonalise(torch.randn(shape), steps=8))
    assert singular.min() > 0.5
    assert singular.max() < 1.4


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 5e-2)])
def test_orthogonalise_keeps_singular_vectors(monkeypatch, dtype, tolerance):
    monkeypatch.setattr("kinemark.training.optim.fast_dtype", lambda device: dtype)
    torch.manual_seed(0)
    matrix = torch.randn(1, 12, 12)
    u, _, v = torch.linalg.svd(matrix)
    rotated = u.mT @ orthogonalise(matrix) @ v.mT
    off_diagonal = rotated - torch.diag_embed(rotated.diagonal(dim1=-2, dim2=-1))
    assert off_diagonal.abs().max() < tolerance


def test_stacked_matrices_are_independent():
    torch.manual_seed(0)
    stack = torch.randn(3, 8, 8)
    alone = torch.cat([orthogonalise(matrix[None]) for matrix in stack])
    torch.testing.assert_close(orthogonalise(stack), alone)


def test_muon_fits_a_linear_map():
    torch.manual_seed(0)
    target = torch.linalg.qr(torch.randn(8, 8)).Q
    weight = nn.Parameter(torch.zeros(8, 8))
    optimiser = Muon([weight], lr=0.02)
    for _ in range(300):
        (weight - target).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()
    assert (weight - target).abs().max() < 0.05


def test_muon_leaves_parameters_without_gradient():
    weight = nn.Parameter(torch.ones(4, 4))
    Muon([weight]).step()
    assert torch.equal(weight, torch.ones(4, 4))


def test_muon_takes_no_closure():
    with pytest.raises(ValueError, match="closure"):
        Muon([nn.Parameter(torch.ones(2, 2))]).step(lambda: 0.0)


def test_every_parameter_has_one_optimiser():
    blocks, head = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), nn.Linear(4, 2)
    optimisers = make_optimisers(blocks, [head], matrix_lr=0.1, other_lr=0.01)
    held = [p for o in optimisers for g in o.param_groups for p in g["params"]]
    assert len(held) == len({id(p) for p in held}) == 6
    assert [p.shape for p in optimisers[0].param_groups[0]["params"]] == [(4, 4)]


def test_learning_rate_rises_stays_and_falls():
    assert learning_rate_factor(0, 0.0) == pytest.approx(0.01)
    assert learning_rate_factor(500, 0.4) == 1.0
    assert learning_rate_factor(500, 0.7) == pytest.approx(0.5)
    assert learning_rate_factor(5000, 1.0) == 0.0


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_learning_rate_factor_is_a_share(steps, fraction):
    assert 0.0 <= learning_rate_factor(steps, fraction) <= 1.0


def test_rates_are_those_of_the_recipe_and_not_of_a_saved_state():
    layers = nn.Sequential(nn.Linear(4, 4))
    saved = [o.state_dict() for o in make_optimisers(layers, [], matrix_lr=9.0, other_lr=9.0)]
    optimisers = make_optimisers(layers, [], matrix_lr=0.2, other_lr=0.1)
    for optimiser, state in zip(optimisers, saved, strict=True):
        optimiser.load_state_dict(state)
    set_learning_rates(optimisers, 0.5)
    assert [o.param_groups[0]["lr"] for o in optimisers] == [0.1, 0.05]


def test_average_forgets_the_start_and_then_remembers():
    module = nn.Linear(1, 1, bias=False)
    average = Ema(module, decay=0.9)
    with torch.no_grad():
        module.weight.fill_(1.0)
    for _ in range(200):
        average.update(module)
    assert average.values["weight"].item() == pytest.approx(1.0, abs=1e-3)
    with torch.no_grad():
        module.weight.fill_(2.0)
    average.update(module)
    assert average.values["weight"].item() == pytest.approx(1.1, abs=1e-3)
