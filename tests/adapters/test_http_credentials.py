"""What HTTP targets are shown, and that it is found in no error and no ``repr``."""

import asyncio
import base64
from typing import Any

import pytest

from interlock.adapters.credentials import RevealedCredential
from interlock.adapters.http_credentials import FRESH_S, HttpCredentialDesk
from interlock.core.errors import CredentialUnavailable
from interlock.core.http_credential import HttpCredential
from interlock.core.settings import OWN_CONNECTION, ConnectionSettings, CredentialReference, HttpTarget, OAuthClient
from tests.clocks import ManualClock
from tests.servers.token_endpoint import CLIENT, SECRET, TokenEndpoint


class Shop:
    """A connection store and a vault with one HTTP connection, ``shop``, whose parts may be changed."""

    def __init__(self, secret: str | None, **target: Any) -> None:
        self.secret = secret
        self.user = ""
        self.target = target
        self.revealed = 0

    def find(self, name: str) -> ConnectionSettings | None:
        if name not in ("shop", OWN_CONNECTION):
            return None
        reference = CredentialReference(sealed=True)
        return ConnectionSettings(
            protocol="http", host="api.example", user=self.user, credential=reference, http=HttpTarget(**self.target)
        )

    def all(self) -> dict[str, ConnectionSettings]:
        raise NotImplementedError

    def is_configured(self, name: str) -> bool:
        raise NotImplementedError

    async def save(self, name: str, settings: ConnectionSettings) -> None:
        raise NotImplementedError

    async def remove(self, name: str) -> None:
        raise NotImplementedError

    async def reveal(self, connection: str) -> RevealedCredential:
        self.revealed += 1
        if self.secret == "":
            raise CredentialUnavailable("not set")
        return RevealedCredential("", self.secret, None, None)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def desk(shop: Shop, clock: ManualClock) -> HttpCredentialDesk:
    return HttpCredentialDesk(shop, shop, clock)


def basic(pair: str) -> bytes:
    return b"Basic " + base64.b64encode(pair.encode())


@pytest.mark.parametrize(
    ("way", "user", "secret", "shown"),
    [
        ("bearer", "", "planted", HttpCredential(((b"authorization", b"Bearer planted"),))),
        ("basic", "joe", "plänted:x", HttpCredential(((b"authorization", basic("joe:plänted:x")),))),
        ("basic", "", "sk_planted:", HttpCredential(((b"authorization", basic("sk_planted:")),))),
        ("header:X-Api-Key", "", "plan ted", HttpCredential(((b"x-api-key", b"plan ted"),))),
        ("query:key", "", "plan&ted=ü", HttpCredential(query=(("key", "plan&ted=ü"),))),
        ("none", "", "planted", HttpCredential()),
        ("bearer", "", None, HttpCredential()),
        ("basic", "joe", None, HttpCredential()),
    ],
)
async def test_how_it_is_shown(
    way: str, user: str, secret: str | None, shown: HttpCredential, clock: ManualClock
) -> None:
    shop = Shop(secret, credential_as=way)
    shop.user = user
    found = await desk(shop, clock).get("shop")
    assert found == shown
    assert "plan" not in repr(found) + str(found)


@pytest.mark.parametrize(
    ("way", "user", "secret"),
    [
        ("bearer", "", "planted\r\nHost: evil"),
        ("bearer", "", "plänted"),
        ("bearer", "", " planted"),
        ("header:X-Api-Key", "", "planted\n"),
        ("header:X-Api-Key", "", "planted\x00"),
        ("query:key", "", "planted\r\n"),
        ("basic", "jo:e", "planted"),
        ("basic", "", "planted"),
        ("basic", "joe", "planted\x7f"),
    ],
)
async def test_what_cannot_be_shown(way: str, user: str, secret: str, clock: ManualClock) -> None:
    shop = Shop(secret, credential_as=way)
    shop.user = user
    with pytest.raises(CredentialUnavailable, match="cannot be sent as") as caught:
        await desk(shop, clock).get("shop")
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Connection", "Proxy-Authorization"])
def test_header_fields_that_are_none_for_credentials(name: str) -> None:
    with pytest.raises(ValueError, match="a meaning of its own"):
        HttpTarget(credential_as=f"header:{name}")


async def test_a_request_costs_nothing_while_nothing_changes(clock: ManualClock) -> None:
    shop = Shop("planted")
    credentials = desk(shop, clock)
    assert credentials.peek("shop") is None
    found = await credentials.get("shop")
    for _ in range(10):
        assert credentials.peek("shop") is found
    assert shop.revealed == 1
    clock.advance(FRESH_S)
    assert credentials.peek("shop") is None


async def test_a_changed_credential_counts_a_moment_later(clock: ManualClock) -> None:
    shop = Shop("planted-1")
    credentials = desk(shop, clock)
    await credentials.get("shop")
    shop.secret = "planted-2"
    clock.advance(FRESH_S)
    assert credentials.peek("shop") is None
    assert (await credentials.get("shop")).headers == ((b"authorization", b"Bearer planted-2"),)


async def test_a_credential_that_is_gone_is_not_shown_again(clock: ManualClock) -> None:
    shop = Shop("planted")
    credentials = desk(shop, clock)
    await credentials.get("shop")
    shop.secret = ""
    clock.advance(FRESH_S)
    with pytest.raises(CredentialUnavailable):
        await credentials.get("shop")
    assert credentials.peek("shop") is None
    with pytest.raises(CredentialUnavailable, match="no connection"):
        await credentials.get("nowhere")


async def test_oauth(clock: ManualClock) -> None:
    async with TokenEndpoint() as endpoint:
        shop = Shop(SECRET, credential_as="oauth", oauth=OAuthClient(token_url=endpoint.url, client_id=CLIENT))
        credentials = desk(shop, clock)
        assert (await credentials.get("shop")).headers == ((b"authorization", b"Bearer token-1"),)
        clock.advance(60)
        assert (await credentials.get("shop")).headers == ((b"authorization", b"Bearer token-1"),)
        credentials.forget("shop")
        assert credentials.peek("shop") is None
        assert (await credentials.get("shop")).headers == ((b"authorization", b"Bearer token-2"),)


async def test_a_rotated_secret_gets_a_token_of_its_own(clock: ManualClock) -> None:
    async with TokenEndpoint() as endpoint:
        shop = Shop(SECRET, credential_as="oauth", oauth=OAuthClient(token_url=endpoint.url, client_id=CLIENT))
        credentials = desk(shop, clock)
        await credentials.get("shop")
        shop.secret = "another"
        clock.advance(FRESH_S)
        with pytest.raises(CredentialUnavailable, match="invalid_client"):
            await credentials.get("shop")
        assert credentials.peek("shop") is None
        endpoint.secret = "another"
        clock.advance(2)
        assert (await credentials.get("shop")).headers == ((b"authorization", b"Bearer token-2"),)


def test_oauth_needs_its_settings_and_its_secret() -> None:
    oauth = OAuthClient(token_url="https://tokens.example/token", client_id="c")
    with pytest.raises(ValueError, match="together"):
        ConnectionSettings(protocol="http", host="h", http=HttpTarget(credential_as="oauth"))
    with pytest.raises(ValueError, match="needs a credential"):
        ConnectionSettings(protocol="http", host="h", http=HttpTarget(credential_as="oauth", oauth=oauth))


async def test_the_callers_token_goes_to_the_gateways_own_server_only(clock: ManualClock) -> None:
    credentials = desk(Shop("planted"), clock)
    assert not (await credentials.get(OWN_CONNECTION)).caller
    credentials.own = (b"interlock-own-server", b"planted")
    clock.advance(FRESH_S)
    own = await credentials.get(OWN_CONNECTION)
    assert own == HttpCredential(((b"interlock-own-server", b"planted"),), caller=True)
    assert "planted" not in repr(own)
    assert not (await credentials.get("shop")).caller


class SlowShop(Shop):
    """Reads its credential, and gives it only when it is told to."""

    def __init__(self, secret: str) -> None:
        super().__init__(secret)
        self.read, self.give = asyncio.Event(), asyncio.Event()

    async def reveal(self, connection: str) -> RevealedCredential:
        found = await super().reveal(connection)
        self.read.set()
        await self.give.wait()
        return found


async def test_what_was_read_before_it_was_renewed_is_not_used_again(clock: ManualClock) -> None:
    shop = SlowShop("planted")
    kept = desk(shop, clock)
    reading = asyncio.ensure_future(kept.get("shop"))
    await shop.read.wait()
    shop.secret = "another"
    kept.renew("shop")
    shop.give.set()
    await reading
    assert kept.peek("shop") is None
    assert (await kept.get("shop")).headers == ((b"authorization", b"Bearer another"),)
