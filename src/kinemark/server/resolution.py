"""C2PA's Soft Binding Resolution API 2.3 (Content Credentials 2.4): copies that lost their manifest get it back.

    uvicorn --factory kinemark.server.resolution:resolution_app

| route | answers |
|---|---|
| GET, POST /matches/byBinding | manifests with this binding: a watermark's id, or an ISCC code (nearby ones, too) |
| POST /matches/byContent | manifests of an uploaded video or picture: the mark is read *and* the picture compared |
| POST /matches/byReference | 501: fetching addresses for strangers is how servers are made to attack others |
| GET /manifests/{id} | the manifest store (JUMBF); 410 if its release was erased |
| GET, POST /manifests/{id}/receipts | a proof that it was entered, and a check of such a proof |
| POST, PUT, DELETE elsewhere | 403: releases alone write here, and `kinemark ledger erase` erases |
| GET /services/supportedAlgorithms | the bindings above |
| GET /.well-known/kinemark.json | who this is: root certificate, withdrawn certificates, address of this API |

Answers are verdicts without scores: nothing tells how near a miss was. A watermark alone (`byBinding`) never leads to a
manifest that names a person or a prompt: only the content itself or its fingerprint does.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kinemark.provenance.detect import verify
from kinemark.provenance.findings import confirmed_id
from kinemark.provenance.fingerprints import iscc
from kinemark.provenance.footage import Footage
from kinemark.provenance.records.manifests import active_only, kept
from kinemark.provenance.records.opening import begin_ledger
from kinemark.provenance.records.receipts import problem_of, receipt
from kinemark.provenance.signing.credentials import WATERMARK_ALGORITHM
from kinemark.provenance.signing.keys import Keys, load_keys
from kinemark.provenance.signing.operators import document
from kinemark.server.answers import HANDLERS, json_of, require_allowance, too_often
from kinemark.server.limits import BINDINGS, CONTENT, Limits
from kinemark.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from kinemark.provenance.records.ledger import Entry, Ledger
    from kinemark.settings import Settings

MAX_UPLOAD: Final = 100 << 20
MAX_RESULTS: Final = 100
ALGORITHMS: Final = (WATERMARK_ALGORITHM, iscc.ISCC_ALGORITHM)
SUFFIXES: Final = {
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/avi": ".avi",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
}
NOT_HERE: Final = "releases alone write here; kinemark ledger erase takes a manifest away"


def resolution_app(settings: Settings | None = None, limits: Limits | None = None) -> Starlette:
    """The application, for an ASGI server.

    Args:
        settings: the installation whose releases are resolved; by default as the environment says.
        limits: how often a stranger may ask.
    """
    routes = _Routes(settings or load_settings(), limits or Limits())
    return Starlette(
        routes=[
            Route("/matches/byBinding", routes.by_binding, methods=["GET", "POST"]),
            Route("/matches/byContent", routes.by_content, methods=["POST"]),
            Route("/matches/byReference", _by_reference, methods=["POST"]),
            Route("/manifests/{label}", routes.manifest, methods=["GET"]),
            Route("/manifests/{label}/receipts", routes.receipts, methods=["GET", "POST"]),
            Route("/manifests", _forbidden, methods=["POST"]),
            Route("/manifests/{label}", _forbidden, methods=["DELETE"]),
            Route("/bindings", _forbidden, methods=["POST", "PUT"]),
            Route("/services/supportedAlgorithms", _algorithms, methods=["GET"]),
            Route("/.well-known/kinemark.json", routes.operator, methods=["GET"]),
        ],
        middleware=[Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "POST"])],
        exception_handlers=HANDLERS,
    )


class _Routes:
    def __init__(self, settings: Settings, limits: Limits) -> None:
        self._settings, self._limits = settings, limits

    async def by_binding(self, request: Request) -> Response:
        require_allowance(self._limits, request, BINDINGS)
        asked = await json_of(request) if request.method == "POST" else dict(request.query_params)
        algorithm, value, most = asked.get("alg"), asked.get("value"), _most(request)
        labels = await run_in_threadpool(self._bound, _known(algorithm), _decoded(value))
        return _matches(labels, most)

    async def by_content(self, request: Request) -> Response:
        require_allowance(self._limits, request, CONTENT)
        asked, most = request.query_params.get("alg"), _most(request)
        algorithm = None if asked is None else _known(asked)
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind not in SUFFIXES:
            raise HTTPException(415, f"the type is {kind or 'missing'}; send one of: {', '.join(SUFFIXES)}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"asset{SUFFIXES[kind]}"
            await _receive(request, path)
            footage = await run_in_threadpool(Footage.of, path)
            seen = await run_in_threadpool(lambda: footage.fingerprint)
            wait = self._limits.wait_for_picture(seen.clip)
            if wait:
                raise too_often(wait, "about this picture, or one that is nearly the same")
            labels = await run_in_threadpool(self._seen, path, footage, algorithm)
        return _matches(labels, most)

    async def manifest(self, request: Request) -> Response:
        require_allowance(self._limits, request, BINDINGS)
        store = await run_in_threadpool(self._kept, request.path_params["label"])
        if request.query_params.get("returnActiveManifest", "false").lower() == "true":
            store = active_only(store)
        return Response(store, media_type="application/c2pa")

    async def receipts(self, request: Request) -> Response:
        require_allowance(self._limits, request, BINDINGS)
        said = await json_of(request) if request.method == "POST" else None
        uri = str(request.base_url).rstrip("/")
        return JSONResponse(await run_in_threadpool(self._receipt, request.path_params["label"], uri, said))

    async def operator(self, request: Request) -> Response:
        require_allowance(self._limits, request, BINDINGS)
        uri = str(request.base_url).rstrip("/")
        return JSONResponse(await run_in_threadpool(self._document, uri))

    def _bound(self, algorithm: str, value: str) -> list[str]:
        with self._ledger() as ledger:
            if algorithm == WATERMARK_ALGORITHM:
                entry = ledger.find(value.lower())
                return list(_labels(ledger, [entry] if entry and not entry.body.get("personal") else []))
            return list(_labels(ledger, _coded(ledger, value)))

    def _seen(self, path: Path, footage: Footage, algorithm: str | None) -> list[str]:
        found: list[Entry | None] = []
        with self._ledger() as ledger:
            if algorithm in {None, WATERMARK_ALGORITHM}:
                id_ = confirmed_id(verify(path, self._settings, footage=footage).findings)
                found.append(ledger.find(id_) if id_ else None)
            if algorithm in {None, iscc.ISCC_ALGORITHM} and footage.is_video:
                code = iscc.video_code(footage.frames, footage.fps)
                found += _coded(ledger, code) if code else []
            return list(_labels(ledger, [entry for entry in found if entry]))

    def _kept(self, label: str) -> bytes:
        with self._ledger() as ledger:
            store = kept(self._settings.manifests_dir, self._entry(ledger, label))
        if store is None:
            raise HTTPException(404, f"the manifest {label} is known here, but is not kept")
        return store

    def _receipt(self, label: str, uri: str, said: dict[str, Any] | None) -> dict[str, Any]:
        with self._ledger() as ledger:
            entry, keys = self._entry(ledger, label), self._keys()
            if said is None:
                said = receipt(entry, ledger.digests(), keys, uri)
        problem = problem_of(said, entry, keys)
        return said | {"verified": problem is None} | ({"error": problem} if problem else {})

    def _document(self, uri: str) -> dict[str, Any]:
        return document(self._keys(), self._settings.keys_dir, uri)

    def _entry(self, ledger: Ledger, label: str) -> Entry:
        entry = ledger.find_manifest(label)
        if entry is None or ledger.withdrawn(entry.id):
            raise HTTPException(404, f"no manifest {label} is known here")
        if ledger.erased(entry.id):
            raise HTTPException(410, f"the manifest {label} was erased")
        return entry

    def _ledger(self) -> Ledger:
        return begin_ledger(self._settings)

    def _keys(self) -> Keys:
        keys = load_keys(self._settings.keys_dir)
        if keys is None:
            raise HTTPException(404, "nothing was released here yet")
        return keys


def _coded(ledger: Ledger, code: str) -> list[Entry]:
    """Releases whose code is near, the nearest first."""
    if iscc.bits_of(code) is None:
        raise HTTPException(400, f"the value is no ISCC Video-Code of {iscc.BITS} bits, such as ISCC:KED...")
    near = [(bits, id_) for id_, known in ledger.codes() if (bits := iscc.distance(code, known)) is not None]
    entries = [ledger.find(id_) for bits, id_ in sorted(near) if bits <= iscc.MATCH]
    return [entry for entry in entries if entry]


def _labels(ledger: Ledger, entries: list[Entry]) -> Iterator[str]:
    """Names of the manifests that may be given out, each once."""
    for entry in {entry.id: entry for entry in entries}.values():
        if entry.body.get("manifest") and not ledger.erased(entry.id) and not ledger.withdrawn(entry.id):
            yield entry.body["manifest"]


def _matches(labels: list[str], most: int) -> Response:
    return JSONResponse({"matches": [{"manifestId": label} for label in labels[:most]]})


def _known(algorithm: object) -> str:
    if algorithm not in ALGORITHMS:
        raise HTTPException(400, f"alg is {algorithm!r}; this service knows: {', '.join(ALGORITHMS)}")
    return str(algorithm)


def _most(request: Request) -> int:
    text = request.query_params.get("maxResults", "10")
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MAX_RESULTS:
        raise HTTPException(400, f"maxResults is {text[:20]!r}; it is a number from 1 to {MAX_RESULTS}")
    return int(text)


def _decoded(value: object) -> str:
    """The text of a binding's value, which travels in base64."""
    if not isinstance(value, str) or len(value) > 1024:
        raise HTTPException(400, "value is missing or too long; it is a base64-encoded binding")
    try:
        text = base64.b64decode(value.replace("-", "+").replace("_", "/").replace(" ", "+") + "=" * (-len(value) % 4))
        return text.decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise HTTPException(400, f"value is {value[:40]!r}; it is the base64 of the binding's text") from error


async def _receive(request: Request, path: Path) -> None:
    """Write an upload to a file, and stop where it becomes too long."""
    length = request.headers.get("content-length", "0")
    too_long = HTTPException(413, f"the file is longer than {MAX_UPLOAD} bytes; send a part of it")
    if length.isdecimal() and int(length[:18]) > MAX_UPLOAD:
        raise too_long
    size = 0
    with path.open("xb") as file:
        async for piece in request.stream():
            size += len(piece)
            if size > MAX_UPLOAD:
                raise too_long
            file.write(piece)


async def _by_reference(_: Request) -> Response:
    raise HTTPException(501, "this service fetches no addresses; send the file itself to /matches/byContent")


async def _forbidden(_: Request) -> Response:
    raise HTTPException(403, NOT_HERE)


async def _algorithms(_: Request) -> Response:
    return JSONResponse({"watermarks": [{"alg": WATERMARK_ALGORITHM}], "fingerprints": [{"alg": iscc.ISCC_ALGORITHM}]})
