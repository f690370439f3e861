"""Guidance is arithmetic on two answers of one batch."""

import pytest
import torch

from kinemark.model.cache import KVCache
from kinemark.model.configs import tiny
from kinemark.model.transformer import Transformer
from kinemark.sampling.flow import clean_from_velocity, denoiser_of, per_slot
from kinemark.sampling.guidance import TOGETHER, Guided, InTurn


@pytest.fixture
def denoiser():
    torch.manual_seed(0)
    transformer = Transformer(tiny()).eval()
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return denoiser_of(transformer)


@pytest.fixture
def arguments():
    return torch.randn(2, 4, 3, 4, 4), torch.tensor([[0.2, 0.5, 0.9]]).expand(2, -1), torch.randn(2, 6, 8)


EMPTY_LD = torch.linspace(-1, 1, 48).reshape(6, 8)


@torch.no_grad()
def test_guided_is_the_extrapolation_of_two_passes(denoiser, arguments):
    x_BCFHW, sigma_BF, text_BLD = arguments
    conditional = denoiser(x_BCFHW, sigma_BF, text_BLD)
    unconditional = denoiser(x_BCFHW, sigma_BF, EMPTY_LD.expand_as(text_BLD))
    guided = Guided(denoiser, EMPTY_LD, 3.0)(x_BCFHW, sigma_BF, text_BLD)
    assert torch.allclose(guided, unconditional + 3 * (conditional - unconditional), atol=1e-4)
    assert not torch.allclose(conditional, unconditional, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("read", [False, True])
def test_asking_in_turn_is_asking_together(denoiser, arguments, read):
    x_BCFHW, sigma_BF, text_BLD = arguments
    around = {"time_BF": torch.tensor([0.0, 1.5, 4.0])}
    answers = []
    for halves in (TOGETHER, InTurn()):
        guided = Guided(denoiser, EMPTY_LD, 3.0, halves=halves)
        answers.append(guided(x_BCFHW, sigma_BF, guided.read(text_BLD) if read else text_BLD, **around))
    assert torch.allclose(*answers, atol=1e-4)
    with pytest.raises(ValueError, match="ask about both together"):
        guided(x_BCFHW, sigma_BF, text_BLD, cache=KVCache(), **around)


@torch.no_grad()
def test_scale_one_is_the_prompt_alone(denoiser, arguments):
    assert torch.allclose(Guided(denoiser, EMPTY_LD, 1.0)(*arguments), denoiser(*arguments), atol=1e-4)


@torch.no_grad()
def test_outside_the_interval_a_slot_is_not_guided(denoiser, arguments):
    guided = Guided(denoiser, EMPTY_LD, 3.0, interval=(0.4, 0.8))(*arguments)
    plain, full = denoiser(*arguments), Guided(denoiser, EMPTY_LD, 3.0)(*arguments)
    assert torch.allclose(guided[:, :, [0, 2]], plain[:, :, [0, 2]], atol=1e-4)
    assert torch.allclose(guided[:, :, 1], full[:, :, 1], atol=1e-4)


@torch.no_grad()
def test_what_points_along_the_prediction_can_be_left_out(denoiser, arguments):
    """What is left is across it, slot by slot; between the two guidances lies a straight line."""
    x_BCFHW, sigma_BF, _ = arguments
    plain = denoiser(*arguments)
    full, half, across = (Guided(denoiser, EMPTY_LD, 3.0, along=along)(*arguments) for along in (1.0, 0.5, 0.0))
    assert torch.allclose(half, (full + across) / 2, atol=1e-4)
    clean = clean_from_velocity(x_BCFHW, plain, per_slot(sigma_BF))
    for added, is_across in ((across - plain, True), (full - plain, False)):
        cosine = torch.nn.functional.cosine_similarity(
            added.transpose(1, 2).flatten(2), clean.transpose(1, 2).flatten(2), dim=2
        )
        assert bool((cosine.abs() < 1e-3).all()) == is_across
    silent = Guided(lambda x, *_, **__: torch.zeros_like(x), EMPTY_LD, 3.0, along=0.0)
    assert (silent(torch.zeros(1, 4, 1, 4, 4), torch.ones(1, 1), torch.zeros(1, 6, 8)) == 0).all()


@torch.no_grad()
def test_a_guided_cache_holds_both_halves(denoiser, arguments):
    x_BCFHW, sigma_BF, text_BLD = arguments
    guided, cache = Guided(denoiser, EMPTY_LD, 2.0), KVCache()
    for slot in range(3):
        last = guided(
            x_BCFHW[:, :, [slot]],
            sigma_BF[:, [slot]],
            text_BLD,
            time_BF=torch.full((2, 1), float(slot)),
            cache=cache,
            write=True,
        )
    assert len(cache) == 3
    whole = guided(x_BCFHW, sigma_BF, text_BLD, time_BF=torch.arange(3.0), block_F=torch.arange(3))
    assert torch.allclose(last[:, :, 0], whole[:, :, 2], atol=1e-3)
