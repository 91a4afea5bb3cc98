"""Asking an issuer about its tokens: as a further check, as the only one, and what holds when it does not answer."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from interlock.adapters.identity.authenticator import UNKNOWN_PER_MINUTE, TokenAuthenticator
from interlock.adapters.identity.introspection import Introspection, Question
from interlock.adapters.identity.proofs import TAKEN_BACK, AcceptedProof
from interlock.adapters.identity.registry import Registry
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal
from interlock.core.settings import IdentityRule, IntrospectionSettings, OnError, SecretReference
from tests.adapters.identity.conftest import KnownIdentities
from tests.adapters.identity.issuer_server import IssuerServer
from tests.clocks import ManualClock

ADDRESS = "192.0.2.1:5000"
OPAQUE = "an-opaque-token.of_the~issuer+1/2=="


class Endpoint:
    """Where the issuer is asked. ``active`` are the tokens that count, with what it says of them."""

    def __init__(self) -> None:
        self.active: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.authorization = ""
        self.answer: web.Response | None = None
        self.url = ""

    async def start(self) -> web.AppRunner:
        application = web.Application()
        application.router.add_post("/introspect", self._serve)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/introspect"
        return runner

    async def _serve(self, request: web.Request) -> web.Response:
        token = str((await request.post())["token"])
        self.asked.append(token)
        self.authorization = request.headers["Authorization"]
        if self.answer is not None:
            return web.Response(status=self.answer.status, body=self.answer.body)
        claims = self.active.get(token)
        return web.json_response({"active": False} if claims is None else {"active": True} | claims)


class Asking:
    def __init__(self, issuer: IssuerServer, endpoint: Endpoint, clock: ManualClock) -> None:
        self.issuer, self.endpoint, self.clock = issuer, endpoint, clock
        self._made: list[TokenAuthenticator] = []

    def authenticator(self, **changes: Any) -> TokenAuthenticator:
        asked = IntrospectionSettings(
            client_id="gate:way", client_secret=SecretReference(env="CLIENT_SECRET"), url=self.endpoint.url, **changes
        )
        settings = self.issuer.settings(name="ci", introspection=asked)
        rule = IdentityRule(issuer="ci", when={"repository": "acme/*"}, identity="ci:{repository}")
        introspection = Introspection(asked, settings, self.clock)
        made = TokenAuthenticator(
            [settings], [rule], Registry(KnownIdentities()), self.clock, introspections=[introspection]
        )
        self._made.append(made)
        return made

    def token(self, **changes: object) -> str:
        """A genuine one that counts."""
        token = self.issuer.token(self.issuer.claims(**changes))
        self.endpoint.active[token] = {}
        return token

    async def close(self) -> None:
        for made in self._made:
            await made.close()


@pytest.fixture
async def asking(issuer: IssuerServer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asking]:
    monkeypatch.setenv("CLIENT_SECRET", "s&cret")
    endpoint = Endpoint()
    runner = await endpoint.start()
    asking = Asking(issuer, endpoint, clock)
    yield asking
    await asking.close()
    await runner.cleanup()


async def refused(authenticator: TokenAuthenticator, token: str) -> str:
    with pytest.raises(LoginRefused) as caught:
        await authenticator.authenticate(token, ADDRESS)
    return caught.value.reason


async def test_a_token_has_to_be_genuine_and_active(asking: Asking) -> None:
    authenticator = asking.authenticator()
    token = asking.token()
    assert (await authenticator.authenticate(token, ADDRESS)).name == "ci:acme/crm"
    scheme, _, pair = asking.endpoint.authorization.partition(" ")
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"gate%3Away:s%26cret")
    inactive = asking.issuer.token(asking.issuer.claims(jti="2"))
    assert "not active" in await refused(authenticator, inactive)
    forged = token[:-4] + "AAAA"
    asking.endpoint.active[forged] = {}
    assert "signature" in await refused(authenticator, forged)
    assert forged not in asking.endpoint.asked


async def test_an_answer_is_good_for_a_moment(asking: Asking) -> None:
    authenticator = asking.authenticator(cache_s=20)
    token = asking.token()
    for _ in range(3):
        await authenticator.authenticate(token, ADDRESS)
    assert len(asking.endpoint.asked) == 1
    del asking.endpoint.active[token]
    asking.clock.advance(19)
    await authenticator.authenticate(token, ADDRESS)
    asking.clock.advance(1)
    assert "not active" in await refused(authenticator, token)


async def test_another_issuers_word_says_nothing(asking: Asking) -> None:
    token = asking.token()
    asking.endpoint.active[token] = {"iss": "https://other.example"}
    assert "not active" in await refused(asking.authenticator(), token)


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=503),
        web.Response(status=401, body=b'{"error":"invalid_client"}'),
        web.Response(body=b"yes"),
        web.Response(body=b'{"active":"true"}'),
        web.Response(body=b"[]"),
    ],
)
async def test_an_issuer_that_does_not_answer(asking: Asking, answer: web.Response) -> None:
    strict, lenient = asking.authenticator(), asking.authenticator(on_error=OnError.ALLOW_UNTIL_EXPIRY)
    token = asking.token()
    asking.endpoint.answer = answer
    assert "cannot be asked" in await refused(strict, token)
    assert (await lenient.authenticate(token, ADDRESS)).name == "ci:acme/crm"
    asking.clock.advance(601)
    assert await refused(lenient, token) == "exp is past"


async def test_without_the_clients_secret_nobody_is_asked(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLIENT_SECRET")
    assert "cannot be asked" in await refused(asking.authenticator(), asking.token())
    assert asking.endpoint.asked == []


async def test_open_sessions_are_asked_about_again_and_live_on_while_there_is_no_answer(asking: Asking) -> None:
    authenticator = asking.authenticator(cache_s=0)
    token = asking.token(jti="t1")
    principal = await authenticator.authenticate(token, ADDRESS)
    came_from_it = Principal(principal.kind, "x", issuer=principal.issuer, token_id="new", ancestors=("t1",))
    accepted = authenticator.accepted
    assert (await accepted.refusal(principal), await accepted.refusal(came_from_it)) == (None, None)
    asking.endpoint.answer = web.Response(status=503)
    assert await accepted.refusal(principal) is None
    asking.endpoint.answer = None
    del asking.endpoint.active[token]
    assert (await accepted.refusal(principal), await accepted.refusal(came_from_it)) == (TAKEN_BACK, TAKEN_BACK)
    assert token not in repr(AcceptedProof(None, Question(Introspection, token)))  # type: ignore[arg-type]


# ---------------------------------------------------------------- opaque tokens


async def test_what_the_issuer_says_takes_the_place_of_claims(asking: Asking) -> None:
    authenticator = asking.authenticator(opaque=True)
    asking.endpoint.active[OPAQUE] = asking.issuer.claims(iss=None, iat=None, scope="use", jti="o1")
    principal = await authenticator.authenticate(OPAQUE, ADDRESS)
    assert (principal.name, principal.issuer, principal.token_id) == ("ci:acme/crm", asking.issuer.url, "o1")
    assert principal.expires_at_s == asking.clock.now_s() + 600
    asking.clock.advance(60)
    del asking.endpoint.active[OPAQUE]
    assert "no issuer knows" in await refused(authenticator, OPAQUE)
    assert await authenticator.accepted.refusal(principal) == TAKEN_BACK


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": None}, "aud does not name this gateway"),
        ({"aud": "other"}, "aud does not name this gateway"),
        ({"exp": None}, "no exp claim"),
        ({"exp": 1_800_000_000}, "exp is past"),
        ({"sub": None}, "no sub claim of a sensible length"),
        ({"cnf": {"jkt": "x"}}, "it is bound to a key, and no bearer token"),
        ({"token_type": "DPoP"}, "the opaque token is no bearer token"),
        ({"iss": "https://other.example"}, "no issuer knows the opaque token as active"),
        ({"repository": "evil/crm"}, "no identity rule applies: not 'ci:{repository}' for its repository"),
    ],
)
async def test_it_has_to_say_what_a_token_would(asking: Asking, changes: dict[str, object], reason: str) -> None:
    asking.endpoint.active[OPAQUE] = asking.issuer.claims(**changes)
    assert await refused(asking.authenticator(opaque=True), OPAQUE) == reason


async def test_a_client_that_got_it_for_itself_is_its_subject(asking: Asking) -> None:
    asking.endpoint.active[OPAQUE] = asking.issuer.claims(sub=None, client_id="reports", token_type="Bearer")
    assert (await asking.authenticator(opaque=True).authenticate(OPAQUE, ADDRESS)).subject == "reports"


async def test_made_up_tokens_do_not_keep_the_issuer_busy(asking: Asking) -> None:
    authenticator = asking.authenticator(opaque=True)
    for number in range(UNKNOWN_PER_MINUTE):
        await refused(authenticator, f"{OPAQUE}{number}".replace("=", "") + "x")
    asking.endpoint.active[OPAQUE] = asking.issuer.claims()
    assert await refused(authenticator, OPAQUE) == "too many unknown opaque tokens"
    assert len(asking.endpoint.asked) == UNKNOWN_PER_MINUTE
    assert (await authenticator.authenticate(OPAQUE, "198.51.100.7:1")).name == "ci:acme/crm"
    assert (await authenticator.authenticate(asking.token(), ADDRESS)).name == "ci:acme/crm"
    asking.clock.advance(2)
    assert (await authenticator.authenticate(OPAQUE, ADDRESS)).name == "ci:acme/crm"


@pytest.mark.parametrize(
    "text", ["", "short", "a password of words, it is", "ilk_" + "x" * 40, "ill_" + "x" * 40, "x" * 5000]
)
async def test_what_is_no_token_is_not_shown_to_the_issuer(asking: Asking, text: str) -> None:
    await refused(asking.authenticator(opaque=True), text)
    assert asking.endpoint.asked == []


async def test_an_opaque_token_is_worth_nothing_without_an_answer(asking: Asking) -> None:
    authenticator = asking.authenticator(opaque=True, on_error=OnError.ALLOW_UNTIL_EXPIRY)
    asking.endpoint.answer = web.Response(status=503)
    assert "cannot be asked" in await refused(authenticator, OPAQUE)
