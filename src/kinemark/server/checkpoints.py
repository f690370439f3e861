"""What a worker keeps of a long clip at the borders of its blocks, so that the next one goes on and does not begin.

Latents of finished blocks lie as files of the job, about as many as a little work makes together. A worker that takes
the job over gives them to the sampler in place of work (`generate.Finished`); frames are decoded and judged anew, and
the clip is the one that would have been made without the interruption.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from kinemark.errors import KinemarkError
from kinemark.server.jobs import BLOCKS, piece_role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from kinemark.sampling.conditions import Key
    from kinemark.server.jobs import Asset
    from kinemark.server.store import Store

#: Seconds of work that may be lost.
EVERY: Final = 20.0
SAFETENSORS: Final = "application/vnd.safetensors"
_BY: Final = "made_by"
_LOG: Final = logging.getLogger(__name__)


class Checkpoints:
    """The finished blocks of a job: those of attempts before this one, and those that this one adds.

    Args:
        assets: of the job, by role.
        store: where they lie.
        folder: for files.
        made_by: everything but the request that decides a block; what others made is not used.
        enter: enters a file of the job: its role, where it is, its media type.
        every: seconds of work after which what is new is entered.
    """

    def __init__(
        self,
        assets: Mapping[str, Asset],
        store: Store,
        folder: Path,
        made_by: str,
        enter: Callable[[str, Path, str], None],
        every: float = EVERY,
    ) -> None:
        self._folder, self._made_by, self._enter, self._every = folder, made_by, enter, every
        kept = sorted(role for role in assets if role.startswith(BLOCKS))
        self._number = int(kept[-1].removeprefix(BLOCKS)) + 1 if kept else 0
        self._where: dict[str, Path] = {}
        for role in kept:
            self._read(assets[role], store)
        self._new: dict[str, Tensor] = {}
        self._since = time.monotonic()

    def take(self, key: Key) -> Tensor | None:
        """The latents of a block `[B, C, F, H, W]`; None if it was not finished."""
        path = self._where.pop(_name(key), None)
        if path is None:
            return None
        with safe_open(path, "pt") as file:
            kept: Tensor = file.get_tensor(_name(key))
        return kept

    def keep(self, key: Key, latent_BCFHW: Tensor) -> None:
        """Add a finished block; what is new is entered after a while."""
        self._new[_name(key)] = latent_BCFHW.detach().to("cpu", copy=True).contiguous()
        if time.monotonic() - self._since >= self._every:
            self._write()

    def _write(self) -> None:
        path = self._folder / "blocks.safetensors"
        save_file(self._new, path, {_BY: self._made_by})
        self._enter(piece_role(BLOCKS, self._number), path, SAFETENSORS)
        self._number, self._since = self._number + 1, time.monotonic()
        self._new.clear()

    def _read(self, asset: Asset, store: Store) -> None:
        """Find out what a file has; one that is gone or of other weights costs the work that it held, and no more."""
        path = self._folder / f"{asset.role}.safetensors"
        try:
            store.fetch(asset.digest, path)
            with safe_open(path, "pt") as file:
                if (file.metadata() or {}).get(_BY) == self._made_by:
                    self._where.update(dict.fromkeys(file.keys(), path))
        except (KinemarkError, SafetensorError):
            _LOG.warning("the blocks in %s cannot be used; they are made again", asset.digest, exc_info=True)


def _name(key: Key) -> str:
    return ".".join(map(str, key))
