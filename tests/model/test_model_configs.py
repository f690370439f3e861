"""Configurations are whole, frozen, and survive JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import pytest

from kinemark.model.configs import TransformerConfig, spark, tiny, wan_1_3b, wan_5b, wan_14b
from kinemark.model.transformer import Transformer

ALL = [spark, tiny, wan_1_3b, wan_5b, wan_14b]


@pytest.mark.parametrize("config", ALL)
def test_survives_json(config: Callable[[], TransformerConfig]) -> None:
    assert TransformerConfig.from_json(json.loads(json.dumps(config().to_json()))) == config()


@pytest.mark.parametrize("config", [wan_1_3b(), wan_5b(), wan_14b()])
def test_wan_heads_are_128_wide(config: TransformerConfig) -> None:
    assert config.head_dim == 128
    assert (config.patch, config.text_dim, config.text_len, config.freq_dim) == ((1, 2, 2), 4096, 512, 256)
    assert (config.rope_base, config.rope_span, config.eps, config.predicts) == (10_000, None, 1e-6, "velocity")


def test_spark_is_small_and_knows_the_autoencoder() -> None:
    config = spark()
    parameters = sum(parameter.numel() for parameter in Transformer(config).parameters())
    assert 3_000_000 < parameters < 4_000_000
    assert config.in_channels == config.out_channels == 12
    assert (config.predicts, config.block_slots) == ("clean", 1)


def test_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        tiny().width = 48  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 5}, "width 24 is not a multiple of heads 5"),
        ({"heads": 6}, "head width 4 must be even and at least 6"),
        ({"patch": (2, 2, 2)}, "spans 2 slots"),
        ({"freq_dim": 31}, "freq_dim 31 must be even"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(tiny(), **change)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (tiny().to_json() | {"novelty": 1}, r"unknown transformer config fields \['novelty'\]"),
        ({key: value for key, value in tiny().to_json().items() if key != "width"}, "incomplete"),
        ({key: value for key, value in tiny().to_json().items() if key != "patch"}, "incomplete"),
        (tiny().to_json() | {"capabilities": ["TELEPATHY"]}, "TELEPATHY"),
    ],
)
def test_bad_json_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransformerConfig.from_json(values)
