"""The OpenID provider of tests does what tests rely on, each flow once."""

import urllib.parse
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from interlock.adapters.identity.token import take_apart
from tests.servers.browser import Browser
from tests.servers.oidc_provider import (
    ADA,
    AUDIENCE,
    BOB,
    SECRET,
    OidcProvider,
    device_client,
    web_client,
    workload_client,
)

CALLBACK = "http://127.0.0.1:9/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636, appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    clients = [
        web_client("web", CALLBACK, logout_uri="https://127.0.0.1:9/logout"),
        device_client("device"),
        workload_client("job"),
    ]
    with OidcProvider(clients) as provider:
        yield provider


def test_a_person_signs_in_and_the_code_counts_once(provider: OidcProvider) -> None:
    query = {
        "client_id": "web",
        "response_type": "code",
        "scope": "openid",
        "redirect_uri": CALLBACK,
        "state": "s",
        "nonce": "n",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    with Browser() as browser:
        browser.leave_at = (CALLBACK,)
        browser.open(f"{provider.url}/auth?{urllib.parse.urlencode(query)}")
        provider.sign_in(browser, ADA)
        answer = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(browser.left_for).query))
    assert (answer["state"], answer["iss"]) == ("s", provider.url)
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    tokens, replayed = (httpx.post(f"{provider.url}/token", data=form, auth=("web", SECRET)) for _ in range(2))
    claims = take_apart(tokens.json()["id_token"]).claims
    assert (claims["sub"], claims["aud"], claims["nonce"]) == (ADA, "web", "n")
    assert claims["groups"] == ["g-staff", "g-oncall"]
    assert claims["sid"]
    assert replayed.json()["error"] == "invalid_grant"


def test_a_person_signs_in_elsewhere(provider: OidcProvider) -> None:
    begun = httpx.post(f"{provider.url}/device/auth", data={"client_id": "device", "scope": "openid"}).json()

    def poll() -> Any:
        form = {
            "client_id": "device",
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": begun["device_code"],
        }
        return httpx.post(f"{provider.url}/token", data=form).json()

    assert poll()["error"] == "authorization_pending"
    with Browser() as browser:
        provider.confirm_device(browser, begun["verification_uri_complete"], BOB)
    claims = take_apart(poll()["access_token"]).claims
    assert (claims["sub"], claims["aud"], claims["groups"]) == (BOB, AUDIENCE, ["g-staff"])


def test_a_workload_gets_a_token_for_the_gateway(provider: OidcProvider) -> None:
    claims = take_apart(provider.client_credentials("job")).claims
    assert (claims["sub"], claims["aud"], claims["iss"]) == ("job", AUDIENCE, provider.url)
