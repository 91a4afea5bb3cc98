"""A token endpoint of OAuth 2.0: checks its client by itself, from the text of RFC 6749, and answers as it is told."""

import asyncio
import base64
import ssl
import urllib.parse
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

CLIENT = "gateway:1"
SECRET = "planted-s€cret/+ %"


@dataclass
class TokenEndpoint:
    """Use it as an asynchronous context manager. ``answer`` is merged into what it says; ``raw`` is said instead."""

    tls: ssl.SSLContext | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    secret: str = SECRET
    tokens: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event | None = None
    """When it is there, an answer waits for it."""

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_post("/token", self._token)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/token"

    async def _token(self, request: web.Request) -> web.Response:
        form = dict(urllib.parse.parse_qsl((await request.read()).decode(), strict_parsing=True))
        self.forms.append(form)
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.raw is not None:
            return web.Response(status=self.status, body=self.raw, headers=self.headers)
        if self._client(request, form) != (CLIENT, self.secret) or form.get("grant_type") != "client_credentials":
            said = {"error": "invalid_client", "error_description": f"not {self.secret}"}
            return web.json_response(said, status=401)
        self.tokens.append(f"token-{len(self.tokens) + 1}")
        body = {"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": 3600} | self.answer
        body = {name: value for name, value in body.items() if value is not None}
        return web.json_response(body, status=self.status, headers=self.headers)

    def _client(self, request: web.Request, form: dict[str, str]) -> tuple[str, str]:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return form.get("client_id", ""), form.get("client_secret", "")
        assert "client_secret" not in form
        user, _, password = base64.b64decode(text).decode().partition(":")
        return urllib.parse.unquote_plus(user), urllib.parse.unquote_plus(password)
