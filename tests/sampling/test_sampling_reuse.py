"""Answers are used again while they would hardly change, and asked for when they would."""

from dataclasses import replace

import pytest
import torch

from kinemark.sampling.conditions import Conditions
from kinemark.sampling.methods import METHODS
from kinemark.sampling.reuse import Reusing
from kinemark.sampling.streaming import sample_jointly
from wan_like import WAN_LIKE, randomised


def asked_of(velocity, bound, levels):
    """(how many answers were computed, all answers)."""
    asked = []

    def spy(x, sigma):
        asked.append(float(sigma.max()))
        return velocity(x, sigma)

    reusing = Reusing(spy, bound)
    answers = [reusing(torch.zeros(1, 1, 1, 2, 2), torch.full((1, 1), level)) for level in levels]
    return asked, answers


LEVELS = torch.linspace(1, 0.05, 20).tolist()


def test_what_never_changes_is_asked_for_twice():
    asked, answers = asked_of(lambda x, _: torch.ones_like(x), 0.05, LEVELS)
    assert asked == pytest.approx(LEVELS[:2])
    assert all(torch.equal(answer, answers[0]) for answer in answers)


def test_every_answer_is_within_the_bound_where_the_rate_is_steady():
    def velocity(x, sigma):
        return torch.full_like(x, 10 - float(sigma.max()))

    asked, answers = asked_of(velocity, 0.03, LEVELS)
    assert 3 <= len(asked) < 10
    for level, answer in zip(LEVELS, answers, strict=True):
        assert abs(float(answer.mean()) - (10 - level)) <= 0.031 * (10 - level)


def test_without_a_bound_every_step_asks():
    assert len(asked_of(lambda x, sigma: x + sigma.max(), 0.0, LEVELS)[0]) == 20


@torch.no_grad()
def test_a_wider_bound_asks_less_and_errs_more():
    model = randomised(WAN_LIKE, scale=0.03)
    conditions = Conditions.from_text(torch.randn(1, 6, 8), [5], (4, 3, 8, 8))
    latents, asks = [], []
    for bound in (0.0, 0.05, 0.2):
        asked = []

        def spy(x, sigma, text, _asked=asked, **around):
            _asked.append(1)
            return model(x, sigma, text, **around)

        latents.append(sample_jointly(spy, conditions, replace(METHODS["wan-480p"], reuse=bound)))
        asks.append(len(asked))
    errors = [float((one - latents[0]).norm() / latents[0].norm()) for one in latents]
    assert asks[0] == 50 > asks[1] > asks[2]
    assert 0 == errors[0] < errors[1] < errors[2]
    assert errors[1] < 0.05
