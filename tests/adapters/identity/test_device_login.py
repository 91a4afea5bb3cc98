"""Logins with a browser elsewhere, at a real issuer: what is shown, how often is asked, and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.device_login import (
    MAX_INTERVAL_S,
    MAX_PENDING,
    MAX_PENDING_OF_SOURCE,
    SLOW_DOWN_S,
    DeviceLogin,
    DeviceLogins,
    device_logins,
)
from interlock.adapters.identity.registry import Registry
from interlock.core.errors import LoginRefused
from interlock.core.settings import IdentityKind, IdentityRule, IssuerSettings
from tests.adapters.identity.conftest import KnownIdentities
from tests.clocks import ManualClock
from tests.servers.device_issuer import CLIENT_ID, PENDING, DeviceIssuer

INTERVAL_S = 5
HERE = "192.0.2.7"


class Waiting:
    """Sleeps in no time at all: the clock moves. ``then`` happens after so many sleeps."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)


@pytest.fixture
def device_issuer(clock: ManualClock) -> Iterator[DeviceIssuer]:
    with DeviceIssuer(clock.now_s, INTERVAL_S) as issuer:
        yield issuer


@pytest.fixture
def waiting(clock: ManualClock) -> Waiting:
    return Waiting(clock)


@pytest.fixture
async def logins(device_issuer: DeviceIssuer, clock: ManualClock, waiting: Waiting) -> AsyncIterator[DeviceLogins]:
    logins = DeviceLogins(IssuerSettings(**device_issuer.settings()), clock, waiting.sleep)
    yield logins
    await logins.close()


async def refusal(login: DeviceLogin) -> LoginRefused:
    with pytest.raises(LoginRefused) as caught:
        await login.poll()
    return caught.value


async def test_a_person_signs_in_and_the_token_counts(
    logins: DeviceLogins, device_issuer: DeviceIssuer, identities: KnownIdentities, clock: ManualClock
) -> None:
    login = await logins.begin(HERE)
    assert login.verification_uri_complete == f"{device_issuer.url}/activate?user_code={login.user_code}"
    assert login.verification_uri_complete in login.instruction
    assert login.user_code in login.instruction
    device_issuer.sign_in(login.user_code, "ada")
    token = await login.poll()
    rule = IdentityRule(issuer=device_issuer.url, when={}, identity="{sub}", kind=IdentityKind.USER)
    authenticator = TokenAuthenticator(
        [IssuerSettings(**device_issuer.settings())], [rule], Registry(identities), clock
    )
    assert (await authenticator.authenticate(token, "")).name == "ada"
    await authenticator.close()


async def test_it_asks_again_until_the_person_is_done(
    logins: DeviceLogins, device_issuer: DeviceIssuer, waiting: Waiting
) -> None:
    login = await logins.begin(HERE)
    device_issuer.script = [(400, PENDING), (400, PENDING)]
    device_issuer.sign_in(login.user_code, "ada")
    assert await login.poll()
    assert waiting.slept == [INTERVAL_S] * 3
    assert len({form["device_code"] for form in device_issuer.polls}) == 1


async def test_it_asks_less_often_when_told_to(
    logins: DeviceLogins, device_issuer: DeviceIssuer, waiting: Waiting
) -> None:
    login = await logins.begin(HERE)
    device_issuer.script = [(400, {"error": "slow_down"}), (400, PENDING), (400, {"error": "slow_down"})]
    device_issuer.sign_in(login.user_code, "ada")
    assert await login.poll()
    assert waiting.slept == [INTERVAL_S, *[INTERVAL_S + SLOW_DOWN_S] * 2, INTERVAL_S + 2 * SLOW_DOWN_S]


async def test_it_backs_off_while_the_issuer_fails(
    logins: DeviceLogins, device_issuer: DeviceIssuer, waiting: Waiting
) -> None:
    login = await logins.begin(HERE)
    device_issuer.script = [(503, {})] * 5
    device_issuer.sign_in(login.user_code, "ada")
    assert await login.poll()
    assert waiting.slept == [5, 10, 20, 40, MAX_INTERVAL_S, MAX_INTERVAL_S]


async def test_the_person_says_no(logins: DeviceLogins, device_issuer: DeviceIssuer) -> None:
    login = await logins.begin(HERE)
    device_issuer.refuse(login.user_code)
    assert (await refusal(login)).reason == "device login: access_denied"


async def test_the_issuer_says_that_it_took_too_long(logins: DeviceLogins, device_issuer: DeviceIssuer) -> None:
    login = await logins.begin(HERE)
    device_issuer.script = [(400, {"error": "expired_token"})]
    assert (await refusal(login)).reason == "device login: expired_token"


async def test_it_ends_by_itself(logins: DeviceLogins, device_issuer: DeviceIssuer, waiting: Waiting) -> None:
    device_issuer.begun = {"expires_in": 3 * INTERVAL_S}
    login = await logins.begin(HERE)
    assert (await refusal(login)).reason == "device login: expired"
    assert len(device_issuer.polls) == 2


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, {"error": "invalid_client"}),
        (400, {"error": "access denied\r\nforged line"}),
        (400, {}),
        (302, {}),
        (200, {}),
        (200, {"access_token": 7}),
    ],
)
async def test_any_other_answer_ends_it(
    logins: DeviceLogins, device_issuer: DeviceIssuer, status: int, answer: dict[str, object]
) -> None:
    login = await logins.begin(HERE)
    device_issuer.script = [(status, answer)]
    refused = await refusal(login)
    assert "forged" not in f"{refused} {refused.reason}"
    assert len(device_issuer.polls) == 1


async def test_where_the_client_is_the_audience_it_is_the_id_token(
    device_issuer: DeviceIssuer, clock: ManualClock, waiting: Waiting
) -> None:
    logins = DeviceLogins(IssuerSettings(**device_issuer.settings(audience=CLIENT_ID)), clock, waiting.sleep)
    login = await logins.begin(HERE)
    device_issuer.script = [(200, {"access_token": "opaque", "id_token": "the-id-token"})]
    assert await login.poll() == "the-id-token"
    await logins.close()


@pytest.mark.parametrize(
    "begun",
    [
        {"device_code": None},
        {"user_code": None},
        {"user_code": "A\x1b[2J"},
        {"user_code": "A" * 65},
        {"verification_uri": None},
        {"verification_uri_complete": "javascript:alert(1)"},
        {"verification_uri_complete": "http://elsewhere.example/?user_code=A"},
        {"verification_uri_complete": "https://issuer.example/?\x1b[2J"},
        {"verification_uri_complete": "https://issuer.example/?" + "x" * 3000},
        {"verification_uri_complete": "https://you@issuer.example/"},
        {"expires_in": "soon"},
        {"expires_in": None},
    ],
)
async def test_what_cannot_be_shown_is_not(
    logins: DeviceLogins, device_issuer: DeviceIssuer, begun: dict[str, object]
) -> None:
    device_issuer.begun = begun
    with pytest.raises(LoginRefused, match="cannot be asked for a login"):
        await logins.begin(HERE)


async def test_without_a_complete_link_it_is_link_and_code(logins: DeviceLogins, device_issuer: DeviceIssuer) -> None:
    device_issuer.begun = {"verification_uri_complete": None}
    login = await logins.begin(HERE)
    assert f"{device_issuer.url}/activate with the code {login.user_code}" in login.instruction


async def test_an_issuer_that_does_not_let_it(logins: DeviceLogins, device_issuer: DeviceIssuer) -> None:
    device_issuer.begin_status = 400
    with pytest.raises(LoginRefused, match="log in with a token"):
        await logins.begin(HERE)


async def test_an_issuer_that_is_gone(device_issuer: DeviceIssuer, clock: ManualClock) -> None:
    settings = device_issuer.settings()
    gone = DeviceLogins(IssuerSettings(**settings | {"url": "http://127.0.0.1:9"}), clock)
    with pytest.raises(LoginRefused, match="log in with a token"):
        await gone.begin(HERE)
    await gone.close()


async def test_logins_that_wait_are_bounded(
    logins: DeviceLogins, device_issuer: DeviceIssuer, clock: ManualClock
) -> None:
    waiting = [await logins.begin(f"192.0.2.{number}") for number in range(MAX_PENDING)]
    with pytest.raises(LoginRefused, match="too many logins"):
        await logins.begin("198.51.100.1")
    device_issuer.sign_in(waiting[0].user_code, "ada")
    await waiting[0].poll()
    waiting[1].abandon()
    for _ in range(2):
        await logins.begin("198.51.100.1")
    with pytest.raises(LoginRefused, match="too many logins"):
        await logins.begin("198.51.100.1")
    clock.advance(301)
    await logins.begin("198.51.100.1")
    assert device_issuer.discoveries == 1


async def test_one_address_cannot_keep_others_from_logging_in(logins: DeviceLogins) -> None:
    for number in range(MAX_PENDING_OF_SOURCE):
        await logins.begin(f"2001:db8::{number}")
    with pytest.raises(LoginRefused, match="too many logins"):
        await logins.begin("2001:db8::ffff")
    await logins.begin("2001:db8:1::1")


async def test_logins_that_begin_at_one_moment_are_bounded(logins: DeviceLogins) -> None:
    begun = await asyncio.gather(*(logins.begin(HERE) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(one, DeviceLogin) for one in begun) == MAX_PENDING_OF_SOURCE


async def test_a_client_that_leaves_makes_room(device_issuer: DeviceIssuer, clock: ManualClock) -> None:
    logins = DeviceLogins(IssuerSettings(**device_issuer.settings()), clock)
    login = await logins.begin(HERE)
    task = asyncio.ensure_future(login.poll())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not logins._pending
    await logins.close()


async def test_the_codes_stay_hidden(logins: DeviceLogins, device_issuer: DeviceIssuer) -> None:
    login = await logins.begin(HERE)
    device_issuer.refuse(login.user_code)
    refused = await refusal(login)
    device_code = device_issuer.polls[0]["device_code"]
    assert device_code not in f"{login!r} {refused!r} {refused.reason} {login.instruction}"


async def test_the_scope_is_the_settings(device_issuer: DeviceIssuer, clock: ManualClock) -> None:
    settings = IssuerSettings(**device_issuer.settings(device_scope="openid api://gateway/ssh"))
    logins = device_logins([IssuerSettings(url="https://other.example", audience="x"), settings], clock)
    assert logins is not None
    await logins.begin(HERE)
    assert device_issuer.scopes == ["openid api://gateway/ssh"]
    await logins.close()


def test_without_a_client_there_are_none(clock: ManualClock) -> None:
    assert device_logins([IssuerSettings(url="https://other.example", audience="x")], clock) is None
