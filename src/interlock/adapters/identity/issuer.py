"""The keys of an issuer: where they come from, and which one a token was signed with.

While the issuer cannot be reached the old keys stay in use, up to the configured bound; after that nobody gets in.
"""

from collections.abc import Callable
from typing import TypeVar

from interlock.adapters.identity.document_file import read_document
from interlock.adapters.identity.issuer_client import FetchFailed, IssuerClient
from interlock.adapters.identity.kept import COOLDOWN_S, Kept
from interlock.adapters.identity.keys import IssuerKeys, PublishedKey, read_keys
from interlock.adapters.identity.token import NOT_ACCEPTED
from interlock.core.errors import LoginRefused
from interlock.core.settings import IssuerSettings
from interlock.services.ports import Clock

__all__ = ["COOLDOWN_S", "Issuer", "find_key", "no_keys"]

KeptT = TypeVar("KeptT")


class Issuer:
    """One trusted issuer and its keys. ``generation`` grows when the keys change."""

    def __init__(self, settings: IssuerSettings, clock: Clock) -> None:
        self.settings = settings
        self._client = IssuerClient(settings)
        self._keys: Kept[IssuerKeys] = Kept(
            settings.label,
            clock,
            self._fetch_keys,
            IssuerKeys.same_as,
            lambda _: settings.jwks_ttl_s,
            settings.jwks_max_stale_s,
        )

    @property
    def generation(self) -> int:
        return self._keys.generation

    async def refresh_when_old(self) -> None:
        """See to it that the keys may be used now. Raises LoginRefused when there are none that may."""
        if await self._keys.current() is None:
            raise no_keys()

    async def find_key(self, key_id: str | None, algorithm: str) -> PublishedKey:
        """The key for a token; keys are fetched anew when it is unknown. Raises LoginRefused."""
        return await find_key(self._keys, lambda keys: keys, key_id, algorithm)

    async def close(self) -> None:
        """Release the connections."""
        await self._client.close()

    async def _fetch_keys(self) -> IssuerKeys:
        if self.settings.jwks_file is not None:
            return _keys_in(await read_document(self.settings.jwks_file), self.settings.jwks_file)
        url = self.settings.jwks_url or self._client.endpoint(await self._client.discover(), "jwks_uri")
        return _keys_in(await self._client.get(url), url)


async def find_key(
    kept: Kept[KeptT], keys_in: Callable[[KeptT], IssuerKeys], key_id: str | None, algorithm: str
) -> PublishedKey:
    """The key for a token among the keys in what is kept, which is fetched anew when it is unknown.

    Raises LoginRefused.
    """
    for look in (kept.current, kept.fetch_again):
        value = await look()
        if value is None:
            raise no_keys()
        key = keys_in(value).find(key_id, algorithm)
        if key is not None:
            return key
    raise LoginRefused(NOT_ACCEPTED, "the issuer publishes no such key")


def no_keys() -> LoginRefused:
    """Nobody can be let in now."""
    return LoginRefused("the token's issuer cannot be reached; try again later", "no current keys of the issuer")


def _keys_in(document: object, place: str) -> IssuerKeys:
    try:
        return read_keys(document)
    except ValueError as error:
        raise FetchFailed(f"{place}: {error}") from None
