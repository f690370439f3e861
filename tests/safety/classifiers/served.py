"""A server on this machine that speaks OpenAI's wire format, with a word list for a brain."""

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

NAMES = ("sexual", "hate", "harassment", "self-harm", "violence", "violence/graphic", "illicit")


@dataclass
class Served:
    """What the server was asked, and how it misbehaves."""

    url: str = ""
    asked: list[tuple[str, dict, dict]] = field(default_factory=list)
    status: int = 200
    raw: bytes | None = None
    sleep: float = 0.0


@contextmanager
def served() -> Iterator[Served]:
    """The server, while it runs."""
    state = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.asked.append((self.path, body, dict(self.headers)))
            time.sleep(state.sleep)
            content = state.raw if state.raw is not None else json.dumps(_answer(self.path, body)).encode()
            self.send_response(state.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(path: str, body: dict) -> dict:
    if path == "/v1/moderations":
        results = [_moderated(one) for one in body["input"]]
        return {"id": "modr-1", "model": body["model"], "results": results}
    said = body["messages"][-1]["content"]
    reply = "unsafe\nS1" if "kill" in said else "safe"
    message = {"role": "assistant", "content": reply}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": body["model"], "choices": [choice]}


def _moderated(one: str | dict) -> dict:
    if isinstance(one, str):
        flagged = {"violence"} if "kill" in one else set()
    else:
        _, _, content = one["image_url"]["url"].partition("base64,")
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
        flagged = {"violence", "violence/graphic"} if picture[..., 0].mean() > 2 * picture[..., 1].mean() else set()
    return {
        "flagged": bool(flagged),
        "categories": {name: name in flagged for name in NAMES},
        "category_scores": {name: 0.9 if name in flagged else 0.01 for name in NAMES},
    }
