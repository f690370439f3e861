"""The networks of spark's kind of model, and the one file in which they are kept.

The file is safetensors in bfloat16: tensors under `transformer.`, `text.` and `upsampler.`, under `scene.`, `planner.`
and `reader.` where a model has a scene expert, a layout planner and a layout reader, and in the header under `kinemark`
a JSON object: `config` (of the parts), `recipe`, `commit`, `data_hash`, `metrics`. It is one entry because safetensors
does not order them, and the same model should be the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from kinemark.errors import FailureError, RequestError
from kinemark.model.autoencoder import Upsampler, UpsamplerConfig
from kinemark.model.checkpoints import digest, fill
from kinemark.model.configs import TransformerConfig
from kinemark.model.layout_reader import LayoutReader, LayoutReaderConfig
from kinemark.model.planner import LayoutPlanner, PlannerConfig
from kinemark.model.text import TextConfig, TextEncoder
from kinemark.model.transformer import Transformer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from kinemark.timeline import Capability

HEADER: Final = "kinemark"
WEIGHTS: Final = Path(__file__).with_name("weights")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where weights come from: what anyone needs who wants to make them again, or to judge them."""

    recipe: str
    """Name and settings of the training recipe."""
    commit: str
    """Commit of the code that trained them."""
    data_hash: str
    """Digest of the training data's manifest."""
    metrics: Mapping[str, float]
    """What was measured on them."""


@dataclass(frozen=True, slots=True)
class Networks:
    """All networks of a model of spark's kind, ready for inference."""

    name: str
    config: TransformerConfig
    transformer: Transformer
    scene: Transformer | None
    """The expert that decides the scene on small latents (`sampling.coarse`), where a model has one."""
    planner: LayoutPlanner | None
    """What decides where the subjects are, for a transformer that is shown it (`model.layout`)."""
    reader: LayoutReader | None
    """What reads from given pictures where they are."""
    text: TextEncoder
    autoencoder: Upsampler
    origin: Origin
    weights_digest: str
    """sha256 of the weights file, in hexadecimal."""
    path: Path
    """The weights file."""
    photoreal: bool = False
    """Whether its pictures could be taken for recordings; models of drawn worlds cannot."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the weights were trained for beyond text."""
        return self.config.capabilities


def spark() -> Networks:
    """Load the networks that ship with the package."""
    return read_model(WEIGHTS / "spark.safetensors", "spark")


def load_networks(name: str) -> Networks:
    """The networks of spark, or those of a file of weights (`*.safetensors`) that training wrote.

    Raises:
        RequestError: the name is neither.
        FailureError: as `read_model`.
    """
    if name.endswith(".safetensors"):
        return read_model(Path(name), Path(name).stem)
    if name != "spark":
        raise RequestError(f"{name!r} is not a model of spark's kind; give spark, or a file of weights (.safetensors)")
    return spark()


def read_model(path: Path, name: str) -> Networks:
    """Load a model from a file that `save_model` wrote.

    Its experts compute in the precision that this processor is fast at; the weights are stored in bfloat16 and lose
    nothing by it.

    Raises:
        FailureError: the file is missing, damaged, or not one of ours.
    """
    if not path.is_file():
        raise FailureError(f"no weights at {path}; install the package again, or train them: kinemark train spark")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER, "{}")
            state: dict[str, Tensor] = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FailureError(f"{path} is damaged ({error}); install the package again") from error
    try:
        values = json.loads(header)
        origin = Origin(values["recipe"], values["commit"], values["data_hash"], values["metrics"])
        configs = {
            part: TransformerConfig.from_json(values["config"][part])
            for part in ("transformer", "scene")
            if part in values["config"]
        }
        config = configs["transformer"]
        with torch.random.fork_rng(devices=[]):  # building a module draws random weights; loading must not be felt
            text = TextEncoder(TextConfig(**values["config"]["text"]))
            upsampler = Upsampler(UpsamplerConfig(**{"place": False} | values["config"]["upsampler"]))
            planner, reader = None, None
            if "planner" in values["config"]:
                planner = LayoutPlanner(PlannerConfig(**values["config"]["planner"]))
            if "reader" in values["config"]:
                reader = LayoutReader(LayoutReaderConfig.from_json(values["config"]["reader"]))
    except (KeyError, TypeError, ValueError) as error:
        raise FailureError(
            f"the header of {path} does not describe a model that this version knows ({error}); "
            "install the version that wrote it, or weights that fit this one"
        ) from error
    with torch.device("meta"):  # it holds nothing but what the file gives
        experts = {part: Transformer(config) for part, config in configs.items()}
    optional = {name: part for name, part in (("planner", planner), ("reader", reader)) if part is not None}
    _fill({**experts, **optional, "text": text, "upsampler": upsampler}, state, path)
    for expert in experts.values():
        expert.in_fast_precision()
    return Networks(
        name=name,
        config=config,
        transformer=experts["transformer"],
        scene=experts.get("scene"),
        planner=planner,
        reader=reader,
        text=text,
        autoencoder=upsampler,
        origin=origin,
        weights_digest=digest(path),
        path=path,
    )


def _fill(parts: Mapping[str, nn.Module], state: Mapping[str, Tensor], path: Path) -> None:
    """Give every parameter of the parts its tensor; all must be there, and nothing else."""
    strays = [key for key in state if key.partition(".")[0] not in parts]
    if strays:
        raise FailureError(f"{path} holds tensors of no part of the model ({', '.join(strays[:3])})")
    for prefix, module in parts.items():
        own = {key.partition(".")[2]: tensor for key, tensor in state.items() if key.startswith(f"{prefix}.")}
        fill(module, own, f"the {prefix} in {path}")


def save_model(
    path: Path,
    *,
    transformer: Transformer,
    text: TextEncoder,
    upsampler: Upsampler,
    origin: Origin,
    scene: Transformer | None = None,
    planner: LayoutPlanner | None = None,
    reader: LayoutReader | None = None,
) -> str:
    """Write a model's weights in bfloat16 with a header that says what they are; return the file's sha256.

    The file is written beside `path` and renamed, so that there is never half of it.

    Raises:
        FailureError: the disk does not take it.
    """
    config: dict[str, Any] = {
        "transformer": transformer.config.to_json(),
        "text": asdict(text.config),
        "upsampler": asdict(upsampler.config),
    }
    parts: dict[str, nn.Module] = {"transformer": transformer, "text": text, "upsampler": upsampler}
    if scene:
        config["scene"], parts["scene"] = scene.config.to_json(), scene
    if planner:
        config["planner"], parts["planner"] = asdict(planner.config), planner
    if reader:
        config["reader"], parts["reader"] = asdict(reader.config), reader
    header = {"config": config, **asdict(origin)}
    state = {
        f"{prefix}.{key}": tensor.detach().to("cpu", torch.bfloat16).contiguous()
        for prefix, module in parts.items()
        for key, tensor in module.state_dict().items()
    }
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, partial, metadata={HEADER: json.dumps(header, sort_keys=True)})
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        if path.parent.is_dir():
            partial.unlink(missing_ok=True)
        raise FailureError(f"cannot write weights to {path} ({error}); free the disk or choose another path") from error
    return digest(path)


def record_metrics(path: Path, metrics: Mapping[str, float]) -> str:
    """Write what was measured into the header of a weights file, in place of what stood there; return its new sha256.

    Raises:
        FailureError: the file is missing, damaged, not one of ours, or cannot be written.
    """
    model = read_model(path, path.stem)
    return save_model(
        path,
        transformer=model.transformer,
        text=model.text,
        upsampler=model.autoencoder,
        origin=replace(model.origin, metrics=dict(metrics)),
        scene=model.scene,
        planner=model.planner,
        reader=model.reader,
    )
