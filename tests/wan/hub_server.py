"""As much of a model hub as huggingface_hub asks for: repositories that are folders, with sizes, digests and ranges."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "c" * 40


class _Hub(BaseHTTPRequestHandler):
    root: Path
    asked: list[tuple[str, str, str | None]]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        self.asked.append((self.command, self.path, self.headers.get("Range")))
        path = self.path.partition("?")[0]
        repository = "/".join(path.removeprefix("/api/models").strip("/").split("/")[:2])
        if repository == "nobody/gated":
            self._json(403, {"error": "gated"}, {"X-Error-Code": "GatedRepo"}, with_body=with_body)
        elif not (folder := self.root / repository).is_dir():
            self._json(404, {"error": "not found"}, {"X-Error-Code": "RepoNotFound"}, with_body=with_body)
        elif path.startswith("/api/models"):
            files = {str(file.relative_to(folder)): file for file in sorted(folder.rglob("*")) if file.is_file()}
            tree = [
                {"type": "file", "path": name, "size": file.stat().st_size, "oid": "0" * 40}
                for name, file in files.items()
            ]
            model = {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
            self._json(200, tree if "/tree/" in path else model, {}, with_body=with_body)
        else:
            self._file(folder / path.split("/resolve/")[1].partition("/")[2], with_body=with_body)

    def _file(self, file: Path, *, with_body: bool) -> None:
        if not file.is_file():
            self._json(404, {"error": "no file"}, {"X-Error-Code": "EntryNotFound"}, with_body=with_body)
            return
        data = file.read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if with_body:
            self.wfile.write(data[start:])

    def _json(self, status: int, value: object, headers: dict[str, str], *, with_body: bool) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, text)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@contextmanager
def hub(root: Path) -> Iterator[tuple[str, list[tuple[str, str, str | None]]]]:
    """Serve the folders `root/owner/name`; yield the address, and what was asked as (method, path, range)."""
    asked: list[tuple[str, str, str | None]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Hub", (_Hub,), {"root": root, "asked": asked}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
