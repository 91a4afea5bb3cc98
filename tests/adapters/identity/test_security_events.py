"""Logout tokens and security events: what is believed, what is not, and what cannot be told now."""

from typing import Any

import pytest
from aiohttp import web

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.issuer import COOLDOWN_S
from interlock.adapters.identity.security_events import EventSource, EventVerifier
from interlock.adapters.identity.verification import TokenSource
from interlock.core.errors import LoginRefused, StateUnavailable
from interlock.core.security_event import BACK_CHANNEL_LOGOUT, Effect, EventSubject, SecurityEvent
from interlock.core.settings import SecretReference
from interlock.services.security_events import MAX_AGE_S, EventRefused
from tests.adapters.identity.issuer_server import IssuerServer, assemble
from tests.clocks import ManualClock

NAME, CLIENT, STREAM = "corp", "interlock-client", "https://gateway.example/events"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"


class Sender:
    """An issuer that says what a test has it say, and the gateway's verifier."""

    def __init__(self, issuer: IssuerServer, keys: TokenSource, clock: ManualClock) -> None:
        self.issuer, self.keys, self.clock = issuer, keys, clock
        logout = EventSource(issuer.url, issuer.url, CLIENT, keys, ("ES256", "RS256"))
        stream = EventSource(issuer.url, issuer.url, STREAM, keys, ("ES256",))
        self.verifier = EventVerifier({NAME: logout}, {NAME: stream}, clock)

    def logout(self, _typ: str | None = "logout+jwt", **changes: object) -> str:
        claims: dict[str, object] = {
            "aud": CLIENT,
            "jti": "j1",
            "sub": "7",
            "sid": "s1",
            "events": {BACK_CHANNEL_LOGOUT: {}},
        }
        claims |= {"exp": self.clock.now_s() + 120, "repository": None}
        return self.issuer.token(self.issuer.claims(**(claims | changes)), typ=_typ)

    def event(self, kind: str = f"{CAEP}session-revoked", _typ: str | None = "secevent+jwt", **changes: Any) -> str:
        details = changes.pop("details", {})
        claims: dict[str, object] = {"aud": STREAM, "jti": "j1", "sub": None, "exp": None, "repository": None}
        claims |= {"events": {kind: details}, "sub_id": {"format": "iss_sub", "iss": self.issuer.url, "sub": "7"}}
        return self.issuer.token(self.issuer.claims(**(claims | changes)), typ=_typ)

    async def refused_logout(self, token: str) -> str:
        with pytest.raises(EventRefused) as caught:
            await self.verifier.logout(NAME, token)
        return f"{caught.value.code}: {caught.value}"

    async def refused_event(self, token: str) -> str:
        with pytest.raises(EventRefused) as caught:
            await self.verifier.event(NAME, token)
        return f"{caught.value.code}: {caught.value}"


@pytest.fixture
def sender(issuer: IssuerServer, authenticator: TokenAuthenticator, clock: ManualClock) -> Sender:
    return Sender(issuer, authenticator.sources[issuer.url], clock)


# ---------------------------------------------------------------- back-channel logout


@pytest.mark.parametrize("typ", ["logout+jwt", "application/logout+jwt", "JWT", None])
async def test_a_logout_token(sender: Sender, typ: str | None) -> None:
    now_s = sender.clock.now_s()
    assert await sender.verifier.logout(NAME, sender.logout(typ)) == SecurityEvent(
        sender.issuer.url, "j1", BACK_CHANNEL_LOGOUT, Effect.END, now_s, EventSubject("7", "s1")
    )


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({"sid": None}, EventSubject(subject="7")),
        ({"sub": None}, EventSubject(login="s1")),
        ({"aud": ["other", CLIENT], "exp": None}, EventSubject("7", "s1")),
        ({"iat": 1_800_000_000 - 300}, EventSubject("7", "s1")),
        ({"iat": 1_800_000_000 + 60}, EventSubject("7", "s1")),
    ],
)
async def test_logout_tokens_in_their_forms(sender: Sender, changes: dict[str, Any], about: EventSubject) -> None:
    event = await sender.verifier.logout(NAME, sender.logout(**changes))
    assert event.about == about


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"_typ": "at+jwt"}, "invalid_request: typ"),
        ({"_typ": "secevent+jwt"}, "invalid_request: typ"),
        ({"iss": "https://other.example"}, "invalid_issuer: iss"),
        ({"aud": "interlock-test"}, "invalid_audience: aud"),
        ({"aud": None}, "invalid_audience: aud"),
        ({"iat": None}, "invalid_request: iat is not a time"),
        ({"iat": "now"}, "invalid_request: iat is not a time"),
        ({"iat": True}, "invalid_request: iat is not a time"),
        ({"iat": 1_800_000_000 - 301}, "invalid_request: iat is too old"),
        ({"iat": 1_800_000_000 + 61}, "invalid_request: iat is too old"),
        ({"exp": 1_800_000_000 - 61}, "invalid_request: exp"),
        ({"exp": "soon"}, "invalid_request: exp"),
        ({"jti": None}, "invalid_request: jti"),
        ({"jti": ""}, "invalid_request: jti"),
        ({"jti": "x" * 257}, "invalid_request: jti"),
        ({"nonce": "n"}, "invalid_request: a logout token has no nonce"),
        ({"nonce": ""}, "invalid_request: a logout token has no nonce"),
        ({"events": None}, "invalid_request: events"),
        ({"events": {}}, "invalid_request: events"),
        ({"events": []}, "invalid_request: events"),
        ({"events": {BACK_CHANNEL_LOGOUT: None}}, "invalid_request: events"),
        ({"events": {BACK_CHANNEL_LOGOUT: {"all": True}}}, "invalid_request: events"),
        ({"events": {BACK_CHANNEL_LOGOUT: {}, "urn:other": {}}}, "invalid_request: events"),
        ({"sub": None, "sid": None}, "invalid_request: neither sub nor sid"),
        ({"sub": ""}, "invalid_request: sub"),
        ({"sid": ["s1"]}, "invalid_request: sid"),
    ],
)
async def test_what_is_no_logout_token(sender: Sender, changes: dict[str, Any], reason: str) -> None:
    assert (await sender.refused_logout(sender.logout(**changes))).startswith(reason)


async def test_who_signs_nothing_is_nobody(sender: Sender) -> None:
    good = sender.logout()
    header, payload, signature = good.split(".")
    other = IssuerServer(sender.clock)
    other.url = sender.issuer.url
    other.add_key("key-1")
    forged = Sender(other, sender.keys, sender.clock).logout()
    cases = {
        "": "invalid_request",
        "not a token": "invalid_request",
        "x" * 20_000: "invalid_request",
        f"{header}.{payload}.": "invalid_key",
        f"{header}.{payload}.{signature[:-4]}AAAA": "invalid_key",
        forged: "invalid_key: the signature does not hold",
        assemble(b'{"alg":"none"}', b'{"iss":"x"}', lambda _: b""): "invalid_issuer",
        assemble(b'{"alg":"none"}', f'{{"iss":"{sender.issuer.url}"}}'.encode(), lambda _: b""): "invalid_key: alg",
        assemble(b'{"alg":"ES256","jwk":{}}', b"{}", lambda _: b""): "invalid_request",
        assemble(b'{"alg":"ES256"}', b'{"iss":"a","iss":"b"}', lambda _: b""): "invalid_request",
    }
    for token, reason in cases.items():
        assert (await sender.refused_logout(token)).startswith(reason), token[:40]


async def test_nothing_logs_in_with_an_event_and_nothing_logs_out_with_a_token(
    sender: Sender, authenticator: TokenAuthenticator
) -> None:
    for event in (sender.logout(), sender.logout(None), sender.event(), sender.event(exp=2e9, sub="7")):
        with pytest.raises(LoginRefused):
            await authenticator.authenticate(event, "192.0.2.1:5000")
    bearer = sender.issuer.token()
    assert (await sender.refused_logout(bearer)).startswith("invalid_audience")
    assert (await sender.refused_logout(sender.logout(None, events=None))).startswith("invalid_request: events")
    assert (await sender.refused_event(bearer)).startswith("invalid_request: typ")
    assert (await sender.refused_event(sender.logout(aud=STREAM))).startswith("invalid_request: typ")
    logout_as_event = sender.event(BACK_CHANNEL_LOGOUT)
    assert (await sender.refused_event(logout_as_event)).startswith("invalid_request: a logout token")
    assert (await sender.refused_logout(sender.event(aud=CLIENT))).startswith("invalid_request: typ")


async def test_an_unknown_name_is_nobodys(sender: Sender) -> None:
    for verify, token in ((sender.verifier.logout, sender.logout()), (sender.verifier.event, sender.event())):
        with pytest.raises(EventRefused) as caught:
            await verify("other", token)
        assert caught.value.code == "access_denied"


# ---------------------------------------------------------------- security events


@pytest.mark.parametrize(
    ("kind", "details", "effect"),
    [
        (f"{CAEP}session-revoked", {"initiating_entity": "admin"}, Effect.END),
        (f"{CAEP}token-claims-change", {"claims": {"groups": []}}, Effect.END),
        (f"{CAEP}credential-change", {"change_type": "revoke"}, Effect.END),
        (f"{CAEP}credential-change", {"change_type": "create"}, Effect.NOTHING),
        (f"{CAEP}device-compliance-change", {}, Effect.NOTHING),
        (f"{RISC}account-disabled", {"reason": "hijacking"}, Effect.DISABLE),
        (f"{RISC}account-purged", {}, Effect.PURGE),
        (f"{RISC}account-enabled", {}, Effect.ENABLE),
        (f"{RISC}sessions-revoked", {}, Effect.END),
        ("urn:something-new", {}, Effect.NOTHING),
    ],
)
async def test_what_follows_from_events(sender: Sender, kind: str, details: dict[str, object], effect: Effect) -> None:
    event = await sender.verifier.event(NAME, sender.event(kind, details=details))
    assert (event.kind, event.effect, event.about) == (kind, effect, EventSubject(subject="7"))


@pytest.mark.parametrize("name", ["verification", "stream-updated"])
async def test_events_of_the_stream_itself(sender: Sender, name: str) -> None:
    kind = f"https://schemas.openid.net/secevent/ssf/event-type/{name}"
    token = sender.event(kind, sub_id={"format": "opaque", "id": "stream-1"}, details={"state": "abc"})
    event = await sender.verifier.event(NAME, token)
    assert event.effect is Effect.NOTHING
    assert (await sender.verifier.event(NAME, sender.event(kind, sub_id=None))).about is None


@pytest.mark.parametrize(
    ("subject", "about"),
    [
        ({"format": "opaque", "id": "7"}, EventSubject(subject="7")),
        ({"format": "email", "email": "ada@example.org"}, EventSubject(email="ada@example.org")),
        ({"format": "complex", "user": {"format": "opaque", "id": "7"}}, EventSubject(subject="7")),
        ({"format": "complex", "session": {"format": "opaque", "id": "s1"}}, EventSubject(login="s1")),
        (
            {
                "format": "complex",
                "user": {"format": "email", "email": "ada@example.org"},
                "session": {"format": "opaque", "id": "s1"},
                "device": {"format": "opaque", "id": "d"},
            },
            EventSubject(login="s1", email="ada@example.org"),
        ),
    ],
)
async def test_whom_an_event_is_about(sender: Sender, subject: dict[str, object], about: EventSubject) -> None:
    assert (await sender.verifier.event(NAME, sender.event(sub_id=subject))).about == about


async def test_whom_an_event_is_about_as_drafts_had_it(sender: Sender) -> None:
    details = {"subject": {"subject_type": "iss-sub", "iss": sender.issuer.url, "sub": "8"}}
    event = await sender.verifier.event(NAME, sender.event(sub_id=None, details=details))
    assert event.about == EventSubject(subject="8")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"_typ": "JWT"}, "invalid_request: typ"),
        ({"_typ": None}, "invalid_request: typ"),
        ({"_typ": "logout+jwt"}, "invalid_request: typ"),
        ({"iss": "https://other.example"}, "invalid_issuer"),
        ({"aud": CLIENT}, "invalid_audience"),
        ({"jti": 5}, "invalid_request: jti"),
        ({"iat": 1_800_000_000 - MAX_AGE_S - 1}, "invalid_request: iat is too old"),
        ({"iat": 1_800_000_000 + 61}, "invalid_request: iat is too old"),
        ({"toe": "yesterday"}, "invalid_request: the time of the event"),
        ({"details": {"event_timestamp": -1}}, "invalid_request: the time of the event"),
        ({"events": {}}, "invalid_request: events is not one event"),
        ({"events": {"a": {}, "b": {}}}, "invalid_request: events is not one event"),
        ({"events": {"a": []}}, "invalid_request: the event is no object"),
        ({"sub_id": None}, "invalid_request: whom it is about"),
        ({"sub_id": "7"}, "invalid_request: whom it is about"),
        ({"sub_id": {"format": "iss_sub", "iss": "https://other.example", "sub": "7"}}, "invalid_request: whom"),
        ({"sub_id": {"format": "phone_number", "phone_number": "+1"}}, "invalid_request: whom"),
        ({"sub_id": {"format": "opaque", "id": ""}}, "invalid_request: whom"),
        ({"sub_id": {"format": "email"}}, "invalid_request: whom"),
        ({"sub_id": {"format": "complex", "tenant": {"format": "opaque", "id": "t"}}}, "invalid_request: whom"),
        ({"sub_id": {"format": "complex", "user": {"format": "complex", "user": {}}}}, "invalid_request: whom"),
        (
            {
                "kind": f"{RISC}account-disabled",
                "sub_id": {"format": "complex", "session": {"format": "opaque", "id": "s"}},
            },
            "invalid_request: whom it is about: it names no account",
        ),
    ],
)
async def test_what_is_no_security_event(sender: Sender, changes: dict[str, Any], reason: str) -> None:
    assert (await sender.refused_event(sender.event(**changes))).startswith(reason)


async def test_when_it_happened(sender: Sender) -> None:
    now_s = sender.clock.now_s()
    for changes, happened_s in (
        ({}, now_s),
        ({"toe": now_s - 50}, now_s - 50),
        ({"details": {"event_timestamp": now_s - 70}, "toe": now_s - 50}, now_s - 70),
        ({"details": {"event_timestamp": (now_s - 70) * 1000}}, now_s - 70),
        ({"details": {"event_timestamp": now_s + 50}}, now_s + 50),
        ({"details": {"event_timestamp": now_s + 5000}}, now_s + 60),
    ):
        assert (await sender.verifier.event(NAME, sender.event(**changes))).happened_at_s == happened_s


# ---------------------------------------------------------------- what cannot be told now


async def test_without_the_issuers_keys_it_has_to_come_again(sender: Sender, issuer: IssuerServer) -> None:
    async def down(_request: web.Request) -> web.Response:
        return web.Response(status=503)

    token = sender.event()
    issuer.answer = down
    with pytest.raises(StateUnavailable, match="send it again"):
        await sender.verifier.event(NAME, token)
    issuer.answer = None
    sender.clock.advance(COOLDOWN_S)
    assert (await sender.verifier.event(NAME, token)).id == "j1"


async def test_without_a_time_it_has_to_come_again(sender: Sender) -> None:
    tokens = sender.logout(), sender.event()
    await sender.verifier.event(NAME, tokens[1])
    sender.clock.broken = True
    with pytest.raises(StateUnavailable):
        await sender.verifier.logout(NAME, tokens[0])
    with pytest.raises(StateUnavailable):
        await sender.verifier.event(NAME, tokens[1])


async def test_who_may_push(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    source = EventSource("i", "t", STREAM, sender.keys, ("ES256",), SecretReference(env="PUSH_SECRET"))
    verifier = EventVerifier({}, {NAME: source}, sender.clock)
    with pytest.raises(StateUnavailable):
        await verifier.check_sender(NAME, "Bearer abc")
    monkeypatch.setenv("PUSH_SECRET", "Bearer abc")
    await verifier.check_sender(NAME, "Bearer abc")
    for wrong in ("", "Bearer abcd", "bearer abc", "\udcff"):
        with pytest.raises(EventRefused) as caught:
            await verifier.check_sender(NAME, wrong)
        assert caught.value.code == "authentication_failed"
