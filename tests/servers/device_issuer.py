"""An OpenID Connect issuer where people sign in with a browser elsewhere (RFC 8628). The test is the person.

It holds its client to the RFC: a poll before ``interval`` is over is not punished, but what is asked is checked.
"""

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web
from joserfc import jws
from joserfc.jwk import ECKey

from tests.servers.threaded import ThreadedServer

CLIENT_ID = "interlock-ssh"
AUDIENCE = "interlock-test"
GRANT = "urn:ietf:params:oauth:grant-type:device_code"
PENDING = {"error": "authorization_pending"}


class DeviceIssuer(ThreadedServer):
    """``script`` are answers to come before others, ``begun`` changes what a login begins with (None takes away).

    ``polls`` are the forms of token requests. Until somebody signs in or refuses, a login is pending.
    """

    def __init__(self, now_s: Callable[[], float] = time.time, interval_s: float = 1) -> None:
        super().__init__()
        self.now_s = now_s
        self.interval_s = interval_s
        self.key = ECKey.generate_key("P-256")
        self.begun: dict[str, Any] = {}
        self.begin_status = 200
        self.script: list[tuple[int, dict[str, Any]]] = []
        self.scopes: list[str] = []
        self.polls: list[dict[str, str]] = []
        self.discoveries = 0
        self._device_codes: dict[str, str] = {}
        self._settled: dict[str, tuple[int, dict[str, Any]]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, **changes: Any) -> dict[str, Any]:
        """What the gateway needs to know of it."""
        return {
            "url": self.url,
            "audience": AUDIENCE,
            "allow_http_loopback": True,
            "device_client_id": CLIENT_ID,
            **changes,
        }

    def new_runner(self) -> web.BaseRunner:
        application = web.Application()
        application.router.add_get("/.well-known/openid-configuration", self._discovery)
        application.router.add_get("/jwks", self._jwks)
        application.router.add_post("/device", self._begin)
        application.router.add_post("/token", self._token)
        return web.AppRunner(application, access_log=None)

    def sign_in(self, user_code: str, subject: str, **claims: Any) -> None:
        """The person with this code signs in."""
        answer = {"access_token": self.token(subject, **claims), "token_type": "Bearer", "expires_in": 600}
        self._settled[self._device_codes[user_code]] = 200, answer | {"id_token": self.token(subject, aud=CLIENT_ID)}

    def refuse(self, user_code: str) -> None:
        """The person with this code says that it was somebody else."""
        self._settled[self._device_codes[user_code]] = 400, {"error": "access_denied"}

    def token(self, subject: str, **claims: Any) -> str:
        now_s = int(self.now_s())
        said = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now_s, "exp": now_s + 600, **claims}
        header = {"alg": "ES256", "kid": "1", "typ": "JWT"}
        return jws.serialize_compact(header, json.dumps(said).encode(), self.key, algorithms=["ES256"])

    @property
    def user_codes(self) -> list[str]:
        """Of the logins that have begun, in their order."""
        return list(self._device_codes)

    async def _discovery(self, _request: web.Request) -> web.Response:
        self.discoveries += 1
        places = {"jwks_uri": "jwks", "device_authorization_endpoint": "device", "token_endpoint": "token"}
        return web.json_response({"issuer": self.url} | {name: f"{self.url}/{at}" for name, at in places.items()})

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": [self.key.as_dict(private=False, kid="1", use="sig", alg="ES256")]})

    async def _begin(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("client_id") != CLIENT_ID:
            return web.json_response({"error": "invalid_client"}, status=401)
        self.scopes.append(str(form.get("scope")))
        user_code, device_code = secrets.token_hex(4).upper(), secrets.token_urlsafe()
        self._device_codes[user_code] = device_code
        answer = {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": f"{self.url}/activate",
            "verification_uri_complete": f"{self.url}/activate?user_code={user_code}",
            "expires_in": 300,
            "interval": self.interval_s,
        } | self.begun
        said = {name: value for name, value in answer.items() if value is not None}
        return web.json_response(said, status=self.begin_status)

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.polls.append(form)
        if form.get("grant_type") != GRANT or form.get("client_id") != CLIENT_ID:
            return web.json_response({"error": "invalid_request"}, status=400)
        if self.script:
            status, answer = self.script.pop(0)
        else:
            status, answer = self._settled.get(form["device_code"], (400, PENDING))
        return web.json_response(answer, status=status)
