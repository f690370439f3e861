"""Asking the prompt gate over HTTP, in the form of OpenAI's moderation endpoint.

    uvicorn --factory kinemark.server.moderation:moderation_app

| route | answers |
|---|---|
| POST /v1/moderations | for each text whether the policy refuses it, and the gate's verdict under `kinemark` |

`input` is a text, texts, or parts of type "text". `categories` has OpenAI's names and, for what has none among them,
the policy's; scores are 0 or 1: how near a miss was is for nobody outside. Nothing that is asked is kept or logged.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kinemark.safety.classifiers.file import load_classifiers
from kinemark.safety.classifiers.replies import MODERATION
from kinemark.safety.creators import rules_in_force
from kinemark.safety.decision import Decision
from kinemark.safety.gates import judge_prompt
from kinemark.server.answers import HANDLERS, json_of, require_allowance
from kinemark.server.limits import PROMPTS, Limits
from kinemark.settings import load_settings

if TYPE_CHECKING:
    from starlette.requests import Request

    from kinemark.settings import Settings

MODEL: Final = "kinemark-prompt-gate"
MAX_TEXTS: Final = 32


def moderation_app(settings: Settings | None = None, limits: Limits | None = None) -> Starlette:
    """The application, for an ASGI server.

    Args:
        settings: the installation whose policy judges; by default as the environment says.
        limits: how often a stranger may ask.
    """
    home, counted = settings or load_settings(), limits or Limits()

    async def moderations(request: Request) -> Response:
        require_allowance(counted, request, PROMPTS)
        texts = _texts(await json_of(request))
        results = await run_in_threadpool(_results, texts, home)
        return JSONResponse({"id": f"modr-{secrets.token_hex(12)}", "model": MODEL, "results": results})

    return Starlette(routes=[Route("/v1/moderations", moderations, methods=["POST"])], exception_handlers=HANDLERS)


def _texts(asked: dict[str, Any]) -> list[str]:
    given = asked.get("input")
    parts = [given] if isinstance(given, str) else given
    if not isinstance(parts, list) or not 1 <= len(parts) <= MAX_TEXTS:
        raise HTTPException(400, f"input is to be a text, or a list of 1 to {MAX_TEXTS} texts")
    return [_text(part) for part in parts]


def _text(part: object) -> str:
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else part
    if not isinstance(text, str) or not text.strip():
        raise HTTPException(400, 'a part of input is no text; send texts, or {"type": "text", "text": "..."}')
    return text


def _results(texts: list[str], settings: Settings) -> list[dict[str, Any]]:
    policy, more = rules_in_force(settings), load_classifiers(settings.classifiers_path).prompts
    names = [*MODERATION, *(one.id for one in policy.categories if one.id not in MODERATION.values())]
    results = []
    for text in texts:
        decision = Decision(policy.version, policy.digest, "", judge_prompt(text, policy, more))
        verdict = decision.verdict()
        hit = None if verdict["allow"] else verdict["category"]
        categories = {name: hit is not None and MODERATION.get(name, name) == hit for name in names}
        results.append(
            {
                "flagged": not verdict["allow"],
                "categories": categories,
                "category_scores": {name: float(flagged) for name, flagged in categories.items()},
                "kinemark": verdict,
            }
        )
    return results
