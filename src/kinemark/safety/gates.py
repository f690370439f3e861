"""Running the gates, so that a gate that breaks refuses.

`judge_prompt` comes before any compute; `judge_output` looks at the frames and returns the `Decision` that
`provenance.release` asks for.

Shapes: T frames, H height, W width, C colour channels (RGB, uint8).
"""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from kinemark.errors import RefusedError
from kinemark.safety.decision import ACTIONS, Decision, FramesDigest, Judgement, Stage, digest_frames
from kinemark.safety.frames.changes import to_look_at
from kinemark.safety.frames.decode import judge_decode
from kinemark.safety.frames.flash import judge_flash
from kinemark.safety.prompt.judge import judge_texts
from kinemark.safety.prompt.rewrite import rewritten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kinemark.safety.classifiers.seam import PromptJudge
    from kinemark.safety.content import ContentGate
    from kinemark.safety.policy.file import Policy

log = logging.getLogger(__name__)

FAILED: Final = "gate-failed"
#: What a judgement depends on besides the policy.
_GATES: Final = {".py", ".safetensors", ".txt"}


def judge_prompt(text: str | Sequence[str], policy: Policy, more: Sequence[PromptJudge] = ()) -> tuple[Judgement, ...]:
    """Judge a prompt, or all the prompts of a storyboard: together first, since harm can be split up, then each.

    The same prompt gets the same answer whichever model it is meant for.

    Args:
        text: the prompt, or the prompts.
        policy: what is judged by.
        more: the operator's classifiers; what ours let through, each of them is asked about.
    """
    prompts = (text,) if isinstance(text, str) else tuple(text)
    asked = (*((" ".join(prompts),) if len(prompts) > 1 else ()), *prompts)
    judgements = judge_prompts(asked, policy)
    if all(judgement.allow for judgement in judgements):
        judgements += tuple(one for judge in more for one in _asked(judge, asked, policy))
    return judgements


def require_prompts(
    texts: Sequence[str], policy: Policy, more: Sequence[PromptJudge] = ()
) -> tuple[tuple[str, ...], tuple[Judgement, ...]]:
    """The prompts that may be made, and what was judged: some are said in other words first, and judged again.

    Args:
        texts: the prompts.
        policy: what is judged by.
        more: as for `judge_prompt`.

    Raises:
        RefusedError: one is refused, before or after it was rewritten.
    """
    judgements = judge_prompt(texts, policy, more)
    require_allowed(judgements, policy)
    if all(judgement.action != "rewrite" for judgement in judgements):
        return tuple(texts), judgements
    made = tuple(rewritten(text, policy) for text in texts)
    again = judge_prompt(made, policy, more)
    if any(judgement.action == "rewrite" for judgement in again):
        again = tuple(
            _appealable(replace(one, action="refuse"), policy) if one.action == "rewrite" else one for one in again
        )
    require_allowed(again, policy)
    return made, (*judgements, *again)


def judge_prompts(texts: Sequence[str], policy: Policy) -> tuple[Judgement, ...]:
    """Judge prompts that have nothing to do with each other, all at once; where the gate fails, it refuses each."""
    try:
        return tuple(_appealable(judgement, policy) for judgement in judge_texts(texts, policy))
    except Exception as error:
        log.debug("gate prompt failed", exc_info=True)
        failed = _failed("prompt", "prompt", policy, error)
        return tuple(failed for _ in texts)


def _asked(judge: PromptJudge, texts: Sequence[str], policy: Policy) -> list[Judgement]:
    """What somebody else's classifier says of each text; where it fails, it refuses."""
    try:
        return [_appealable(one, policy) for _, one in zip(texts, judge(texts, policy), strict=True)]
    except Exception as error:
        log.debug("a classifier failed", exc_info=True)
        return [_failed("prompt", "prompt", policy, error)]


def require_allowed(judgements: Sequence[Judgement], policy: Policy) -> None:
    """Stop unless every judgement lets the work go on.

    Raises:
        RefusedError: one refuses; the message says which rule, at which stage, why, and how to appeal.
    """
    decision = Decision(policy.version, policy.digest, "", tuple(judgements))
    if not judgements or not decision.deciding.allow:
        raise refusal(decision)


def refusal(decision: Decision) -> RefusedError:
    """The error that tells a person of a decision that does not allow."""
    if not decision.judgements:
        return RefusedError("Refused: nothing has judged this, and an absent gate is a failed gate.", decision)
    decided = decision.deciding
    if decided.allow:
        missing = ", ".join(decision.missing) or "frames"
        return RefusedError(f"Refused: not judged by {missing}, and an absent gate is a failed gate.", decision)
    message = f"Refused by rule {decided.rule} at the {decided.stage} stage: {decided.reason}"
    return RefusedError(f"{message} {decided.appeal}".rstrip(), decision)


def judge_output(
    frames_THWC: np.ndarray, fps: float, prompt_judgements: Sequence[Judgement], policy: Policy, *, content: ContentGate
) -> Decision:
    """Judge every frame and gather all judgements into the decision about exactly these frames.

    Args:
        frames_THWC: uint8 RGB, as they will be released.
        fps: frames a second.
        prompt_judgements: what `judge_prompt` said.
        policy: the policy that the decision will name.
        content: what looks at what the frames show (`safety.content`).
    """
    gate = BlockGate(fps, prompt_judgements, policy, content)
    gate.judge(frames_THWC)
    return gate.decision()


class BlockGate:
    """Judges a clip while it is made, block by block, each before anybody sees it.

    What has to be seen in the course of time (flashes, faces that hold) is looked for in every block together with the
    second before it. `decision` is about all blocks together.

    Args:
        fps: frames a second.
        prompt_judgements: what `judge_prompt` said.
        policy: the policy that the decision will name.
        content: what looks at what the frames show.
    """

    def __init__(
        self, fps: float, prompt_judgements: Sequence[Judgement], policy: Policy, content: ContentGate
    ) -> None:
        self.fps = fps
        self._judgements, self._policy, self._content = list(prompt_judgements), policy, content
        self._digest, self._latest, self._frames = FramesDigest(), "", 0
        self._before: np.ndarray | None = None
        self._seen: np.ndarray | None = None

    def judge(self, block_THWC: np.ndarray) -> None:
        """Judge the next block."""
        policy, fps = self._policy, self.fps
        decoded = guarded("decode", "output", policy, partial(judge_decode, block_THWC))
        self._judgements.append(decoded)
        self._digest.update(block_THWC)
        self._latest = digest_frames(block_THWC)
        # What is no picture can neither be compared with others nor put beside them.
        before = self._before if decoded.allow else None
        fresh = to_look_at(block_THWC, self._seen) if decoded.allow else list(range(len(block_THWC)))
        frames_THWC = block_THWC if before is None else np.concatenate([before, block_THWC])
        lead = len(frames_THWC) - len(block_THWC)
        new = [lead + index for index in fresh]
        found = [
            guarded("flash", "output", policy, partial(judge_flash, frames_THWC, fps)),
            *(
                guarded(name, "output", policy, partial(look, frames_THWC, fps, new))
                for name, look in self._content.looks.items()
            ),
        ]
        self._judgements += [self._placed(one, lead) for one in found]
        self._frames += len(block_THWC)
        # A rate that is none is refused by the gate of flashes; it must not break what comes after it.
        self._before = frames_THWC[-math.ceil(fps) :] if math.isfinite(fps) and fps > 0 else frames_THWC
        self._seen = block_THWC[fresh[-1]] if fresh else self._seen

    def require(self, block_THWC: np.ndarray) -> None:
        """Judge the next block, and stop unless it may be seen.

        Raises:
            RefusedError: a gate refuses; nothing after it may be seen either.
        """
        self.judge(block_THWC)
        decision = self.decision()
        if not decision.allow:
            raise refusal(decision)

    def let_pass(self, block_THWC: np.ndarray) -> bool:
        """Whether these are the frames that were judged last, and nothing so far is refused."""
        return self.decision().allow and digest_frames(block_THWC) == self._latest

    def decision(self) -> Decision:
        """The decision about all blocks so far: of each rule the strictest judgement."""
        strictest: dict[tuple[str, str, str], Judgement] = {}
        for one in self._judgements:
            key = (one.gate, one.stage, one.rule)
            kept = strictest.setdefault(key, one)
            if ACTIONS.index(one.action) > ACTIONS.index(kept.action):
                strictest[key] = one
        self._judgements = list(strictest.values())
        digest = self._digest.hexdigest() if self._latest else ""
        policy, unseen = self._policy, self._content.unseen
        return Decision(policy.version, policy.digest, digest, tuple(self._judgements), gates_digest(), unseen)

    def _placed(self, judgement: Judgement, lead: int) -> Judgement:
        """Say from when on the times of a reason count, where that is not the beginning of the clip."""
        if self._frames <= lead or judgement.action == "allow":
            return judgement
        start = (self._frames - lead) / self.fps
        return replace(judgement, reason=f"{judgement.reason} (Times count from {start:.1f} s of the clip on.)")


def guarded(gate: str, stage: Stage, policy: Policy, judge: Callable[[], Judgement]) -> Judgement:
    """A judgement, or the refusal of a gate that could not judge."""
    try:
        return _appealable(judge(), policy)
    except Exception as error:
        log.debug("gate %s failed", gate, exc_info=True)
        return _failed(gate, stage, policy, error)


@cache
def gates_digest() -> str:
    """SHA-256, in hexadecimal, over the gates themselves: every file of this package, with the reader's weights."""
    root, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.suffix in _GATES):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _appealable(judgement: Judgement, policy: Policy) -> Judgement:
    """Every refusal says how to appeal."""
    return judgement if judgement.allow or judgement.appeal else replace(judgement, appeal=policy.appeal)


def _failed(gate: str, stage: Stage, policy: Policy, error: Exception) -> Judgement:
    reason = f"The {gate} gate failed ({type(error).__name__}), so nothing is let through. Please report this."
    return Judgement(gate, stage, "refuse", None, FAILED, reason, policy.appeal)
