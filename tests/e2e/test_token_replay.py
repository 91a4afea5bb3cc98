"""Scenario 8: a session token in the wrong place, from the wrong place, too late, taken back, or made up.

One gateway, every way in. Whatever is tried is refused as the way in says no; the ledger has the reason, the caller has
not; no session opens and no target hears of it.
"""

import asyncio
import base64
import contextlib
import http.client
import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import ECKey

from interlock.core.ledger import ConnectionRefused, SessionOpened, TokenIssued
from interlock.core.lock import LockSubject
from tests.e2e.breaking import full_disk, table_away
from tests.e2e.exchange import JWT, exchange
from tests.e2e.forger import HOSTILE, Forger, encoded, unpadded
from tests.e2e.ledger_files import records_of, wait_for
from tests.e2e.locking import Responder
from tests.e2e.proxy_wire import ProxyWire, basic
from tests.e2e.ssh.access import connect
from tests.e2e.wire import WireClient, WireError
from tests.servers.api import Answer
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import CONNECTION, GatewayOptions, GatewayServer, http_target, ssh_target
from tests.servers.http_service import HttpService
from tests.servers.openssh import OpenSshServer, new_key
from tests.servers.postgres import PostgresServer

EVERYWHERE = (CONNECTION, "crm", "web", "api")
OTHER = "other"
CORP = "https://corp.example"
CORP_CLIENT = "interlock-web"
RUN = "0af7651916cd43dd8448eb211c80319c"
_SETTINGS = f"""
[[issuers]]
name = "corp"
url = "{CORP}"
audience = "https://interlock.example"
jwks_file = "corp.json"
client_id = "{CORP_CLIENT}"

[[identities]]
issuer = "corp"
when = {{}}
identity = "corp:{{sub}}"
groups = ["testers"]
"""


@dataclass
class Site:
    """The gateway with what is behind it, and somebody who attacks it, from another address each time."""

    gateway: GatewayServer
    service: HttpService
    host: OpenSshServer
    postgres: PostgresServer
    corp_key: ECKey
    sources: Iterator[int] = field(default_factory=lambda: itertools.count(2))

    def given(self, token: str | None = None, *audience: str, **wish: Any) -> dict[str, Any]:
        """What a session token for this is given with."""
        answer = exchange(self.gateway, token or self.gateway.token(), *(audience or EVERYWHERE), **wish)
        assert answer.status == 200, answer.body
        given: dict[str, Any] = answer.json
        return given

    def token(self, *audience: str, **wish: Any) -> str:
        return str(self.given(None, *audience, **wish)["access_token"])

    def corp(self, typ: str = "JWT", **changes: object) -> str:
        """Something that the other issuer has signed."""
        now = int(time.time())
        claims = {"iss": CORP, "sub": "eve", "iat": now, "exp": now + 300, "jti": secrets.token_hex(), **changes}
        return Forger(self.gateway).sign(claims, self.corp_key, kid="corp", typ=typ)

    def touched(self) -> tuple[int, ...]:
        """What targets have heard, and sessions that there were."""
        heard = len(self.service.received), self.postgres.log_position(), len(self.host.log())
        return (*heard, len(records_of(self.gateway, SessionOpened)))


@pytest.fixture(scope="module")
def site(target: Endpoint, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        service, host = stack.enter_context(HttpService()), stack.enter_context(OpenSshServer())
        extra = http_target("crm", service.port) + http_target(OTHER, 9) + ssh_target("web", host)
        options = GatewayOptions(
            http=True, ssh=True, ssh_extra="failures_per_minute = 10000", api_public=True, extra=extra + _SETTINGS
        )
        gateway, key = GatewayServer(target, options), ECKey.generate_key("P-256")
        published = {**key.as_dict(private=False), "kid": "corp", "use": "sig", "alg": "ES256"}
        (gateway.directory / "corp.json").write_text(json.dumps({"keys": [published]}))
        yield Site(stack.enter_context(gateway), service, host, postgres, key)


@dataclass(frozen=True)
class Told:
    """Whether somebody was let in, and everything that was said."""

    let_in: bool
    text: str


# ---------------------------------------------------------------- the ways in


def by_postgres(site: Site, token: str) -> Told:
    with WireClient(site.gateway.port, site.gateway.certificate_file) as client:
        try:
            client.log_in(token)
        except WireError as error:
            refused = error
        else:
            return Told(True, "")
    assert refused.fields["S"] == "FATAL"
    assert refused.code in ("28P01", "42501")
    return Told(False, str(refused.fields))


def by_reverse(site: Site, token: str) -> Told:
    connection = http.client.HTTPConnection("127.0.0.1", site.gateway.http_port, timeout=30)
    connection.request("GET", "/c/crm/things", headers={"Authorization": basic(token)})
    response = connection.getresponse()
    told = Told(response.status == 200, f"{response.headers}\n{response.read().decode()}")
    connection.close()
    assert response.status in (200, 401, 403, 431)
    return told


def by_proxy(site: Site, token: str) -> Told:
    host = f"127.0.0.1:{site.service.port}"
    with ProxyWire(site.gateway.proxy_port, token) as wire:
        answer = wire.get(f"http://{host}/things", host, f"Proxy-Authorization: {basic(token)}")
    assert answer.status in (200, 403, 407, 431)
    return Told(answer.status == 200, f"{answer.headers}\n{answer.body.decode()}")


def by_tunnel(site: Site, token: str) -> Told:
    with ProxyWire(site.gateway.proxy_port, token) as wire:
        answer = wire.connect(f"127.0.0.1:{site.service.port}")
    assert answer.status in (200, 403, 407, 431)
    return Told(answer.status == 200, f"{answer.headers}\n{answer.body.decode()}")


def by_ssh(site: Site, token: str) -> Told:
    return asyncio.run(_ssh(site.gateway, token))


async def _ssh(gateway: GatewayServer, token: str) -> Told:
    said = list[str]()

    class Client(asyncssh.SSHClient):
        def auth_banner_received(self, msg: str, lang: str) -> None:
            said.append(msg)

    try:
        async with connect(gateway, token=token, client_factory=Client) as connection:
            done = await connection.run("true")
            return Told(done.exit_status == 0, f"{said} {done.stderr!r}")
    except asyncssh.Error as error:
        return Told(False, f"{said} {error}")


def by_api(site: Site, token: str) -> Told:
    api = replace(site.gateway.api(token), source=f"127.0.0.{next(site.sources) % 250 + 2}")
    answer = api.get("/v1/whoami")
    assert answer.status in (200, 401, 403)
    return Told(answer.status == 200, f"{answer.headers}\n{answer.body.decode()}")


def by_exchange(site: Site, token: str) -> Told:
    """As the subject of another one that is good for everything."""
    answer = exchange(site.gateway, token, *EVERYWHERE)
    assert (answer.status, answer.headers["cache-control"]) in ((200, "no-store"), (400, "no-store"))
    return Told(answer.status == 200, answer.body.decode())


Way = Callable[[Site, str], Told]
WAYS: dict[str, Way] = {
    "PostgreSQL": by_postgres,
    "HTTP": by_reverse,
    "the proxy": by_proxy,
    "a tunnel": by_tunnel,
    "SSH": by_ssh,
    "the API": by_api,
    "an exchange": by_exchange,
}


@pytest.mark.parametrize("form", ["opaque", "jwt"])
def test_a_token_that_is_right_opens_every_way(site: Site, form: str) -> None:
    wish = {"requested_token_type": JWT} if form == "jwt" else {}
    token = site.token(source="127.0.0.0/8", **wish)
    told = {name: way(site, token) for name, way in WAYS.items()}
    too_long = {"SSH"} if form == "jwt" and len(token) > 1023 else set()
    assert {name for name, said in told.items() if not said.let_in} <= too_long, told


# ---------------------------------------------------------------- what is tried


def _expired(site: Site) -> str:
    given = site.given(lifetime_s=1)
    ends_s = time.time() + given["expires_in"] + 1
    wait_for(lambda: time.time() > ends_s, "the token's end")
    return str(given["access_token"])


def _signed_elsewhere(site: Site) -> str:
    """As another gateway of the same name would: with its own key, for the very claims that this one gave."""
    _, claims, _ = site.token(requested_token_type=JWT).split(".")
    (published,) = site.gateway.api().get("/.well-known/jwks.json").json["keys"]
    head = encoded({"alg": "EdDSA", "kid": published["kid"], "typ": "interlock-session+jwt"})
    return f"{head}.{claims}.{unpadded(Ed25519PrivateKey.generate().sign(f'{head}.{claims}'.encode()))}"


def _of_own_claims(site: Site) -> str:
    """What a session token says, signed by an issuer that is trusted for something else."""
    _, claims, _ = site.token(requested_token_type=JWT).split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return Forger(site.gateway).sign(said, typ="interlock-session+jwt")


def _session_type(site: Site) -> str:
    forger = Forger(site.gateway)
    return forger.sign(forger.claims(), typ="interlock-session+jwt")


_LOGOUT: dict[str, object] = {"http://schemas.openid.net/event/backchannel-logout": {}}
TRIED: dict[str, tuple[Callable[[Site], str], str]] = {
    "another target": (lambda site: site.token(OTHER), "the token is for something else|invalid_target"),
    "another source": (lambda site: site.token(source="192.0.2.0/24"), "source"),
    "after its end": (_expired, "session token expired"),
    "of another gateway": (lambda site: "ilk_" + secrets.token_urlsafe(32), "unknown session token"),
    "of another gateway, signed": (_signed_elsewhere, "the signature does not hold"),
    "our claims, signed by an issuer": (_of_own_claims, "alg is not that of the gateway's own tokens"),
    "an issuer's, as if it were ours": (_session_type, "typ is not that of a bearer token"),
    "the secret of a login": (lambda site: "ill_" + secrets.token_urlsafe(40), "not a compact JWS"),
    "an ID token": (lambda site: site.corp(aud=CORP_CLIENT, nonce="n"), "aud does not name this gateway"),
    "a logout token": (
        lambda site: site.corp(aud="https://interlock.example", events=_LOGOUT, sid="s"),
        "it is a security event",
    ),
    "a security event": (
        lambda site: site.corp("secevent+jwt", aud="https://interlock.example", events={"urn:x": {}}),
        "typ is not that of a bearer token|no bearer token",
    ),
    **{
        name: (lambda site, make=HOSTILE[name]: make(Forger(site.gateway)), reason)  # type: ignore[misc]
        for name, reason in {
            "unsigned": "alg is not one of the issuer's|no alg|unsigned",
            "symmetric": "alg is not one of the issuer's",
            "foreign issuer": "unknown issuer",
            "unknown key id": "no such key",
            "brings its key": "the header brings its own key",
            "huge": "token of",
        }.items()
    },
}


@pytest.mark.parametrize("kind", TRIED)
def test_it_opens_nothing(site: Site, kind: str) -> None:
    make, reason = TRIED[kind]
    _refused_everywhere(site, make(site), reason)


def _refused_everywhere(site: Site, token: str, reason: str, ways: dict[str, Way] = WAYS) -> None:
    """No way lets it in, each refusal is on record with its reason, and the caller hears neither that nor the token."""
    touched = site.touched()
    for name, way in ways.items():
        before = len(records_of(site.gateway, ConnectionRefused))
        told = way(site, token)
        assert not told.let_in, name
        assert token not in told.text, name
        refused = wait_for(lambda before=before: records_of(site.gateway, ConnectionRefused)[before:], name)  # type: ignore[misc]
        reasons = {one.reason for one in refused}
        assert all(any(text in said for text in reason.split("|")) for said in reasons), (name, reasons)
        assert not [said for said in reasons if len(said) > 10 and said in told.text and ":" not in said], name
        assert token not in repr(refused)
    assert site.touched() == touched
    assert token not in site.gateway.log()


# ---------------------------------------------------------------- after it was taken back


@pytest.mark.parametrize("what", ["itself", "its ancestor", "its run", "its identity", "its subject", "who acts"])
def test_what_was_taken_back_opens_nothing(site: Site, what: str) -> None:
    gateway = site.gateway
    name, bot = f"back-{what.replace(' ', '-')}", f"bot-{what.replace(' ', '-')}"
    acting = {"actor_token": gateway.token(bot), "actor_token_type": JWT} if what == "who acts" else {}
    first = site.given(gateway.token(name), run=RUN[:-4] + secrets.token_hex(2), **acting)
    second = site.given(first["access_token"])
    issuer = f"http://127.0.0.1:{gateway.issuer_port}"
    (opened,) = [one for one in records_of(gateway, TokenIssued) if one.token_id == second["token_id"]]
    locks = {
        "itself": (LockSubject.TOKEN, second["token_id"]),
        "its ancestor": (LockSubject.TOKEN, first["token_id"]),
        "its run": (LockSubject.RUN, opened.run),
        "its identity": (LockSubject.OWNER, name),
        "its subject": (LockSubject.SUBJECT, f"{issuer} {opened.subject}"),
        "who acts": (LockSubject.AGENT, bot),
    }
    responder = Responder(gateway)
    receipt = responder.lock(*locks[what], reason="stolen")
    try:
        ways = {way: ask for way, ask in WAYS.items() if way != "the API"}  # which refuses it what it asks for
        _refused_everywhere(site, second["access_token"], "locked", ways)
        assert site.gateway.api(second["access_token"]).get("/v1/whoami").status == 403
    finally:
        responder.lift(receipt)


async def test_a_certificate_falls_with_the_token_that_it_was_given_for(site: Site, tmp_path: Path) -> None:
    gateway, key = site.gateway, new_key(tmp_path / "own")
    given = site.given(gateway.token("certified"))
    public = key.file.with_suffix(".pub").read_text()
    answer = gateway.api(given["access_token"]).request("POST", "/v1/ssh/certificates", {"key": public})
    assert answer.status == 200, answer.body
    certificate = asyncssh.import_certificate(answer.json["certificate"])
    proof: dict[str, Any] = {
        "token": "",
        "password": None,
        "client_keys": [(asyncssh.read_private_key(key.file), certificate)],
    }
    async with connect(gateway, **proof) as connection:
        assert (await connection.run("echo in")).stdout == "in\n"
    Responder(gateway).lock(LockSubject.TOKEN, given["token_id"], reason="stolen")
    opened = len(records_of(gateway, SessionOpened))
    with pytest.raises(asyncssh.PermissionDenied):
        async with connect(gateway, **proof):
            pass
    assert len(records_of(gateway, SessionOpened)) == opened
    assert "locked" in records_of(gateway, ConnectionRefused)[-1].reason


def test_a_bearer_token_ends_nobodys_login(site: Site) -> None:
    """An access token, an ID token and a session token are no logout token, at the door for those."""
    tokens = [
        site.corp("at+jwt", aud="https://interlock.example"),
        site.corp(aud=CORP_CLIENT, nonce="n", sid="s"),
        site.token(requested_token_type=JWT),
    ]
    for token in tokens:
        answer = _log_out(site, token)
        assert (answer.status, answer.json["error_description"]) == (400, "the event is not accepted")


# ---------------------------------------------------------------- when a part is broken


BROKEN: dict[str, Callable[[GatewayServer], contextlib.AbstractContextManager[None]]] = {
    "the ledger": full_disk,
    "the tokens": lambda gateway: table_away(gateway, "session_tokens"),
}


@pytest.mark.parametrize("part", BROKEN)
def test_no_token_is_given_without_every_part(site: Site, part: str) -> None:
    subject, token = site.gateway.token("later"), site.token()
    with BROKEN[part](site.gateway):
        answer = exchange(site.gateway, subject, *EVERYWHERE)
        assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert not by_postgres_at_all(site, token)
    wait_for(lambda: exchange(site.gateway, subject, *EVERYWHERE).status == 200, "tokens are given again")
    assert by_postgres_at_all(site, token)


@pytest.mark.parametrize("part", ["the ledger", "received_events", "logins"])
def test_a_logout_that_cannot_be_carried_out_is_to_come_again(site: Site, part: str) -> None:
    about = {"aud": CORP_CLIENT, "sub": "left", "events": _LOGOUT, "iss": CORP}
    token = site.corp("logout+jwt", **about)
    with full_disk(site.gateway) if part == "the ledger" else table_away(site.gateway, part):
        answer = _log_out(site, token)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
    wait_for(lambda: _log_out(site, token).status == 200, "it counts when it comes again")


def by_postgres_at_all(site: Site, token: str) -> bool:
    with WireClient(site.gateway.port, site.gateway.certificate_file) as client:
        try:
            client.log_in(token)
        except WireError:
            return False
        return True


def _log_out(site: Site, token: str) -> Answer:
    form = "application/x-www-form-urlencoded"
    return site.gateway.api().request(
        "POST", "/logout/backchannel/corp", f"logout_token={token}".encode(), Content_Type=form
    )
