"""Running the gates, so that a gate that breaks refuses.

`judge_prompt` comes before any compute; `judge_output` looks at the frames and returns the `Decision` that
`provenance.release` asks for. A model whose output could show anything needs a content gate that looks at pictures;
`closed_world` is the one for models that can only draw the shapes they were trained on.

Shapes: T frames, H height, W width, C colour channels (RGB, uint8).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from kinemark.errors import RefusedError
from kinemark.safety.decision import Decision, Judgement, Stage, digest_frames
from kinemark.safety.frames.decode import judge_decode
from kinemark.safety.frames.flash import judge_flash
from kinemark.safety.prompt.judge import judge_text

if TYPE_CHECKING:
    import numpy as np

    from kinemark.safety.policy.file import Policy

log = logging.getLogger(__name__)

#: Looks at frames_THWC and their frames a second, and judges what they show. Its gate is named "content".
ContentGate = Callable[["np.ndarray", float], Judgement]

FAILED: Final = "gate-failed"


def judge_prompt(text: str | Sequence[str], policy: Policy) -> tuple[Judgement, ...]:
    """Judge a prompt, or all the prompts of a storyboard: together first, since harm can be split up, then each.

    The same prompt gets the same answer whichever model it is meant for.
    """
    prompts = (text,) if isinstance(text, str) else tuple(text)
    together = (" ".join(prompts),) if len(prompts) > 1 else ()
    return tuple(
        _guarded("prompt", "prompt", policy, partial(judge_text, prompt, policy)) for prompt in (*together, *prompts)
    )


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
        content: what looks at what the frames show, such as `closed_world`.
    """
    output = (
        _guarded("decode", "output", policy, partial(judge_decode, frames_THWC)),
        _guarded("flash", "output", policy, partial(judge_flash, frames_THWC, fps)),
        _guarded("content", "output", policy, partial(content, frames_THWC, fps)),
    )
    return Decision(policy.version, policy.digest, digest_frames(frames_THWC), (*prompt_judgements, *output))


def closed_world(frames_THWC: np.ndarray, fps: float) -> Judgement:  # noqa: ARG001  (a ContentGate)
    """The content gate of a model that was trained on drawn shapes only and can show nothing else.

    It looks at nothing: the rule is about the model. No person, place, mark or work exists in its world, so likeness,
    nudity, gore and false records cannot come out of it.
    """
    reason = "The model draws the shapes of a closed world: no real person, place, brand or event can appear."
    return Judgement("content", "output", "allow", None, "closed-world", reason)


def _guarded(gate: str, stage: Stage, policy: Policy, judge: Callable[[], Judgement]) -> Judgement:
    """A judgement, or the refusal of a gate that could not judge. Every refusal says how to appeal."""
    try:
        judgement = judge()
        return judgement if judgement.allow or judgement.appeal else replace(judgement, appeal=policy.appeal)
    except Exception as error:
        log.debug("gate %s failed", gate, exc_info=True)
        reason = f"The {gate} gate failed ({type(error).__name__}), so nothing is let through. Please report this."
        return Judgement(gate, stage, "refuse", None, FAILED, reason, policy.appeal)
