"""A model of the Wan family from its folder: transformer or two of them, text encoder, autoencoder.

The folder is laid out as diffusers lays it out: `transformer`, `transformer_2` where there are two experts, `vae`,
`text_encoder`, `tokenizer`; a checkpoint that was imported is `transformer.safetensors`.

Shape suffixes: B batch, F slots, T frames, C channels, H W size.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import torch

from kinemark.engine import Model
from kinemark.errors import FailureError
from kinemark.model.adapt import to_ours
from kinemark.model.checkpoints import read
from kinemark.model.parallel import sharing_of
from kinemark.model.precision import fast_dtype
from kinemark.model.quantised import quantise
from kinemark.sampling.coarse import Experts
from kinemark.sampling.flow import Switched, WholeTimesteps
from kinemark.sampling.guidance import TOGETHER, Divided, InTurn, guided
from kinemark.sampling.methods import METHODS
from kinemark.wan.autoencoder import WanAutoencoder
from kinemark.wan.costs import Work
from kinemark.wan.fitting import fit
from kinemark.wan.memory import free_memory
from kinemark.wan.pictures import ShownPictures
from kinemark.wan.store import PARTS, SINGLE, transformer_of
from kinemark.wan.text import WanText

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from kinemark.engine import Pictures
    from kinemark.model.quantised import Kind
    from kinemark.model.transformer import Transformer
    from kinemark.sampling.conditions import Conditions
    from kinemark.sampling.flow import Denoiser
    from kinemark.wan.fitting import Fit
    from kinemark.wan.releases import Release

#: What Wan was trained to avoid; guidance leads away from it (Wan2.1 `wan/configs/shared_config.py`).
NEGATIVE: Final = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，"
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，"
    "杂乱的背景，三条腿，背景人很多，倒着走"
)


def load_wan(
    release: Release,
    folder: Path,
    base: Path,
    digest: str,
    *,
    name: str,
    device: torch.device | None = None,
    kind: Kind | None = None,
) -> Model:
    """Load a release from its folder.

    Args:
        release: what is known of it.
        folder: has its transformers.
        base: has the text encoder and the autoencoder; often the same folder.
        digest: sha256 of the transformers' weights.
        name: as it was asked for.
        device: where it computes; a GPU if there is one.
        kind: into which the weights of its linear layers are quantised; None: they stay as they are.

    Raises:
        FailureError: a part is missing, damaged, or of another model, or there is too little memory for it.
        RequestError: as `model.checkpoints.fitted`.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _require_memory(release, base, device)
    # Checked, and mapped from their files: they take no memory before they are used.
    transformers = [transformer_of(to_ours(read(path)), release, str(path)) for path in _paths(release, folder)]
    text = WanText(base, device, () if release.guidance[0] == 1 else (NEGATIVE,))
    autoencoder = WanAutoencoder.load(base / "vae", device)
    if autoencoder.channels != release.config.out_channels:
        raise FailureError(
            f"the autoencoder in {base} has {autoencoder.channels} channels, and {release.name} takes "
            f"{release.config.out_channels}; it belongs to another model"
        )
    return Model(
        name=name,
        weights_digest=digest,
        target=release.target,
        capabilities=release.config.capabilities,
        photoreal=True,
        guidance=release.guidance[0],
        sampler=METHODS[release.method],
        text=text,
        autoencoder=autoencoder,
        device=device,
        experts=partial(_experts, release, transformers, text, device, free_memory(device), kind),
        conditioned=_conditioned(release, autoencoder, base, device),
        joined=_joined,
        preview=None,
    )


def _require_memory(release: Release, base: Path, device: torch.device) -> None:
    """Make sure that what is loaded has room: the text encoder first, and then the transformers."""
    here, host = free_memory(device), free_memory(torch.device("cpu"))
    needs = {
        "weights": (release.parameters * fast_dtype(device).itemsize, max(here, host)),  # blocks can wait in the host's
        "text encoder": (sum(file.stat().st_size for file in (base / "text_encoder").glob("*.safetensors")), here),
    }
    for part, (size, free) in needs.items():
        if size > free:
            raise FailureError(
                f"{release.name} needs {size / 1e9:.1f} GB for its {part}, and {device} has {free / 1e9:.1f} GB free; "
                "choose a smaller model (kinemark models list), or see what one takes: --dry-run"
            )


def _paths(release: Release, folder: Path) -> list[Path]:
    single = folder / SINGLE
    if single.is_file():
        return [single]
    return [folder / part for part in PARTS[: len(release.guidance)]]


def _experts(
    release: Release,
    transformers: Sequence[Transformer],
    text: WanText,
    device: torch.device,
    free: int,
    kind: Kind | None,
    guidance: float,
    conditions: Conditions,
    negative_prompt: str = "",
) -> Experts:
    """Who answers, each with its guidance: that of a second expert stays as far from the first's as published.

    The transformers go to the device now, after the text encoder was let go.
    """
    first = release.guidance[0]
    scales = [guidance + own - first for own in release.guidance]
    empty_LD = torch.zeros(0) if guidance == 1 else text.encode([negative_prompt or NEGATIVE])[0].to(device)
    found = _fitted(release, device, free, kind, conditions, guided=guidance != 1)
    sharing = sharing_of(release.config.heads, device.type, guided=guidance != 1)
    halves = Divided(sharing.twins) if sharing and sharing.twins else InTurn() if found.in_turn else TOGETHER
    for transformer in transformers:
        if kind is not None:
            quantise(transformer.blocks, kind)
        transformer.in_fast_precision(device, waiting=found.waiting).sharing = sharing
    denoisers: list[Denoiser] = [
        guided(transformer, empty_LD, scale, halves=halves)
        for transformer, scale in zip(transformers, scales, strict=True)
    ]
    if first != 1:  # distilled models were trained at the very levels that they are sampled at
        denoisers = [WholeTimesteps(denoiser) for denoiser in denoisers]
    if release.boundary is None:
        return Experts(denoisers[0])
    return Experts(Switched(denoisers[0], denoisers[1], release.boundary))


def _fitted(
    release: Release, device: torch.device, free: int, kind: Kind | None, conditions: Conditions, *, guided: bool
) -> Fit:
    """How the model runs within the bytes that the device has free.

    Raises:
        FailureError: in no way.
    """
    sampler, (*_, slots, height, width) = METHODS[release.method], conditions.shape
    work = Work.of(slots, (height, width), sampler)
    found = fit(release, work, sampler, device, free, guided=guided, kind=kind)
    if not found.fits:
        raise FailureError(
            f"a step of {release.name} needs {(found.weights + found.step) / 1e9:.1f} GB at this size and length, and "
            f"{device} has {free / 1e9:.1f} GB free; ask for a smaller or shorter clip, or see: --dry-run"
        )
    return found


def _conditioned(
    release: Release, autoencoder: WanAutoencoder, base: Path, device: torch.device
) -> Callable[[Conditions, Pictures, int, int], Conditions]:
    if release.config.condition_channels:
        return ShownPictures(autoencoder, base if release.config.image_dim else None, device)
    return lambda conditions, _given, _seed, _slots: conditions


def _joined(slots: Iterable[Tensor], kept: Sequence[bool]) -> Iterator[Tensor]:  # noqa: ARG001
    """Frames as they are: what is made of latents together meets by itself."""
    for video_TCHW in slots:
        yield from video_TCHW
