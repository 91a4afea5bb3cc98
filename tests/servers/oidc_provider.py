"""A real OpenID provider on loopback: npm oidc-provider, with people who sign in by a script and clients to choose.

What it can do: authorization code with PKCE, refresh, device flow, client credentials, introspection, back-channel and
RP-initiated logout. ID tokens have ``groups``, and ``sid`` for clients that are told of logouts; access tokens for one
of ``audiences`` are JWTs. What a device client gets is for the first of them.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
from joserfc.jwk import RSAKey

from tests.servers.browser import Browser
from tests.servers.npm import start_node
from tests.servers.process import accepts_connections, free_port

ADA, BOB = "ada", "bob"
PEOPLE: Mapping[str, dict[str, Any]] = {
    ADA: {"email": "ada@example.org", "groups": ["g-staff", "g-oncall"]},
    BOB: {"email": "bob@example.org", "groups": ["g-staff"]},
}
AUDIENCE = "https://interlock.example.org"
SECRET = "a-secret-of-a-client-in-a-test"


def web_client(
    client_id: str, redirect_uri: str, *, logout_uri: str = "", return_uri: str = "", public: bool = False
) -> dict[str, Any]:
    """A client that people sign in for; with ``logout_uri`` it is told when they sign out (back channel)."""
    client: dict[str, Any] = {
        "client_id": client_id,
        "redirect_uris": [redirect_uri],
        "post_logout_redirect_uris": [return_uri] if return_uri else [],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none" if public else "client_secret_basic",
    }
    if not public:
        client["client_secret"] = SECRET
    if logout_uri:
        client |= {"backchannel_logout_uri": logout_uri, "backchannel_logout_session_required": True}
    return client


def device_client(client_id: str) -> dict[str, Any]:
    """A public client for logins with a browser elsewhere."""
    return {
        "client_id": client_id,
        "redirect_uris": [],
        "response_types": [],
        "grant_types": ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    }


def workload_client(client_id: str) -> dict[str, Any]:
    """A client that gets tokens for itself, and may introspect others."""
    return {
        "client_id": client_id,
        "client_secret": SECRET,
        "redirect_uris": [],
        "response_types": [],
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_basic",
    }


class OidcProvider:
    """Use it as a context manager. ``ca_file`` vouches for the servers that it calls itself (back-channel logout)."""

    def __init__(
        self,
        clients: Sequence[Mapping[str, Any]],
        *,
        people: Mapping[str, Mapping[str, Any]] = PEOPLE,
        audiences: Sequence[str] = (AUDIENCE,),
        ca_file: Path | None = None,
        port: int = 0,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = {
            "issuer": self.url,
            "port": self.port,
            "clients": list(clients),
            "accounts": dict(people),
            "audiences": list(audiences),
            "key": RSAKey.generate_key(2048).as_dict(private=True, kid="key-1", use="sig", alg="RS256"),
        }
        self._ca_file = ca_file

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="oidc-provider-")
        self.log = Path(self._directory.name) / "provider.log"
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._directory.cleanup()

    def start(self) -> None:
        """Start it; but for its key it knows nothing of what was before."""
        environment = {"OIDC_PROVIDER": json.dumps(self._settings)}
        if self._ca_file is not None:
            environment["NODE_EXTRA_CA_CERTS"] = str(self._ca_file)
        self._process = start_node("oidc_provider.mjs", self.log, environment)
        self._process.wait_until(lambda: accepts_connections(self.port))

    def stop(self) -> None:
        self._process.stop()

    def sign_in(self, browser: Browser, person: str) -> httpx.Response:
        """Sign a person in who has just been sent here: fill in the provider's form, and go on."""
        assert browser.url.startswith(self.url), (browser.url, browser.answer.text)
        return browser.submit({"login": person, "password": "any"})

    def sign_out(self, browser: Browser) -> httpx.Response:
        """Sign a person out at the provider, who tells its clients."""
        if not browser.url.startswith(f"{self.url}/session/end"):
            browser.open(f"{self.url}/session/end")
        return browser.submit({"logout": "yes"})

    def confirm_device(self, browser: Browser, verification_uri_complete: str, person: str) -> httpx.Response:
        """Open the link of a device login and answer what is asked: the code, if it is right, who one is, consent."""
        browser.open(verification_uri_complete)
        while browser.forms:
            browser.submit({"login": person} if "login" in browser.forms[0].fields else None)
        return browser.answer

    def client_credentials(self, client_id: str, audience: str = AUDIENCE) -> str:
        """An access token of a client itself, for the audience: opaque for clients with such a name, else a JWT."""
        form = {"grant_type": "client_credentials", "resource": audience, "scope": "use"}
        answer = httpx.post(f"{self.url}/token", data=form, auth=(client_id, SECRET))
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def revoke(self, client_id: str, token: str) -> None:
        """Take a client's token back (RFC 7009)."""
        answer = httpx.post(f"{self.url}/token/revocation", data={"token": token}, auth=(client_id, SECRET))
        assert answer.status_code == 200, answer.text
