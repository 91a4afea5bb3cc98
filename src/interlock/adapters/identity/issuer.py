"""Fetches an issuer's keys and keeps them: discovery, expiry, rotation and outages.

Keys are fetched again when they are older than their time to live, and when a token names a key that is not there,
in both cases at most once in ``COOLDOWN_S`` and by one login at a time. While the issuer cannot be reached the old
keys stay in use, up to the configured bound; after that nobody gets in.
"""

import asyncio
from typing import Final

import structlog

from interlock.adapters.identity.document_file import read_document
from interlock.adapters.identity.issuer_client import FetchFailed, IssuerClient
from interlock.adapters.identity.keys import IssuerKeys, PublishedKey, read_keys
from interlock.adapters.identity.token import NOT_ACCEPTED
from interlock.core.errors import LoginRefused
from interlock.core.settings import IssuerSettings
from interlock.services.ports import Clock

COOLDOWN_S: Final = 10.0

log = structlog.get_logger(__name__)


class Issuer:
    """One trusted issuer and its keys. ``generation`` grows when the keys change."""

    def __init__(self, settings: IssuerSettings, clock: Clock) -> None:
        self.settings = settings
        self.generation = 0
        self._clock = clock
        self._keys: IssuerKeys | None = None
        self._fetched_at_s = 0.0
        self._attempted_at_s: float | None = None
        self._attempts = 0
        self._fetching = asyncio.Lock()
        self._client = IssuerClient(settings)

    async def refresh_when_old(self) -> None:
        """See to it that the keys may be used now. Raises LoginRefused when there are none that may."""
        if not self._is_younger_than(self.settings.jwks_ttl_s) and not (self._is_usable() and self._fetching.locked()):
            await self._fetch_unless_cooling()
        if not self._is_usable():
            raise LoginRefused("the token's issuer cannot be reached; try again later", "no current keys of the issuer")

    async def find_key(self, key_id: str | None, algorithm: str) -> PublishedKey:
        """The key for a token; keys are fetched anew when it is unknown. Raises LoginRefused."""
        await self.refresh_when_old()
        key = self._find(key_id, algorithm)
        if key is None:
            await self._fetch_unless_cooling()
            key = self._find(key_id, algorithm)
        if key is None:
            raise LoginRefused(NOT_ACCEPTED, "the issuer publishes no such key")
        return key

    async def close(self) -> None:
        """Release the connections."""
        await self._client.close()

    def _find(self, key_id: str | None, algorithm: str) -> PublishedKey | None:
        return self._keys.find(key_id, algorithm) if self._keys is not None else None

    def _is_younger_than(self, age_s: float) -> bool:
        return self._keys is not None and self._clock.monotonic_s() - self._fetched_at_s < age_s

    def _is_usable(self) -> bool:
        return self._is_younger_than(max(self.settings.jwks_ttl_s, self.settings.jwks_max_stale_s))

    async def _fetch_unless_cooling(self) -> None:
        attempts = self._attempts
        async with self._fetching:
            if self._attempts != attempts or self._is_cooling():
                return
            try:
                keys = await self._fetch_keys()
            except FetchFailed as failure:
                log.warning("issuer keys not fetched", issuer=self.settings.label, reason=str(failure))
            else:
                self._take(keys)
            self._attempts += 1
            self._attempted_at_s = self._clock.monotonic_s()

    def _is_cooling(self) -> bool:
        return self._attempted_at_s is not None and self._clock.monotonic_s() - self._attempted_at_s < COOLDOWN_S

    def _take(self, keys: IssuerKeys) -> None:
        if self._keys is None or not keys.same_as(self._keys):
            self.generation += 1
            log.info("issuer keys changed", issuer=self.settings.label)
        self._keys = keys
        self._fetched_at_s = self._clock.monotonic_s()

    async def _fetch_keys(self) -> IssuerKeys:
        if self.settings.jwks_file is not None:
            return _keys_in(await read_document(self.settings.jwks_file), self.settings.jwks_file)
        url = self.settings.jwks_url or self._client.endpoint(await self._client.discover(), "jwks_uri")
        return _keys_in(await self._client.get(url), url)


def _keys_in(document: object, place: str) -> IssuerKeys:
    try:
        return read_keys(document)
    except ValueError as error:
        raise FetchFailed(f"{place}: {error}") from None
