"""Turns the credentials of HTTP targets into what is sent with each request.

What was found out is used again for a moment, so that a request costs nothing; a changed setting, variable or file
counts after that, a credential that was sealed at once. Nothing in here logs, and no error quotes a secret.
"""

import base64
import re
from typing import Final

from interlock.adapters.oauth_client import TokenSource
from interlock.core.errors import CredentialUnavailable
from interlock.core.http_credential import HttpCredential
from interlock.core.settings import OWN_CONNECTION, ConnectionSettings
from interlock.services.ports import Clock, CredentialVault, TargetCredential
from interlock.services.state import ConnectionStore

FRESH_S: Final = 1.0
"""For how long what was found out counts without a look at where it came from."""
_FIELD_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
NOTHING: Final = HttpCredential()


class HttpCredentialDesk:
    """Implements ``services.ports.HttpCredentials``."""

    def __init__(self, connections: ConnectionStore, vault: CredentialVault, clock: Clock) -> None:
        self._connections = connections
        self._vault = vault
        self._clock = clock
        self._found: dict[str, tuple[float, HttpCredential]] = {}
        self._sources: dict[str, TokenSource] = {}
        self._renewals = 0
        self.own: tuple[bytes, bytes] | None = None
        """The header that the gateway's own server wants to see; None while there is no such server."""

    def peek(self, connection: str) -> HttpCredential | None:
        """See ``HttpCredentials``."""
        found = self._found.get(connection)
        return found[1] if found is not None and self._clock.monotonic_s() < found[0] else None

    async def get(self, connection: str) -> HttpCredential:
        """See ``HttpCredentials``."""
        settings = self._connections.find(connection)
        if settings is None:
            self._drop(connection)
            raise CredentialUnavailable(f"there is no connection {connection!r}")
        if connection == OWN_CONNECTION and self.own is not None:
            return HttpCredential(headers=(self.own,), caller=True)
        renewals = self._renewals
        credential = await self._vault.reveal(connection)
        found = await self._show(connection, settings, credential)
        if renewals == self._renewals:
            self._found[connection] = self._clock.monotonic_s() + FRESH_S, found
        return found

    def renew(self, connection: str) -> None:
        """The connection has another credential: what was found out, or is being found out now, is not used again."""
        self._renewals += 1
        self._found.pop(connection, None)

    def forget(self, connection: str) -> None:
        """See ``HttpCredentials``."""
        self._found.pop(connection, None)
        if (source := self._sources.get(connection)) is not None:
            source.forget()

    def _drop(self, connection: str) -> None:
        self._found.pop(connection, None)
        self._sources.pop(connection, None)

    async def _show(
        self, connection: str, settings: ConnectionSettings, credential: TargetCredential
    ) -> HttpCredential:
        way, _, name = settings.http.credential_as.partition(":")
        secret = credential.password
        if secret is None or way == "none":
            return NOTHING
        if way == "oauth":
            return _bearer(await self._token(connection, settings, secret), connection)
        if way == "basic":
            return _basic(settings.user, secret, connection)
        if way == "query":
            if _CONTROL.search(secret):
                raise _unfit(connection, "a query parameter")
            return HttpCredential(query=((name, secret),))
        if way == "header":
            return _header(name, secret, connection)
        return _bearer(secret, connection)

    async def _token(self, connection: str, settings: ConnectionSettings, secret: str) -> str:
        client = settings.http.oauth
        assert client is not None
        source = self._sources.get(connection)
        if source is None or not source.is_for(client, secret):
            source = self._sources[connection] = TokenSource(client, secret, self._clock)
        return source.current() or await source.get()


def _bearer(token: str, connection: str) -> HttpCredential:
    """RFC 6750 section 2.1, without its narrow alphabet."""
    if not _FIELD_VALUE.fullmatch(token):
        raise _unfit(connection, "a bearer token")
    return _header("authorization", f"Bearer {token}", connection)


def _header(name: str, value: str, connection: str) -> HttpCredential:
    if not _FIELD_VALUE.fullmatch(value):
        raise _unfit(connection, "a header field")
    return HttpCredential(headers=((name.lower().encode(), value.encode()),))


def _basic(user: str, secret: str, connection: str) -> HttpCredential:
    """RFC 7617."""
    pair = f"{user}:{secret}" if user else secret
    if ":" in user or ":" not in pair or _CONTROL.search(pair):
        raise _unfit(connection, "basic authentication (a user has no colon; without one it is user:password)")
    return _header("authorization", "Basic " + base64.b64encode(pair.encode()).decode(), connection)


def _unfit(connection: str, place: str) -> CredentialUnavailable:
    return CredentialUnavailable(f"the credential of {connection!r} cannot be sent as {place}")
