"""The OpenAPI document of the API, made from the fields that requests are checked with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kinemark import __version__
from kinemark.server.batch_routes import BatchFields, FileFields
from kinemark.server.checks import CheckFields
from kinemark.server.desk import OPEN, CaseFields
from kinemark.server.fields import (
    BlendFields,
    ConnectFields,
    CreateFields,
    EditFields,
    ExtendFields,
    LoopFields,
    RecutFields,
    RemixFields,
)
from kinemark.server.webhook_routes import ChangeFields, EndpointFields, RotateFields, TestFields

if TYPE_CHECKING:
    from pydantic import BaseModel

_TEXT: Final = {"type": "string"}
_MAYBE: Final = {"type": ["string", "null"]}
_WHOLE: Final = {"type": "integer"}
_TIME: Final = {"type": ["integer", "null"]}
_CLIP: Final = {
    "oneOf": [
        {"type": "string", "description": "A file, in a form.", "contentMediaType": "application/octet-stream"},
        {"type": "object", "properties": {"id": _TEXT}, "required": ["id"]},
    ]
}
_SIZE: Final = {"type": "string", "pattern": r"^\d{2,4}x\d{2,4}$", "examples": ["1280x720"]}
#: What the fields' own schema does not say: values that are read from text, and files.
_FIELDS: Final[dict[str, Any]] = {
    "video": _CLIP,
    "to": _CLIP,
    "file": {"type": "string", "description": "A file, in a form.", "contentMediaType": "application/octet-stream"},
    "size": _SIZE | {"default": "720x1280"},
    "seconds": {"type": ["string", "number"], "examples": ["4"]},
    "input_reference": {
        "oneOf": [
            {"type": "string", "description": "A picture, in a form.", "contentMediaType": "application/octet-stream"},
            {"type": "object", "properties": {"image_url": _TEXT}, "required": ["image_url"]},
            {"type": "object", "properties": {"file_id": _TEXT}, "required": ["file_id"]},
        ]
    },
}
_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {"message": _TEXT, "type": _TEXT, "param": _MAYBE, "code": _MAYBE},
        }
    },
}
_VIDEO: Final = {
    "type": "object",
    "required": [
        *("id", "object", "model", "status", "progress", "created_at", "completed_at", "expires_at"),
        *("prompt", "size", "seconds", "remixed_from_video_id", "error"),
    ],
    "properties": {
        "id": _TEXT,
        "object": {"const": "video"},
        "model": _TEXT,
        "status": {"enum": ["queued", "in_progress", "completed", "failed"]},
        "progress": _WHOLE | {"minimum": 0, "maximum": 100},
        "created_at": _WHOLE,
        "completed_at": _TIME,
        "expires_at": _TIME,
        "prompt": _MAYBE,
        "size": _TEXT,
        "seconds": _TEXT,
        "remixed_from_video_id": _MAYBE,
        "error": {"type": ["object", "null"]},
        "kinemark": {"type": "object"},
    },
}
_ENDPOINT: Final = {
    "type": "object",
    "required": ["id", "object", "name", "url", "event_types", "created_at", "updated_at"],
    "properties": {"id": _TEXT, "object": {"const": "webhook_endpoint"}, "url": _TEXT},
}
_FILE: Final = {
    "type": "object",
    "required": ["id", "object", "bytes", "created_at", "filename", "purpose", "status"],
    "properties": {"id": _TEXT, "object": {"const": "file"}, "bytes": _WHOLE, "created_at": _WHOLE},
}
_BATCH: Final = {
    "type": "object",
    "required": ["id", "object", "endpoint", "input_file_id", "completion_window", "status", "created_at"],
    "properties": {"id": _TEXT, "object": {"const": "batch"}, "status": _TEXT, "request_counts": {"type": "object"}},
}
_CHECK: Final = {"type": "object", "required": ["object", "created_at", "results"]}
_CASE: Final = {"type": "object", "required": ["case", "kind", "subject", "due", "outcome", "reasons"]}
_PERSON: Final = {"type": "object", "required": ["id", "name", "created_at"]}
_GONE: Final = {"type": "object", "required": ["id", "object", "deleted"]}
_LIST: Final = {"type": "object", "required": ["object", "data"]}
_PAGE: Final = {"type": "object", "required": ["object", "data", "first_id", "last_id", "has_more"]}


#: Of what needs no key.
_PUBLIC: Final[dict[str, Any]] = {"security": []}


def document() -> dict[str, Any]:
    """The document."""
    paths = _clips() | _webhooks() | _kept() | _public()
    for path, operations in paths.items():
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        if names:
            operations["parameters"] = [{"name": n, "in": "path", "required": True, "schema": _TEXT} for n in names]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kinemark, compatible with the Videos API", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {
                "Video": _VIDEO,
                "WebhookEndpoint": _ENDPOINT,
                "File": _FILE,
                "Batch": _BATCH,
                "Error": _ERROR,
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _clips() -> dict[str, Any]:
    one, video = "/v1/videos/{video_id}", _json("Video")
    return {
        "/v1/videos": {
            "post": _operation("Ask for a clip", video, body=CreateFields),
            "get": _operation("List clips", _json(_PAGE), query=_paging(100, order=True)),
        },
        one: {
            "get": _operation("Tell how far a clip is", video),
            "delete": _operation("Stop and delete a clip", _json(_GONE)),
        },
        f"{one}/content": {
            "get": _operation(
                "The clip, its thumbnail or its spritesheet",
                {kind: {} for kind in ("video/mp4", "image/webp", "image/jpeg")},
                query={"variant": {"enum": ["video", "thumbnail", "spritesheet"]}},
                more={"206": {"description": "A part"}, "304": {"description": "Not modified"}},
            )
        },
        f"{one}/preview": {"get": _operation("The clip while it is made", {"video/mp4": {}})},
        f"{one}/events": {"get": _operation("The same as server-sent events", {"text/event-stream": {}})},
        f"{one}/remix": {"post": _operation("Change a clip", video, body=RemixFields)},
        "/v1/videos/edits": {"post": _operation("Change a clip, by id or of a file", video, body=EditFields)},
        "/v1/videos/extensions": {"post": _operation("Extend a clip", video, body=ExtendFields)},
        "/v1/videos/connections": {"post": _operation("Lead from one clip to another", video, body=ConnectFields)},
        "/v1/videos/blends": {"post": _operation("Blend two clips", video, body=BlendFields)},
        "/v1/videos/recuts": {"post": _operation("Keep parts of a clip", video, body=RecutFields)},
        "/v1/videos/loops": {"post": _operation("Make a clip endless", video, body=LoopFields)},
        "/v1/videos/characters": {"post": _operation("Refused: consent is entered by the operator", _json({}))},
        "/v1/videos/characters/{character_id}": {"get": _operation("A person who agreed to be shown", _json(_PERSON))},
    }


def _webhooks() -> dict[str, Any]:
    hook, endpoint = "/v1/webhook_endpoints/{endpoint_id}", _json("WebhookEndpoint")
    return {
        "/v1/webhook_endpoints": {
            "post": _operation("Make an endpoint", endpoint, body=EndpointFields),
            "get": _operation("List endpoints", _json(_PAGE), query=_paging(100)),
        },
        hook: {
            "get": _operation("An endpoint", endpoint),
            "post": _operation("Change an endpoint", endpoint, body=ChangeFields),
            "delete": _operation("Delete an endpoint", _json(_GONE)),
        },
        f"{hook}/rotate_secret": {"post": _operation("Give it a new secret", endpoint, body=RotateFields)},
        f"{hook}/test": {"post": _operation("Send it an event", _json({"type": "object"}), body=TestFields)},
        "/v1/webhook_event_types": {"get": _operation("The events that there are", _json(_LIST))},
    }


def _kept() -> dict[str, Any]:
    file, batch = _json("File"), _json("Batch")
    return {
        "/v1/files": {
            "post": _operation("Keep a file", file, body=FileFields),
            "get": _operation("List files", _json(_PAGE), query=_paging(10_000, order=True) | {"purpose": _TEXT}),
        },
        "/v1/files/{file_id}": {
            "get": _operation("A file", file),
            "delete": _operation("Delete a file", _json(_GONE)),
        },
        "/v1/files/{file_id}/content": {"get": _operation("Its content", {"application/jsonl": {}, "image/*": {}})},
        "/v1/batches": {
            "post": _operation("Ask for the clips of a file", batch, body=BatchFields),
            "get": _operation("List batches", _json(_PAGE), query=_paging(100, order=True)),
        },
        "/v1/batches/{batch_id}": {"get": _operation("Tell how far a batch is", batch)},
        "/v1/batches/{batch_id}/cancel": {"post": _operation("Cancel a batch", batch)},
    }


def _public() -> dict[str, Any]:
    return {
        "/v1/content_provenance_checks": {
            "post": _operation("Whether something was made here", _json(_CHECK), body=CheckFields)
        },
        **{
            f"/v1/{path}": {"post": _operation(f"Open a case: {kind}", _json(_CASE), body=CaseFields) | _PUBLIC}
            for path, kind in OPEN.items()
        },
        "/v1/cases/{case_id}": {"get": _operation("The statement of reasons of a case", _json(_CASE)) | _PUBLIC},
    }


def _operation(
    summary: str,
    content: dict[str, Any],
    *,
    body: type[BaseModel] | None = None,
    query: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
) -> dict[str, Any]:
    told: dict[str, Any] = {"summary": summary, "responses": {"200": {"description": summary, "content": content}}}
    told["responses"] |= {"default": {"description": "An error", "content": _json("Error")}} | (more or {})
    if query:
        told["parameters"] = [{"name": name, "in": "query", "schema": schema} for name, schema in query.items()]
    if body is not None:
        schema = body.model_json_schema(mode="validation")
        schema["properties"] |= {name: field for name, field in _FIELDS.items() if name in schema["properties"]}
        kinds = ("application/json", "multipart/form-data")
        needed = bool(schema.get("required"))
        told["requestBody"] = {"required": needed, "content": {kind: {"schema": _inlined(schema)} for kind in kinds}}
    return told


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without definitions beside it: what it refers to stands where it is referred to."""
    kept = schema.get("$defs", {})

    def inline(part: Any) -> Any:  # noqa: ANN401  any part of a schema
        if isinstance(part, dict):
            if "$ref" in part:
                return inline(kept[part["$ref"].rsplit("/", 1)[1]])
            return {key: inline(value) for key, value in part.items() if key != "$defs"}
        return [inline(value) for value in part] if isinstance(part, list) else part

    inlined: dict[str, Any] = inline(schema)
    return inlined


def _json(schema: str | dict[str, Any]) -> dict[str, Any]:
    said = {"$ref": f"#/components/schemas/{schema}"} if isinstance(schema, str) else schema
    return {"application/json": {"schema": said}}


def _paging(most: int, *, order: bool = False) -> dict[str, Any]:
    paging: dict[str, Any] = {"after": _TEXT, "limit": _WHOLE | {"minimum": 0, "maximum": most}}
    return paging | ({"order": {"enum": ["asc", "desc"]}} if order else {})
