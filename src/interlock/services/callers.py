"""Who is calling: from a bearer token, or from an account of this machine, to an actor.

A token that is not accepted is on record as a connection refused, without the token. What an actor may do is decided
elsewhere (``services.authority``).
"""

from typing import Final

from interlock.core.errors import LoginRefused, StateUnavailable
from interlock.core.identity import API_AUDIENCE, Actor, local_actor
from interlock.core.ledger import ConnectionRefused
from interlock.services.people import People
from interlock.services.ports import Authenticator, Ledger
from interlock.services.state import IdentityStore

PROTOCOL: Final = "api"
"""The API's name in records of refused connections."""


class Callers:
    """Finds out who calls, anew for each request."""

    def __init__(
        self, authenticator: Authenticator, identities: IdentityStore, ledger: Ledger, people: People | None = None
    ) -> None:
        """Without ``people``, nobody is logged in by a browser."""
        self._authenticator = authenticator
        self._identities = identities
        self._ledger = ledger
        self._people = people

    async def by_login(self, secret: str, client_address: str) -> Actor:
        """The actor whose browser shows this secret. Raises as ``by_token``, and StateUnavailable."""
        if self._people is None:
            raise LoginRefused("there are no logins here", "no logins")
        _, principal = await self._people.who(secret, client_address)
        return Actor(principal, client_address=client_address)

    async def by_token(self, token: str, client_address: str) -> Actor:
        """The actor with this token. Raises LoginRefused when it is on record, LedgerUnavailable."""
        try:
            principal = await self._authenticator.authenticate(token, client_address)
            if not principal.counts_from(f"{client_address}:0"):
                raise LoginRefused("the token does not count from this address", "source")
            if not principal.may_use(API_AUDIENCE):
                raise LoginRefused("the token is not for the API of the gateway", "the token is for something else")
        except LoginRefused as refused:
            await self._record(client_address, refused.reason)
            raise
        return Actor(principal, client_address=client_address)

    def on_this_machine(self, account: str) -> Actor:
        """An operating system's account, with the groups that are registered for it.

        When they cannot be looked up, or the identity is disabled, it has none. Never raises.
        """
        actor = local_actor(account)
        try:
            registered = self._identities.find(actor.name)
        except StateUnavailable:
            registered = None
        if registered is None or registered.disabled or registered.kind is not actor.principal.kind:
            return actor
        return local_actor(account, registered.groups)

    async def _record(self, client_address: str, reason: str) -> None:
        accepted = self._ledger.append(ConnectionRefused(PROTOCOL, client_address, "", "", reason))
        if accepted is not None:
            await accepted
