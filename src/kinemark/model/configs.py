"""Transformer configurations: each is a function that returns a complete frozen value.

The Wan sizes are those of Wan-Video/Wan2.1 and Wan2.2 `wan/configs/*.py`; a variant is a `dataclasses.replace`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal

from kinemark.model.layout import MAP_CHANNELS
from kinemark.timeline import Capability

Prediction = Literal["velocity", "clean"]
#: Wan counts noise from 0 to 1000; sigma counts it from 0 to 1.
TIMESTEPS: Final = 1000
#: Wan's image to video lays the latent of the given pictures beside the noised one, and which of four frames are given.
WAN_CONDITION: Final = 16 + 4


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Everything that decides the transformer's shapes and arithmetic, and what its weights were trained for."""

    in_channels: int
    out_channels: int
    patch: tuple[int, int, int]
    """Slots, rows and columns of latent in one token; a noise level per slot needs one slot per token."""
    width: int
    heads: int
    ffn: int
    layers: int
    text_dim: int
    text_len: int
    """Shorter text is zero-padded to this many tokens, and the padding is attended to, as in Wan."""
    freq_dim: int = 256
    rope_base: float = 10_000.0
    rope_span: float | None = None
    """None: spatial positions are token indices, as in Wan. A number: the shorter side spans this many units at every
    resolution and a token sits at its centre."""
    condition_channels: int = 0
    """Channels of the condition that is laid beside the noised latent (spark: `layout.layout_map`)."""
    image_dim: int = 0
    """Width of the features of given pictures that cross-attention sees beside the text (Wan 2.1 image to video: 1280);
    0: none."""
    image_positions: int = 0
    """Learned positions of these features, where a first and a last picture are told apart by them (514); 0: none."""
    filters_noise: bool = False
    """Show the noised latent through `transformer.NoiseFilter`; Wan shows it as it is."""
    pooled_text: bool = False
    """Let all text tokens together modulate every block, as the noise level does (as in Stable Diffusion 3): a small
    model follows it long before its cross-attention has learnt to."""
    eps: float = 1e-6
    predicts: Prediction = "velocity"
    """What the raw output is; `sampling.flow` turns both into a velocity."""
    block_slots: int | None = None
    """Slots that are generated together under a block-causal order; None: trained with full attention."""
    capabilities: frozenset[Capability] = frozenset()
    """What the weights were trained for beyond text; a timeline says what it needs."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.head_dim % 2 or self.head_dim < 6:
            raise ValueError(f"head width {self.head_dim} must be even and at least 6 to hold three rotary axes")
        if self.patch[0] != 1:
            raise ValueError(f"patch {self.patch} spans {self.patch[0]} slots; a noise level per slot allows only 1")
        if self.freq_dim % 2:
            raise ValueError(f"freq_dim {self.freq_dim} must be even: half cosines, half sines")

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    def to_json(self) -> dict[str, Any]:
        """Return the config as values that JSON can hold; `from_json` reads them back."""
        return {
            **asdict(self),
            "patch": list(self.patch),
            "capabilities": sorted(known.name for known in self.capabilities),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TransformerConfig:
        """Read what `to_json` wrote.

        Raises:
            ValueError: a field is unknown or a required one is missing, or the values do not fit together.
        """
        unknown = sorted(values.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"unknown transformer config fields {unknown}")
        proper = dict(values)
        try:
            proper["patch"] = tuple(values["patch"])
            proper["capabilities"] = frozenset(Capability[name] for name in values["capabilities"])
            return cls(**proper)
        except (KeyError, TypeError) as error:
            raise ValueError(f"incomplete transformer config: {error}") from error


def spark() -> TransformerConfig:
    """Return the model that ships with the package: 4x downsampled pixels, four frames to a slot, 256 tokens of 4x4.

    Its distances are short (16 units across the picture, some hundred slots in a minute), so the rotary base is 100:
    the slowest pair then turns once in about 350 units and every pair is of use. A token of the detail expert is one
    unit wide.
    """
    return TransformerConfig(
        in_channels=12,
        out_channels=12,
        patch=(1, 4, 4),
        width=160,
        heads=4,
        ffn=640,
        layers=6,
        text_dim=128,
        text_len=16,
        rope_base=100.0,
        rope_span=16.0,
        condition_channels=MAP_CHANNELS,
        filters_noise=True,
        pooled_text=True,
        predicts="clean",
        block_slots=1,
        capabilities=frozenset(Capability),
    )


def tiny() -> TransformerConfig:
    """Return a model for tests: spark's arithmetic in about 20 thousand parameters, without layout or pooled text."""
    return TransformerConfig(
        in_channels=4,
        out_channels=4,
        patch=(1, 2, 2),
        width=24,
        heads=2,
        ffn=32,
        layers=2,
        text_dim=8,
        text_len=6,
        freq_dim=32,
        rope_base=100.0,
        rope_span=4.0,
        predicts="clean",
        block_slots=1,
    )


def wan_1_3b() -> TransformerConfig:
    """Return Wan2.1-T2V-1.3B, which is also every causal and distilled relative of it."""
    return _wan(channels=16, width=1536, heads=12, ffn=8960, layers=30)


def wan_5b() -> TransformerConfig:
    """Return Wan2.2-TI2V-5B: text to video, and image to video by a clean first slot."""
    model = _wan(channels=48, width=3072, heads=24, ffn=14336, layers=30)
    return replace(model, capabilities=frozenset({Capability.HISTORY}))


def wan_14b() -> TransformerConfig:
    """Return Wan2.1-T2V-14B, which is also each expert of Wan2.2-T2V-A14B."""
    return _wan(channels=16, width=5120, heads=40, ffn=13824, layers=40)


def wan_14b_image() -> TransformerConfig:
    """Return Wan2.1-I2V-14B: a first picture as channels beside the latent, and as CLIP features beside the text."""
    return replace(wan_14b(), condition_channels=WAN_CONDITION, image_dim=1280)


def wan_14b_ends() -> TransformerConfig:
    """Return Wan2.1-FLF2V-14B, which is given a first and a last picture."""
    return replace(wan_14b_image(), image_positions=514)


def wan_22_14b_image() -> TransformerConfig:
    """Return each expert of Wan2.2-I2V-A14B, which sees the first picture as channels only."""
    return replace(wan_14b(), condition_channels=WAN_CONDITION)


def _wan(*, channels: int, width: int, heads: int, ffn: int, layers: int) -> TransformerConfig:
    return TransformerConfig(
        in_channels=channels,
        out_channels=channels,
        patch=(1, 2, 2),
        width=width,
        heads=heads,
        ffn=ffn,
        layers=layers,
        text_dim=4096,
        text_len=512,
    )
