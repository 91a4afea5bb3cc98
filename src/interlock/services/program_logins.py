"""Logins of the gateway's own command line: by a code that came through a browser, or by a browser elsewhere."""

from collections.abc import Mapping

import msgspec

from interlock.core.errors import LoginRefused
from interlock.core.login import Login, LoginHolder
from interlock.services.authorizations import Authorizations, CodeReused, Grant
from interlock.services.device_sign_in import DeviceSignIns
from interlock.services.people import People
from interlock.services.ports import Prover


class ProgramLogins:
    """What is refused is on the ledger.

    ``devices`` is None where no issuer has a client for that; ``labels`` are the settings' names of issuers, by URL.
    """

    def __init__(
        self,
        people: People,
        authorizations: Authorizations,
        prover: Prover,
        devices: DeviceSignIns | None,
        labels: Mapping[str, str],
    ) -> None:
        self._people = people
        self._authorizations = authorizations
        self._prover = prover
        self.devices = devices
        self._labels = labels

    async def by_code(self, code: str, verifier: str, redirect_uri: str, client_address: str) -> tuple[Login, str]:
        """The login that a code stands for, and its secret.

        When a code comes a second time somebody has stolen it, and the login of the first time ends. Raises
        LoginRefused, LedgerUnavailable, StateUnavailable.
        """
        try:
            grant = self._authorizations.redeem(code, verifier, redirect_uri)
        except LoginRefused as refused:
            await self._people.record(refused, client_address)
            if isinstance(refused, CodeReused):
                await self._end(refused.grant)
            raise
        login, secret = await self._people.log_in(grant.principal, grant.provider, LoginHolder.CLI, client_address)
        grant.login = login.id
        if grant.uses > 1:  # by now
            await self._end(grant)
            raise CodeReused(grant)
        return login, secret

    async def _end(self, grant: Grant) -> None:
        """End the login that came of a code, if there is one yet."""
        for login in self._people.logins.of(grant.principal.name):
            if login.id == grant.login:
                await self._people.logins.close(login, "gateway", "its code was used again")

    async def by_device(self, device_code: str, client_address: str) -> tuple[Login, str]:
        """The login of somebody who has signed in elsewhere, and its secret. Raises NotYet, and as ``by_code``.

        The issuer's token shows who it was, as a login by a token does; the login does not end with that token.
        """
        if self.devices is None:
            raise LoginRefused("no issuer here lets people sign in elsewhere", "no device_client_id")
        try:
            principal = await self._prover.prove(await self.devices.ask(device_code), client_address)
        except LoginRefused as refused:
            await self._people.record(refused, client_address)
            raise
        principal = msgspec.structs.replace(principal, expires_at_s=None)
        provider = self._labels.get(principal.issuer, principal.issuer)
        return await self._people.log_in(principal, provider, LoginHolder.CLI, client_address)
