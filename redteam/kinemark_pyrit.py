"""Kinemark for PyRIT: a target whose answer to a refused prompt is an error of the kind "blocked"."""

import httpx
from pyrit.models import Message, construct_response_from_request
from pyrit.prompt_target import PromptTarget


class KinemarkTarget(PromptTarget):
    """The prompt gate of an installation.

    Args:
        url: up to and with `/v1`.
    """

    def __init__(self, *, url: str = "http://127.0.0.1:8000/v1") -> None:
        super().__init__(endpoint=url, model_name="kinemark-prompt-gate")
        self._url = url

    async def _send_prompt_to_target_async(self, *, normalized_conversation: list[Message]) -> list[Message]:
        piece = normalized_conversation[-1].message_pieces[0]
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.post(f"{self._url}/moderations", json={"input": piece.converted_value})
            answer.raise_for_status()
        verdict = answer.json()["results"][0]["kinemark"]
        if verdict["allow"]:
            return [construct_response_from_request(request=piece, response_text_pieces=["allowed"])]
        said = f"blocked: {verdict['rule']}: {verdict['reason']}"
        return [
            construct_response_from_request(
                request=piece, response_text_pieces=[said], response_type="error", error="blocked"
            )
        ]
