"""Keeps a provider's metadata fresh, from a file or over HTTP: bounded, no redirects, no cookies.

It is read again when it is older than ``metadata_refresh_s``, and when nothing in it verifies a signature: at most
once in ``COOLDOWN_S`` and by one login at a time. While it cannot be read, what was read last stays in use up to
``metadata_max_stale_s``, and never past its own end; after that nobody gets in.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Final

import aiohttp
import structlog

from interlock.adapters.identity.saml.document import METADATA, Malformed
from interlock.adapters.identity.saml.provider_metadata import ProviderMetadata, read_metadata
from interlock.core.errors import LoginRefused
from interlock.core.settings import SamlSettings
from interlock.services.ports import Clock

COOLDOWN_S: Final = 10.0
FETCH_TIMEOUT_S: Final = 5.0

log = structlog.get_logger(__name__)


class MetadataSource:
    """The metadata of one provider."""

    def __init__(self, settings: SamlSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._metadata: ProviderMetadata | None = None
        self._read_at_s = 0.0
        self._attempted_at_s: float | None = None
        self._reading = asyncio.Lock()

    async def current(self) -> ProviderMetadata:
        """What counts now. Raises LoginRefused when there is none."""
        if not self._is_younger_than(self._settings.metadata_refresh_s):
            await self.refresh()
        stale_s = max(self._settings.metadata_refresh_s, self._settings.metadata_max_stale_s)
        if self._metadata is None or not self._is_younger_than(stale_s) or self._has_ended(self._metadata):
            raise LoginRefused(
                "the provider of logins cannot be reached; try again later", "no current metadata of the provider"
            )
        return self._metadata

    async def refresh(self) -> bool:
        """Read it again, unless that has just been tried; whether its certificates have changed."""
        before = self._metadata
        async with self._reading:
            if self._is_cooling():
                return self._metadata is not before
            self._attempted_at_s = self._clock.monotonic_s()
            try:
                read = read_metadata(await self._read(), self._settings.provider_entity_id, self._settings.may_ask)
            except (Malformed, aiohttp.ClientError, TimeoutError, OSError) as error:
                reason = str(error) if isinstance(error, Malformed) else type(error).__name__
                log.warning("saml metadata not read", provider=self._settings.name, reason=reason)
                return False
            self._metadata, self._read_at_s = read, self._clock.monotonic_s()
        return before is None or before.certificates != read.certificates

    def _is_younger_than(self, age_s: float) -> bool:
        return self._metadata is not None and self._clock.monotonic_s() - self._read_at_s < age_s

    def _is_cooling(self) -> bool:
        return self._attempted_at_s is not None and self._clock.monotonic_s() - self._attempted_at_s < COOLDOWN_S

    def _has_ended(self, metadata: ProviderMetadata) -> bool:
        try:
            return metadata.valid_until_s is not None and metadata.valid_until_s <= self._clock.now_s()
        except OSError:
            return True

    async def _read(self) -> bytes:
        if self._settings.metadata_file is not None:
            with Path(self._settings.metadata_file).open("rb") as stream:  # noqa: ASYNC230 - local and bounded
                return stream.read(METADATA.max_bytes + 1)
        return await self._fetch(self._settings.metadata_url or "")

    async def _fetch(self, url: str) -> bytes:
        context = ssl.create_default_context(cafile=self._settings.ca_file)
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context),
                timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise Malformed(f"status {response.status}")
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > METADATA.max_bytes:
                    break
            return bytes(content)
