"""`classifiers.toml`: which classifiers the operator adds to the gates that ship.

[[moderation]]
url = "http://127.0.0.1:8080/v1"
model = "omni-moderation-latest"
key_file = "moderation.key"         # beside this file; its first line is sent as a bearer token
pictures = ["sexual", "violence", "self-harm"]      # what it is relied on for in pictures; none by default

[[chat]]
url = "http://127.0.0.1:8081/v1"
model = "llama-guard-3"
family = "llama-guard"              # or granite-guardian, shieldgemma, policy

[[guard]]
folder = "granite-guardian"         # a model in a folder, run here
family = "granite-guardian"

[[pictures]]
folder = "nsfw"
threshold = 0.5
[pictures.labels]
nsfw = "sexual"
"""

from __future__ import annotations

import tomllib
from pathlib import Path  # noqa: TC003  (pydantic reads the annotations)
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from kinemark.endpoints import Served, Strict, read_named, requiring_use
from kinemark.safety.classifiers.endpoints import Chat, Moderation
from kinemark.safety.classifiers.local import Guard, Pictures
from kinemark.safety.classifiers.replies import Family  # noqa: TC001  (pydantic reads the annotations)
from kinemark.safety.classifiers.seam import Classifiers, PictureJudge

if TYPE_CHECKING:
    from kinemark.safety.classifiers.seam import PromptJudge


class _Moderation(Served):
    pictures: list[str] = Field(default_factory=list)


class _Chat(Served):
    family: Family


class _Guard(Strict):
    folder: Path
    family: Family


class _Pictures(Strict):
    folder: Path
    labels: Annotated[dict[str, str], Field(min_length=1)]
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5


class _File(Strict):
    moderation: list[_Moderation] = Field(default_factory=list)
    chat: list[_Chat] = Field(default_factory=list)
    guard: list[_Guard] = Field(default_factory=list)
    pictures: list[_Pictures] = Field(default_factory=list)


def load_classifiers(path: Path) -> Classifiers:
    """The classifiers that a file names; none where there is no file.

    Raises:
        RequestError: the file, or a key's file, cannot be read or says something else than the above.
    """
    text = read_named(path, "classifiers")
    if text is None:
        return Classifiers()
    with requiring_use(path, "classifiers"):
        file, beside = _File(**tomllib.loads(text)), path.parent
        moderations = [(one, Moderation(one.endpoint(beside))) for one in file.moderation]
        prompts: list[PromptJudge] = [moderation.prompts for _, moderation in moderations]
        prompts += [Chat(one.endpoint(beside), one.family).prompts for one in file.chat]
        prompts += [Guard(beside / one.folder, one.family).prompts for one in file.guard]
    pictures = [PictureJudge(frozenset(one.pictures), by.pictures) for one, by in moderations if one.pictures]
    for one in file.pictures:
        looks = Pictures(beside / one.folder, one.labels, one.threshold)
        pictures.append(PictureJudge(frozenset(one.labels.values()), looks.judge))
    return Classifiers(tuple(prompts), tuple(pictures))
