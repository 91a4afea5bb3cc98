"""A real SAML identity provider on loopback: npm samlp, with people who sign in by a script.

It checks the signature of requests, signs assertions, responses or both, changes its keys, and logs people out at the
service by requests that their browser carries there.
"""

import base64
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_der_x509_certificate
from lxml import etree

from tests.adapters.identity.saml.asserter import new_pair
from tests.servers.browser import Browser
from tests.servers.npm import start_node
from tests.servers.process import accepts_connections, free_port

ADA, BOB = "ada", "bob"
PEOPLE: Mapping[str, dict[str, Any]] = {
    ADA: {"name_id": "ada-4711", "attributes": {"mail": "ada@example.org", "groups": ["g-staff", "g-oncall"]}},
    BOB: {"name_id": "bob-4712", "attributes": {"mail": "bob@example.org", "groups": ["g-staff"]}},
}


def _pair() -> dict[str, str]:
    key, certificate = new_pair()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"key": private.decode(), "cert": certificate.public_bytes(serialization.Encoding.PEM).decode()}


class SamlProvider:
    """Use it as a context manager; ``trust`` the service before somebody signs in for it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.entity_id = f"{self.url}/entity"
        self.metadata_url = f"{self.url}/metadata"
        self._settings = {
            "port": self.port,
            "issuer": self.entity_id,
            "people": PEOPLE,
            "pairs": [_pair(), _pair()],
            "signing": 0,
            "signs": "assertion",
            "service": {},
        }

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="saml-provider-")
        self.log = Path(self._directory.name) / "provider.log"
        self._process = start_node("saml_provider.mjs", self.log, {"SAML_PROVIDER": json.dumps(self._settings)})
        self._process.wait_until(lambda: accepts_connections(self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
        self._directory.cleanup()

    def change(self, **settings: Any) -> None:
        """``signing``: 0 or 1, the pair of keys in use; ``signs``: assertion, response or both."""
        httpx.put(f"{self.url}/settings", json=settings).raise_for_status()

    def trust(self, metadata: bytes) -> None:
        """Know a service by its metadata: where it answers, and with which key it signs its requests."""
        root = etree.fromstring(metadata)
        found = {str(element.tag).rpartition("}")[2]: element for element in root.iter()}
        certificate = load_der_x509_certificate(base64.b64decode(found["X509Certificate"].text or ""))
        service = {
            "entity_id": root.get("entityID"),
            "consumer_url": found["AssertionConsumerService"].get("Location"),
            "logout_url": found["SingleLogoutService"].get("Location"),
            "certificate": certificate.public_bytes(serialization.Encoding.PEM).decode(),
        }
        self.change(service=service)

    def sign_in(self, browser: Browser, person: str) -> httpx.Response:
        """Say who one is; the answer is the page with the form that goes to the service."""
        assert browser.url.startswith(self.url), (browser.url, browser.answer.text)
        return browser.submit({"login": person})
