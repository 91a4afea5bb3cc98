"""Tokens for targets: one request at a time, kept until shortly before the end, and no secret in any error."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from interlock.adapters.oauth_client import MIN_AGE_S, UNSAID_LIFE_S, TokenSource
from interlock.core.errors import CredentialUnavailable
from interlock.core.settings import OAuthAuthentication, OAuthClient
from tests.clocks import ManualClock
from tests.servers.certificates import CertificateAuthority
from tests.servers.process import free_port
from tests.servers.token_endpoint import CLIENT, SECRET, TokenEndpoint


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def endpoint() -> AsyncIterator[TokenEndpoint]:
    async with TokenEndpoint() as endpoint:
        yield endpoint


def source(endpoint: TokenEndpoint, clock: ManualClock, **changes: Any) -> TokenSource:
    return TokenSource(OAuthClient(**{"token_url": endpoint.url, "client_id": CLIENT, **changes}), SECRET, clock)


async def refusal(tokens: TokenSource) -> str:
    """Why there is no token. The text never has the secret in it, nor anything of what the server said."""
    with pytest.raises(CredentialUnavailable) as caught:
        await tokens.get()
    assert "planted" not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize("authentication", list(OAuthAuthentication))
async def test_a_token(endpoint: TokenEndpoint, clock: ManualClock, authentication: OAuthAuthentication) -> None:
    tokens = source(endpoint, clock, scope="read write", audience="https://a", authentication=authentication)
    assert tokens.current() is None
    assert await tokens.get() == "token-1"
    assert tokens.current() == "token-1"
    (form,) = endpoint.forms
    assert (form["scope"], form["audience"]) == ("read write", "https://a")
    assert "resource" not in form
    assert "planted" not in repr(tokens)


async def test_it_is_renewed_before_it_ends(endpoint: TokenEndpoint, clock: ManualClock) -> None:
    tokens = source(endpoint, clock)
    await tokens.get()
    clock.advance(3600 - 61)
    assert tokens.current() == "token-1"
    clock.advance(2)
    assert tokens.current() is None
    assert await tokens.get() == "token-2"


@pytest.mark.parametrize(("said", "life_s"), [(None, UNSAID_LIFE_S), ("100", 100), (100, 100), (10**9, 86_400)])
async def test_how_long_it_lives(endpoint: TokenEndpoint, clock: ManualClock, said: object, life_s: float) -> None:
    endpoint.answer = {"expires_in": said}
    tokens = source(endpoint, clock)
    await tokens.get()
    clock.advance(life_s * 0.79 if life_s == 100 else life_s - 61)
    assert tokens.current() == "token-1"
    clock.advance(62)
    assert tokens.current() is None


async def test_many_ask_and_one_request_goes_out(endpoint: TokenEndpoint, clock: ManualClock) -> None:
    endpoint.gate = asyncio.Event()
    tokens = source(endpoint, clock)
    asking = [asyncio.ensure_future(tokens.get()) for _ in range(50)]
    await endpoint.asked.wait()
    endpoint.gate.set()
    assert set(await asyncio.gather(*asking)) == {"token-1"}
    assert len(endpoint.forms) == 1


async def test_who_gives_up_waiting_takes_nobody_along(endpoint: TokenEndpoint, clock: ManualClock) -> None:
    endpoint.gate = asyncio.Event()
    tokens = source(endpoint, clock)
    first, second = asyncio.ensure_future(tokens.get()), asyncio.ensure_future(tokens.get())
    await endpoint.asked.wait()
    first.cancel()
    endpoint.gate.set()
    assert await second == endpoint.tokens[-1]
    assert first.cancelled()


async def test_after_a_failure_it_waits_longer_and_longer(endpoint: TokenEndpoint, clock: ManualClock) -> None:
    endpoint.status, endpoint.raw = 503, b"planted"
    tokens = source(endpoint, clock)
    asked = []
    for _ in range(300):
        assert "status 503" in await refusal(tokens)
        asked.append(len(endpoint.forms))
        clock.advance(1)
    assert asked[:2] == [1, 2]
    assert asked[-1] == 10  # after 1, 2, 4, 8, 16, 32, then each 60 seconds
    endpoint.status, endpoint.raw = 200, None
    clock.advance(60)
    assert await tokens.get() == "token-1"


async def test_a_token_that_cannot_be_renewed_is_used_to_its_end(endpoint: TokenEndpoint, clock: ManualClock) -> None:
    tokens = source(endpoint, clock)
    await tokens.get()
    endpoint.status, endpoint.raw = 500, b""
    clock.advance(3590)
    assert await tokens.get() == "token-1"
    clock.advance(11)
    assert "status 500" in await refusal(tokens)


async def test_a_token_that_the_target_refused(endpoint: TokenEndpoint, clock: ManualClock) -> None:
    tokens = source(endpoint, clock)
    await tokens.get()
    tokens.forget()
    assert tokens.current() == "token-1", "it has only just been got"
    clock.advance(MIN_AGE_S)
    tokens.forget()
    assert tokens.current() is None
    assert await tokens.get() == "token-2"


async def test_a_wrong_secret(endpoint: TokenEndpoint, clock: ManualClock) -> None:
    endpoint.secret = "another"
    assert (await refusal(source(endpoint, clock))).endswith("status 401, invalid_client")


@pytest.mark.parametrize(
    ("status", "raw", "why"),
    [
        (200, b"", "not JSON"),
        (200, b"[]", "no JSON object"),
        (200, b'{"access_token": "planted", "access_token": "b", "token_type": "bearer"}', "twice"),
        (200, b'{"access_token": "planted", "token_type": "mac"}', "no bearer token"),
        (200, b'{"access_token": "planted"}', "no bearer token"),
        (200, b'{"token_type": "bearer"}', "missing or malformed"),
        (200, b'{"access_token": "planted\\r\\nX: y", "token_type": "bearer"}', "missing or malformed"),
        (200, b'{"access_token": "", "token_type": "bearer"}', "missing or malformed"),
        (200, b'{"access_token": 7, "token_type": "bearer"}', "missing or malformed"),
        (200, b'{"access_token": "planted", "token_type": "bearer", "expires_in": -1}', "expires_in"),
        (200, b'{"access_token": "planted", "token_type": "bearer", "expires_in": true}', "expires_in"),
        (200, b'{"access_token": "' + b"a" * 20_000 + b'", "token_type": "bearer"}', "missing or malformed"),
        (200, b" " * 70_000, "larger than"),
        (201, b'{"access_token": "planted", "token_type": "bearer"}', "status 201"),
        (400, b'{"error": "planted"}', "status 400"),
        (400, b'{"error": "invalid_scope"}', "status 400, invalid_scope"),
    ],
)
async def test_answers_that_are_none(
    endpoint: TokenEndpoint, clock: ManualClock, status: int, raw: bytes, why: str
) -> None:
    endpoint.status, endpoint.raw = status, raw
    assert why in await refusal(source(endpoint, clock))


async def test_redirects_are_not_followed(endpoint: TokenEndpoint, clock: ManualClock) -> None:
    async with TokenEndpoint() as elsewhere:
        endpoint.status, endpoint.raw, endpoint.headers = 307, b"", {"Location": elsewhere.url}
        assert "status 307" in await refusal(source(endpoint, clock))
        assert elsewhere.forms == []


async def test_an_endpoint_that_is_not_there(endpoint: TokenEndpoint, clock: ManualClock) -> None:
    url = f"http://127.0.0.1:{free_port()}/token"
    assert "cannot be asked" in await refusal(source(endpoint, clock, token_url=url))


async def test_tls_is_verified(clock: ManualClock, certificate_authority: CertificateAuthority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = certificate_authority.issue_server()
    context.load_cert_chain(files.certificate_file, files.key_file)
    async with TokenEndpoint(tls=context) as endpoint:
        trusting = source(endpoint, clock, ca_file=str(certificate_authority.certificate_file))
        assert await trusting.get() == "token-1"
        assert "cannot be asked" in await refusal(source(endpoint, clock))
        assert len(endpoint.forms) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://tokens.example/token",
        "https://user:pass@tokens.example/",
        "ftp://tokens.example",
        "https://",
        "https://a b",
        "http://127.0.0.1.example/",
        "http://localhost@evil.example/",
        "https://a\\@b/",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"token_url": url, "client_id": "c"}, OAuthClient)
