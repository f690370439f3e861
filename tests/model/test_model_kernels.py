"""Rotations are what their formula says."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from kinemark.model.configs import spark, tiny, wan_1_3b
from kinemark.model.kernels import Fused, attend, gated_add, modulated_norm, rms_norm, rotary_table, rotate


def by_definition(x: torch.Tensor, position: tuple[float, float, float], base: float) -> torch.Tensor:
    """Rotate one head's channels as Wan's paper says, with complex numbers in float64."""
    width = len(x)
    pairs = (width // 2 - 2 * (width // 6), width // 6, width // 6)
    angles = [
        place * base ** (-torch.arange(count, dtype=torch.float64) / count)
        for place, count in zip(position, pairs, strict=True)
    ]
    turn = torch.polar(torch.ones(width // 2, dtype=torch.float64), torch.cat(angles))
    return torch.view_as_real(torch.view_as_complex(x.double().view(-1, 2)) * turn).flatten().float()


def test_rotation_by_definition() -> None:
    config = replace(wan_1_3b(), width=128, heads=1)
    time, rows, columns = torch.tensor([[0.0, 7.5]]), 2, 3
    table = rotary_table(config, time, (rows, columns))
    assert table.shape == (1, 1, 2 * rows * columns, 64, 2)
    x = torch.randn(1, 1, 2 * rows * columns, 128)
    turned = rotate(x, table)
    for token in range(x.shape[2]):
        slot, row, column = token // 6, token // 3 % 2, token % 3
        expected = by_definition(x[0, 0, token], (time[0, slot].item(), row, column), 10_000.0)
        torch.testing.assert_close(turned[0, 0, token], expected)


def test_axes_share_a_head_as_in_wan() -> None:
    """Of 128 channels 44 turn with time, 42 with the row, 42 with the column."""
    config = wan_1_3b()
    still = rotary_table(config, torch.zeros(1, 1), (2, 2))[0, 0]
    later = rotary_table(config, torch.ones(1, 1), (2, 2))[0, 0]
    moved = (later != still).any(-1).any(0)
    assert moved.nonzero().flatten().tolist() == list(range(22))
    by_row = (still[2] != still[0]).any(-1).nonzero().flatten().tolist()
    by_column = (still[1] != still[0]).any(-1).nonzero().flatten().tolist()
    assert (by_row, by_column) == (list(range(22, 43)), list(range(43, 64)))


def test_scores_depend_on_differences_only() -> None:
    config = spark()
    q, k = torch.randn(2, 1, 1, 1, config.head_dim)
    grid = (1, 1)

    def score(at_q: float, at_k: float) -> torch.Tensor:
        return (
            rotate(q, rotary_table(config, torch.tensor([[at_q]]), grid))
            * rotate(k, rotary_table(config, torch.tensor([[at_k]]), grid))
        ).sum()

    torch.testing.assert_close(score(3.25, 1.0), score(102.25, 100.0), atol=1e-4, rtol=1e-4)


def test_a_span_makes_positions_independent_of_resolution() -> None:
    """The same place in the picture has the same position; the shorter side spans 16 units, tokens are at centres."""
    config, time = spark(), torch.zeros(1, 1)
    coarse = rotary_table(config, time, (4, 4)).view(4, 4, config.head_dim // 2, 2)
    threefold = rotary_table(config, time, (12, 12)).view(12, 12, config.head_dim // 2, 2)
    torch.testing.assert_close(coarse, threefold[1::3, 1::3])  # the middle of every three has the same centre
    wide = rotary_table(config, time, (4, 8)).view(4, 8, config.head_dim // 2, 2)
    torch.testing.assert_close(wide[:, :4], coarse)
    native = rotary_table(config, time, (16, 16)).view(16, 16, config.head_dim // 2, 2)
    step = torch.atan2(native[1, 0, 8, 1], native[1, 0, 8, 0]) - torch.atan2(native[0, 0, 8, 1], native[0, 0, 8, 0])
    torch.testing.assert_close(step, torch.tensor(1.0))  # at 256x256 neighbours are one unit apart


def test_the_compiled_rotation_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    table = rotary_table(tiny(), torch.arange(3.0)[None], (2, 2))
    x = torch.randn(2, 2, 12, 12)
    eager = rotate(x, table)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(rotate(x, table), eager)


def test_rotation_keeps_the_dtype() -> None:
    table = rotary_table(tiny(), torch.zeros(1, 1), (2, 2))
    assert rotate(torch.randn(1, 2, 4, 12, dtype=torch.bfloat16), table).dtype == torch.bfloat16


@pytest.mark.parametrize("sharp", [1.0, 4.0, 10.0])
@pytest.mark.parametrize(("queries", "keys"), [(300, 700), (128, 5)])
def test_products_attend_like_float64(sharp: float, queries: int, keys: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16, with peaked and with flat attention, and not much worse than torch's fused kernel."""
    monkeypatch.setattr("kinemark.model.kernels._SCORES", 100 * keys)  # in several parts, the last one smaller
    generator = torch.Generator().manual_seed(0)
    q, k, v = (
        torch.randn(2, length, 3, 16, generator=generator).bfloat16().transpose(1, 2)
        for length in (queries, keys, keys)
    )
    q *= sharp
    whole = torch.nn.functional.scaled_dot_product_attention(q.double(), k.double(), v.double())
    with torch.no_grad():
        ours, fused = attend(q, k, v), torch.nn.functional.scaled_dot_product_attention(q, k, v)

    def error(attended: torch.Tensor) -> float:
        return float((attended - whole).norm() / whole.norm())

    assert not torch.equal(ours, fused)  # else this says nothing
    assert error(ours) < 2.5 * error(fused)
    assert error(ours) < 5e-3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@torch.no_grad()
def test_what_the_compiler_makes_of_kernels_is_the_same() -> None:
    """On this device; where it is a CPU, kernels run as they are written, and are compiled only here."""
    table = rotary_table(tiny(), torch.arange(3.0)[None], (2, 2))
    x, shift, scale = torch.randn(2, 12, 24), torch.randn(2, 3, 1, 24), torch.randn(2, 3, 1, 24)
    half = x.bfloat16()
    for kernel, arguments in (
        (modulated_norm, (x, shift, scale, 1e-6, torch.bfloat16)),
        (gated_add, (x, shift, half)),
        (rms_norm, (half, torch.rand(24).bfloat16(), 1e-6)),
        (rotate, (torch.randn(2, 2, 12, 12).bfloat16(), table)),
    ):
        written, compiled = kernel(*arguments), kernel.compiled(*arguments)
        assert written.dtype == compiled.dtype
        torch.testing.assert_close(compiled, written, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize(
    ("device", "gradients", "fused"), [("cuda", False, True), ("cuda", True, False), ("cpu", False, False)]
)
def test_kernels_are_fused_on_a_gpu_for_inference(
    device: str, gradients: bool, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kinemark.model.kernels._can_compile", lambda: True)
    kernel = Fused(lambda _x: "as written")
    kernel.compiled = lambda _x: "fused"
    with torch.set_grad_enabled(gradients):
        assert kernel(SimpleNamespace(device=torch.device(device))) == ("fused" if fused else "as written")
