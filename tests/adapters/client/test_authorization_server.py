"""A gateway that cannot be reached, is another, or says what cannot be read; and what errors never hold."""

import pytest

from interlock.adapters.client import authorization_server
from interlock.adapters.client.authorization_server import HttpAuthorizationServer
from interlock.core.client import GatewayAddress
from interlock.core.errors import AdministrationRefused, ConfigurationError, InterlockError
from interlock.services.client.ports import GrantRefused
from tests.servers.authorization_server import ScriptedAuthorizationServer
from tests.servers.certificates import CertificateAuthority
from tests.servers.process import free_port

FIELDS = [("grant_type", "refresh_token"), ("refresh_token", "ill_planted")]


def said(address: GatewayAddress, kind: type[InterlockError] = AdministrationRefused) -> str:
    with pytest.raises(kind) as caught:
        HttpAuthorizationServer(address).token(FIELDS)
    assert "planted" not in f"{caught.value!r} {caught.value.__cause__!r}"
    return str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (400, {"error": "invalid_target", "error_description": "not \x07 that"}, r"not \x07 that"),
        (429, {"error": "invalid_request"}, "invalid_request"),
        (503, b"<html>ill_planted", "not this gateway (status 503)"),
        (404, {"detail": "nothing"}, "does not offer this"),
        (200, b"<html>ill_planted", "not this gateway"),
        (200, b'{"access_token": 7}', "not this gateway"),
        (500, {"detail": "x" * 5000}, "x" * 500),
        (302, b"", "not this gateway (status 302)"),
    ],
)
def test_answers_that_give_nothing(
    gateway: ScriptedAuthorizationServer, address: GatewayAddress, status: int, body: bytes, text: str
) -> None:
    gateway.script = [(status, body)]
    assert text in said(address)


def test_an_oversized_answer(
    gateway: ScriptedAuthorizationServer, address: GatewayAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authorization_server, "MAX_ANSWER_BYTES", 50)
    gateway.script = [(200, b'{"access_token": "' + b"x" * 100 + b'"}')]
    assert "not this gateway" in said(address)


def test_the_code_of_a_refusal(gateway: ScriptedAuthorizationServer, address: GatewayAddress) -> None:
    gateway.script = [(400, {"error": "invalid_grant"})]
    with pytest.raises(GrantRefused) as caught:
        HttpAuthorizationServer(address).token(FIELDS)
    assert caught.value.code == "invalid_grant"


def test_a_login_is_given_back(gateway: ScriptedAuthorizationServer, address: GatewayAddress) -> None:
    HttpAuthorizationServer(address).revoke("ill_planted")
    assert gateway.revoked == ["ill_planted"]


def test_nobody_is_there() -> None:
    assert "cannot be reached" in said(GatewayAddress(f"https://127.0.0.1:{free_port()}"))


def test_a_certificate_of_somebody_else(gateway: ScriptedAuthorizationServer) -> None:
    assert "name the CA with --api-ca" in said(GatewayAddress(gateway.url))
    assert gateway.forms == []


def test_a_certificate_for_another_name(
    gateway: ScriptedAuthorizationServer, authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = GatewayAddress(gateway.url.replace("127.0.0.1", "127.0.0.2"), str(authority.certificate_file))
    assert "https://127.0.0.2" in said(elsewhere)
    assert gateway.forms == []


@pytest.mark.parametrize("url", ["http://127.0.0.1", "gateway", "https://", "https://x:y", "https://x?y", "ftp://x"])
def test_what_is_no_address(url: str) -> None:
    assert "write https://host:port" in said(GatewayAddress(url), ConfigurationError)


def test_a_gateway_of_this_machine_that_does_not_run(tmp_path: object) -> None:
    assert "no gateway is running" in said(GatewayAddress(data_dir=str(tmp_path)))


def test_an_authority_that_cannot_be_read(gateway: ScriptedAuthorizationServer) -> None:
    assert "cannot be used as CA" in said(GatewayAddress(gateway.url, "/nowhere.pem"), ConfigurationError)
