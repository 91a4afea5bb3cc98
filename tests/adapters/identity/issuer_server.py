"""An OpenID Connect issuer on loopback whose answers a test can change at will."""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from interlock.core.settings import IssuerSettings
from tests.clocks import ManualClock

AUDIENCE = "interlock-test"
SigningKey = ECKey | OKPKey | RSAKey
GENERATORS: dict[str, Callable[[], SigningKey]] = {
    "ES256": lambda: ECKey.generate_key("P-256"),
    "ES384": lambda: ECKey.generate_key("P-384"),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
    "RS256": lambda: RSAKey.generate_key(2048),
    "PS256": lambda: RSAKey.generate_key(2048),
}


def encode(content: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def assemble(header: bytes, payload: bytes, sign: Callable[[bytes], bytes]) -> str:
    """A compact token of any bytes at all."""
    signing_input = f"{encode(header)}.{encode(payload)}"
    return f"{signing_input}.{encode(sign(signing_input.encode()))}"


P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def other_signature(signature: bytes) -> bytes:
    """Another ECDSA signature (DER) that holds as well, made without the key."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, P256_ORDER - s)


def signer(algorithm: str, key: SigningKey) -> Callable[[bytes], bytes]:
    return lambda message: JWSRegistry.algorithms[algorithm].sign(message, key)


class IssuerServer:
    """The issuer. ``requests`` counts what was asked by path; ``answer`` replaces the key set's answer."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.requests: dict[str, int] = {}
        self.keys: dict[str, tuple[str, SigningKey]] = {}
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        self.discovery: dict[str, object] = {}
        self.posts: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {}
        """What answers forms, by path."""
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application()
        application.router.add_get("/{path:.*}", self._serve)
        application.router.add_post("/{path:.*}", self._take_form)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.discovery = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def add_key(self, key_id: str, algorithm: str = "ES256") -> SigningKey:
        key = GENERATORS[algorithm]()
        self.keys[key_id] = (algorithm, key)
        return key

    def settings(self, **changes: Any) -> IssuerSettings:
        return IssuerSettings(**{"url": self.url, "audience": AUDIENCE, "allow_http_loopback": True, **changes})

    def claims(self, **changes: object) -> dict[str, object]:
        """Good claims; a change to None removes one."""
        now_s = int(self.clock.now_s())
        claims: dict[str, object] = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "repo:acme/crm",
            "iat": now_s,
            "exp": now_s + 600,
            "repository": "acme/crm",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, claims: Mapping[str, object] | None = None, key_id: str = "", **header: object) -> str:
        """A genuine token, signed with ``key_id`` (the first key when empty); header values may be replaced."""
        key_id = key_id or next(iter(self.keys))
        algorithm, key = self.keys[key_id]
        full_header = {"alg": algorithm, "kid": key_id, "typ": "JWT", **header}
        kept = {name: value for name, value in full_header.items() if value is not None}
        payload = json.dumps(self.claims() if claims is None else claims).encode()
        return assemble(json.dumps(kept).encode(), payload, signer(algorithm, key))

    async def _take_form(self, request: web.Request) -> web.StreamResponse:
        return await self.posts[request.path](request)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests[request.path] = self.requests.get(request.path, 0) + 1
        if request.path == "/.well-known/openid-configuration":
            return web.json_response(self.discovery)
        if self.answer is not None:
            return await self.answer(request)
        keys = [
            key.as_dict(private=False, kid=key_id, alg=algorithm, use="sig")
            for key_id, (algorithm, key) in self.keys.items()
        ]
        return web.json_response({"keys": keys})
