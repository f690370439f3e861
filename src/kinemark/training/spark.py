"""spark part by part: text encoder, layout planner and reader, two experts, upsampler, and one file to use.

A run is a folder. What it does not hold yet is taken from the weights that ship, and trained if there are none.
"""

from __future__ import annotations

import subprocess
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safetensors.torch import load_file

from kinemark.data.manifest import require_manifest
from kinemark.errors import FailureError
from kinemark.model.autoencoder import Upsampler, UpsamplerConfig
from kinemark.model.layout_reader import LayoutReader, LayoutReaderConfig
from kinemark.model.load import WEIGHTS, Networks, Origin, read_model, save_model
from kinemark.model.planner import LayoutPlanner, PlannerConfig
from kinemark.model.text import TextConfig, TextEncoder
from kinemark.model.transformer import Transformer
from kinemark.together import ALONE
from kinemark.training.degrade import DenoisedOnce
from kinemark.training.layout_reader import LayoutReaderRecipe, train_layout_reader
from kinemark.training.leave_trace import leave_trace
from kinemark.training.loop import STATE_FILE, Start, train
from kinemark.training.observe import SheetObserver, from_noise, from_small_truth
from kinemark.training.planner import PlannerRecipe, train_planner
from kinemark.training.state import read_average, require_minutes
from kinemark.training.text import TextRecipe, text_accuracy, train_text_encoder
from kinemark.training.upsampler import (
    UpsamplerRecipe,
    endless_latents,
    metadata_of,
    save_upsampler,
    state_of,
    train_upsampler,
)
from kinemark.training.weights import load_weights, save_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kinemark.together import Together
    from kinemark.training.loop import Observer
    from kinemark.training.recipes import Recipe, SparkRecipe

#: What the parts of a run are called in its folder.
TEXT_FILE: Final = "text.safetensors"
PLANNER_FILE: Final = "planner.safetensors"
READER_FILE: Final = "layout_reader.safetensors"
UPSAMPLER_FILE: Final = "upsampler.safetensors"
#: The upsampler before it learnt to leave its trace, and the state of its training.
PLAIN_UPSAMPLER_FILE: Final = "upsampler_plain.safetensors"
SPARK_FILE: Final = "spark.safetensors"
SHIPPED: Final = WEIGHTS / SPARK_FILE


class Part(StrEnum):
    """What can be trained by itself. The upsampler learns from what the detail expert has become, so it comes last."""

    SCENE = "scene"
    DETAIL = "detail"
    UPSAMPLER = "upsampler"


#: How the minutes of a run that trains every part are shared out. What a clip shows is decided by the scene expert.
SHARES: Final[Mapping[Part, float]] = {Part.SCENE: 0.65, Part.DETAIL: 0.25, Part.UPSAMPLER: 0.1}


def begun(out: Path, parts: Sequence[Part]) -> bool:
    """Whether a folder holds a run of one of these parts."""
    states = {part: out / part / STATE_FILE for part in Part}
    states[Part.UPSAMPLER] = state_of(out / PLAIN_UPSAMPLER_FILE)
    return any(states[part].exists() for part in parts)


def train_spark(
    recipe: SparkRecipe,
    out: Path,
    *,
    minutes: float,
    parts: Sequence[Part] = tuple(Part),
    seed: int = 0,
    observe: Observer | None = None,
    report: Callable[[str], None] = print,
    together: Together = ALONE,
) -> Path | None:
    """Train for so many minutes, starting from the run in `out` or from the weights that ship.

    Returns the new weights, or None where a part is neither in `out` nor shipped and so there is no whole model yet.
    Of processes that train together, the first alone trains what is small, and returns the weights.

    A run that was interrupted goes on where it was. Each further call is a warm restart that adds to what is there.

    Args:
        recipe: of the two experts.
        out: folder of the run; `out/spark.safetensors` is the result.
        minutes: for all parts together, more than 0. What is small (text encoder, planner, reader) comes before, where
            there is none.
        parts: what to train; the others are taken as they are in `out`, else as they ship.
        seed: of a new run.
        observe: looks at the experts' runs; draws contact sheets by default.
        report: told what is going on, by the first process.
        together: the processes that train the experts together, in the same folder.

    Raises:
        RequestError: minutes are not a positive number.
        FailureError: the training data has no manifest that fits, a part is missing, or it is damaged.
    """
    require_minutes(minutes)
    manifest = require_manifest()
    out.mkdir(parents=True, exist_ok=True)
    if together.leads:
        _train_small_networks(out, report)
    whole = sum(SHARES[part] for part in parts)
    for part in parts:
        together.wait()
        if together.leads:
            report(f"training the {part}")
        share = minutes * SHARES[part] / whole
        if part is not Part.UPSAMPLER:
            _train_expert(part, recipe, out, share, seed, observe, together)
        elif together.leads:
            _train_upsampler(recipe, out, share)
    if not together.leads:
        return None
    missing = _missing(recipe, out)
    if missing:
        report(f"no whole model yet; train what is missing: {', '.join(missing)}")
        return None
    return assemble(recipe, out, manifest.sources[0].generator_sha256)


def _train_small_networks(out: Path, report: Callable[[str], None]) -> None:
    """Train text encoder, layout planner and layout reader where neither the run nor what ships has one."""
    if not (SHIPPED.is_file() or (out / TEXT_FILE).is_file()):
        report("training the text encoder")
        text_recipe = TextRecipe()
        encoder = train_text_encoder(text_recipe, report)
        save_weights(out / TEXT_FILE, encoder, text_recipe, accuracy=text_accuracy(encoder))
    if not (SHIPPED.is_file() or (out / PLANNER_FILE).is_file()):
        report("training the layout planner")
        planner_recipe = PlannerRecipe()
        save_weights(out / PLANNER_FILE, train_planner(planner_recipe, report), planner_recipe)
    if not (SHIPPED.is_file() or (out / READER_FILE).is_file()):
        report("training the layout reader")
        reader_recipe = LayoutReaderRecipe()
        save_weights(out / READER_FILE, train_layout_reader(reader_recipe, report), reader_recipe)


def _train_upsampler(recipe: SparkRecipe, out: Path, minutes: float) -> None:
    """Train it, and then teach it to leave its trace, which takes about three minutes."""
    degrade = DenoisedOnce(find_expert(Part.DETAIL, recipe.detail, out)[0], find_text(out))
    shipped, recipe_here = _shipped(), UpsamplerRecipe()
    # Weights from before there were outputs for places have none: they begin at zero.
    start = Upsampler(recipe_here.config).state_dict() | shipped.autoencoder.state_dict() if shipped else None
    plain = out / PLAIN_UPSAMPLER_FILE
    trained = train_upsampler(minutes, plain, recipe=recipe_here, degrade=degrade, start=start)
    left = leave_trace(trained, endless_latents(recipe_here, degrade), recipe=recipe.trace)
    save_upsampler(out / UPSAMPLER_FILE, left, metadata_of(plain))


def _train_expert(
    part: Part,
    recipe: SparkRecipe,
    out: Path,
    minutes: float,
    seed: int,
    observe: Observer | None,
    together: Together,
) -> None:
    own, request = (recipe.scene, from_noise) if part is Part.SCENE else (recipe.detail, from_small_truth)
    start, shipped = None, _shipped()
    if expert := _fitting(shipped, part, own):
        start = Start(expert.state_dict(), _own_origin(shipped, part))
    elif part is Part.DETAIL and begun(out, [Part.SCENE]):
        # An expert for small noisy pictures already reads the text and knows what a patch is.
        scene, origin = find_expert(Part.SCENE, recipe.scene, out)
        start = Start(scene.state_dict(), origin)
    train(
        own,
        out / part,
        minutes=minutes,
        start=start,
        seed=seed,
        observe=observe or SheetObserver(request),
        together=together,
    )


def _missing(recipe: SparkRecipe, out: Path) -> list[Part]:
    """Parts that are neither in `out` nor shipped."""
    experts = {Part.SCENE: recipe.scene, Part.DETAIL: recipe.detail}
    shipped = _shipped()
    missing = [part for part, own in experts.items() if not (begun(out, [part]) or _fitting(shipped, part, own))]
    return missing if shipped or (out / UPSAMPLER_FILE).is_file() else [*missing, Part.UPSAMPLER]


def _shipped() -> Networks | None:
    return read_model(SHIPPED, "spark") if SHIPPED.is_file() else None


def _fitting(shipped: Networks | None, part: Part, recipe: Recipe) -> Transformer | None:
    """The expert that ships, if there is one and it fits the recipe."""
    expert = shipped and (shipped.scene if part is Part.SCENE else shipped.transformer)
    return expert if expert and expert.config == recipe.config else None


def find_expert(part: Part, recipe: Recipe, out: Path) -> tuple[Transformer, str]:
    """An expert of a run with its averaged weights, else the one that ships; and a line about where it comes from.

    Raises:
        FailureError: there is neither, or the run is damaged.
    """
    shipped = _shipped()
    path = out / part / STATE_FILE
    if not path.exists():
        expert = _fitting(shipped, part, recipe)
        if expert is None:
            raise FailureError(f"no {part} expert in {out}; train it: kinemark train spark --part {part} --out {out}")
        return expert, _own_origin(shipped, part)
    values, progress = read_average(path)
    transformer = Transformer(recipe.config)
    transformer.load_state_dict(values)
    effort = f"{progress.step} steps, {progress.clips} clips, {progress.seconds / 60:.0f} minutes"
    network = transformer.eval().requires_grad_(requires_grad=False)
    return network, f"{recipe.name}, {effort} from {progress.origin}"


def _own_origin(shipped: Networks | None, part: Part) -> str:
    """What the header of the weights that ship says of one expert."""
    recipe = shipped.origin.recipe if shipped else ""
    return dict(line.partition(": ")[::2] for line in recipe.split("; ")).get(part, recipe)


def find_text(out: Path) -> TextEncoder:
    """The text encoder of a run, else the one that ships.

    Raises:
        FailureError: there is neither.
    """
    if (out / TEXT_FILE).is_file():
        return load_weights(out / TEXT_FILE, lambda config: TextEncoder(TextConfig(**config)))
    if shipped := _shipped():
        return shipped.text
    raise FailureError(f"no text encoder in {out}; begin the run anew: kinemark train spark --out {out}")


def find_planner(out: Path) -> LayoutPlanner:
    """The layout planner of a run, else the one that ships.

    Raises:
        FailureError: there is neither.
    """
    if (out / PLANNER_FILE).is_file():
        return load_weights(out / PLANNER_FILE, lambda config: LayoutPlanner(PlannerConfig(**config)))
    if (shipped := _shipped()) and shipped.planner:
        return shipped.planner
    raise FailureError(f"no layout planner in {out}; begin the run anew: kinemark train spark --out {out}")


def find_layout_reader(out: Path) -> LayoutReader:
    """The layout reader of a run, else the one that ships.

    Raises:
        FailureError: there is neither.
    """
    if (out / READER_FILE).is_file():
        return load_weights(out / READER_FILE, lambda config: LayoutReader(LayoutReaderConfig.from_json(config)))
    if (shipped := _shipped()) and shipped.reader:
        return shipped.reader
    raise FailureError(f"no layout reader in {out}; begin the run anew: kinemark train spark --out {out}")


def find_upsampler(out: Path) -> Upsampler:
    """The upsampler of a run, else the one that ships.

    Raises:
        FailureError: there is neither, or it is damaged.
    """
    if (out / UPSAMPLER_FILE).is_file():
        upsampler = Upsampler(UpsamplerConfig())
        try:
            upsampler.load_state_dict(load_file(out / UPSAMPLER_FILE))
        except (RuntimeError, OSError) as error:
            raise FailureError(f"{out / UPSAMPLER_FILE} does not fit this version ({error}); train it again") from error
        return upsampler.eval()
    if shipped := _shipped():
        return shipped.autoencoder
    raise FailureError(f"no upsampler in {out}; begin the run anew: kinemark train spark --out {out}")


def assemble(recipe: SparkRecipe, out: Path, data_hash: str) -> Path:
    """Write `out/spark.safetensors` and return its path.

    Args:
        recipe: of the experts; goes into the header.
        out: folder of the run, with the parts that are newer than the shipped ones.
        data_hash: of the training data's manifest.

    Raises:
        FailureError: a part is missing or damaged, or the disk does not take the file.
    """
    scene, scene_origin = find_expert(Part.SCENE, recipe.scene, out)
    detail, detail_origin = find_expert(Part.DETAIL, recipe.detail, out)
    made_by = f"{Part.SCENE}: {scene_origin}; {Part.DETAIL}: {detail_origin}"
    origin = Origin(made_by, _commit(), data_hash, metrics={})
    path = out / SPARK_FILE
    save_model(
        path,
        transformer=detail,
        scene=scene,
        planner=find_planner(out),
        reader=find_layout_reader(out),
        text=find_text(out),
        upsampler=find_upsampler(out),
        origin=origin,
    )
    return path


def _commit() -> str:
    """The commit of the code, or "unknown" outside a repository."""
    command = ("git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
