"""Signing in at an issuer that answers as it likes: nobody is let in by anything but the genuine, own, fresh answer."""

import base64
import hashlib
import urllib.parse
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.openid.provider import OpenIdProvider
from interlock.adapters.identity.registry import Registry
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal
from interlock.core.settings import IdentityKind, IdentityRule, OAuthAuthentication, SecretReference
from interlock.services.sign_in import Attempt, Attempts
from tests.adapters.identity.conftest import KnownIdentities
from tests.adapters.identity.issuer_server import AUDIENCE, IssuerServer, encode
from tests.clocks import ManualClock

CLIENT = "interlock/1"
SECRET = "s€cret: +%"
CALLBACK = "https://gateway.example.org/login/callback/corp"
CODE = "the-code-of-this-sign-in"


class Bench:
    """An issuer with a token endpoint that checks its client as the RFCs have it, and the gateway's side of it.

    ``claims`` change the ID token, ``header`` its header, ``answer`` what comes with it.
    """

    def __init__(self, issuer: IssuerServer, clock: ManualClock) -> None:
        self.issuer = issuer
        self.clock = clock
        self.claims: dict[str, object] = {}
        self.header: dict[str, Any] = {}
        self.answer: dict[str, object] = {}
        self.respond: Callable[[], web.StreamResponse] | None = None
        self.forms: list[dict[str, str]] = []
        self.authorization: list[str | None] = []
        self._nonce = ""
        issuer.discovery |= {
            "authorization_endpoint": f"{issuer.url}/authorize?tenant=1",
            "token_endpoint": f"{issuer.url}/token",
            "authorization_response_iss_parameter_supported": True,
        }
        issuer.posts["/token"] = self._token
        self._opened: list[TokenAuthenticator | OpenIdProvider] = []
        self.attempts = Attempts(clock)

    def provider(self, **settings: Any) -> OpenIdProvider:
        """The gateway's side."""
        issuer = self.issuer.settings(**{"name": "corp", "client_id": CLIENT, **settings})
        rules = [
            IdentityRule(
                issuer="corp", when={"sub": "ada"}, identity="{sub}", kind=IdentityKind.USER, groups_claim="groups"
            )
        ]
        authenticator = TokenAuthenticator([issuer], rules, Registry(KnownIdentities()), self.clock)
        provider = OpenIdProvider(issuer, authenticator.sources[issuer.url], authenticator.rules, CALLBACK, self.clock)
        self._opened += [provider, authenticator]
        return provider

    def attempt(self) -> Attempt:
        return self.attempts.begin("corp", None, "192.0.2.1")[0]

    async def sign_in(
        self, provider: OpenIdProvider | None = None, attempt: Attempt | None = None, **answer: str | None
    ) -> Principal:
        """Begin and come back with an answer; a value of None leaves a parameter out."""
        provider = provider or self.provider()
        attempt = attempt or self.attempt()
        await provider.begin(attempt)
        self._nonce = attempt.nonce
        sent = {"code": CODE, "state": attempt.state, "iss": self.issuer.url, **answer}
        return await provider.complete(attempt, {name: value for name, value in sent.items() if value is not None})

    async def refusal(self, provider: OpenIdProvider | None = None, **answer: str | None) -> LoginRefused:
        with pytest.raises(LoginRefused) as caught:
            await self.sign_in(provider, None, **answer)
        refused = caught.value
        assert CODE not in f"{refused} {refused.reason}"
        return refused

    def id_token(self) -> str:
        usual = {"aud": CLIENT, "sub": "ada", "groups": ["g1"], "sid": "s1", "nonce": self._nonce}
        return self.issuer.token(self.issuer.claims(**usual | self.claims), **self.header)

    async def close(self) -> None:
        for opened in self._opened:
            await opened.close()

    async def _token(self, request: web.Request) -> web.StreamResponse:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        self.authorization.append(request.headers.get("Authorization"))
        if self.respond is not None:
            return self.respond()
        answer = {"access_token": "an-access-token", "token_type": "Bearer", "id_token": self.id_token()}
        return web.json_response({name: value for name, value in (answer | self.answer).items() if value is not None})


@pytest.fixture
async def bench(issuer: IssuerServer, clock: ManualClock) -> AsyncIterator[Bench]:
    bench = Bench(issuer, clock)
    yield bench
    await bench.close()


async def test_somebody_signs_in(bench: Bench) -> None:
    principal = await bench.sign_in()
    assert (principal.name, principal.subject, principal.login, principal.groups) == (
        "ada",
        "ada",
        "s1",
        frozenset({"g1"}),
    )
    assert principal.issued_at_s == bench.clock.at_s
    assert principal.expires_at_s is None, "an ID token's end is not that of the login"


async def test_what_the_issuer_is_asked(bench: Bench) -> None:
    provider, attempt = bench.provider(scope="openid groups", acr_values=("mfa", "hw"), max_age_s=0), bench.attempt()
    url = (await provider.begin(attempt)).url
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    assert url.startswith(f"{bench.issuer.url}/authorize?tenant=1&")
    assert query == {
        "tenant": "1",
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": CALLBACK,
        "scope": "openid groups",
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": encode(hashlib.sha256(attempt.verifier.encode()).digest()),
        "code_challenge_method": "S256",
        "acr_values": "mfa hw",
        "max_age": "0",
    }
    assert attempt.verifier not in url


@pytest.mark.parametrize("way", [None, *OAuthAuthentication])
async def test_how_the_client_proves_who_it_is(bench: Bench, way: OAuthAuthentication | None, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    settings = {} if way is None else {"client_secret": SecretReference(file=str(secret)), "client_authentication": way}
    attempt = bench.attempt()
    await bench.sign_in(bench.provider(**settings), attempt)
    (form,), (header,) = bench.forms, bench.authorization
    common = {
        "grant_type": "authorization_code",
        "code": CODE,
        "redirect_uri": CALLBACK,
        "code_verifier": attempt.verifier,
    }
    if way is OAuthAuthentication.BASIC:
        assert header is not None
        name, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
        assert (urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(password)) == (CLIENT, SECRET)
        assert form == common
    else:
        assert header is None
        assert form == common | {"client_id": CLIENT} | ({"client_secret": SECRET} if way else {})


async def test_a_secret_that_is_not_there_is_a_clear_refusal(bench: Bench, tmp_path: Path) -> None:
    provider = bench.provider(client_secret=SecretReference(file=str(tmp_path / "nothing")))
    assert (await bench.refusal(provider)).reason == "openid: the client's secret cannot be read"
    assert bench.forms == []


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"nonce": "of-another-sign-in"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": ["x"]}, "nonce"),
        ({"iss": "https://evil.example.org"}, "iss"),
        ({"aud": "another-client"}, "aud"),
        ({"aud": AUDIENCE}, "aud"),
        ({"aud": [CLIENT, "another-client"]}, "azp"),
        ({"aud": [CLIENT, "another-client"], "azp": "another-client"}, "azp"),
        ({"azp": "another-client"}, "azp"),
        ({"azp": ""}, "azp"),
        ({"aud": None}, "aud"),
        ({"aud": {"x": CLIENT}}, "aud"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"exp": None}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": True}, "exp"),
        ({"iat": None}, "iat"),
        ({"events": {}}, "security event"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "at_hash"),
        ({"at_hash": 7}, "at_hash"),
        ({"sid": 7}, "sid"),
    ],
)
async def test_an_id_token_that_does_not_fit_lets_nobody_in(
    bench: Bench, claims: dict[str, object], reason: str
) -> None:
    bench.claims = claims
    assert reason in (await bench.refusal()).reason


@pytest.mark.parametrize(
    ("iat", "exp", "nbf", "accepted"),
    [
        (0, 600, None, True),
        (-500, 3600, -500, True),
        (-601, 3600, None, False),
        (59, 600, None, True),
        (61, 600, None, False),
        (0, 0, None, False),
        (0, 600, 61, False),
    ],
)
async def test_an_id_token_is_of_now(bench: Bench, iat: int, exp: int, nbf: int | None, accepted: bool) -> None:
    now_s = int(bench.clock.at_s)
    bench.claims = {"iat": now_s + iat, "exp": now_s + exp, "nbf": None if nbf is None else now_s + nbf}
    if accepted:
        assert (await bench.sign_in()).name == "ada"
    else:
        await bench.refusal()


@pytest.mark.parametrize("aud", [[CLIENT], [CLIENT, "another"]])
async def test_an_id_token_may_name_others_when_it_says_who_asked(bench: Bench, aud: list[str]) -> None:
    bench.claims = {"aud": aud, "azp": CLIENT}
    assert (await bench.sign_in()).name == "ada"


async def test_the_access_token_is_the_one_that_came_along(bench: Bench) -> None:
    bench.claims = {"at_hash": encode(hashlib.sha256(b"an-access-token").digest()[:16])}
    assert (await bench.sign_in()).name == "ada"
    bench.answer = {"access_token": "another"}
    assert "at_hash" in (await bench.refusal()).reason


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "at+jwt"},
        {"typ": "logout+jwt"},
        {"typ": "oauth-id-jag+jwt"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"jwk": {"kty": "EC"}},
        {"kid": "nobody"},
        {"crit": ["x"]},
    ],
)
async def test_another_kind_of_token_lets_nobody_in(bench: Bench, header: dict[str, object]) -> None:
    bench.header = header
    await bench.refusal()


async def test_a_token_of_another_key_lets_nobody_in(bench: Bench, issuer: IssuerServer) -> None:
    await bench.sign_in()
    stranger = IssuerServer(bench.clock)
    stranger.url = issuer.url
    stranger.add_key("key-1")
    bench.answer = {"id_token": stranger.token(issuer.claims(aud=CLIENT, sub="ada", nonce="x"))}
    assert (await bench.refusal()).reason == "ID token: the signature does not hold"


@pytest.mark.parametrize(
    ("acr", "accepted"), [("mfa", True), ("hw", True), ("pwd", False), (None, False), (["mfa"], False)]
)
async def test_a_sign_in_is_as_strong_as_asked(bench: Bench, acr: object, accepted: bool) -> None:
    bench.claims = {"acr": acr}
    provider = bench.provider(acr_values=("mfa", "hw"))
    if accepted:
        assert (await bench.sign_in(provider)).name == "ada"
    else:
        assert "stronger" in str(await bench.refusal(provider))


@pytest.mark.parametrize(("ago_s", "accepted"), [(0, True), (300, True), (400, False), (None, False)])
async def test_a_sign_in_is_as_recent_as_asked(bench: Bench, ago_s: int | None, accepted: bool) -> None:
    bench.claims = {"auth_time": None if ago_s is None else int(bench.clock.at_s) - ago_s}
    provider = bench.provider(max_age_s=300)
    if accepted:
        assert (await bench.sign_in(provider)).name == "ada"
    else:
        assert "auth_time" in (await bench.refusal(provider)).reason


@pytest.mark.parametrize("issuer_said", ["https://evil.example.org", "", None])
async def test_the_answer_of_another_issuer_is_not_redeemed(bench: Bench, issuer_said: str | None) -> None:
    """The mix-up: a code of one issuer must not be shown to another (RFC 9207)."""
    assert "another issuer" in (await bench.refusal(iss=issuer_said)).reason
    assert bench.forms == []


async def test_an_issuer_may_not_say_whose_answers_are(bench: Bench, issuer: IssuerServer) -> None:
    del issuer.discovery["authorization_response_iss_parameter_supported"]
    assert (await bench.sign_in(iss=None)).name == "ada"
    assert "another issuer" in (await bench.refusal(iss="https://evil.example.org")).reason


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("access_denied", "refused at the provider"),
        ("temporarily_unavailable", "try again later"),
        ("<script>\r\nx", "has not let you sign in"),
    ],
)
async def test_an_error_is_told_in_words_of_the_gateways_own(bench: Bench, error: str, message: str) -> None:
    refused = await bench.refusal(error=error, error_description="<b>planted</b>")
    assert message in str(refused)
    assert not any(planted in f"{refused} {refused.reason}" for planted in ("script", "planted"))
    assert bench.forms == []


@pytest.mark.parametrize("code", [None, "", "x" * 5000])
async def test_a_code_of_no_sensible_length_is_not_redeemed(bench: Bench, code: str | None) -> None:
    await bench.refusal(code=code)
    assert bench.forms == []


async def test_an_answer_that_nobody_asked_for_counts_nothing(bench: Bench) -> None:
    with pytest.raises(LoginRefused):
        await bench.provider().complete(None, {"code": CODE, "iss": bench.issuer.url})
    assert bench.forms == []


def _redirect() -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "/elsewhere"})


@pytest.mark.parametrize(
    "respond",
    [
        lambda: web.json_response({"error": "invalid_grant"}, status=400),
        lambda: web.json_response({"error": "invalid_client"}, status=401),
        lambda: web.Response(text="<html>", content_type="text/html"),
        lambda: web.json_response([]),
        lambda: web.json_response({"access_token": "x"}),
        lambda: web.json_response({"id_token": 7}),
        lambda: web.json_response({"id_token": "x"}),
        lambda: web.Response(text='{"id_token": "a", "id_token": "b"}'),
        lambda: web.Response(body=b'{"id_token": "' + b"x" * 300_000 + b'"}'),
        lambda: web.json_response({"id_token": "x" * 20_000}),
        lambda: web.Response(status=500),
        _redirect,
    ],
)
async def test_any_other_answer_for_the_code_lets_nobody_in(
    bench: Bench, respond: Callable[[], web.StreamResponse]
) -> None:
    bench.respond = respond
    await bench.refusal()
    assert len(bench.forms) == 1


async def test_an_issuer_that_cannot_be_reached_is_said_to_be(bench: Bench, issuer: IssuerServer) -> None:
    provider = bench.provider()
    await bench.sign_in(provider)
    bench.respond = lambda: web.json_response({}, status=503)
    assert "cannot be reached" in str(await bench.refusal(provider))
    issuer.discovery = {"issuer": "https://evil.example.org"}
    assert "cannot be reached" in str(await bench.refusal(bench.provider()))


@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint"])
@pytest.mark.parametrize("url", [None, "http://evil.example.org/", "javascript:x", "https://a b/", 7])
async def test_nobody_is_sent_to_what_is_no_https_url(
    bench: Bench, issuer: IssuerServer, endpoint: str, url: object
) -> None:
    issuer.discovery[endpoint] = url
    with pytest.raises(LoginRefused):
        await bench.provider().begin(bench.attempt())


async def test_groups_that_are_kept_elsewhere_are_not_taken_for_none(bench: Bench) -> None:
    """Entra ID leaves out the groups of people who are in very many (OpenID Connect Core 5.6.2)."""
    bench.claims = {"groups": None, "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "x"}}}
    assert "groups" in (await bench.refusal()).reason


async def test_an_id_token_of_a_sign_in_is_no_password(bench: Bench) -> None:
    settings = bench.issuer.settings(name="corp", client_id=CLIENT)
    people_only = bench.issuer.settings(name="corp", client_id=CLIENT, audience="")
    for issuer in (settings, people_only):
        rule = IdentityRule(issuer="corp", when={}, identity="{sub}", kind=IdentityKind.USER)
        authenticator = TokenAuthenticator([issuer], [rule], Registry(KnownIdentities()), bench.clock)
        with pytest.raises(LoginRefused, match="another audience"):
            await authenticator.authenticate(bench.id_token(), "")
        await authenticator.close()


async def test_where_a_browser_ends_its_session_at_the_provider(bench: Bench, issuer: IssuerServer) -> None:
    principal = await bench.sign_in()
    assert await bench.provider().logout_url(principal, "https://gateway.example.org/login") == ""
    issuer.discovery["end_session_endpoint"] = f"{issuer.url}/end?x=y"
    url = await bench.provider().logout_url(principal, "https://gateway.example.org/login")
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    assert query == {"x": "y", "client_id": CLIENT, "post_logout_redirect_uri": "https://gateway.example.org/login"}


async def test_without_a_clock_nobody_signs_in(bench: Bench) -> None:
    provider, attempt = bench.provider(), bench.attempt()
    await bench.sign_in(provider)
    bench.clock.broken = True
    bench.respond = lambda: web.json_response({"id_token": "x.y.z"})
    with pytest.raises(LoginRefused):
        await provider.complete(attempt, {"code": CODE, "iss": bench.issuer.url})
