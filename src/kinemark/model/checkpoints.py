"""Checkpoints of transformers, files and folders: read, measured, put into a `Transformer`. Nothing in them is run."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from kinemark.errors import FailureError, RequestError
from kinemark.model.naming import BLOCK_NUMBER
from kinemark.model.transformer import Transformer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from kinemark.model.configs import TransformerConfig

PICKLES: Final = frozenset({".pt", ".pth", ".bin", ".ckpt"})
_INDEX: Final = "*.safetensors.index.json"


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint: a safetensors file, a folder of one or of shards, or a pickle of nothing but tensors.

    Tensors are mapped from the file, so that they take memory when they are used and not before.

    Raises:
        RequestError: there is no such file, or it is not a checkpoint by its ending.
        FailureError: a file is damaged or a shard missing, or a pickle wants to run code.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise RequestError(
            f"no checkpoint at {path}; give a folder, or a file ending in .safetensors or {', '.join(sorted(PICKLES))}"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix in PICKLES:
            return _unpickled(path)
    except SafetensorError as error:
        raise FailureError(f"{path} is damaged ({error}); download it again") from error
    raise RequestError(
        f"{path.name} is not a checkpoint: it ends in {path.suffix!r}, and must end in .safetensors, "
        f"{', '.join(sorted(PICKLES))}"
    )


def _unpickled(path: Path) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about protocols; what it cannot read, it refuses
            # Pickles from before torch 1.6 are no zip files and cannot be mapped.
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except Exception as error:
        raise FailureError(
            f"{path} is damaged or holds more than tensors, and code in a checkpoint is never run; "
            f"convert it to safetensors where you trust it ({(str(error) or repr(error)).splitlines()[0]})"
        ) from error
    if not isinstance(loaded, dict):
        raise FailureError(f"{path} holds a {type(loaded).__name__} and no tensors by name; it is not a checkpoint")
    return loaded


def _read_folder(folder: Path) -> dict[str, Any]:
    """Read the shards that an index names, or the one safetensors file of a folder."""
    indexes = sorted(folder.glob(_INDEX))
    if len(indexes) != 1:
        files = sorted(folder.glob("*.safetensors"))
        if len(files) != 1:
            found = ", ".join(file.name for file in files) or "no .safetensors file"
            raise RequestError(f"{folder} holds {found}; it takes one, or shards with their {_INDEX[1:]}")
        return read(files[0])
    try:
        listed: dict[str, str] = json.loads(indexes[0].read_text("utf-8"))["weight_map"]
        shards = sorted(set(listed.values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise FailureError(f"{indexes[0]} is not an index of shards ({error!r}); download it again") from error
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing:
        raise FailureError(f"{folder} lacks {', '.join(missing[:3])}, which its index names; download it again")
    tensors = {key: tensor for name in shards for key, tensor in read(folder / name).items()}
    lost = sorted(listed.keys() - tensors.keys())
    if lost:
        raise FailureError(
            f"the shards in {folder} lack {', '.join(lost[:3])}, which the index names; download them again"
        )
    return tensors


def fitted(base: TransformerConfig, state: Mapping[str, Tensor]) -> TransformerConfig:
    """Return `base` with the sizes that tensors (under Kinemark's names) show.

    What tensors do not show is `base`'s: the width of a head, the spectra, the text's length. What is laid beside the
    latent has the channels that come in and do not go out.

    Raises:
        RequestError: a tensor that shows a size is missing or has another rank.
    """
    try:
        width, channels, *patch = state["patch_embedding.weight"].shape
        ffn = state["blocks.0.ffn.0.weight"].shape[0]
        text_dim = state["text_embedding.0.weight"].shape[1]
        out_size = state["head.head.weight"].shape[0]
    except KeyError as error:
        raise RequestError(f"the checkpoint lacks {error}; it is not a whole transformer") from error
    if len(patch) != 3:
        shape = tuple(state["patch_embedding.weight"].shape)
        raise RequestError(f"patch_embedding.weight has shape {shape}, not [width, channels, 1, rows, columns]")
    numbers = [int(number[1]) for number in map(BLOCK_NUMBER.match, state) if number]
    out_channels = out_size // (patch[1] * patch[2])
    image, positions = state.get("img_emb.proj.0.weight"), state.get("img_emb.emb_pos")
    if width % base.head_dim:
        raise RequestError(f"the checkpoint's width of {width} does not divide into heads of {base.head_dim}")
    try:
        return replace(
            base,
            in_channels=out_channels,
            out_channels=out_channels,
            condition_channels=channels - out_channels,
            patch=(patch[0], patch[1], patch[2]),
            width=width,
            heads=width // base.head_dim,
            ffn=ffn,
            layers=max(numbers) + 1,
            text_dim=text_dim,
            image_dim=0 if image is None else image.shape[0],
            image_positions=0 if positions is None else positions.shape[1],
        )
    except ValueError as error:
        raise RequestError(f"the tensors do not make a transformer that can be run: {error}") from error


def build(config: TransformerConfig, state: Mapping[str, Tensor], name: str) -> Transformer:
    """Return a transformer that holds these tensors themselves (under Kinemark's names), ready for inference.

    Raises:
        FailureError: as `fill`.
    """
    with torch.device("meta"):  # it holds nothing but what the checkpoint gives
        transformer = Transformer(config)
    fill(transformer, state, name)
    return transformer


def fill(module: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Give every parameter of a module its tensor: all must be there, and nothing else.

    Raises:
        FailureError: a tensor is missing, unexpected or of another shape; the first few are named.
    """
    expected = {key: tensor.shape for key, tensor in module.state_dict().items()}
    wrong = [f"lacks {key}" for key in expected if key not in state]
    wrong += [f"has {key}, which does not belong there" for key in state if key not in expected]
    wrong += [
        f"has {key} of {tuple(state[key].shape)} in place of {tuple(shape)}"
        for key, shape in expected.items()
        if key in state and state[key].shape != shape
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise FailureError(
            f"{name} does not fit the model: it {', it '.join(wrong[:3])}{more}; use whole weights of it"
        )
    module.load_state_dict(dict(state), strict=True, assign=True)
    module.eval().requires_grad_(requires_grad=False)


def digest(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal: what a manifest records about the weights."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_digest(path: Path) -> str:
    """Return the sha256 of what follows the header of a safetensors file: of the weights, whatever is said of them."""
    with path.open("rb") as file:
        file.seek(int.from_bytes(file.read(8), "little"), os.SEEK_CUR)
        return hashlib.file_digest(file, "sha256").hexdigest()
