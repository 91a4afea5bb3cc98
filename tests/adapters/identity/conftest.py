"""An issuer that is trusted, and an authenticator that trusts it."""

from collections.abc import AsyncIterator

import pytest

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.registry import Registry
from interlock.core.errors import StateUnavailable
from interlock.core.identity import RegisteredIdentity
from interlock.core.settings import IdentityRule
from tests.adapters.identity.issuer_server import IssuerServer
from tests.clocks import ManualClock


class KnownIdentities:
    """Registered identities in memory; ``broken`` makes them impossible to look up."""

    def __init__(self) -> None:
        self.by_name: dict[str, RegisteredIdentity] = {}
        self.broken = False

    def find(self, name: str) -> RegisteredIdentity | None:
        if self.broken:
            raise StateUnavailable("broken")
        return self.by_name.get(name)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def identities() -> KnownIdentities:
    return KnownIdentities()


@pytest.fixture
async def issuer(clock: ManualClock) -> AsyncIterator[IssuerServer]:
    """A running issuer with one ES256 key, ``key-1``."""
    server = IssuerServer(clock)
    await server.start()
    server.add_key("key-1")
    yield server
    await server.stop()


@pytest.fixture
async def authenticator(
    issuer: IssuerServer, identities: KnownIdentities, clock: ManualClock
) -> AsyncIterator[TokenAuthenticator]:
    """Trusts the issuer, and names holders after their repository."""
    rule = IdentityRule(issuer="ci", when={"repository": "acme/*"}, identity="ci:{repository}", groups=("ci",))
    authenticator = TokenAuthenticator([issuer.settings(name="ci")], [rule], Registry(identities), clock)
    yield authenticator
    await authenticator.close()
