"""A real Keycloak on loopback, over TLS: people sign in at its own pages by a script, and tests administer it.

Its database is in memory: nothing is left of it. ``tools/keycloak.sh`` has to have brought it.
"""

import os
import re
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from tests.servers.browser import Browser
from tests.servers.certificates import CertificateAuthority
from tests.servers.process import ServerProcess, accepts_connections, free_port

SERVER = Path(__file__).parents[2] / "build" / "keycloak" / "server"
START_S = 300.0
MAX_STEPS = 6
_ADMIN = {"username": "admin", "password": "the-administrator-of-a-test"}
_TIMEOUT_S = 60.0


class Keycloak:
    """Use it as a context manager. It trusts the servers of ``authority``, whose certificate it has itself."""

    def __init__(self, authority: CertificateAuthority) -> None:
        self.authority = authority
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        tls = ssl.create_default_context(cafile=authority.certificate_file)
        self.client = httpx.Client(base_url=self.url, verify=tls, timeout=_TIMEOUT_S)

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="keycloak-")
        directory = Path(self._directory.name)
        self._process = ServerProcess(
            ["sh", SERVER / "bin" / "kc.sh", "start", "--optimized", *self._options()],
            log=directory / "keycloak.log",
            directory=directory,
            environment={
                **os.environ,
                "KC_BOOTSTRAP_ADMIN_USERNAME": _ADMIN["username"],
                "KC_BOOTSTRAP_ADMIN_PASSWORD": _ADMIN["password"],
                "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m",
                "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1",
            },
        )
        self._process.wait_until(lambda: accepts_connections(self.port), timeout_s=START_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._process.stop(timeout_s=60)
        self._directory.cleanup()

    @property
    def ca_file(self) -> str:
        return str(self.authority.certificate_file)

    def add_realm(self, settings: Mapping[str, Any]) -> "Realm":
        """A realm as its JSON export has it."""
        realm = Realm(self, settings["realm"])
        self.administer("POST", "/admin/realms", json=settings)
        return realm

    def administer(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One call of the admin API, with a token that is fresh."""
        form = {"grant_type": "password", "client_id": "admin-cli", **_ADMIN}
        token = self.client.post("/realms/master/protocol/openid-connect/token", data=form).raise_for_status().json()
        headers = {"Authorization": f"Bearer {token['access_token']}", **request.pop("headers", {})}
        answer = self.client.request(method, path, headers=headers, **request)
        assert answer.is_success, (method, path, answer.text)
        return answer

    def _options(self) -> list[str]:
        own = self.authority.issue_server()
        return [
            "--cache=local",
            "--http-host=127.0.0.1",
            f"--https-port={self.port}",
            f"--hostname={self.url}",
            f"--https-certificate-file={own.certificate_file}",
            f"--https-certificate-key-file={own.key_file}",
            f"--truststore-paths={self.ca_file}",
        ]


@dataclass(frozen=True)
class Realm:
    """One realm: an OpenID issuer and a SAML identity provider, with its people."""

    keycloak: Keycloak
    name: str

    @property
    def url(self) -> str:
        """The issuer's name, which is also the SAML provider's entity id."""
        return f"{self.keycloak.url}/realms/{self.name}"

    def administer(self, method: str, path: str = "", **request: Any) -> Any:
        """One call of the admin API about this realm, and what it says."""
        answer = self.keycloak.administer(method, f"/admin/realms/{self.name}{path}", **request)
        return answer.json() if answer.content else None

    def sign_in(self, browser: Browser, person: str) -> httpx.Response:
        """Sign a person in who has just been sent here, and go on."""
        assert browser.url.startswith(self.url), (browser.url, browser.answer.text)
        return browser.submit({"username": person, "password": password_of(person)})

    def sign_out(self, browser: Browser) -> httpx.Response:
        """Sign a person out at the provider, who tells its clients."""
        if "/openid-connect/logout" not in browser.url:
            browser.open(f"{self.url}/protocol/openid-connect/logout")
        return browser.submit({"confirmLogout": "Logout"})

    def confirm_device(self, browser: Browser, verification_uri_complete: str, person: str) -> httpx.Response:
        """Open the link of a device login and answer what is asked: who one is, and consent."""
        browser.open(verification_uri_complete)
        for _ in range(MAX_STEPS):
            if not browser.forms:
                break
            if "username" in browser.forms[0].fields:
                self.sign_in(browser, person)
            else:
                browser.submit({"accept": "Yes"})
        return browser.answer

    def client_credentials(self, client_id: str, secret: str) -> str:
        """An access token of a client itself."""
        form = {"grant_type": "client_credentials"}
        answer = self.keycloak.client.post(
            f"/realms/{self.name}/protocol/openid-connect/token", data=form, auth=(client_id, secret)
        )
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def user(self, name: str) -> str:
        """The id of a person, which is ``sub`` in tokens."""
        (found,) = self.administer("GET", "/users", params={"username": name, "exact": "true"})
        user_id: str = found["id"]
        return user_id


def password_of(person: str) -> str:
    return f"the-password-of-{person}"


def page_text(answer: httpx.Response) -> str:
    """What a page says, without its markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.text))
