"""A clip in the making, and a clip that is made: its frames, what the gates said of them, and the way to a file.

Shapes: T frames, H height, W width, C colour channels (RGB, uint8).
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from kinemark.ahead import ahead
from kinemark.provenance.release import ReleaseFacts, opened, release
from kinemark.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from kinemark.data.video import Frames
    from kinemark.model.text import Reading
    from kinemark.provenance.release import Released
    from kinemark.provenance.signing.credits import Credits
    from kinemark.provenance.signing.given import GivenSpan
    from kinemark.safety.decision import Decision
    from kinemark.safety.gates import BlockGate
    from kinemark.settings import Settings


@dataclass(frozen=True, slots=True, eq=False)
class About:
    """What is known of a clip besides its frames.

    Attributes:
        num_frames: how many there are.
        fps: frames a second.
        size: height and width in pixels.
        prompt: what is made; the prompts of a storyboard, a line each. The policy may have put it in other words.
        model: name of the model; `weights_digest` is the SHA-256 of its weights.
        seed: the same request with the same seed is the same clip.
        understood: for each prompt, what of it the model understood and which words it does not know.
        given: what of the clip was given and not made.
        sources: the files that it was given from; the manifest names them, with their own manifests.
    """

    num_frames: int
    fps: int
    size: tuple[int, int]
    prompt: str
    model: str
    weights_digest: str
    seed: int
    understood: tuple[Reading, ...]
    given: tuple[GivenSpan, ...]
    sources: tuple[Path, ...]

    def release_facts(self, *, write_prompt: bool, credits: Credits | None) -> ReleaseFacts:  # noqa: A002
        """What a file of it says."""
        return ReleaseFacts(
            fps=self.fps,
            model=self.model,
            weights_digest=self.weights_digest,
            prompt=self.prompt,
            write_prompt=write_prompt,
            given=self.given,
            sources=self.sources,
            credits=credits,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Clip(About):
    """A clip that the gates allow; `save` is the way to a file.

    Attributes:
        frames_THWC: RGB bytes.
        decision: what the gates said about exactly these frames.
    """

    frames_THWC: Frames
    decision: Decision

    def save(
        self,
        path: Path | str,
        *,
        settings: Settings | None = None,
        write_prompt: bool = False,
        credits: Credits | None = None,  # noqa: A002  (what they are called)
    ) -> Released:
        """Mark, encode, sign and record the clip, and write it to `path` (which ends in .mp4).

        Args:
            path: where the file goes.
            settings: where keys and ledger are; by default as the environment says.
            write_prompt: whether everybody who gets the file may read the prompt in it.
            credits: what the manifest says about who made it and who owns it.

        Raises:
            KinemarkError: as `provenance.release.release` says.
        """
        facts = self.release_facts(write_prompt=write_prompt, credits=credits)
        return release(self.frames_THWC, self.decision, path, facts, settings or load_settings())


@dataclass(frozen=True, slots=True, eq=False)
class Take(About):
    """A clip in the making: once, its frames come block by block, each of them judged before it is given out.

    It takes the same memory however long it is, as long as nobody keeps the frames.

    Attributes:
        gate: what judges the blocks; its decision is about all frames once they have come.
        pieces: the frames as they are made, not judged.
        finish: told of the decision once all frames were allowed.
        elsewhere: whether another device than the CPU makes them, which then does not wait for gates and encoder. (On
            a CPU, which they share, working ahead makes a clip take a seventh longer.)
    """

    gate: BlockGate
    pieces: Iterable[Frames]
    finish: Callable[[Decision], None]
    elsewhere: bool = False

    def blocks(self) -> Iterator[Frames]:
        """The frames, about a second at a time; the first one alone, so that something can be seen soon.

        Raises:
            RefusedError: a gate refuses a block; nothing after it is made.
        """
        blocks = _seconds(self.pieces, self.fps)
        with ahead(blocks) if self.elsewhere else nullcontext(blocks) as made:
            for block_THWC in made:
                self.gate.require(block_THWC)
                yield block_THWC
        self.finish(self.gate.decision())

    def follow(self) -> None:
        """Make it for another process, which makes the same and keeps it: they share forwards (`together`)."""
        for _ in self.pieces:
            pass

    def clip(self) -> Clip:
        """Make it whole.

        Raises:
            RefusedError: a gate refuses.
        """
        frames_THWC = np.concatenate(list(self.blocks()))
        about = {field.name: getattr(self, field.name) for field in fields(About)}
        return Clip(**about, frames_THWC=frames_THWC, decision=self.gate.decision())

    def save(
        self,
        path: Path | str,
        *,
        settings: Settings | None = None,
        write_prompt: bool = False,
        credits: Credits | None = None,  # noqa: A002  (what they are called)
        meanwhile: Callable[[Frames], None] | None = None,
    ) -> Released:
        """Make it and write it to `path` as `Clip.save` does, in bounded memory.

        Args:
            path: where the file goes.
            settings: where keys and ledger are; by default as the environment says.
            write_prompt: whether everybody who gets the file may read the prompt in it.
            credits: what the manifest says about who made it and who owns it.
            meanwhile: given each block once it was allowed.

        Raises:
            KinemarkError: as `provenance.release.opened` says; nothing is left of the file then.
        """
        facts = self.release_facts(write_prompt=write_prompt, credits=credits)
        with opened(path, self.num_frames, self.size, facts, settings or load_settings()) as draft:
            for block_THWC in self.blocks():
                draft.add(block_THWC)
                if meanwhile:
                    meanwhile(block_THWC)
            return draft.close(self.gate.decision())


def _seconds(pieces: Iterable[Frames], fps: float) -> Iterator[Frames]:
    """Pieces put together to a second or more; the first one stays alone."""
    held: list[Frames] = []
    first = True
    for piece in pieces:
        held.append(piece)
        if first or sum(map(len, held)) >= math.ceil(fps):
            yield np.concatenate(held)
            held, first = [], False
    if held:
        yield np.concatenate(held)
