"""An issuer for trying things out: it gives a token to whoever asks, and listens on loopback only.

It serves OpenID Connect discovery, its keys, and ``POST /token`` with a JSON body of ``name``, ``kind``, ``groups``,
``owner`` and ``ttl_s``. Its key lives in the data directory and is made on first use.
"""

import ipaddress
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from joserfc import jws
from joserfc.jwk import ECKey

from interlock.adapters.identity.rules import IDENTITY_NAME
from interlock.adapters.private_file import create_private, read_private
from interlock.core.errors import ConfigurationError
from interlock.core.settings import IdentityKind, IdentityRule, IssuerSettings
from interlock.services.ports import Clock

DEFAULT_TTL_S: Final = 900
_MAX_BODY_BYTES: Final = 16_384
_ALGORITHM: Final = "ES256"
_KIND_CLAIM: Final = "interlock_kind"

log = structlog.get_logger(__name__)


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``POST /token`` takes."""

    name: str
    kind: IdentityKind = IdentityKind.AGENT
    groups: tuple[str, ...] = ()
    owner: str | None = None
    ttl_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = DEFAULT_TTL_S


class DevelopmentIssuer:
    """The issuer and its listener. ``url`` is known once it is started."""

    def __init__(self, listen: str, audience: str, key_file: Path, clock: Clock) -> None:
        """``listen`` is ``host:port``. Raises ConfigurationError unless the host is a loopback address."""
        self._host, self._port = _loopback(listen)
        self._audience = audience
        self._clock = clock
        self._key = _load_key(key_file)
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be had."""
        application = web.Application(middlewares=[_loopback_hosts_only], client_max_size=_MAX_BODY_BYTES)
        application.router.add_get("/.well-known/openid-configuration", self._discovery)
        application.router.add_get("/jwks", self._jwks)
        application.router.add_post("/token", self._token)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://[{self._host}]:{port}" if ":" in self._host else f"http://{self._host}:{port}"
        log.warning("DEVELOPMENT ISSUER IS ON: whoever reaches it is given any identity", url=self.url)

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def issuer_settings(self) -> IssuerSettings:
        """How the gateway trusts this issuer; call it after ``start``."""
        return IssuerSettings(
            url=self.url,
            audience=self._audience,
            name="development",
            jwks_url=f"{self.url}/jwks",
            algorithms=(_ALGORITHM,),
            allow_http_loopback=True,
        )

    def identity_rules(self) -> Sequence[IdentityRule]:
        """The rules that take its tokens at their word."""
        return tuple(
            IdentityRule(
                issuer=self.url,
                when={_KIND_CLAIM: kind.value},
                identity="{sub}",
                kind=kind,
                groups_claim="groups",
                owner="{owner}",
            )
            for kind in IdentityKind
        )

    def issue(self, request: TokenRequest) -> str:
        """A signed token. Raises ValueError when the name cannot name an identity."""
        if not IDENTITY_NAME.fullmatch(request.name):
            raise ValueError("the name must be letters, digits and . _ : / @ + = | -, at most 255")
        now_s = int(self._clock.now_s())
        claims: dict[str, object] = {
            "iss": self.url,
            "aud": self._audience,
            "sub": request.name,
            "iat": now_s,
            "exp": now_s + request.ttl_s,
            "jti": secrets.token_hex(16),
            _KIND_CLAIM: request.kind.value,
            "groups": request.groups,
        }
        if request.owner is not None:
            claims["owner"] = request.owner
        header = {"alg": _ALGORITHM, "kid": self._key.thumbprint(), "typ": "JWT"}
        return jws.serialize_compact(header, msgspec.json.encode(claims), self._key, algorithms=[_ALGORITHM])

    def issue_token(self, name: str, kind: str, groups: tuple[str, ...], owner: str | None, ttl_s: int) -> str:
        """Implements ``services.state.TokenIssuer``. Raises ValueError."""
        return self.issue(TokenRequest(name, IdentityKind(kind), groups, owner, ttl_s))

    async def _discovery(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"issuer": self.url, "jwks_uri": f"{self.url}/jwks", "token_endpoint": f"{self.url}/token"}
        )

    async def _jwks(self, _request: web.Request) -> web.Response:
        key = self._key.as_dict(private=False, kid=self._key.thumbprint(), use="sig", alg=_ALGORITHM)
        return web.json_response({"keys": [key]})

    async def _token(self, request: web.Request) -> web.Response:
        # A web page can send a form to loopback, but not this content type without asking first.
        if request.content_type != "application/json":
            return web.json_response({"error": "send application/json"}, status=415)
        try:
            asked = msgspec.json.decode(await request.read(), type=TokenRequest)
            token = self.issue(asked)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        log.info("development token issued", name=asked.name, kind=asked.kind.value)
        return web.json_response({"token": token, "expires_in": asked.ttl_s})


@web.middleware
async def _loopback_hosts_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests sent to another name for this address, as a web page with a rebound DNS name would."""
    host = (request.url.host or "").strip("[]")
    if host != "localhost" and not _is_loopback(host):
        return web.json_response({"error": "loopback only"}, status=403)
    return await handler(request)


def _loopback(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not _is_loopback(host) or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ConfigurationError(
            f"development.issuer: {listen!r} is refused; allowed: 127.0.0.1:PORT or [::1]:PORT, nothing but loopback"
        )
    return host, int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _load_key(file: Path) -> ECKey:
    try:
        return ECKey.import_key(read_private(file))
    except FileNotFoundError:
        key = ECKey.generate_key("P-256")
        create_private(file, key.as_pem(private=True))
        return key
