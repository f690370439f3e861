"""Where models of the Wan family lie on this machine: pulled from the hub, or imported from a checkpoint.

Each has a folder of its own under `KINEMARK_HOME/models`, and in it a record of what it is: which release, from where,
under which licence, and the digest of its weights, which the manifest of every clip names. The record is written last;
a folder without one is a pull that was interrupted, and goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from safetensors import SafetensorError
from safetensors.torch import save_file

from kinemark.errors import FailureError, RequestError
from kinemark.model.adapt import merged, to_ours
from kinemark.model.checkpoints import build, digest, fitted, read
from kinemark.wan.releases import RELEASES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from kinemark.model.transformer import Transformer
    from kinemark.wan.releases import Release

RECORD: Final = "kinemark.json"
SINGLE: Final = "transformer.safetensors"
#: Folders of the transformers, in the order of their noise levels.
PARTS: Final = ("transformer", "transformer_2")
#: The same, in folders as Wan publishes them.
ORIGINAL_PARTS: Final = ("high_noise_model", "low_noise_model")


@dataclass(frozen=True, slots=True)
class Record:
    """What lies in a model's folder.

    Attributes:
        release: by whose configuration and method it runs, a name of `releases.RELEASES`.
        source: the repository or the file that it came from.
        licence: of the weights; "unknown" where a file says nothing.
        digest: sha256 over the weights of its transformers, in hexadecimal.
    """

    release: str
    source: str
    licence: str
    digest: str


def installed(folder: Path) -> Mapping[str, Record]:
    """The models that lie in a folder of models, by name."""
    return {path.parent.name: record_of(path.parent) for path in sorted(folder.glob(f"*/{RECORD}"))}


def record_of(folder: Path) -> Record:
    """What lies in a model's folder.

    Raises:
        FailureError: its record is damaged.
    """
    try:
        record = Record(**json.loads((folder / RECORD).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise FailureError(
            f"{folder / RECORD} cannot be read ({error}); remove the folder and pull the model again"
        ) from error
    if record.release not in RELEASES:
        raise FailureError(f"{folder} runs like {record.release!r}, which this version does not know; pull it again")
    return record


def write_record(folder: Path, record: Record) -> None:
    """Say what lies in a folder, at once or not at all."""
    partial = folder / f"{RECORD}.partial"
    partial.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / RECORD)


def weights_digest(folder: Path) -> str:
    """The sha256 over the files of a folder's transformers, each by its own sha256."""
    files = [folder / SINGLE] if (folder / SINGLE).is_file() else _weight_files(folder)
    if not files:
        raise FailureError(f"{folder} holds no weights of a transformer; pull the model again")
    if len(files) == 1:
        return digest(files[0])
    return hashlib.sha256("".join(digest(file) for file in files).encode()).hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    return [file for part in PARTS for file in sorted((folder / part).glob("*.safetensors"))]


def pull(release: Release, models: Path, download: Callable[[Release, Path], None]) -> Path:
    """Bring a release onto this machine; what is there already stays.

    Args:
        release: which.
        models: the folder of models.
        download: puts the release's files into a folder, and goes on with what is there (`hub.download`).

    Returns:
        The model's folder.

    Raises:
        KinemarkError: as `download`, and as `import_checkpoint` for a release that is a checkpoint.
    """
    folder = models / release.name
    if (folder / RECORD).is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    download(release, folder)
    if release.file is not None:
        checkpoint = folder / release.file
        _convert(checkpoint, release, folder)
        checkpoint.unlink()
    else:
        _require_whole(folder, release)
    write_record(folder, Record(release.name, release.repository, release.licence, weights_digest(folder)))
    return folder


def _require_whole(folder: Path, release: Release) -> None:
    """Make sure that nothing of a model is missing, before its record says that it is there."""
    for part in PARTS[: len(release.guidance)]:
        transformer_of(to_ours(read(folder / part)), release, str(folder / part))
    for part in ("text_encoder", "vae", *(["image_encoder"] if release.config.image_dim else [])):
        read(folder / part)
    if not any((folder / "tokenizer").glob("*.json")):
        raise FailureError(f"{folder} lacks its tokenizer; pull the model again")


def import_checkpoint(
    path: Path, models: Path, *, name: str, release: Release, lora: Path | None = None, licence: str = "unknown"
) -> Path:
    """Convert a checkpoint of any layout of the family, once, and keep it under a name.

    Args:
        path: a file, a folder of shards, or a folder as Wan publishes it, whose other parts come along.
        models: the folder of models.
        name: by which it is to be asked for.
        release: by whose configuration and method it runs.
        lora: an adapter that is merged into it.
        licence: of the weights, for the record.

    Raises:
        RequestError: the name is taken or cannot be a folder's, or the checkpoint is of another model.
        FailureError: the checkpoint is damaged, or the disk does not take the result; nothing is left of it then.
    """
    if not name.replace("-", "").replace(".", "").replace("_", "").isalnum() or name.startswith("."):
        raise RequestError(f"name is {name!r}; use letters, digits, '-', '_' and '.', such as my-model")
    if len(release.guidance) > 1 and not all((path / part).is_dir() for part in ORIGINAL_PARTS):
        raise RequestError(
            f"{release.name} has two experts: give a folder with {' and '.join(ORIGINAL_PARTS)} in it, or pull it: "
            f"kinemark models pull {release.name}"
        )
    folder = models / name
    if (name in RELEASES and name != release.name) or (folder / RECORD).is_file():
        raise RequestError(f"there is a model {name} already; choose another name with --name")
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if len(release.guidance) > 1:
            for part, original in zip(PARTS, ORIGINAL_PARTS, strict=True):
                (folder / part).mkdir()
                _convert(path / original, release, folder / part, lora)
        else:
            _convert(path, release, folder, lora)
        if path.is_dir():
            from kinemark.wan.originals import bring_parts

            bring_parts(path, folder)
        write_record(folder, Record(release.name, str(path), licence, weights_digest(folder)))
    except BaseException:
        if made:
            shutil.rmtree(folder)
        raise
    return folder


def _convert(path: Path, release: Release, folder: Path, lora: Path | None = None) -> None:
    """Write a checkpoint's tensors under our names, if they are those of the release."""
    tensors = to_ours(read(path))
    if lora is not None:
        tensors = merged(tensors, read(lora))
    transformer_of(tensors, release, str(path))
    partial = folder / f"{SINGLE}.partial"
    try:
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, partial)
        partial.replace(folder / SINGLE)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise FailureError(f"cannot write {folder / SINGLE} ({error}); free the disk") from error


def transformer_of(tensors: Mapping[str, Tensor], release: Release, what: str) -> Transformer:
    """A release's transformer of these tensors, all of which have to be its; it holds them as they are.

    Raises:
        RequestError: they are of another size.
        FailureError: some are missing or do not belong there; the first few are named.
    """
    config = fitted(release.config, tensors)
    if config != release.config:
        sizes = f"width {config.width}, {config.layers} layers, {config.in_channels} channels"
        raise RequestError(f"{what} is not {release.name}: it has {sizes}; choose the release it was made from")
    return build(config, tensors, what)
