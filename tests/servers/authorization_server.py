"""A gateway as far as its clients get tokens of it: checks what they send, by the text of the RFCs, and is scripted.

RFC 6749, 7009, 7636, 8414, 8628 and 8693. The test is the person who signs in.
"""

import base64
import hashlib
import secrets
import ssl
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web

from tests.servers.threaded import ThreadedServer

CLIENT_ID = "interlock-cli"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


class ScriptedAuthorizationServer(ThreadedServer):
    """``script`` are answers to come before others, ``metadata`` changes what it says of itself.

    ``forms`` are what the token endpoint was sent, ``revoked`` the tokens that were given back.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(tls)
        self.script: list[tuple[int, bytes | dict[str, Any]]] = []
        self.metadata: dict[str, Any] = {}
        self.device: dict[str, Any] = {"interval": 1}
        self.forms: list[dict[str, list[str]]] = []
        self.revoked: list[str] = []
        self.refresh_token = ""
        self.renewals = 0
        self._codes: dict[str, dict[str, str]] = {}

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def new_runner(self) -> web.BaseRunner:
        application = web.Application()
        application.router.add_get("/.well-known/oauth-authorization-server", self._metadata)
        application.router.add_post("/oauth2/token", self._token)
        application.router.add_post("/oauth2/device_authorization", self._device)
        application.router.add_post("/oauth2/revoke", self._revoke)
        return web.AppRunner(application, access_log=None)

    def sign_in(self, authorization_url: str, **changes: str) -> str:
        """What the browser of somebody who signs in is sent to."""
        url = urlsplit(authorization_url)
        asked = {name: values[0] for name, values in parse_qs(url.query, strict_parsing=True).items()}
        assert (url.path, asked["response_type"], asked["client_id"]) == ("/oauth2/authorize", "code", CLIENT_ID)
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self._codes[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.url} | changes
        return f"{asked['redirect_uri']}?{urlencode({name: value for name, value in answer.items() if value})}"

    async def _metadata(self, _: web.Request) -> web.Response:
        endpoints = {
            "authorization_endpoint": "/oauth2/authorize",
            "device_authorization_endpoint": f"{self.url}/oauth2/device_authorization",
        }
        return web.json_response({"issuer": self.url} | endpoints | self.metadata)

    async def _device(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["client_id"] == CLIENT_ID
        answer = {
            "device_code": secrets.token_urlsafe(),
            "user_code": "WDJB-MJHT",
            "verification_uri": f"{self.url}/device",
            "expires_in": 300,
        }
        return web.json_response(answer | self.device)

    async def _revoke(self, request: web.Request) -> web.Response:
        self.revoked.append(str((await request.post())["token"]))
        return web.Response()

    async def _token(self, request: web.Request) -> web.Response:
        form = parse_qs((await request.read()).decode(), strict_parsing=True)
        self.forms.append(form)
        if self.script:
            status, said = self.script.pop(0)
            body = said if isinstance(said, bytes) else web.json_response(said).body
            return web.Response(status=status, body=body, content_type="application/json")
        grant = form["grant_type"][0]
        if grant == "authorization_code":
            return self._by_code(form)
        if grant == "refresh_token" and form["refresh_token"] != [self.refresh_token]:
            return web.json_response({"error": "invalid_grant", "error_description": "it has ended"}, status=400)
        return self._answer(form, login=grant != EXCHANGE)

    def _by_code(self, form: dict[str, list[str]]) -> web.Response:
        """RFC 7636 section 4.6."""
        asked = self._codes.pop(form["code"][0])
        digest = hashlib.sha256(form["code_verifier"][0].encode()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
        assert form["redirect_uri"][0] == asked["redirect_uri"]
        assert form["client_id"] == [CLIENT_ID]
        return self._answer(form, login=True)

    def _answer(self, form: dict[str, list[str]], *, login: bool) -> web.Response:
        audience = [name if name == "api" else f"connection:{name}" for name in form.get("audience", ["api"])]
        answer: dict[str, Any] = {
            "access_token": f"ilk_{secrets.token_urlsafe()}",
            "token_type": "Bearer",
            "expires_in": int(form.get("lifetime_s", ["900"])[0]),
            "token_id": secrets.token_hex(8),
            "audience": audience,
        }
        if login:
            self.refresh_token = f"ill_{secrets.token_urlsafe()}"
            self.renewals += 1
            answer |= {"refresh_token": self.refresh_token, "login": "ada", "login_ends_at_s": 1_800_000_000}
        return web.json_response(answer)
