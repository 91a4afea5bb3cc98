"""Two small HTTP services for the demo: a CRM, and something that answers as a model's API would.

Run as a program: ``python -m interlock.demo.services PORT SECRET_FILE``. Both want the secret, which only the gateway
has, and answer 401 to whoever does not show it. Nothing in here is part of the gateway.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

_CUSTOMER: Final = {
    "id": 7,
    "name": "Rui Carvalho",
    "email": "rui.carvalho@example.com",
    "contacts": [{"kind": "work", "email": "rui@work.example"}],
}
_SENTENCE: Final = ("Seven ", "customers ", "are ", "from ", "Portugal.")
_PAUSE_S: Final = 0.2


class Services:
    """Answers, and counts the volumes that were deleted."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._deleted: list[str] = []

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._only_with_the_secret])
        application.router.add_get("/customers/{id}", self._customer)
        application.router.add_delete("/volumes/{id}", self._delete_volume)
        application.router.add_get("/deleted", self._list_deleted)
        application.router.add_post("/v1/responses", self._respond)
        return application

    @web.middleware
    async def _only_with_the_secret(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self._secret}":
            return web.json_response({"error": "who are you?"}, status=401)
        return await handler(request)

    async def _customer(self, request: web.Request) -> web.Response:
        return web.json_response(_CUSTOMER)

    async def _delete_volume(self, request: web.Request) -> web.Response:
        self._deleted.append(request.match_info["id"])
        return web.json_response({"deleted": request.match_info["id"]})

    async def _list_deleted(self, request: web.Request) -> web.Response:
        return web.json_response(self._deleted)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        """A sentence, word by word, as events of the Responses API."""
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for word in _SENTENCE:
            event = {"type": "response.output_text.delta", "item_id": "item_1", "output_index": 0, "delta": word}
            await _send(answer, event)
            await asyncio.sleep(_PAUSE_S)
        usage = {"input_tokens": 12, "output_tokens": len(_SENTENCE), "total_tokens": 12 + len(_SENTENCE)}
        await _send(answer, {"type": "response.completed", "response": {"id": "resp_1", "output": [], "usage": usage}})
        await answer.write_eof()
        return answer


async def _send(answer: web.StreamResponse, event: dict[str, object]) -> None:
    await answer.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())


if __name__ == "__main__":
    services = Services(Path(sys.argv[2]).read_text(encoding="ascii"))
    web.run_app(services.application(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
