"""What the gates decided, in a form that a release can check.

A `Judgement` is one gate's answer. A `Decision` gathers them for one array of frames, names the policy that they were
made under, and carries the digest of the frames; `provenance.release` recomputes the digest and refuses a mismatch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

Action = Literal["allow", "label", "rewrite", "refuse"]
Stage = Literal["prompt", "input", "output"]

#: From the mildest to the strictest; the strictest judgement decides. All but the last let the work go on.
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)

#: Gates without which nothing is allowed. No policy file can shorten this list: an absent gate is a failed gate.
REQUIRED_GATES: Final = ("prompt", "decode", "flash", "content")


@dataclass(frozen=True, slots=True)
class Judgement:
    """One gate's answer.

    Attributes:
        gate: who judged (`prompt`, `decode`, `flash`, `content`).
        stage: when: on the prompt, on what was uploaded, or on the frames that came out.
        action: `allow`, `label` (allow and say what it is), `rewrite` (allow in other words) or `refuse`.
        category: the policy's category that was touched; None when none was.
        rule: the rule that decided, as the policy numbers it.
        reason: one sentence for the person who asked.
        appeal: how to have a refusal looked at again; empty when nothing was refused.
    """

    gate: str
    stage: Stage
    action: Action
    category: str | None
    rule: str
    reason: str
    appeal: str = ""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"action {self.action!r} is none of {', '.join(ACTIONS)}")
        if self.stage not in get_args(Stage):
            raise ValueError(f"stage {self.stage!r} is none of {', '.join(get_args(Stage))}")

    @property
    def allow(self) -> bool:
        """Whether work may go on after this judgement."""
        return self.action != "refuse"


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that was judged about one clip.

    Attributes:
        policy_version: version of the policy file.
        policy_digest: SHA-256 of that file, in hexadecimal.
        frames_digest: `digest_frames` of what was judged; empty while there are no frames (a prompt on its own).
        judgements: at least one of every gate in `REQUIRED_GATES` once the frames have been judged.
        gates_digest: SHA-256 of the gates that judged (`gates.gates_digest`); empty while there are no frames.
        unseen: categories of the policy for which nobody looked at the frames.
    """

    policy_version: str
    policy_digest: str
    frames_digest: str
    judgements: tuple[Judgement, ...]
    gates_digest: str = ""
    unseen: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Required gates that have not judged."""
        judged = {judgement.gate for judgement in self.judgements}
        return tuple(gate for gate in REQUIRED_GATES if gate not in judged)

    @property
    def allow(self) -> bool:
        """Whether these frames may be released: every required gate has judged them, and none refused."""
        return bool(self.frames_digest) and not self.missing and all(judgement.allow for judgement in self.judgements)

    @property
    def deciding(self) -> Judgement:
        """The strictest judgement, the first of equals."""
        if not self.judgements:
            raise ValueError("nothing has been judged, so no judgement decides")
        return max(self.judgements, key=lambda judgement: ACTIONS.index(judgement.action))

    @property
    def labels(self) -> tuple[tuple[str | None, str], ...]:
        """Category and rule of everything that whoever sees the clip has to be told; also what was made of it later."""
        found = {(one.category, one.rule) for one in self.judgements if one.action == "label"}
        return tuple(sorted(found, key=lambda label: (label[1], label[0] or "")))

    def verdict(self) -> dict[str, Any]:
        """The deciding judgement as people and programs are told it; later versions only add keys."""
        decided = self.deciding
        return {
            "allow": decided.allow,
            "action": decided.action,
            "category": decided.category,
            "rule": decided.rule,
            "stage": decided.stage,
            "reason": decided.reason,
            "policy_version": self.policy_version,
            "appealable": bool(decided.appeal),
            "appeal": decided.appeal or None,
        }

    def to_json(self) -> str:
        """The decision as JSON with sorted keys, so that equal decisions are equal texts."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Decision:
        """Read what `to_json` wrote.

        Raises:
            ValueError: the text is not a decision: no JSON, a key missing or unknown, an unknown action or stage.
        """
        try:
            fields = json.loads(text)
            judgements = _judgements(fields.pop("judgements"))
            unseen = tuple(map(str, fields.pop("unseen", ())))
            return cls(judgements=judgements, unseen=unseen, **fields)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a decision: {error}") from error


def _judgements(entries: Sequence[dict[str, Any]]) -> tuple[Judgement, ...]:
    return tuple(Judgement(**entry) for entry in entries)


class FramesDigest:
    """SHA-256 over size, type and bytes of frames that come piece by piece; how they were cut does not matter.

    Size and type are part of it: the same bytes cut into other frames are another clip.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._kind = ""

    def update(self, frames_THWC: np.ndarray) -> None:
        """Add frames; they are of the size and type of those before them, or the digest is of no clip."""
        kind = f"{frames_THWC.dtype.str}{frames_THWC.shape[1:]}"
        if kind != self._kind:
            self._digest.update(kind.encode())
            self._kind = kind
        # A view with strides is hashed frame by frame, so that a long clip is never copied as a whole.
        for frame_HWC in frames_THWC:
            self._digest.update(frame_HWC.tobytes())

    def hexdigest(self) -> str:
        """The digest of all frames so far, in hexadecimal."""
        return self._digest.hexdigest()


def digest_frames(frames_THWC: np.ndarray) -> str:
    """The `FramesDigest` of an array of frames."""
    digest = FramesDigest()
    digest.update(frames_THWC)
    return digest.hexdigest()
