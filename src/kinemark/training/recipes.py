"""Whole recipes as values. A run is a recipe, a seed and a number of minutes; nothing else changes what is learnt."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kinemark.model.configs import TransformerConfig, spark, tiny
from kinemark.training.objective import NoiseMix


@dataclass(frozen=True, slots=True)
class Scale:
    """A latent size (height, width) that a stage trains at, its share of the steps, and its noise."""

    size: tuple[int, int]
    share: float
    noise: NoiseMix


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of the curriculum: what is trained until so many tokens were seen."""

    until_tokens: float
    scales: tuple[Scale, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what a run learns.

    Attributes:
        name: goes into the header of the weights.
        config: the transformer.
        stages: coarse before fine; the last one has no end.
        windows: ranges of slots, and `window_shares` of all steps (steps have equal tokens).
        anchored: share of steps on several slots that begin with one or two clean anchors.
        tokens_per_step: video tokens in a batch.
        text_dropout: share of clips that are shown with the empty prompt.
        subject_emphasis: how much more a subject's pixels weigh; 0 in the last quarter of a run.
        readout: weight of the scene read-out.
        matrix_lr: Muon's rate; `other_lr`: AdamW's.
        ema: decay of the averaged weights, which are the ones that ship.
        pool_size: scenes captioned at a time; `pool_steps`: steps until new ones are drawn.
        device: "cpu" or "cuda".
        autocast: compute in bfloat16 where the processor has units for it.
        compiled: use torch.compile.
        sheet_minutes: minutes between contact sheets; `save_minutes`: between saved states.
    """

    name: str
    config: TransformerConfig
    stages: tuple[Stage, ...]
    windows: tuple[tuple[int, int], ...] = ((1, 1), (2, 3), (5, 9))
    window_shares: tuple[float, ...] = (0.5, 0.3, 0.2)
    anchored: float = 0.4
    tokens_per_step: int = 3072
    text_dropout: float = 0.1
    subject_emphasis: float = 3.0
    readout: float = 0.05
    matrix_lr: float = 6e-3
    other_lr: float = 2e-3
    ema: float = 0.998
    pool_size: int = 8192
    pool_steps: int = 1000
    device: str = "cpu"
    autocast: bool = False
    compiled: bool = False
    sheet_minutes: float = 20.0
    save_minutes: float = 5.0

    @property
    def patch(self) -> int:
        """Latent pixels along one side of a token."""
        return self.config.patch[1]

    def stage(self, tokens_seen: float) -> Stage:
        """The stage of the curriculum after so many tokens."""
        return next(stage for stage in self.stages if tokens_seen < stage.until_tokens)


def _scales(sizes: tuple[tuple[int, int], ...], shares: tuple[float, ...], noise: NoiseMix) -> tuple[Scale, ...]:
    return tuple(Scale(size, share, noise) for size, share in zip(sizes, shares, strict=True))


#: Coarse pictures cost a quarter of the tokens. The scene is decided there, and close to pure noise: large flat areas
#: and a slot's four frames still show their colours at sigma 0.9, and what can be seen is not learnt from the text ...
_COARSE = _scales(((32, 32), (24, 40), (40, 24)), (0.8, 0.15, 0.05), NoiseMix(mean=2.0, std=1.3))
#: ... and fine ones take over below sigma 0.6 or so (`sampling.coarse`), so that is where they train most.
_FINE = _scales(((64, 64), (40, 64), (64, 40)), (0.8, 0.15, 0.05), NoiseMix(mean=0.0))


def spark_cpu() -> Recipe:
    """Two CPU cores, about two and a half hours for first weights; every further hour adds.

    Without compiled blocks: compiling takes minutes here, and saves less than that.
    """
    return Recipe(
        name="spark_cpu",
        config=spark(),
        stages=(Stage(2e6, _COARSE), Stage(float("inf"), (*_COARSE, *_FINE))),
    )


def spark_gpu() -> Recipe:
    """One large GPU, about 15 minutes: rendering on the GPU, bfloat16, and batches that keep it busy."""
    return Recipe(
        name="spark_gpu",
        config=spark(),
        stages=(Stage(150e6, _COARSE), Stage(float("inf"), (*_COARSE, *_FINE))),
        tokens_per_step=65_536,
        ema=0.999,
        pool_size=65_536,
        pool_steps=2000,
        device="cuda",
        autocast=True,
        compiled=True,
        sheet_minutes=5.0,
        save_minutes=2.0,
    )


def tiny_recipe() -> Recipe:
    """Seconds on one core: the same path with a tiny model, for tests and for a first look."""
    config = replace(tiny(), in_channels=12, out_channels=12, patch=(1, 8, 8), text_dim=128, text_len=16, rope_span=8.0)
    return Recipe(
        name="tiny",
        config=config,
        stages=(
            Stage(2000, _scales(((16, 16),), (1.0,), NoiseMix())),
            Stage(float("inf"), _scales(((24, 24), (16, 32)), (0.5, 0.5), NoiseMix(mean=0.0))),
        ),
        windows=((1, 1), (2, 3)),
        window_shares=(0.5, 0.5),
        tokens_per_step=64,
        pool_size=32,
        pool_steps=8,
    )
