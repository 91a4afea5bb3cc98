"""People who are logged in: from a provider's word to a login, and from a login's secret to who they are now.

Whoever goes by a login is admitted anew each time: what is registered counts as it is at that moment. What is refused
is on the ledger.
"""

from typing import Protocol

from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.ledger import ConnectionRefused
from interlock.core.login import Login, LoginHolder
from interlock.services.logins import Logins
from interlock.services.ports import Ledger
from interlock.services.sign_in import PROTOCOL


class Admission(Protocol):
    """Who may log in."""

    def admit(self, principal: Principal) -> Principal:
        """The principal with what is registered for its name now. Raises ``LoginRefused`` when it may not log in."""

    def trusts(self, issuer: str) -> bool:
        """Whether the word of this issuer counts."""


class People:
    """The logins of people, and who they make them."""

    def __init__(self, logins: Logins, admission: Admission, ledger: Ledger) -> None:
        self.logins = logins
        self._admission = admission
        self._ledger = ledger

    async def log_in(
        self, principal: Principal, provider: str, holder: LoginHolder, client_address: str
    ) -> tuple[Login, str]:
        """A login for somebody whom a provider has proved, and its secret.

        Raises LoginRefused when it is on record, LedgerUnavailable, StateUnavailable.
        """
        try:
            self._admit(principal)
            if principal.kind is not PrincipalKind.USER:
                raise LoginRefused("only people log in so", 'the identity rule makes it an agent: kind = "user"')
            return await self.logins.open(principal, provider, holder, client_address)
        except LoginRefused as refused:
            await self._record(refused, principal.name, client_address)
            raise

    async def who(self, secret: str, client_address: str) -> tuple[Login, Principal]:
        """Whose browser this is, by the secret in its cookie. Raises as ``log_in``."""
        try:
            login = self.logins.find(secret, LoginHolder.BROWSER)
            return login, self._admit(login.principal)
        except LoginRefused as refused:
            await self.record(refused, client_address)
            raise

    async def present(self, refresh_token: str, client_address: str) -> Login:
        """The login that a program shows the secret of, whose person may still log in. Raises as ``log_in``."""
        try:
            login = await self.logins.present(refresh_token, LoginHolder.CLI)
            self._admit(login.principal)
        except LoginRefused as refused:
            await self.record(refused, client_address)
            raise
        return login

    def _admit(self, principal: Principal) -> Principal:
        if not self._admission.trusts(principal.issuer):
            raise LoginRefused("the provider of this login does not count any more", "the provider is not trusted")
        return self._admission.admit(principal)

    async def record(self, refused: LoginRefused, client_address: str) -> None:
        """Put on the ledger that somebody was not let in. Raises LedgerUnavailable."""
        await self._record(refused, "", client_address)

    async def _record(self, refused: LoginRefused, name: str, client_address: str) -> None:
        accepted = self._ledger.append(ConnectionRefused(PROTOCOL, client_address, "", name, refused.reason))
        if accepted is not None:
            await accepted
