"""`kinemark compliance`: what laws ask of a file, checked on one that this command makes."""

from __future__ import annotations

import random
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinemark.cli.output import Json, out, print_json, write_text
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinemark.provenance.compliance import Evidence, Profile, Result

SECONDS = 2.5


def compliance(
    profile: Annotated[str, typer.Option(help="Names, separated by commas.")] = "eu,california",
    report: Annotated[Path | None, typer.Option(help="Write the table to this .md file.")] = None,
    json: Json = False,
) -> None:
    """Make a file as the profiles want it, and check every duty on it: shown, not met, or not shown.

    Engineering guidance, not legal advice. The exit code is 1 if a duty is not met.
    """
    from kinemark.provenance.compliance import Shown, examine, profiles_named

    chosen = profiles_named(profile)
    if not chosen:
        raise RequestError("no profile was named; for example: --profile eu,california")
    with tempfile.TemporaryDirectory() as folder:
        results = examine(chosen, _make(profile, Path(folder)))
    if report is not None:
        write_text(report, _markdown(chosen, results))
    if json:
        print_json({"results": [asdict(result) for result in results]})
    elif report is None:
        for result in results:
            out().print(f"{result.profile:<11} {result.shown:<10} {result.asks}: {result.says}", soft_wrap=True)
        out().print("Engineering guidance, not legal advice.")
    if any(result.shown is Shown.NOT_MET for result in results):
        raise typer.Exit(1)


def _make(profiles: str, folder: Path) -> Evidence:
    """A rendered scene, judged and released like any other clip, and what can be read back from it."""
    import json as json_format

    import c2pa

    from kinemark.cli.footage import rendered
    from kinemark.data.transcode import H264, transcode
    from kinemark.data.video import read_tags, read_video
    from kinemark.provenance.compliance import Evidence, label_of, profiles_named
    from kinemark.provenance.detect import verify
    from kinemark.provenance.marks import watermark
    from kinemark.provenance.release import ReleaseFacts, release
    from kinemark.provenance.signing.keys import require_keys
    from kinemark.safety.content import closed_world
    from kinemark.safety.gates import judge_output, judge_prompt
    from kinemark.safety.policy.store import policy_in_force
    from kinemark.settings import load_settings
    from kinemark.timeline import SPARK_FPS

    settings = replace(load_settings(), profiles=profiles)
    prompt, policy = "a quiet scene for a check", policy_in_force(settings)
    frames = rendered(random.Random(1), round(SECONDS * SPARK_FPS), (256, 384))
    decision = judge_output(frames, SPARK_FPS, judge_prompt(prompt, policy), policy, content=closed_world())
    facts = ReleaseFacts(SPARK_FPS, "worlds", "0" * 64, prompt)
    made = release(frames, decision, folder / "check.mp4", facts, settings)
    seen = read_video(made.path).frames_THWC
    passed_on = transcode(seen, SPARK_FPS, H264, 26)  # as a platform does, in memory
    with c2pa.Reader(str(made.path)) as reader:
        store = json_format.loads(reader.json())
    return Evidence(
        plain=frames,
        seen=seen,
        fps=SPARK_FPS,
        label=label_of(profiles_named(profiles)),
        manifest=store["manifests"][store["active_manifest"]],
        tags=read_tags(made.path),
        verified=verify(made.path, settings),
        stripped=watermark.detect(passed_on, require_keys(settings.keys_dir).watermark_key),
        content=made.path.read_bytes(),
        private=(prompt, str(Path.home()), str(folder)),
    )


def _markdown(chosen: Sequence[Profile], results: Sequence[Result]) -> str:
    lines = ["# What a file made here can be shown to have", "", "Engineering guidance, not legal advice.", ""]
    for profile in chosen:
        lines += [
            f"## {profile.name}",
            "",
            f"{profile.law}. In force: {profile.since}. Reading: {profile.confidence}.",
            "",
        ]
        lines += ["| duty | | what was read |", "|---|---|---|"]
        lines += [f"| {r.asks} | {r.shown} | {r.says} |" for r in results if r.profile == profile.name]
        lines.append("")
    return "\n".join(lines)
