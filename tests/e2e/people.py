"""A gateway whose people sign in at a real OpenID provider, and what they do with their browsers."""

import base64
import contextlib
import hashlib
import secrets
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tests.e2e.exchange import ask
from tests.servers.api import Answer, ApiClient
from tests.servers.browser import Browser
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer
from tests.servers.oidc_provider import ADA, AUDIENCE, SECRET, OidcProvider, device_client, web_client, workload_client
from tests.servers.process import free_port

PROVIDER = "corp"
CLIENT, DEVICES, WORKLOAD, OPAQUE_WORKLOAD = "interlock", "interlock-devices", "reports", "opaque-reports"
CLI = "interlock-cli"
COOKIE = "__Host-interlock"
_OPTIONS = GatewayOptions()
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

_SETTINGS = f"""
[[issuers]]
name = "{PROVIDER}"
url = "http://127.0.0.1:{{port}}"
audience = "{AUDIENCE}"
client_id = "{CLIENT}"
client_secret = {{{{ file = "client-secret" }}}}
device_client_id = "{DEVICES}"
allow_http_loopback = true
{{extra}}

[[identities]]
issuer = "{PROVIDER}"
when = {{{{ sub = ["{WORKLOAD}", "{OPAQUE_WORKLOAD}"] }}}}
identity = "job:{{{{sub}}}}"

[[identities]]
issuer = "{PROVIDER}"
when = {{{{}}}}
identity = "{{{{sub}}}}"
kind = "user"
groups_claim = "groups"
"""


@dataclass
class Site:
    """The gateway and its provider."""

    gateway: GatewayServer
    provider: OidcProvider

    def browser(self) -> Browser:
        return Browser(self.gateway.certificate_file)

    @contextlib.contextmanager
    def logged_in(self, person: str = ADA) -> Iterator[Browser]:
        """A browser in which somebody has signed in."""
        with self.browser() as browser:
            browser.open(f"{self.gateway.api_url}/login")
            self.provider.sign_in(browser, person)
            assert browser.cookie(COOKIE), browser.answer.text
            yield browser

    def as_browser(self, browser: Browser) -> ApiClient:
        """The API as a page of the gateway in this browser would ask it."""
        cookie = {"Cookie": f"{COOKIE}={browser.cookie(COOKIE)}"}
        own = {"Origin": self.gateway.api_url, "Interlock-CSRF": "1"}
        return replace(self.gateway.api(), headers=cookie | own)

    def token(self, fields: dict[str, Any]) -> Answer:
        """An answer of the gateway's token endpoint to its command line."""
        return ask(self.gateway.api(), {"client_id": CLI} | fields)

    def log_in(self, person: str = ADA) -> dict[str, Any]:
        """What the command line gets when somebody logs in with a browser."""
        program = Program(self)
        with self.browser() as browser:
            code = program.code(browser, person)
        answer = program.redeem(code)
        assert answer.status == 200, answer.body
        tokens: dict[str, Any] = answer.json
        return tokens

    def refresh(self, refresh_token: str, **fields: Any) -> Answer:
        return self.token({"grant_type": "refresh_token", "refresh_token": refresh_token} | fields)


class Program:
    """A program on a person's machine that logs in: nothing listens at its address, and nothing has to."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.redirect_uri = f"http://127.0.0.1:{free_port()}/done"
        self.verifier = secrets.token_urlsafe(48)
        self.state = secrets.token_urlsafe(16)

    def url(self, **changes: str | None) -> str:
        """Where it sends the browser; a change to None leaves a parameter out."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        query: dict[str, str | None] = {
            "response_type": "code",
            "client_id": CLI,
            "redirect_uri": self.redirect_uri,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "state": self.state,
            **changes,
        }
        sent = {name: value for name, value in query.items() if value is not None}
        return f"{self.site.gateway.api_url}/oauth2/authorize?{urllib.parse.urlencode(sent)}"

    def code(self, browser: Browser, person: str = ADA) -> str:
        """Have somebody sign in and allow it."""
        browser.leave_at = ("http://127.0.0.1:" + self.redirect_uri.split(":")[2],)
        browser.open(self.url())
        if browser.url.startswith(self.site.provider.url):
            self.site.provider.sign_in(browser, person)
        browser.submit({"answer": "allow"})
        answer = self.answer(browser)
        assert answer["state"] == self.state
        return answer["code"]

    def answer(self, browser: Browser) -> dict[str, str]:
        """What the browser was sent here with."""
        assert browser.left_for.startswith(self.redirect_uri), (browser.url, browser.answer.text)
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(browser.left_for).query))

    def redeem(self, code: str, **changes: str) -> Answer:
        fields = {"code": code, "redirect_uri": self.redirect_uri, "code_verifier": self.verifier}
        return self.site.token({"grant_type": "authorization_code"} | fields | changes)


@contextlib.contextmanager
def site(options: GatewayOptions = _OPTIONS, target: Endpoint = NO_DATABASE, issuer_extra: str = "") -> Iterator[Site]:
    """The two, for a while."""
    port = free_port()
    settings = _SETTINGS.format(port=port, extra=issuer_extra)
    gateway = GatewayServer(target, replace(options, api_public=True, extra=settings + options.extra))
    (gateway.directory / "client-secret").write_text(SECRET)
    url = gateway.api_url
    callback = f"{url}/login/callback/{PROVIDER}"
    clients = [
        web_client(CLIENT, callback, logout_uri=f"{url}/logout/backchannel/{PROVIDER}", return_uri=f"{url}/login"),
        device_client(DEVICES),
        workload_client(WORKLOAD),
        workload_client(OPAQUE_WORKLOAD),
    ]
    with gateway, OidcProvider(clients, ca_file=gateway.certificate_file, port=port) as provider:
        yield Site(gateway, provider)
