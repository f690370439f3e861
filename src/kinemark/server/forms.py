"""Bodies in every form that clients send them: JSON, and forms whose names have brackets, as one and the same object.

`a[b]` is a key, `a[]` an item of a list, `a[][b]` a key of an item; a key that an item has already begins the next one.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import UploadFile

from kinemark.server.problems import ProblemError

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_FIELDS: Final = 200
_DEPTH: Final = 6
_PART: Final = re.compile(r"\[([^\[\]]*)\]")
_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


async def body_of(request: Request) -> dict[str, Any]:
    """The object that was sent; files in it are `UploadFile`s.

    Raises:
        ProblemError: the body is neither a JSON object nor a form.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        form = await request.form(max_files=8, max_fields=MAX_FIELDS, max_part_size=32 << 20)
        return nested(form.multi_items())
    raw = await request.body()
    try:
        sent = json.loads(raw) if raw else {}
    except (ValueError, RecursionError) as error:
        raise ProblemError(
            400, f"the body is no JSON ({error}); send an object, or a form", code="invalid_json"
        ) from error
    if not isinstance(sent, dict):
        raise ProblemError(400, f"the body is a JSON {type(sent).__name__}; send an object", code="invalid_json")
    return sent


def nested(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Fields of a form as an object.

    Raises:
        ProblemError: a name is no name, or two fields contradict each other.
    """
    whole: dict[str, Any] = {}
    for name, value in items:
        found = _NAME.fullmatch(name)
        keys = [found[1], *_PART.findall(found[2])] if found else []
        if not keys or len(keys) > _DEPTH:
            raise ProblemError(400, f"the field {name[:80]!r} has no name like a, a[b] or a[][b]", code="invalid_form")
        try:
            _put(whole, keys, value)
        except TypeError as error:
            message = f"the field {name[:80]!r} is a value in one place and holds others in another; send JSON"
            raise ProblemError(400, message, code="invalid_form") from error
    return whole


def _put(whole: dict[str, Any], keys: list[str], value: object) -> None:
    key, *rest = keys
    if not rest:
        whole[key] = value
    elif rest[0]:
        inner = whole.setdefault(key, {})
        if not isinstance(inner, dict):
            raise TypeError(key)
        _put(inner, rest, value)
    else:
        items = whole.setdefault(key, [])
        if not isinstance(items, list):
            raise TypeError(key)
        _append(items, rest[1:], value)


def _append(items: list[Any], keys: list[str], value: object) -> None:
    if not keys:
        items.append(value)
        return
    # Items of one key stand in a row; of several, Python sends each key for all items, Node each item by itself.
    lacking = next((item for item in items if isinstance(item, dict) and keys[0] not in item), None)
    if lacking is None:
        lacking = {}
        items.append(lacking)
    _put(lacking, keys, value)


def is_file(value: object) -> bool:
    """Whether a field is an upload."""
    return isinstance(value, UploadFile)
