"""Asks an issuer whether a token still counts (RFC 7662), and remembers the answer for a moment by the token's SHA-256.

An answer says what it says of this issuer's tokens only. No token is in a log or an error.
"""

import base64
import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
import structlog

from interlock.adapters.identity.issuer_client import FetchFailed, IssuerClient
from interlock.adapters.identity.token import NOT_ACCEPTED, looks_signed
from interlock.adapters.secret_reference import read_secret
from interlock.core.errors import CredentialUnavailable, LoginRefused
from interlock.core.login import SECRET_PREFIX
from interlock.core.session_token import OPAQUE_PREFIX
from interlock.core.settings import IntrospectionSettings, IssuerSettings, OnError
from interlock.services.ports import Clock

MAX_REMEMBERED: Final = 10_000
MIN_OPAQUE_CHARACTERS: Final = 20
MAX_OPAQUE_CHARACTERS: Final = 4096
CONNECTIONS: Final = 8

_B64TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 section 2.1

log = structlog.get_logger(__name__)


class CannotAsk(Exception):
    """The issuer did not answer as it should."""


class _Answer(msgspec.Struct, frozen=True):
    claims: Mapping[str, Any] | None
    until_s: float


def is_opaque(text: str) -> bool:
    """Whether it could be an opaque token of an issuer: no JWT, no secret of the gateway's own, no short password."""
    return (
        MIN_OPAQUE_CHARACTERS <= len(text) <= MAX_OPAQUE_CHARACTERS
        and _B64TOKEN.fullmatch(text) is not None
        and not text.startswith((OPAQUE_PREFIX, SECRET_PREFIX))
        and not looks_signed(text)
    )


class Introspection:
    """Asks one issuer. ``opaque`` says whether tokens that are no JWTs are its, too."""

    def __init__(self, settings: IntrospectionSettings, issuer: IssuerSettings, clock: Clock) -> None:
        self.issuer = issuer.url
        self.opaque = settings.opaque
        self._settings = settings
        self._label = issuer.label
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

    async def opaque_claims(self, token: str) -> dict[str, Any]:
        """What the issuer says of an opaque token, in place of claims. Raises LoginRefused."""
        try:
            claims = await self.claims(token)
        except CannotAsk:
            raise LoginRefused(
                "the token's issuer cannot be reached; try again later", "the issuer cannot be asked about the token"
            ) from None
        if claims is None:
            raise LoginRefused(NOT_ACCEPTED, "no issuer knows the opaque token as active")
        if str(claims.get("token_type", "bearer")).lower() != "bearer":
            raise LoginRefused(NOT_ACCEPTED, "the opaque token is no bearer token")
        # RFC 9068 section 2.2: of a client that got a token for itself, the subject is the client.
        return {"sub": claims.get("client_id")} | dict(claims) | {"iss": self.issuer}

    def about(self, token: str) -> "Question":
        """What to ask again later."""
        return Question(self, token)

    async def claims(self, token: str) -> Mapping[str, Any] | None:
        """What the issuer says of a token; None when it is not active. Raises CannotAsk."""
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
            log.warning("issuer not asked about a token", issuer=self._label, reason=str(error))
            raise CannotAsk from None
        if status != 200 or not isinstance(document, dict) or not isinstance(document.get("active"), bool):
            log.warning("issuer not asked about a token", issuer=self._label, reason=f"status {status}")
            raise CannotAsk
        self._url = url
        speaks = document.get("iss", self.issuer) == self.issuer
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


class Question(msgspec.Struct, frozen=True):
    """A token that its issuer can be asked about again. ``repr`` leaves it out."""

    introspection: Introspection
    token: str

    async def is_inactive(self) -> bool:
        """Whether the issuer says that it counts no more; not while that cannot be told."""
        try:
            return await self.introspection.claims(self.token) is None
        except CannotAsk:
            return False

    def __repr__(self) -> str:
        return "Question(...)"
