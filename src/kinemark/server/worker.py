"""A worker: a process that takes jobs from the queue one after the other, and makes what they ask for.

It is told apart from the server by nothing but the database and the files: any number of them may run, on any machines.
A worker that is told to stop gives its job back; one that dies is missed by its lease. What it makes goes the one path,
`generate.begin` and `Take.save`, and is entered only while the job is still its own.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from PIL import Image
from sqlalchemy.exc import SQLAlchemyError

from kinemark import __version__
from kinemark.catalogue import find_model
from kinemark.data.video import read_video
from kinemark.errors import KinemarkError, RefusedError, RequestError
from kinemark.generate import begin
from kinemark.provenance.preview import PreviewStream
from kinemark.provenance.signing.keys import require_keys
from kinemark.server.asks import read_ask
from kinemark.server.checkpoints import EVERY, Checkpoints
from kinemark.server.jobs import BLOCKS, KEEP, LEASE, PREVIEW, Asset, piece_role
from kinemark.server.problems import refused
from kinemark.server.repeat import repeat, repeating
from kinemark.server.store import StorageError
from kinemark.server.tracing import TRACER, of_job

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from torch import Tensor

    from kinemark.clips import Take
    from kinemark.data.video import Frames
    from kinemark.engine import Model
    from kinemark.provenance.release import Released
    from kinemark.server.jobs import Job, Jobs
    from kinemark.server.store import Store
    from kinemark.settings import Settings

#: Seconds between looks into the queue while there is nothing to do.
IDLE: Final = 0.5
#: Seconds between two words to the queue about a job: as long may it take until a deleted job is noticed.
BEAT: Final = 1.0
_SHEET: Final = 5
_LOG: Final = logging.getLogger(__name__)


Enter = Callable[[str, Path, str], None]
"""Enters a file while its job is worked on: its role, where it is, its media type."""


class StoppedError(Exception):
    """The job is no longer this worker's, or the worker is to stop."""


class Beat:
    """What a worker says of its job while it works on it, and whether the job is still wanted."""

    def __init__(self, jobs: Jobs, job: Job, stop: threading.Event, lease: float) -> None:
        self._jobs, self._job, self._stop, self._lease = jobs, job, stop, lease
        self._progress, self.lost = 0, False

    def report(self, stage: str, step: int, total: int, preview: Callable[[], Tensor] | None = None) -> None:  # noqa: ARG002
        """Told how far the clip is: a `Progress`.

        Raises:
            StoppedError: nobody wants it any more, or the worker is to stop.
        """
        if self.lost or self._stop.is_set():
            raise StoppedError
        if stage == "sample":
            self._progress = min(99, 100 * step // max(1, total))

    def renew(self) -> bool:
        """Tell the queue, and learn whether the job is still this worker's; there is nothing to do at once.

        While the database is away the lease goes on for a while, and what is made counts if it is back before it ends.
        """
        self.lost = self.lost or not self._jobs.renew(self._job, self._progress, self._lease)
        return False


class Pieces:
    """A pipe whose content is entered piece by piece, for a server to send on."""

    def __init__(self, folder: Path, enter: Enter) -> None:
        self._path, self._enter = folder / "piece", enter
        self._number, self._content = 0, bytearray()

    def write(self, content: bytes) -> int:
        """Take what a writer writes."""
        self._content += content
        return len(content)

    def flush(self) -> None:
        """There is nothing to do: `enter` does it."""

    def enter(self) -> None:
        """Enter what was written.

        Raises:
            StoppedError: the job is no longer this worker's.
        """
        if not self._content:
            return
        self._path.write_bytes(self._content)
        self._content.clear()
        self._enter(piece_role(PREVIEW, self._number), self._path, "video/mp4")
        self._number += 1


class Worker:
    """Takes jobs and makes clips.

    Args:
        jobs: the queue.
        store: where files lie.
        settings: the installation whose keys sign, and whose policy judges.
        name: of this worker; by default its machine and process.
        keep: seconds for which what was made can be had.
        lease: seconds for which a job is this worker's without being heard of.
        checkpoint: seconds of work that a job may lose with its worker.
        models: that it makes clips with; None: all.
    """

    def __init__(
        self,
        jobs: Jobs,
        store: Store,
        settings: Settings,
        *,
        name: str | None = None,
        keep: float = KEEP,
        lease: float = LEASE,
        checkpoint: float = EVERY,
        models: Collection[str] | None = None,
    ) -> None:
        self._jobs, self._store, self._settings = jobs, store, settings
        self._keep, self._lease, self._checkpoint = keep, lease, checkpoint
        self.name = name or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._only, self._models = models, dict[str, "Model"]()
        self._since: float | None = time.monotonic()
        self.stop = threading.Event()

    @property
    def idle(self) -> float:
        """Seconds for which it has had nothing to do."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def run(self) -> None:
        """Work until `stop` is set."""
        repeat(self.work, IDLE, self.stop)

    def work(self) -> bool:
        """Take a job and make it; whether there was one."""
        job = self._jobs.claim(self.name, self._only, self._lease)
        if job is None:
            return False
        self._since = None
        about: dict[str, str | int] = {"job": job.id, "model": job.model, "attempt": job.attempts, "worker": self.name}
        try:
            with TRACER.start_as_current_span("job", of_job(job.facts), attributes=about):
                self._attempt(job)
        finally:
            self._since = time.monotonic()
        return True

    def _attempt(self, job: Job) -> None:
        _LOG.info("%s begins %s, attempt %d", self.name, job.id, job.attempts)
        beat = Beat(self._jobs, job, self.stop, self._lease)
        with repeating(beat.renew, BEAT), tempfile.TemporaryDirectory(prefix="kinemark-") as folder:
            try:
                self._make(job, beat, Path(folder))
            except StoppedError:
                self._jobs.give_back(job)
            except (SQLAlchemyError, StorageError):  # the job's lease runs out, and it is tried again
                raise
            except RefusedError as error:
                self._jobs.fail(job, refused(error))
            except RequestError as error:
                self._jobs.fail(job, {"code": "invalid_request", "message": str(error)})
            except KinemarkError as error:
                self._jobs.fail(job, {"code": "server_error", "message": str(error)})
            except Exception as error:  # noqa: BLE001  a job that fails in a new way does not take the worker with it
                _LOG.exception("%s failed", job.id)
                message = f"making this clip failed unexpectedly ({type(error).__name__}); the operator's log says more"
                self._jobs.fail(job, {"code": "server_error", "message": message})

    def _make(self, job: Job, beat: Beat, folder: Path) -> None:
        ask = read_ask(job.asked)
        self._drop(job, PREVIEW)  # of an attempt before this one
        assets, files = self._jobs.assets(job.id), {}
        for role, asset in assets.items():
            if not role.startswith(BLOCKS):
                files[role] = folder / f"{role}{_SUFFIXES.get(asset.media_type, '')}"
                self._store.fetch(asset.digest, files[role])
        beat.report("load", 0, 1)
        with TRACER.start_as_current_span("load"):
            model, enter = self._model(job.model), partial(self._enter, job)
        with TRACER.start_as_current_span("make"):
            take = begin(
                replace(ask.timeline(model.target, files), negative_prompt=ask.negative_prompt),
                model=model,
                seed=ask.seed,
                steps=ask.steps,
                guidance=ask.guidance,
                progress=beat.report,
                delivered=ask.size,
                settings=self._settings,
                finished=Checkpoints(assets, self._store, folder, self._made_by(model), enter, self._checkpoint),
            )
            with self._shown(take, folder, enter) if ask.preview else nullcontext() as meanwhile:
                released = take.save(folder / "clip.mp4", settings=self._settings, meanwhile=meanwhile)
        with TRACER.start_as_current_span("keep"):
            made = self._keep_files(released, folder)
        facts = {
            "seconds": take.num_frames / take.fps,
            "seed": take.seed,
            "made": {"size": list(take.size), "frames": take.num_frames, "fps": take.fps},
            "credential": {"id": released.id, "sha256": released.sha256},
            "labels": [rule for _, rule in take.gate.decision().labels],
        }
        if not self._jobs.complete(job, made, facts, self._keep):
            raise StoppedError
        self._drop(job, BLOCKS)

    def _made_by(self, model: Model) -> str:
        """What decides a block beside the request."""
        return f"{__version__} {model.weights_digest} {self._settings.weights} {self._settings.reuse}"

    def _enter(self, job: Job, role: str, path: Path, media_type: str) -> None:
        """Enter a file while a job is worked on.

        Raises:
            StoppedError: the job is no longer this worker's.
        """
        if not self._jobs.add_piece(job, _asset(self._store, role, path, media_type)):
            raise StoppedError

    def _drop(self, job: Job, kind: str) -> None:
        self._store.drop(self._jobs.drop_pieces(job, kind))

    @contextmanager
    def _shown(self, take: Take, folder: Path, enter: Enter) -> Iterator[Callable[[Frames], None]]:
        """What is to be given each block so that the clip can be seen while it is made."""
        pieces = Pieces(folder, enter)
        keys = require_keys(self._settings.keys_dir)
        with PreviewStream(cast("BinaryIO", pieces), take.size, take.gate, keys) as stream:

            def show(block_THWC: Frames) -> None:
                stream.send(block_THWC)
                pieces.enter()

            yield show
        pieces.enter()

    def _model(self, name: str) -> Model:
        """A model, kept for the next job."""
        if name not in self._models:
            self._models.clear()  # two large ones have no room beside each other
            self._models[name] = find_model(name).load()
        return self._models[name]

    def _keep_files(self, released: Released, folder: Path) -> list[Asset]:
        """The clip, and pictures of it, whose frames carry its mark."""
        frames = read_video(released.path).frames_THWC
        thumbnail, sheet = folder / "thumbnail.webp", folder / "spritesheet.jpg"
        Image.fromarray(frames[len(frames) // 2]).save(thumbnail, quality=90, method=2)
        _sheet_of(frames).save(sheet, quality=88)
        kinds = (
            ("video", released.path, "video/mp4"),
            ("thumbnail", thumbnail, "image/webp"),
            ("spritesheet", sheet, "image/jpeg"),
        )
        return [_asset(self._store, *kind) for kind in kinds]


_SUFFIXES: Final = {"video/mp4": ".mp4", "image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


def _asset(store: Store, role: str, path: Path, media_type: str) -> Asset:
    digest, size = store.put(path)
    return Asset(role, digest, media_type, size)


def _sheet_of(frames: Any) -> Image.Image:  # noqa: ANN401  an array of frames
    """Twenty-five frames of a clip, evenly spaced, as one picture of five rows."""
    height, width = frames.shape[1:3]
    scale = min(1.0, 320 / max(height, width))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    sheet = Image.new("RGB", (_SHEET * small[0], _SHEET * small[1]))
    for place in range(_SHEET**2):
        frame = frames[place * (len(frames) - 1) // (_SHEET**2 - 1)]
        corner = (place % _SHEET * small[0], place // _SHEET * small[1])
        sheet.paste(Image.fromarray(frame).resize(small, Image.Resampling.LANCZOS), corner)
    return sheet
