"""Logging in with a browser on this machine, and on another one, at a gateway that checks what it is sent."""

import contextlib
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from interlock.adapters.client.authorization_server import HttpAuthorizationServer
from interlock.adapters.client.loopback import LoopbackRedirection
from interlock.core.client import GatewayAddress
from interlock.core.errors import AdministrationRefused
from interlock.services.client import sign_in as sign_in_module
from interlock.services.client.ports import DeviceAnswer, GrantRefused
from interlock.services.client.sign_in import SignIn
from tests.clocks import ManualClock
from tests.servers.authorization_server import ScriptedAuthorizationServer


class Person:
    """Opens what is shown in a browser, and signs in."""

    def __init__(self, gateway: ScriptedAuthorizationServer) -> None:
        self.gateway = gateway
        self.changes: dict[str, str] = {}
        self.before: Callable[[str], None] = lambda _: None

    def open(self, url: str) -> None:
        threading.Thread(target=self._browse, args=(url,)).start()

    def _browse(self, url: str) -> None:
        back = self.gateway.sign_in(url, **self.changes)
        self.before(back)
        fetch(back)


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            assert response.headers["Cache-Control"] == "no-store"
            return int(response.status), response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def person(gateway: ScriptedAuthorizationServer) -> Person:
    return Person(gateway)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def signing_in(address: GatewayAddress, clock: ManualClock) -> SignIn:
    return SignIn(HttpAuthorizationServer(address), clock, clock.advance)


def test_a_browser_brings_the_code(signing_in: SignIn, person: Person, gateway: ScriptedAuthorizationServer) -> None:
    shown: list[str] = []

    def show(url: str) -> None:
        shown.append(url)
        person.open(url)

    answer = signing_in.by_browser(LoopbackRedirection, show, "corporate")
    assert (answer.refresh_token, answer.login) == (gateway.refresh_token, "ada")
    assert "provider=corporate" in shown[0]
    assert shown[0].startswith(f"{gateway.url}/oauth2/authorize?")


def test_two_logins_share_no_secret(signing_in: SignIn, person: Person, gateway: ScriptedAuthorizationServer) -> None:
    shown: list[str] = []

    def show(url: str) -> None:
        shown.append(url)
        person.open(url)

    for _ in range(2):
        signing_in.by_browser(LoopbackRedirection, show, "")
    first, second = (set(url.partition("?")[2].split("&")) for url in shown)
    common = {part.partition("=")[0] for part in first & second}
    assert common == {"response_type", "client_id", "code_challenge_method"}
    assert gateway.forms[0]["code_verifier"] != gateway.forms[1]["code_verifier"]


def test_answers_that_are_not_ours_are_not_taken(signing_in: SignIn, person: Person) -> None:
    seen: list[tuple[int, str]] = []

    def before(back: str) -> None:
        place = back.partition("?")[0]
        for wrong in (place, f"{place}?code=stolen", f"{place}?code=stolen&state=guess", f"{place}/other?{back}"):
            seen.append(fetch(wrong))

    person.before = before
    assert signing_in.by_browser(LoopbackRedirection, person.open, "").refresh_token
    assert [status for status, _ in seen] == [400, 400, 400, 404]
    assert all("not the answer" in page for _, page in seen[:3])


def test_connections_that_say_nothing_or_too_much_keep_nobody_waiting(signing_in: SignIn, person: Person) -> None:
    """Browsers open connections that they may need; others may try to be in the way."""
    with contextlib.ExitStack() as stack:

        def before(back: str) -> None:
            place = urlsplit(back)
            for said in (
                b"",
                b"GET /callback?",
                b"GET /" + b"x" * 100_000,
                b"POST /callback HTTP/1.1\r\n\r\n",
                b"\x16\x03",
            ):
                connection = stack.enter_context(socket.create_connection((str(place.hostname), place.port or 0)))
                with contextlib.suppress(ConnectionError):
                    connection.sendall(said)

        person.before = before
        assert signing_in.by_browser(LoopbackRedirection, person.open, "").refresh_token


def test_a_refusal_is_told(signing_in: SignIn, person: Person) -> None:
    person.changes = {"code": "", "error": "access_denied", "error_description": "the person\x1b[2J said no"}
    with pytest.raises(GrantRefused, match=r"did not log you in: the person\\x1b\[2J said no"):
        signing_in.by_browser(LoopbackRedirection, person.open, "")


def test_the_answer_of_another_server_is_refused(
    signing_in: SignIn, person: Person, gateway: ScriptedAuthorizationServer
) -> None:
    person.changes = {"iss": "https://evil.example"}
    with pytest.raises(GrantRefused, match="not this gateway"):
        signing_in.by_browser(LoopbackRedirection, person.open, "")
    assert gateway.forms == []


def test_nobody_signs_in(signing_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in_module, "BROWSER_TIMEOUT_S", 0.01)
    with pytest.raises(GrantRefused, match="nobody signed in"):
        signing_in.by_browser(LoopbackRedirection, lambda _: None, "")


@pytest.mark.parametrize("endpoint", ["", "http://gateway.example/authorize", "javascript:alert(1)", "https:///x?y=1"])
def test_people_are_sent_nowhere_else(signing_in: SignIn, gateway: ScriptedAuthorizationServer, endpoint: str) -> None:
    gateway.metadata = {"authorization_endpoint": endpoint}
    with pytest.raises(AdministrationRefused, match=r"no provider|not https"):
        signing_in.by_browser(LoopbackRedirection, lambda _: pytest.fail("was shown"), "")


def test_a_code_and_a_link_are_shown_and_polled(
    signing_in: SignIn, gateway: ScriptedAuthorizationServer, clock: ManualClock
) -> None:
    shown: list[DeviceAnswer] = []
    gateway.script = [(400, {"error": "authorization_pending"}), (400, {"error": "slow_down"})]
    began_s = clock.monotonic_s()
    assert signing_in.by_device(shown.append, "").refresh_token == gateway.refresh_token
    assert clock.monotonic_s() - began_s == 1 + 1 + 6
    assert shown[0].user_code == "WDJB-MJHT"
    assert {form["device_code"][0] for form in gateway.forms} == {shown[0].device_code}
    assert shown[0].device_code not in repr(shown[0])


def test_a_gateway_where_nobody_signs_in_elsewhere(signing_in: SignIn, gateway: ScriptedAuthorizationServer) -> None:
    gateway.metadata = {"device_authorization_endpoint": ""}
    with pytest.raises(GrantRefused, match="leave --device away"):
        signing_in.by_device(lambda _: pytest.fail("was shown"), "")


@pytest.mark.parametrize("code", ["access_denied", "expired_token", "invalid_grant"])
def test_a_device_is_refused(signing_in: SignIn, gateway: ScriptedAuthorizationServer, code: str) -> None:
    gateway.script = [(400, {"error": code, "error_description": "no"})]
    with pytest.raises(GrantRefused, match="no"):
        signing_in.by_device(lambda _: None, "")


def test_a_device_waits_no_longer_than_it_may(signing_in: SignIn, gateway: ScriptedAuthorizationServer) -> None:
    gateway.device = {"expires_in": 10, "interval": 5}
    gateway.script = [(400, {"error": "authorization_pending"})] * 10
    with pytest.raises(GrantRefused, match="in time"):
        signing_in.by_device(lambda _: None, "")
    assert len(gateway.forms) == 2
