"""A provider's word that sessions there are over (SAML profiles 4.4): their logins here end, and what came from them.

The provider's request comes through the person's browser, which takes the answer back. What is refused is on record.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import msgspec

from interlock.core.errors import LedgerUnavailable, LoginRefused
from interlock.core.ledger import ConnectionRefused
from interlock.services.logins import Logins
from interlock.services.ports import Ledger
from interlock.services.sign_in import PROTOCOL, PostedForm, Redirect

REASON: Final = "the provider has logged the person out"


class LogoutMessage(msgspec.Struct, frozen=True):
    """What a browser brings: the query as it was sent, or the fields of a form."""

    query: str
    form: Mapping[str, str]

    def __repr__(self) -> str:
        return "LogoutMessage(...)"


class LogoutDemand(msgspec.Struct, frozen=True):
    """Whose logins are to end: of these sessions at the issuer, or all of the subject's when no session is named.

    ``subject`` is empty when the request does not tell whose the sessions are. ``request`` is the request's id.
    """

    issuer: str
    subject: str
    sessions: tuple[str, ...]
    request: str
    relay_state: str


class LogoutProvider(Protocol):
    """A provider that knows this gateway as one of its services."""

    @property
    def name(self) -> str:
        """As in the settings."""

    @property
    def metadata(self) -> bytes:
        """What the provider is told of this gateway, as XML."""

    async def demand(self, message: LogoutMessage) -> LogoutDemand:
        """What the provider asks, once. Raises LoginRefused."""

    async def answer(self, demand: LogoutDemand) -> Redirect | PostedForm | None:
        """How the browser tells the provider that it is done; None: there is nobody to tell. Raises LoginRefused."""


class SingleLogout:
    """Ends logins when providers say so."""

    def __init__(self, providers: Iterable[LogoutProvider], logins: Logins, ledger: Ledger) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._logins = logins
        self._ledger = ledger

    def metadata(self, name: str) -> bytes | None:
        """What a provider is told of this gateway; None when there is no such provider."""
        provider = self._providers.get(name)
        return provider.metadata if provider is not None else None

    async def log_out(self, name: str, message: LogoutMessage, client_address: str) -> Redirect | PostedForm | None:
        """Do what a provider asks; returns where the browser goes with the answer.

        Raises LoginRefused, LedgerUnavailable, StateUnavailable.
        """
        try:
            provider = self._providers.get(name)
            if provider is None:
                raise LoginRefused("there is no such provider of logins here", "unknown provider")
            demand = await provider.demand(message)
        except LoginRefused as refused:
            await self._record(client_address, refused)
            raise
        await self._end(demand, name)
        return await provider.answer(demand)

    async def _end(self, demand: LogoutDemand, name: str) -> None:
        by = f"provider:{name}"
        if not demand.sessions:
            await self._logins.end_subject(demand.issuer, demand.subject, by, REASON)
        for session in demand.sessions:
            await self._logins.end_session(demand.issuer, session, by, REASON, demand.subject)

    async def _record(self, client_address: str, refused: LoginRefused) -> None:
        try:
            accepted = self._ledger.append(ConnectionRefused(PROTOCOL, client_address, "", "", refused.reason))
            if accepted is not None:
                await accepted
        except LedgerUnavailable:
            pass  # nothing is done
