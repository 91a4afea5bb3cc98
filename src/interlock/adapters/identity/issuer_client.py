"""Asks an issuer over HTTP: its discovery document, its keys, its endpoints. Bounded, no redirects, no cookies.

It keeps nothing of what it is told, and nothing that it is told is in an error.
"""

import ssl
from collections.abc import Mapping
from typing import Any, Final, Protocol

import aiohttp
import msgspec

from interlock.adapters.identity.token import load_strict_json

FETCH_TIMEOUT_S: Final = 5.0
MAX_DOCUMENT_BYTES: Final = 262_144


class FetchFailed(Exception):
    """The issuer did not answer as it should; the text says why, for the log."""


class Place(Protocol):
    """Where an issuer is reached; see ``core.settings.IssuerSettings``."""

    @property
    def url(self) -> str: ...

    @property
    def ca_file(self) -> str | None: ...

    def may_fetch(self, url: str, /) -> bool: ...


class IssuerClient:
    """An HTTP client for one issuer, with so many connections at one time."""

    def __init__(self, settings: Place, connections: int = 2) -> None:
        self.settings = settings
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def discover(self) -> Mapping[str, Any]:
        """What the issuer says of itself (OpenID Connect Discovery 1.0, section 4). Raises FetchFailed.

        The document must name the issuer it was asked of.
        """
        url = f"{self.settings.url.rstrip('/')}/.well-known/openid-configuration"
        document = await self.get(url)
        if not isinstance(document, dict) or document.get("issuer") != self.settings.url:
            raise FetchFailed(f"{url}: does not speak for this issuer")
        return document

    def endpoint(self, document: Mapping[str, Any], name: str) -> str:
        """A URL in the discovery document that may be asked. Raises FetchFailed."""
        url = document.get(name)
        if not isinstance(url, str) or not self.settings.may_fetch(url):
            raise FetchFailed(f"{self.settings.url}: {name} is not an https URL")
        return url

    async def get(self, url: str) -> object:
        """The JSON at a URL. Raises FetchFailed."""
        status, document = await self._ask("GET", url)
        if status != 200:
            raise FetchFailed(f"{url}: status {status}")
        return document

    async def post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> tuple[int, object]:
        """Status and JSON of the answer to a form. Raises FetchFailed."""
        return await self._ask("POST", url, form, headers)

    async def post_json(self, url: str, document: object, headers: Mapping[str, str]) -> tuple[int, object]:
        """Status and JSON of the answer to a JSON document. Raises FetchFailed."""
        content_type = {"Content-Type": "application/json"}
        return await self._ask("POST", url, msgspec.json.encode(document), content_type | dict(headers))

    async def close(self) -> None:
        """Release the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self,
        method: str,
        url: str,
        content: Mapping[str, str] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, object]:
        try:
            request = self._open().request(method, url, data=content, headers=headers, allow_redirects=False)
            async with request as response:
                if response.status != 200 and method == "GET":
                    return response.status, None
                return response.status, load_strict_json(await _read_bounded(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FetchFailed(f"{url}: {type(error).__name__}") from None
        except ValueError as error:
            raise FetchFailed(f"{url}: {error}") from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = ssl.create_default_context(cafile=self.settings.ca_file)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, limit=self._connections),
                timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S),
                headers={"Accept": "application/json"},
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > MAX_DOCUMENT_BYTES:
            raise ValueError(f"larger than {MAX_DOCUMENT_BYTES} bytes")
    return bytes(content)
