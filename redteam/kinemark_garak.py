"""Kinemark for garak: a prompt in, "blocked: rule" or "allowed" out, as garak's detector `shields.Up` reads it.

python -m garak --target_type function --target_name kinemark_garak#asked --detectors shields.Up --probes ...
"""

import json
import os
import time
import urllib.error
import urllib.request

URL = os.environ.get("KINEMARK_URL", "http://127.0.0.1:8000/v1")
TOO_OFTEN = 429


def asked(prompt: str, **_: object) -> list[str | None]:
    """What the prompt gate says of a prompt; waits where it has been asked too often."""
    request = urllib.request.Request(f"{URL}/moderations", json.dumps({"input": prompt}).encode())
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                verdict = json.load(answer)["results"][0]["kinemark"]
            return ["allowed" if verdict["allow"] else f"blocked: {verdict['rule']}"]
        except urllib.error.HTTPError as error:
            if error.code != TOO_OFTEN:
                raise
            time.sleep(float(error.headers["Retry-After"]))
