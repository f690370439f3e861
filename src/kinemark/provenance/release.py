"""The only writer: nothing else in Kinemark makes a video file that a person can receive.

The order is what survives (each step covers what the steps before it did, and nothing touches the file afterwards):

    the Decision allows exactly these frames
    visible label -> watermark -> encode with tags -> fingerprints -> manifest and signature
    -> read back, must be trusted -> manifest kept -> ledger entry -> rename to the final name

Everything up to the rename happens in a private folder beside the final name, which disappears whatever happens: an
error, a full disk or Ctrl-C leaves nothing under the final name. Why the entry comes before the rename: see `ledger`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kinemark import __version__
from kinemark.data.encode import Caption, Mp4Writer, PngWriter
from kinemark.errors import FailureError, RefusedError, RequestError
from kinemark.provenance.compliance import label_of, profiles_named
from kinemark.provenance.fingerprints.iscc import video_code
from kinemark.provenance.fingerprints.likeness import describe
from kinemark.provenance.footage import Footage
from kinemark.provenance.labels import AIGC_KEY, aigc_tag, draw
from kinemark.provenance.marks import watermark
from kinemark.provenance.records.lookalikes import refresh
from kinemark.provenance.records.manifests import keep
from kinemark.provenance.records.opening import begin_ledger
from kinemark.provenance.signing.claims import Claim, Signed, sign
from kinemark.provenance.signing.credentials import GENERATOR, WATERMARK_ALGORITHM, read_credentials
from kinemark.provenance.signing.keys import require_keys
from kinemark.safety.decision import Decision, FramesDigest, digest_frames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kinemark.data.video import Frames
    from kinemark.provenance.labels import Label
    from kinemark.provenance.records.ledger import Ledger
    from kinemark.provenance.signing.credits import Credits
    from kinemark.provenance.signing.given import GivenSpan
    from kinemark.provenance.signing.keys import Keys
    from kinemark.settings import Settings

VIDEO, PICTURE = ".mp4", ".png"
_DRAFT = ".kinemark-"
_STALE_SECONDS = 24 * 3600
_DESCRIBED = 128
"""Frames of a clip that fingerprints are made of: so many that a longer one takes no more memory."""


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """What is known about a clip besides its pixels.

    Attributes:
        fps: frames per second.
        model: name of the model.
        weights_digest: SHA-256 of its weights, hexadecimal.
        prompt: what was asked. The ledger keeps only a salted commitment to it.
        write_prompt: whether the prompt is also written into the file, readable by everybody who gets it.
        given: what of the clip was given and not made.
        sources: files that it was given from; they become ingredients of the manifest.
        credits: what the person says about rights; None writes nothing.
    """

    fps: float
    model: str
    weights_digest: str
    prompt: str | None = None
    write_prompt: bool = False
    given: tuple[GivenSpan, ...] = ()
    sources: tuple[Path, ...] = ()
    credits: Credits | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """A file that left: where it is, and its `id` (eight hexadecimal digits, also in mark, manifest and ledger)."""

    id: str
    path: Path
    sha256: str
    ledger_seq: int


def release(
    frames_THWC: Frames, decision: Decision, path: Path | str, facts: ReleaseFacts, settings: Settings
) -> Released:
    """Mark, encode, sign, record and write one clip; an existing file of that name is replaced.

    Args:
        frames_THWC: uint8 RGB frames, exactly the ones that were judged.
        decision: what the gates said about them.
        path: where the file goes; its folder exists, its name ends in .mp4, or for a single frame in .png.
        facts: what the manifest and the ledger say about it.
        settings: where keys and ledger are, and the legal profiles whose visible label and tags are added.

    Raises:
        RequestError: the path, the frames or a profile cannot be used.
        RefusedError: the decision does not allow these frames.
        FailureError: the frames are not the judged ones; or a key, the ledger, the disk or the encoder failed.
    """
    _require_decision(digest_frames(frames_THWC), decision)
    with opened(path, len(frames_THWC), frames_THWC.shape[1:3], facts, settings) as draft:
        draft.add(frames_THWC)
        return draft.close(decision)


@contextmanager
def opened(
    path: Path | str, frames: int, size: tuple[int, int], facts: ReleaseFacts, settings: Settings
) -> Iterator[Draft]:
    """Begin to release a clip whose frames come piece by piece; nothing is there before `Draft.close`.

    Args:
        path: where the file goes; its folder exists, its name ends in .mp4, or for a single frame in .png.
        frames: how many there will be.
        size: height and width.
        facts: what the manifest and the ledger say about it.
        settings: where keys and ledger are, and the legal profiles whose visible label and tags are added.

    Raises:
        RequestError: the path, the size or a profile cannot be used.
        FailureError: a key, the ledger, the disk or the encoder failed.
    """
    path = Path(path)
    _require_path(path, frames)
    with begin_ledger(settings) as ledger, _private_folder(path) as folder:
        draft = Draft(path, frames, size, facts, settings, ledger, folder)
        try:
            yield draft
        finally:
            draft.abandon()


class Draft:
    """A clip on its way into a file; see `opened`."""

    def __init__(
        self,
        path: Path,
        frames: int,
        size: tuple[int, int],
        facts: ReleaseFacts,
        settings: Settings,
        ledger: Ledger,
        folder: Path,
    ) -> None:
        self._path, self._frames, self._size = path, frames, size
        self._facts, self._settings, self._ledger = facts, settings, ledger
        self._profiles = profiles_named(settings.profiles)
        self._label, self._keys = label_of(self._profiles), require_keys(settings.keys_dir)
        self._claim = _claim(ledger.new_id(), frames, facts)
        suffix = path.suffix.lower()
        self._encoded, self._signed = folder / f"encoded{suffix}", folder / f"signed{suffix}"
        self._digest, self._added = FramesDigest(), 0
        tags = _tags(self._claim) if self._profiles else None
        self._writer: Mp4Writer | PngWriter
        if suffix == PICTURE:
            self._writer = PngWriter(self._encoded, tags=tags)
        else:
            caption = _caption(self._label, self._claim)
            self._writer = Mp4Writer(self._encoded, fps=facts.fps, size=size, tags=tags, caption=caption)

    def abandon(self) -> None:
        """Close what is still open; of a clip that was not released nothing is kept."""
        self._writer.abandon()

    def add(self, frames_THWC: Frames) -> None:
        """Label, mark and encode the next frames, uint8 RGB."""
        self._digest.update(frames_THWC)
        facts, label = self._facts, self._label
        seen_THWC = draw(frames_THWC, label, facts.fps, self._added) if label else frames_THWC
        self._writer.write(watermark.embed(seen_THWC, int(self._claim.id, 16), self._keys.watermark_key))
        self._added += len(frames_THWC)

    def close(self, decision: Decision) -> Released:
        """Sign what was added, record it and give the file its name; an existing one of that name is replaced.

        Args:
            decision: what the gates said about exactly these frames.

        Raises:
            RefusedError: the decision does not allow them.
            FailureError: they are not the judged ones, not as many as were announced; or a key, the ledger, the disk
                or the encoder failed.
        """
        _require_decision(self._digest.hexdigest(), decision)
        if self._added != self._frames:
            raise FailureError(
                f"{self._added} frames were added where {self._frames} were announced; nothing is released"
            )
        self._writer.finish()
        shown = Footage.of(self._encoded, _DESCRIBED)
        claim = replace(self._claim, iscc=video_code(shown.frames, shown.fps) if shown.is_video else None)
        signature, manifest = _sign(self._encoded, self._signed, claim, self._keys)
        sha256 = _finish(self._signed)
        facts, settings, ledger = self._facts, self._settings, self._ledger
        body = {
            "model": facts.model,
            "weights_digest": facts.weights_digest,
            "frames": self._frames,
            "size": [self._size[1], self._size[0]],
            "fps": facts.fps,
            "profiles": [profile.name for profile in self._profiles],
            "label": self._label.text if self._label else None,
            "given": [[span.start, span.stop, span.how] for span in facts.given],
            "frames_digest": decision.frames_digest,
            "policy_version": decision.policy_version,
            "policy_digest": decision.policy_digest,
            "gates_digest": decision.gates_digest,
            "labels": [list(label) for label in decision.labels],
            "unseen": list(decision.unseen),
            "file_sha256": sha256,
            "manifest": manifest,
            "manifest_sha256": keep(settings.manifests_dir, claim.id, signature.manifest),
            "iscc": claim.iscc,
            "time_stamped": signature.timed,
            "personal": facts.write_prompt or facts.credits is not None,
            "likeness": describe(shown.frames).hex(),
            "watermark": WATERMARK_ALGORITHM,
        }
        entry = ledger.append("release", claim.id, body, fingerprint=shown.fingerprint.views, prompt=facts.prompt)
        try:
            _publish(self._signed, self._path)
        except BaseException as error:
            ledger.append("withdrawal", claim.id, {"reason": type(error).__name__})
            raise
        refresh(ledger, settings.index_dir)
        return Released(id=claim.id, path=self._path, sha256=sha256, ledger_seq=entry.seq)


def _require_path(path: Path, frames: int) -> None:
    suffix = path.suffix.lower()
    if suffix not in (VIDEO, PICTURE):
        raise RequestError(
            f"the file is to be named {path.name!r}; videos are written as {VIDEO} and pictures as {PICTURE}, so "
            "give it that ending."
        )
    if suffix == PICTURE and frames != 1:
        raise RequestError(f"a clip of {frames} frames does not fit a picture ({path.name}); name a file with {VIDEO}.")
    if not path.parent.is_dir():
        raise RequestError(f"there is no folder {path.parent}; make it (mkdir -p {path.parent}) or choose another.")
    if path.is_dir():
        raise RequestError(f"{path} is a folder; give the name of a file.")


def _require_decision(digest: str, decision: Decision) -> None:
    if not decision.allow:
        reason = decision.deciding.reason if decision.judgements else "no gate has judged it"
        raise RefusedError(f"the clip is not released: {reason}", decision)
    if digest != decision.frames_digest:
        raise FailureError(
            f"the frames (digest {digest[:12]}) are not the ones that the gates judged "
            f"(digest {decision.frames_digest[:12]}); nothing was written. Judge the final frames, then release them."
        )


def _claim(id_: str, frames: int, facts: ReleaseFacts) -> Claim:
    return Claim(
        id=id_,
        when=dt.datetime.now(dt.UTC),
        seconds=frames / facts.fps,
        model=facts.model,
        weights_digest=facts.weights_digest,
        prompt=facts.prompt if facts.write_prompt else None,
        given=facts.given,
        sources=facts.sources,
        credits=facts.credits,
    )


def _tags(claim: Claim) -> dict[str, str]:
    """Who, what, when and which, for machines that read containers; nothing about the person or the prompt."""
    when = claim.when.isoformat(timespec="seconds")
    said = f"AI-generated by {GENERATOR}; system {claim.model}, kinemark {__version__}; {when}; id {claim.id}"
    return {AIGC_KEY: aigc_tag(GENERATOR, claim.id), "comment": said}


def _caption(label: Label | None, claim: Claim) -> Caption | None:
    """The visible label once more, for whoever reads captions or has them read out."""
    if label is None:
        return None
    return Caption(label.text.replace("\n", " "), min(label.seconds or claim.seconds, claim.seconds))


def _sign(encoded: Path, signed: Path, claim: Claim, keys: Keys) -> tuple[Signed, str | None]:
    """Sign, and believe it only after reading it back; also returns the manifest's name."""
    signature = sign(encoded, signed, claim, keys)
    found = read_credentials(signed, keys.anchors)
    if found.state != "trusted" or found.id != claim.id:
        raise FailureError(
            f"the signed file reads back as {found.state} with id {found.id} ({', '.join(found.codes) or 'no code'}), "
            f"not as trusted with id {claim.id}; it was not released. Check the clock and the keys, and try again."
        )
    return signature, found.label


def _finish(signed: Path) -> str:
    """Push the file to the disk and return its SHA-256."""
    with _disk_errors(signed), signed.open("rb+") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    return digest


def _publish(signed: Path, path: Path) -> None:
    """Give the file its name, in one step, and make the name durable."""
    with _disk_errors(path):
        signed.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        except OSError:
            pass  # some network file systems cannot; the name is there
        finally:
            os.close(folder)


@contextmanager
def _private_folder(path: Path) -> Iterator[Path]:
    """A folder that only this user can enter, on the same disk as `path`; it is removed in every case."""
    _sweep(path.parent)
    with _disk_errors(path):
        folder = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Remove what a killed process left behind a day ago or earlier."""
    for folder in parent.glob(_DRAFT + "*"):
        try:
            if folder.is_dir() and time.time() - folder.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # another process was quicker


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FailureError(
            f"cannot write {path}: {error.strerror or error}. Choose a folder that you may write to and that has space."
        ) from error
