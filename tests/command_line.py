"""`kinemark` in this process, and a small clip that went the whole way, for the tests of several folders."""

import numpy as np
import pytest

from kinemark.cli import main
from kinemark.provenance.release import ReleaseFacts, release
from kinemark.safety.decision import REQUIRED_GATES, Decision, Judgement, digest_frames
from kinemark.settings import load_settings


def run(capsys, *args):
    """(exit code, stdout, stderr) of `kinemark args`."""
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in args])
    printed = capsys.readouterr()
    return left.value.code or 0, printed.out, printed.err


def decision(frames, *, action="allow"):
    """A complete decision about exactly these frames."""
    judgements = tuple(
        Judgement(gate, "prompt" if gate == "prompt" else "output", action, None, "test", "for the test")
        for gate in REQUIRED_GATES
    )
    return Decision("1", "cd" * 32, digest_frames(frames), judgements)


def moving_ramp():
    """Five frames of 96 x 128 pixels."""
    y, x = np.mgrid[0:96, 0:128]
    return np.stack([((x * 2 + y + 9 * t) % 200)[..., None].repeat(3, -1) for t in range(5)]).astype(np.uint8)


def released_ramp(path):
    """That clip, released to `path` by this test's own installation."""
    facts = ReleaseFacts(fps=8.0, model="spark", weights_digest="ab" * 32)
    return release(moving_ramp(), decision(moving_ramp()), path, facts, load_settings())
