"""`kinemark caption`: turn clips back into text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kinemark.cli.output import Json, out, print_json
from kinemark.errors import RequestError


def caption(
    clips: Annotated[list[Path], typer.Argument(help="Clips, pictures, or folders of them.", show_default=False)],
    json: Json = False,
) -> None:
    """Say what clips show: spark's world in its own words; anything else by the model that assistants.toml names."""
    from kinemark.assistants import load_assistants
    from kinemark.settings import load_settings

    describe = load_assistants(load_settings().assistants_path).describe
    answers = [_answer(path, describe) for path in _files(clips)]
    if json:
        print_json({"clips": answers})
        return
    console = out()
    for answer in answers:
        console.print(answer["path"], soft_wrap=True)
        for part in answer["captions"]:
            console.print(f"  {part['start']:5.1f} s  {part['text'] or UNKNOWN}", soft_wrap=True)


UNKNOWN = "nothing of spark's world is seen; name a model that knows more in assistants.toml (docs/verbs.md)"


def _files(paths: list[Path]) -> list[Path]:
    from kinemark.data.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES

    found = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(one for one in path.rglob("*") if one.suffix.lower() in (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES))
        if not inside:
            raise RequestError(f"the folder {path} holds neither clips nor pictures")
        found += inside
    return found


def _answer(path: Path, describe: Any) -> dict[str, Any]:  # noqa: ANN401  (assistants.Describe or None)
    from kinemark.captioning import caption as say
    from kinemark.conform import give_picture, give_video
    from kinemark.data.video import media_kind
    from kinemark.spark import TARGET

    given = (give_picture if media_kind(path) == "image" else give_video)(path, TARGET)
    parts = say(given.video_TCHW, given.fps, describe)
    return {
        "path": str(path),
        "captions": [{"start": part.start, "text": part.text, "said": dict(part.said)} for part in parts],
    }
