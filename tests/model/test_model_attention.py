"""Norms by their definition, and what attention does not depend on."""

from __future__ import annotations

import torch

from kinemark.model.attention import CrossAttention, RMSNorm, SelfAttention
from kinemark.model.configs import tiny


def test_rms_norm_agrees_with_torch() -> None:
    norm = RMSNorm(24, 1e-6)
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(3, 5, 24)
    torch.testing.assert_close(norm(x), torch.nn.functional.rms_norm(x, (24,), norm.weight, 1e-6))
    assert norm.to(torch.bfloat16)(x.bfloat16()).dtype == torch.bfloat16


def test_norms_span_all_heads() -> None:
    """Scaling the input of one head changes the others, because the norm comes before the split."""
    attention = SelfAttention(tiny())
    assert attention.norm_q.weight.shape == (24,)
    q = torch.randn(1, 4, 24)
    louder = q.clone()
    louder[..., :12] *= 3
    assert not torch.allclose(attention.norm_q(q)[..., 12:], attention.norm_q(louder)[..., 12:])


def test_cross_attention_ignores_the_order_of_text() -> None:
    attention = CrossAttention(tiny())
    x, text = torch.randn(2, 4, 24), torch.randn(2, 6, 24)
    ahead, back = (attention.keys_of(tokens) for tokens in (text, text.flip(1)))
    torch.testing.assert_close(attention(x, ahead), attention(x, back))
