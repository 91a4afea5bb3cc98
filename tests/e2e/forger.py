"""Tokens that are not what they seem: made with the development issuer's own key, and with others."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable

from joserfc import jws
from joserfc.jwk import ECKey

from tests.servers import sample
from tests.servers.gateway import GatewayServer

Claims = dict[str, object]


class Forger:
    """Makes tokens with the development issuer's own key, and with others."""

    def __init__(self, gateway: GatewayServer) -> None:
        self.key = ECKey.import_key((gateway.data_dir / "development-issuer.key").read_bytes())
        self.issuer = f"http://127.0.0.1:{gateway.issuer_port}"

    def claims(self, **changes: object) -> Claims:
        now = int(time.time())
        claims: Claims = {"iss": self.issuer, "aud": "interlock", "sub": "forged", "iat": now, "exp": now + 600}
        claims |= {"jti": secrets.token_hex(), "interlock_kind": "agent", "groups": ["testers"]} | changes
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, claims: Claims, key: ECKey | None = None, **header: object) -> str:
        head = {"alg": "ES256", "kid": self.key.thumbprint(), "typ": "JWT"} | header
        return jws.serialize_compact(head, json.dumps(claims).encode(), key or self.key, algorithms=["ES256"])

    def unsigned(self) -> str:
        return f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded(self.claims())}."

    def signed_with_public_key(self) -> str:
        """HS256 with the public key as secret: a verifier that lets the token choose would take it."""
        signing_input = f"{encoded({'alg': 'HS256', 'kid': self.key.thumbprint()})}.{encoded(self.claims())}"
        mac = hmac.new(self.key.as_pem(private=False), signing_input.encode(), hashlib.sha256)
        return f"{signing_input}.{unpadded(mac.digest())}"

    def changed(self) -> str:
        """A good token whose payload was replaced."""
        head, _, signature = self.sign(self.claims()).split(".")
        return f"{head}.{encoded(self.claims(sub='somebody-else'))}.{signature}"


HOSTILE: dict[str, Callable[[Forger], str]] = {
    "expired": lambda f: f.sign(f.claims(iat=int(time.time()) - 7200, exp=int(time.time()) - 3700)),
    "not yet valid": lambda f: f.sign(f.claims(nbf=int(time.time()) + 3600)),
    "from the future": lambda f: f.sign(f.claims(iat=int(time.time()) + 3600, exp=int(time.time()) + 4200)),
    "no expiry": lambda f: f.sign(f.claims(exp=None)),
    "lives too long": lambda f: f.sign(f.claims(exp=int(time.time()) + 360_000)),
    "foreign issuer": lambda f: f.sign(f.claims(iss="https://elsewhere.example")),
    "no issuer": lambda f: f.sign(f.claims(iss=None)),
    "foreign key": lambda f: f.sign(f.claims(), ECKey.generate_key("P-256")),
    "unknown key id": lambda f: f.sign(f.claims(), kid="../../../dev/null"),
    "wrong audience": lambda f: f.sign(f.claims(aud="https://api.example.com")),
    "no audience": lambda f: f.sign(f.claims(aud=None)),
    "brings its key": lambda f: f.sign(f.claims(), jwk=f.key.as_dict(private=False)),
    "logout token": lambda f: f.sign(f.claims(), typ="logout+jwt"),
    "no rule": lambda f: f.sign(f.claims(interlock_kind="robot")),
    "no subject": lambda f: f.sign(f.claims(sub=None)),
    "subject with control characters": lambda f: f.sign(f.claims(sub="agent\n\x1b[2Jroot")),
    "unsigned": lambda f: f.unsigned(),
    "symmetric": lambda f: f.signed_with_public_key(),
    "changed payload": lambda f: f.changed(),
    "huge": lambda f: "e" * 17_000,
    "huge and well formed": lambda f: f.sign(f.claims(groups=["g" * 60_000])),
    "garbage": lambda f: "Ωmega \x01\x7f",
    "three dots": lambda f: "...",
    "nested JSON": lambda f: f"{unpadded(b'[' * 5000)}.{unpadded(b'[' * 5000)}.AAAA",
    "the target's own password": lambda f: sample.PASSWORDS["app"],
}


def unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encoded(value: object) -> str:
    return unpadded(json.dumps(value).encode())
