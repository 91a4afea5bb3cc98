"""Fetching an issuer's keys: rotation, outages, and issuers that answer badly."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web
from joserfc.jwk import OctKey

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.issuer import COOLDOWN_S, Issuer
from interlock.adapters.identity.issuer_client import MAX_DOCUMENT_BYTES
from interlock.adapters.identity.proofs import KEY_WITHDRAWN
from interlock.core.errors import LoginRefused
from interlock.core.settings import IssuerSettings
from tests.adapters.identity.issuer_server import IssuerServer
from tests.clocks import ManualClock

ADDRESS = "192.0.2.1:5000"


@pytest.fixture
async def known(issuer: IssuerServer, clock: ManualClock) -> AsyncIterator[Issuer]:
    """The issuer as the gateway knows it: keys live for 600 s, and for 3600 s while it cannot be reached."""
    known = Issuer(issuer.settings(jwks_ttl_s=600, jwks_max_stale_s=3600), clock)
    yield known
    await known.close()


async def not_found(known: Issuer, key_id: str = "key-1") -> str:
    with pytest.raises(LoginRefused) as caught:
        await known.find_key(key_id, "ES256")
    return caught.value.reason


async def broken(_request: web.Request) -> web.Response:
    return web.Response(status=503)


async def test_keys_are_found_by_discovery_and_kept(known: Issuer, issuer: IssuerServer) -> None:
    for _ in range(3):
        assert (await known.find_key("key-1", "ES256")).key_id == "key-1"
    assert issuer.requests == {"/.well-known/openid-configuration": 1, "/jwks": 1}


async def test_a_configured_key_url_needs_no_discovery(issuer: IssuerServer, clock: ManualClock) -> None:
    known = Issuer(issuer.settings(jwks_url=f"{issuer.url}/elsewhere"), clock)
    await known.find_key("key-1", "ES256")
    assert issuer.requests == {"/elsewhere": 1}
    await known.close()


async def test_a_new_key_is_found_when_a_token_names_it(
    known: Issuer, issuer: IssuerServer, clock: ManualClock
) -> None:
    await known.find_key("key-1", "ES256")
    issuer.add_key("key-2")
    clock.advance(COOLDOWN_S)
    assert (await known.find_key("key-2", "ES256")).key_id == "key-2"
    assert issuer.requests["/jwks"] == 2


async def test_unknown_keys_do_not_make_the_gateway_hammer_the_issuer(
    known: Issuer, issuer: IssuerServer, clock: ManualClock
) -> None:
    await known.find_key("key-1", "ES256")
    clock.advance(COOLDOWN_S)
    await asyncio.gather(*(not_found(known, f"nobody-{number}") for number in range(50)))
    for number in range(50):
        await not_found(known, f"again-{number}")
    assert issuer.requests["/jwks"] == 2


async def test_a_withdrawn_key_ends_tokens_that_were_verified(
    authenticator: TokenAuthenticator, issuer: IssuerServer, clock: ManualClock
) -> None:
    token = issuer.token(issuer.claims(exp=clock.now_s() + 3000), key_id="key-1")
    await authenticator.authenticate(token, ADDRESS)
    del issuer.keys["key-1"]
    issuer.add_key("key-2")
    clock.advance(600)
    with pytest.raises(LoginRefused) as caught:
        await authenticator.authenticate(token, ADDRESS)
    assert caught.value.reason == "the issuer publishes no such key"


async def test_what_a_withdrawn_key_proved_counts_no_more_whatever_came_from_it(
    authenticator: TokenAuthenticator, issuer: IssuerServer, clock: ManualClock
) -> None:
    issuer.add_key("key-2")
    one, other = [
        await authenticator.authenticate(issuer.token(issuer.claims(jti=key_id), key_id=key_id), ADDRESS)
        for key_id in ("key-1", "key-2")
    ]
    exchanged = msgspec.structs.replace(one, token_id="new", ancestors=("between", one.token_id))
    acted_for = msgspec.structs.replace(other, acting=(exchanged,))
    del issuer.keys["key-1"]
    refusals = [await authenticator.accepted.refusal(principal) for principal in (one, exchanged, acted_for, other)]
    assert refusals == [None] * 4, "the issuer has not been asked again yet"
    issuer.answer = broken
    clock.advance(600)
    assert await authenticator.accepted.refusal(one) is None, "while the issuer cannot be reached"
    issuer.answer = None
    clock.advance(COOLDOWN_S)
    refusals = [await authenticator.accepted.refusal(principal) for principal in (one, exchanged, acted_for, other)]
    assert refusals == [KEY_WITHDRAWN, KEY_WITHDRAWN, KEY_WITHDRAWN, None]


async def test_a_key_replaced_under_its_name_ends_tokens_that_were_verified(
    authenticator: TokenAuthenticator, issuer: IssuerServer, clock: ManualClock
) -> None:
    token = issuer.token(issuer.claims(exp=clock.now_s() + 3000))
    await authenticator.authenticate(token, ADDRESS)
    issuer.add_key("key-1")
    clock.advance(600)
    with pytest.raises(LoginRefused) as caught:
        await authenticator.authenticate(token, ADDRESS)
    assert caught.value.reason == "the signature does not hold"


async def test_keys_outlive_an_outage_up_to_the_bound(known: Issuer, issuer: IssuerServer, clock: ManualClock) -> None:
    await known.find_key("key-1", "ES256")
    issuer.answer = broken
    clock.advance(3599)
    assert (await known.find_key("key-1", "ES256")).key_id == "key-1"
    clock.advance(COOLDOWN_S)
    assert await not_found(known) == "no current keys of the issuer"
    issuer.answer = None
    clock.advance(COOLDOWN_S)
    assert (await known.find_key("key-1", "ES256")).key_id == "key-1"


async def test_a_verified_token_does_not_outlive_the_bound(
    authenticator: TokenAuthenticator, issuer: IssuerServer, clock: ManualClock
) -> None:
    await authenticator.authenticate(issuer.token(), ADDRESS)
    issuer.answer = broken
    clock.advance(14_400 - 60)
    token = issuer.token()
    await authenticator.authenticate(token, ADDRESS)
    clock.advance(60)
    with pytest.raises(LoginRefused) as caught:
        await authenticator.authenticate(token, ADDRESS)
    assert caught.value.reason == "no current keys of the issuer"


async def test_an_outage_is_not_made_worse_by_many_logins(
    known: Issuer, issuer: IssuerServer, clock: ManualClock
) -> None:
    issuer.answer = broken
    await asyncio.gather(*(not_found(known) for _ in range(20)))
    assert issuer.requests["/jwks"] == 1
    issuer.answer = None
    clock.advance(COOLDOWN_S)
    await known.find_key("key-1", "ES256")


async def test_a_login_that_is_given_up_leaves_the_fetch_to_the_next(known: Issuer, issuer: IssuerServer) -> None:
    asked = asyncio.Event()

    async def stall(_request: web.Request) -> web.Response:
        asked.set()
        await asyncio.Event().wait()
        return web.Response()

    issuer.answer = stall
    first = asyncio.ensure_future(known.find_key("key-1", "ES256"))
    await asked.wait()
    second = asyncio.ensure_future(known.find_key("key-1", "ES256"))
    issuer.answer = None
    first.cancel()
    assert (await second).key_id == "key-1"


def _answer(body: bytes, content_type: str = "application/json", **headers: str) -> web.Response:
    return web.Response(body=body, content_type=content_type, headers=headers)


BAD_KEY_SETS = {
    "not JSON": b"<html>",
    "a list": b"[]",
    "no keys": b'{"keys": []}',
    "keys are text": b'{"keys": "x"}',
    "keys given twice": b'{"keys": [], "keys": []}',
    "too many keys": b'{"keys": [' + b",".join([b"{}"] * 101) + b"]}",
    "too large": b'{"keys": [], "x": "' + b"x" * MAX_DOCUMENT_BYTES + b'"}',
    "entries of the wrong kind": b'{"keys": [1, null, "x", [], {"kty": 7}, {"kty": "EC"}, {"kty": "RSA", "n": 1}]}',
    "curve that does not exist": b'{"keys": [{"kty": "EC", "crv": "P-1", "x": "AA", "y": "AA"}]}',
    "point that is not on the curve": b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}]}',
    "encryption key": b'{"keys": [{"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"}]}',
    "kid is a number": b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": 1, "x": "AQ"}]}',
    "nested deeply": b'{"keys": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
}


@pytest.mark.parametrize("body", BAD_KEY_SETS.values(), ids=BAD_KEY_SETS.keys())
async def test_key_sets_that_are_none(body: bytes, known: Issuer, issuer: IssuerServer) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return _answer(body)

    issuer.answer = answer
    assert await not_found(known) == "no current keys of the issuer"


async def test_shared_secrets_and_private_keys_are_not_published_keys(known: Issuer, issuer: IssuerServer) -> None:
    secret = OctKey.generate_key(256).as_dict(private=True, kid="key-1")
    leaked = issuer.keys["key-1"][1].as_dict(private=True, kid="key-1")

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"keys": [secret, leaked]})

    issuer.answer = answer
    assert await not_found(known) == "no current keys of the issuer"


async def test_one_name_for_two_keys_is_no_name(known: Issuer, issuer: IssuerServer) -> None:
    keys = [issuer.add_key(name).as_dict(private=False, kid="same") for name in ("a", "b")]

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"keys": keys})

    issuer.answer = answer
    assert await not_found(known, "same") == "the issuer publishes no such key"


async def test_redirects_are_not_followed(known: Issuer, issuer: IssuerServer) -> None:
    async def answer(_request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{issuer.url}/other")

    issuer.answer = answer
    await not_found(known)
    assert "/other" not in issuer.requests


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://attacker.example", "jwks_uri": "SAME"},
        {"issuer": "SAME", "jwks_uri": "http://attacker.example/jwks"},
        {"issuer": "SAME", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "SAME", "jwks_uri": "http://127.0.0.1@attacker.example/jwks"},
        {"issuer": "SAME", "jwks_uri": 7},
        {"issuer": "SAME"},
        {},
    ],
)
async def test_discovery_that_points_elsewhere(
    discovery: dict[str, object], known: Issuer, issuer: IssuerServer
) -> None:
    issuer.discovery = {name: issuer.url if value == "SAME" else value for name, value in discovery.items()}
    assert await not_found(known) == "no current keys of the issuer"
    assert "/jwks" not in issuer.requests


async def test_nobody_listens(clock: ManualClock, issuer: IssuerServer) -> None:
    settings = issuer.settings()
    await issuer.stop()
    known = Issuer(settings, clock)
    assert await not_found(known) == "no current keys of the issuer"
    await known.close()
    await issuer.start()


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example",
        "http://127.0.0.1.attacker.example",
        "http://localhost.attacker.example",
        "https://user@issuer.example",
        "https://issuer.example?x=1",
        "https://issuer.example#x",
        "https://",
        "ftp://issuer.example",
        "https://issuer.example/ x",
        "https:\\\\issuer.example",
    ],
)
def test_urls_that_are_not_fetched(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        IssuerSettings(url=url, audience="x", allow_http_loopback=True)


def test_plain_http_is_not_fetched_even_on_loopback_unless_allowed() -> None:
    with pytest.raises(ValueError, match="https"):
        IssuerSettings(url="http://127.0.0.1:8080", audience="x")
