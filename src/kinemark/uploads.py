"""What is given to be continued or changed: whether it may be used at all, and what it brings along.

A file may be on a block list, or carry credentials in which its makers refuse such a use. What Kinemark made carries
its mark in its pixels, also where the file was stripped; what was labelled then is labelled in whatever is made of it,
and what was taken down is not used again. So risk never gets less from one clip to the next.

Shapes: T frames, H height, W width, C colour channels (RGB, uint8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from kinemark.provenance.marks.watermark import search
from kinemark.provenance.records.opening import find_ledger
from kinemark.provenance.signing.credentials import read_credentials
from kinemark.provenance.signing.keys import load_keys
from kinemark.safety.blocklist import Blocklist
from kinemark.safety.decision import Judgement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kinemark.settings import Settings
    from kinemark.timeline import Known

#: Uses of which making video from a file is one.
_THIS_USE: Final = frozenset({"ai_inference"})
_LEAST_SIDE: Final = 64


def frames_of(known: Known) -> np.ndarray:
    """Given frames as RGB bytes [T, H, W, C]."""
    bytes_TCHW = (known.video_TCHW * 255).round().clamp(0, 255).byte().numpy()
    return np.ascontiguousarray(bytes_TCHW.transpose(0, 2, 3, 1))


def judge_blocked(files: Sequence[Path], frames: Sequence[np.ndarray], settings: Settings) -> Judgement:
    """Whether a given file, or a picture in what was given, is on a block list."""
    lists = Blocklist(settings.blocklist_dir)
    blocked = any(lists.blocks_file(path) for path in files)
    if blocked or any(lists.blocks_frames(frames_THWC) is not None for frames_THWC in frames):
        reason = "What was given is on a block list of this installation's operator; nothing is made from it."
        return Judgement("blocklist", "input", "refuse", None, "blocklist", reason)
    return Judgement("blocklist", "input", "allow", None, "blocklist", "What was given is on no block list.")


def judge_credentials(files: Sequence[Path]) -> Judgement:
    """Whether the makers of a given file refuse its use. A manifest that does not hold is no permission: it is told."""
    broken = None
    for path in files:
        found = read_credentials(path, ())
        if found.refused & _THIS_USE:
            reason = (
                f"The credentials of {path.name} say that its makers do not allow its use by a generating model "
                "(ai_inference), or only under conditions. Ask them, or give something else."
            )
            return Judgement("credentials", "input", "refuse", None, "credentials-use", reason)
        if found.state == "invalid":
            broken = path
    if broken is not None:
        reason = f"The credentials of {broken.name} do not hold: it was changed after it was signed."
        return Judgement("credentials", "input", "label", None, "credentials-broken", reason)
    reason = "No credentials of what was given speak against its use."
    return Judgement("credentials", "input", "allow", None, "credentials-use", reason)


def judge_lineage(frames: Sequence[np.ndarray], settings: Settings) -> list[Judgement]:
    """What is inherited from clips made here: a judgement for each label, a refusal if one was taken down."""
    found: dict[str, Judgement] = {}
    keys = load_keys(settings.keys_dir)
    if keys is None or (records := find_ledger(settings)) is None:
        return []
    with records as ledger:
        for frames_THWC in frames:
            # Too small a picture holds no mark that could be read.
            if min(frames_THWC.shape[1:3]) < _LEAST_SIDE:
                continue
            payload = search(frames_THWC, keys.watermark_key).payload
            entry = ledger.find(f"{payload:08x}") if payload is not None else None
            if entry is None:
                continue
            if ledger.taken_down(entry.id):
                reason = f"What was given is clip {entry.id}, which was taken down; nothing is made from it."
                return [Judgement("lineage", "input", "refuse", None, "lineage-taken-down", reason)]
            for category, rule in entry.body.get("labels", []):
                reason = f"Made from clip {entry.id}, which was labelled by rule {rule}."
                found.setdefault(rule, Judgement("lineage", "input", "label", category, rule, reason))
    return list(found.values())
