"""Whole recipes as values. A run is a recipe, a seed and a number of minutes; nothing else changes what is learnt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from kinemark.model.configs import TransformerConfig, spark, tiny
from kinemark.model.layout import MAP_CHANNELS
from kinemark.model.scene_code import TEXT_DIM, TEXT_LEN
from kinemark.sampling.streaming import Coarse
from kinemark.training.leave_trace import TraceRecipe
from kinemark.training.objective import NoiseMix


@dataclass(frozen=True, slots=True)
class Scale:
    """A latent size (height, width) to train at, its share of the steps, and its noise."""

    size: tuple[int, int]
    share: float
    noise: NoiseMix


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what a run learns.

    Attributes:
        name: goes into the header of the weights.
        config: the transformer.
        scales: sizes with their noise; their shares add up to 1.
        windows: ranges of slots, and `window_shares` of all steps (steps have equal tokens).
        late: share of steps on windows from anywhere in the first minute (`training.shots`).
        backward: share of steps on several slots that make them from the last to the first; of the others,
        anchored: the share that is led by one or two pictures, or slots to arrive at, and
        changed: the share in which the prompt changes.
        horizon: how many slots ahead what leads may lie: as far as the sampler's cache looks.
        cropped: share of steps that see a quarter of each picture, around a subject: most of a picture is sky (Patch
            Diffusion, arXiv 2304.12526; the map of the layout says which part it is).
        tokens_per_step: video tokens in a batch.
        text_dropout: share of clips that are shown with the empty prompt.
        layout_dropout: share of clips that are shown without a layout.
        subject_share: share of a slot's loss that its subjects have beyond what their area would give them.
        matrix_lr: Muon's rate; `other_lr`: AdamW's.
        ema: decay of the averaged weights, which are the ones that ship.
        pool_size: scenes captioned at a time; `pool_steps`: steps until new ones are drawn.
        device: "cpu" or "cuda".
        compiled: use torch.compile; it takes two or three minutes on a CPU, and a step is then a fifth faster.
        sheet_minutes: minutes between contact sheets; `save_minutes`: between saved states.
    """

    name: str
    config: TransformerConfig
    scales: tuple[Scale, ...]
    windows: tuple[tuple[int, int], ...] = ((1, 1), (2, 3), (5, 9))
    window_shares: tuple[float, ...] = (0.4, 0.3, 0.3)
    late: float = 0.4
    backward: float = 0.5
    anchored: float = 0.3
    changed: float = 0.2
    horizon: int = 8
    cropped: float = 0.6
    tokens_per_step: int = 2048
    text_dropout: float = 0.1
    layout_dropout: float = 0.1
    subject_share: float = 0.5
    matrix_lr: float = 3e-3
    other_lr: float = 7e-4
    ema: float = 0.996
    pool_size: int = 4096
    pool_steps: int = 1000
    device: str = "cpu"
    compiled: bool = False
    sheet_minutes: float = 20.0
    save_minutes: float = 5.0

    @property
    def patch(self) -> int:
        """Latent pixels along one side of a token."""
        return self.config.patch[1]


@dataclass(frozen=True, slots=True)
class SparkRecipe:
    """The recipes of spark's two experts (Wan 2.2 divides the noise between two in the same way).

    Attributes:
        name: of the whole.
        scene: decides on small latents what is where, from pure noise on.
        detail: takes over at full size at a middle noise level.
        trace: how the upsampler is taught to leave its trace, when it is trained.
    """

    name: str
    scene: Recipe
    detail: Recipe
    trace: TraceRecipe = field(default_factory=TraceRecipe)


def _scales(sizes: tuple[tuple[int, int], ...], shares: tuple[float, ...], noise: NoiseMix) -> tuple[Scale, ...]:
    return tuple(Scale(size, share, noise) for size, share in zip(sizes, shares, strict=True))


#: The scene is decided on small pictures, which cost a quarter of the tokens, and close to pure noise: large flat areas
#: and a slot's four frames still show their colours at sigma 0.9, and what can be seen is not learnt from the text.
_SCENE = _scales(((32, 32), (24, 40), (40, 24)), (0.8, 0.15, 0.05), NoiseMix(mean=2.2, std=1.6, uniform=0.05))
#: Details are made from a middle noise level on (`sampling.coarse`), mostly in one step: below it their expert trains.
_DETAIL = _scales(
    ((64, 64), (40, 64), (64, 40)), (0.8, 0.15, 0.05), NoiseMix(mean=1.5, std=1.2, handover=Coarse().sigma)
)


def _detail(scene: Recipe, name: str) -> Recipe:
    """The detail expert's recipe; long windows of large latents cost the most and teach it the least."""
    windows = ((1, 1), (2, 3), (4, 6))
    return replace(scene, name=name, scales=_DETAIL, windows=windows, window_shares=(0.6, 0.25, 0.15), horizon=5)


def spark_cpu() -> SparkRecipe:
    """Two CPU cores, one for each expert: two hours add to weights that a GPU has trained.

    Its batches are 32 times smaller, so its rates are a third; from nothing, 3e-3 and 7e-4 learn faster.
    """
    scene = Recipe(name="spark_cpu scene", config=spark(), scales=_SCENE, matrix_lr=1e-3, other_lr=2.5e-4, ema=0.998)
    return SparkRecipe("spark_cpu", scene, _detail(scene, "spark_cpu detail"))


def spark_gpu() -> SparkRecipe:
    """One large GPU, about 15 minutes, an expert after the other: rendering on the GPU, batches that keep it busy.

    Half of a step or more is rendering, which is not compiled, so compiling does not pay in so short a time.
    """
    scene = Recipe(
        name="spark_gpu scene",
        config=spark(),
        scales=_SCENE,
        tokens_per_step=65_536,
        ema=0.999,
        pool_size=65_536,
        pool_steps=2000,
        device="cuda",
        sheet_minutes=5.0,
        save_minutes=2.0,
    )
    return SparkRecipe("spark_gpu", scene, _detail(scene, "spark_gpu detail"))


def tiny_spark() -> SparkRecipe:
    """Seconds on one core: the same path with tiny experts, for tests and for a first look."""
    return SparkRecipe("tiny", tiny_recipe(), replace(tiny_recipe(), name="tiny detail"), TraceRecipe(steps=2))


def tiny_recipe() -> Recipe:
    """A tiny expert."""
    config = replace(
        tiny(),
        in_channels=12,
        out_channels=12,
        patch=(1, 4, 4),
        text_dim=TEXT_DIM,
        text_len=TEXT_LEN,
        rope_span=8.0,
        condition_channels=MAP_CHANNELS,
        filters_noise=True,
        pooled_text=True,
    )
    return Recipe(
        name="tiny",
        config=config,
        scales=_scales(((16, 16), (24, 24), (16, 32)), (0.4, 0.3, 0.3), NoiseMix()),
        windows=((1, 1), (2, 3)),
        window_shares=(0.5, 0.5),
        tokens_per_step=64,
        pool_size=32,
        pool_steps=8,
    )
