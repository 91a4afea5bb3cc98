"""Asks an issuer whether a token still counts (RFC 7662), and remembers the answer for a moment by the token's SHA-256.

An answer says what it says of this issuer's tokens only. No token is in a log or an error.
"""

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
import structlog

from interlock.adapters.identity.issuer_client import FetchFailed, IssuerClient
from interlock.adapters.secret_reference import read_secret
from interlock.core.errors import CredentialUnavailable
from interlock.core.settings import IntrospectionSettings, IssuerSettings, OnError
from interlock.services.ports import Clock

MAX_REMEMBERED: Final = 10_000
MAX_OPAQUE_CHARACTERS: Final = 4096
CONNECTIONS: Final = 8

log = structlog.get_logger(__name__)


class CannotAsk(Exception):
    """The issuer did not answer as it should."""


class _Answer(msgspec.Struct, frozen=True):
    claims: Mapping[str, Any] | None
    until_s: float


class Introspection:
    """Asks one issuer. ``opaque`` says whether tokens that are no JWTs are its, too."""

    def __init__(self, settings: IntrospectionSettings, issuer: IssuerSettings, clock: Clock) -> None:
        self.opaque = settings.opaque
        self._settings = settings
        self._issuer = issuer
        self._clock = clock
        self._client = IssuerClient(issuer, CONNECTIONS)
        self._url = settings.url or ""
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()

    async def is_refused(self, token: str) -> bool:
        """Whether the issuer says that a token counts no more; when it cannot be asked, as ``on_error`` says."""
        try:
            return await self.claims(token) is None
        except CannotAsk:
            return self._settings.on_error is OnError.DENY

    async def claims(self, token: str) -> Mapping[str, Any] | None:
        """What the issuer says of an active token; None when it is not active. Raises CannotAsk."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._answers.get(digest)
        if known is not None and self._clock.monotonic_s() < known.until_s:
            return known.claims
        claims = await self._ask(token)
        self._remember(digest, claims)
        return claims

    async def close(self) -> None:
        """Release the connections."""
        await self._client.close()

    async def _ask(self, token: str) -> Mapping[str, Any] | None:
        try:
            url = self._url or self._client.endpoint(await self._client.discover(), "introspection_endpoint")
            form = {"token": token, "token_type_hint": "access_token"}
            status, document = await self._client.post(url, form, {"Authorization": await self._authorization()})
        except (FetchFailed, CredentialUnavailable) as error:
            log.warning("issuer not asked about a token", issuer=self._issuer.label, reason=str(error))
            raise CannotAsk from None
        if status != 200 or not isinstance(document, dict) or not isinstance(document.get("active"), bool):
            log.warning("issuer not asked about a token", issuer=self._issuer.label, reason=f"status {status}")
            raise CannotAsk
        self._url = url
        speaks = document.get("iss", self._issuer.url) == self._issuer.url
        return document if document["active"] and speaks else None

    async def _authorization(self) -> str:
        """RFC 6749 section 2.3.1."""
        secret = await read_secret(self._settings.client_secret)
        pair = f"{quote(self._settings.client_id, safe='')}:{quote(secret, safe='')}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    def _remember(self, digest: bytes, claims: Mapping[str, Any] | None) -> None:
        if not self._settings.cache_s:
            return
        if len(self._answers) >= MAX_REMEMBERED:
            self._answers.popitem(last=False)
        self._answers[digest] = _Answer(claims, self._clock.monotonic_s() + self._settings.cache_s)
        self._answers.move_to_end(digest)
