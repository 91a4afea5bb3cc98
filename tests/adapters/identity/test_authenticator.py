"""What logs in, and the many things that do not."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import pytest
from joserfc.jwk import ECKey, RSAKey

from interlock.adapters.identity.authenticator import MAX_REMEMBERED, TokenAuthenticator
from interlock.adapters.identity.registry import Registry
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal, PrincipalKind, RegisteredIdentity
from interlock.core.settings import IdentityRule
from interlock.services.generated_secret import make_verifier
from tests.adapters.identity.conftest import KnownIdentities
from tests.adapters.identity.issuer_server import (
    AUDIENCE,
    GENERATORS,
    P256_ORDER,
    IssuerServer,
    assemble,
    encode,
    signer,
)
from tests.clocks import ManualClock

ADDRESS = "192.0.2.1:5000"


async def refusal(authenticator: TokenAuthenticator, token: str) -> LoginRefused:
    """The refusal of a token; its text and reason must not repeat any of it."""
    with pytest.raises(LoginRefused) as caught:
        await authenticator.authenticate(token, ADDRESS)
    signature = token.rpartition(".")[2]
    if len(signature) > 20:
        assert signature not in str(caught.value) + caught.value.reason
    return caught.value


async def test_a_genuine_token_names_its_holder(authenticator: TokenAuthenticator, issuer: IssuerServer) -> None:
    token = issuer.token(issuer.claims(jti="t-1", run_id="77", actor="ada"))
    principal = await authenticator.authenticate(token, ADDRESS)
    assert principal.kind is PrincipalKind.AGENT
    assert principal.name == "ci:acme/crm"
    assert principal.groups == {"ci"}
    assert (principal.issuer, principal.subject, principal.token_id) == (issuer.url, "repo:acme/crm", "t-1")
    assert principal.expires_at_s == issuer.clock.now_s() + 600
    assert principal.claims == (("actor", "ada"), ("repository", "acme/crm"), ("run_id", "77"))


@pytest.mark.parametrize("algorithm", sorted(GENERATORS))
async def test_every_supported_algorithm(
    algorithm: str, authenticator: TokenAuthenticator, issuer: IssuerServer
) -> None:
    issuer.add_key("other", algorithm)
    principal = await authenticator.authenticate(issuer.token(key_id="other"), ADDRESS)
    assert principal.name == "ci:acme/crm"


async def test_a_token_without_an_id_is_named_by_its_digest(
    authenticator: TokenAuthenticator, issuer: IssuerServer
) -> None:
    token = issuer.token()
    principal = await authenticator.authenticate(token, ADDRESS)
    content = token.rpartition(".")[0]
    assert principal.token_id == f"sha256:{hashlib.sha256(content.encode()).hexdigest()[:32]}"


async def test_another_signature_makes_no_other_token(authenticator: TokenAuthenticator, issuer: IssuerServer) -> None:
    """Else a token that was revoked, or may be exchanged once, would count again in another spelling."""
    token = issuer.token()
    content, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    changed = f"{content}.{encode(r.to_bytes(32) + (P256_ORDER - s).to_bytes(32))}"
    assert changed != token
    first, second = [await authenticator.prove(text, ADDRESS) for text in (token, changed)]
    assert first.token_id == second.token_id


async def test_a_list_of_audiences_may_hold_others(authenticator: TokenAuthenticator, issuer: IssuerServer) -> None:
    token = issuer.token(issuer.claims(aud=["https://elsewhere", AUDIENCE]))
    assert (await authenticator.authenticate(token, ADDRESS)).name == "ci:acme/crm"


HEADER_FORGERIES: dict[str, dict[str, object]] = {
    "embedded key": {"jwk": {"kty": "EC"}},
    "key by URL": {"jku": "https://attacker.example/jwks"},
    "certificate by URL": {"x5u": "https://attacker.example/chain"},
    "certificate chain": {"x5c": ["MIIB"]},
    "critical extension": {"crit": ["exp"]},
    "unencoded payload": {"b64": False, "crit": ["b64"]},
    "compressed": {"zip": "DEF"},
    "logout token": {"typ": "logout+jwt"},
    "identity assertion": {"typ": "oauth-id-jag+jwt"},
    "security event": {"typ": "secevent+jwt"},
    "typ is no text": {"typ": 7},
    "unknown kid": {"kid": "nobody"},
    "kid as path": {"kid": "../../../../dev/null"},
    "kid as SQL": {"kid": "x' UNION SELECT 'secret' --"},
    "kid with NUL": {"kid": "key-1\x00"},
    "kid too long": {"kid": "k" * 5000},
    "kid is no text": {"kid": ["key-1"]},
    "kid is a number": {"kid": 1},
    "alg missing": {"alg": None},
    "alg is no text": {"alg": ["ES256"]},
    "alg unknown": {"alg": "ES256K"},
    "alg in other case": {"alg": "es256"},
    "alg of another key": {"alg": "RS256"},
    "alg by curve": {"alg": "ES384"},
}


@pytest.mark.parametrize("header", HEADER_FORGERIES.values(), ids=HEADER_FORGERIES.keys())
async def test_headers_that_lie(
    header: dict[str, object], authenticator: TokenAuthenticator, issuer: IssuerServer
) -> None:
    error = await refusal(authenticator, issuer.token(None, "", **header))
    assert str(error) in ("the token is not accepted", "the token is too long")


CLAIM_FORGERIES: dict[str, tuple[dict[str, object], str]] = {
    "foreign issuer": ({"iss": "https://attacker.example"}, "not accepted"),
    "issuer with a slash more": ({"iss": "SLASH"}, "not accepted"),
    "no issuer": ({"iss": None}, "not accepted"),
    "issuer is no text": ({"iss": ["x"]}, "not accepted"),
    "wrong audience": ({"aud": "https://elsewhere"}, "another audience"),
    "audience as prefix": ({"aud": f"{AUDIENCE}-2"}, "another audience"),
    "no audience": ({"aud": None}, "another audience"),
    "audience is a table": ({"aud": {AUDIENCE: True}}, "another audience"),
    "no end": ({"exp": None}, "no end of life"),
    "end is text": ({"exp": "2000000000"}, "not accepted"),
    "end is true": ({"exp": True}, "not accepted"),
    "end is huge": ({"exp": 10**400}, "not accepted"),
    "end is negative": ({"exp": -1}, "not accepted"),
    "no subject": ({"sub": None}, "not accepted"),
    "subject is a number": ({"sub": 7}, "not accepted"),
    "logout token without typ": (
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
        "not accepted",
    ),
    "bound to a key": ({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, "not accepted"),
    "nobody known": ({"repository": "other/crm"}, "nobody here is known by it"),
    "condition by prefix only": ({"repository": "not-acme/crm"}, "nobody here is known by it"),
    "name with control characters": ({"repository": "acme/crm\nadmin"}, "not accepted"),
}


@pytest.mark.parametrize(("changes", "message"), CLAIM_FORGERIES.values(), ids=CLAIM_FORGERIES.keys())
async def test_claims_that_do_not_do(
    changes: dict[str, object], message: str, authenticator: TokenAuthenticator, issuer: IssuerServer
) -> None:
    if changes.get("iss") == "SLASH":
        changes = {"iss": issuer.url + "/"}
    assert message in str(await refusal(authenticator, issuer.token(issuer.claims(**changes))))


TIMES: dict[str, tuple[dict[str, float], str]] = {
    "expired": ({"iat": -600, "exp": -1}, "has expired"),
    "expires now": ({"iat": -600, "exp": 0}, "has expired"),
    "issued in the future": ({"iat": 61, "exp": 600}, "not valid yet"),
    "not valid yet": ({"nbf": 61, "exp": 600}, "not valid yet"),
    "lives too long": ({"iat": 0, "exp": 3601}, "lives too long"),
    "lives too long, backdated": ({"iat": -3000, "exp": 700}, "lives too long"),
    "lives too long without iat": ({"exp": 3601}, "lives too long"),
    "lives too long from a future iat": ({"iat": 30, "exp": 3631}, "lives too long"),
}


@pytest.mark.parametrize(("times", "message"), TIMES.values(), ids=TIMES.keys())
async def test_times_that_do_not_do(
    times: dict[str, float], message: str, authenticator: TokenAuthenticator, issuer: IssuerServer
) -> None:
    now_s = issuer.clock.now_s()
    claims = issuer.claims(iat=None, exp=None) | {name: now_s + offset for name, offset in times.items()}
    assert message in str(await refusal(authenticator, issuer.token(claims)))


@pytest.mark.parametrize("times", [{"iat": 60}, {"nbf": 60}, {"iat": 0.5}])
async def test_clocks_may_differ_a_little(
    times: dict[str, float], authenticator: TokenAuthenticator, issuer: IssuerServer
) -> None:
    now_s = issuer.clock.now_s()
    claims = issuer.claims(**{name: now_s + offset for name, offset in times.items()})
    assert (await authenticator.authenticate(issuer.token(claims), ADDRESS)).name == "ci:acme/crm"


RAW_PAYLOADS: dict[str, Callable[[str], str]] = {
    "claim given twice": lambda good: good[:-1] + ', "sub": "repo:acme/admin"}',
    "nested claim given twice": lambda good: good[:-1] + ', "x": {"a": 1, "a": 2}}',
    "not a number": lambda good: good[:-1] + ', "x": NaN}',
    "infinite": lambda good: good[:-1] + ', "exp": Infinity}',
    "number of many digits": lambda good: good[:-1] + ', "x": ' + "9" * 5000 + "}",
    "too deep": lambda good: good[:-1] + ', "x": ' + "[" * 5000 + "]" * 5000 + "}",
    "not an object": lambda good: f"[{good}]",
    "text": lambda _good: '"hello"',
    "truncated": lambda good: good[:-1],
    "empty": lambda _good: "",
}


@pytest.mark.parametrize("change", RAW_PAYLOADS.values(), ids=RAW_PAYLOADS.keys())
async def test_payloads_that_are_not_claims(
    change: Callable[[str], str], authenticator: TokenAuthenticator, issuer: IssuerServer
) -> None:
    algorithm, key = issuer.keys["key-1"]
    header = json.dumps({"alg": algorithm, "kid": "key-1"}).encode()
    token = assemble(header, change(json.dumps(issuer.claims())).encode(), signer(algorithm, key))
    await refusal(authenticator, token)


async def test_header_given_twice(authenticator: TokenAuthenticator, issuer: IssuerServer) -> None:
    algorithm, key = issuer.keys["key-1"]
    header = b'{"alg": "none", "alg": "ES256", "kid": "key-1"}'
    token = assemble(header, json.dumps(issuer.claims()).encode(), signer(algorithm, key))
    assert (await refusal(authenticator, token)).reason == "header: a name is used twice"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("with_signature", [True, False])
async def test_unsigned_tokens(
    algorithm: str, with_signature: bool, authenticator: TokenAuthenticator, issuer: IssuerServer
) -> None:
    header = json.dumps({"alg": algorithm, "kid": "key-1"}).encode()
    signature = b"x" * 64 if with_signature else b""
    token = assemble(header, json.dumps(issuer.claims()).encode(), lambda _message: signature)
    await refusal(authenticator, token)


@pytest.mark.parametrize("form", ["PEM", "DER", "JSON"])
async def test_the_public_key_is_no_shared_secret(
    form: str, authenticator: TokenAuthenticator, issuer: IssuerServer
) -> None:
    key = issuer.add_key("rsa", "RS256")
    secret = {
        "PEM": key.as_pem(private=False),
        "DER": key.as_der(private=False),
        "JSON": json.dumps(key.as_dict(private=False)).encode(),
    }[form]
    header = json.dumps({"alg": "HS256", "kid": "rsa"}).encode()
    payload = json.dumps(issuer.claims()).encode()
    token = assemble(header, payload, lambda message: hmac.digest(secret, message, "sha256"))
    assert (await refusal(authenticator, token)).reason == "alg is not one of the issuer's"


async def test_a_key_brought_along_is_not_used(authenticator: TokenAuthenticator, issuer: IssuerServer) -> None:
    attacker = ECKey.generate_key("P-256")
    for header in (
        {"alg": "ES256", "kid": "key-1", "jwk": attacker.as_dict(private=False)},
        {"alg": "ES256", "kid": "key-1"},
        {"alg": "ES256"},
    ):
        token = assemble(json.dumps(header).encode(), json.dumps(issuer.claims()).encode(), signer("ES256", attacker))
        await refusal(authenticator, token)


async def test_signatures_that_do_not_hold(authenticator: TokenAuthenticator, issuer: IssuerServer) -> None:
    good = issuer.token()
    head, payload, signature = good.split(".")
    other_payload = encode(json.dumps(issuer.claims(repository="acme/admin")).encode())
    for forged in (
        f"{head}.{other_payload}.{signature}",
        f"{head}.{payload}.{encode(bytes(64))}",
        f"{head}.{payload}.{signature[:-4]}",
        f"{head}.{payload}.",
        f"{head}.{payload}.{signature}AAAA",
    ):
        await refusal(authenticator, forged)
    assert (await authenticator.authenticate(good, ADDRESS)).name == "ci:acme/crm"


GARBAGE: dict[str, str] = {
    "empty": "",
    "a password": "hunter2",
    "two segments": "a.b",
    "encrypted (five segments)": "eyJhbGciOiJkaXIifQ..AAAA.BBBB.CCCC",
    "not base64": "!!.??.##",
    "padded": "eyJhbGciOiJFUzI1NiJ9==.e30=.AAAA",
    "not ASCII": "é.é.é",
    "lone surrogate": "\ud800.a.b",
    "line break": "eyJhbGciOiJFUzI1NiJ9.e30.AAAA\n",
    "NUL": "eyJhbGciOiJFUzI1NiJ9.e30.AA\x00A",
    "impossible length": "A.A.A",
    "not JSON": f"{encode(b'{alg')}.{encode(b'{}')}.AAAA",
    "not UTF-8": f"{encode(bytes([0xFF, 0xFE]))}.{encode(b'{}')}.AAAA",
    "oversized": "A" * 20_000,
    "oversized payload": f"{encode(b'{}')}.{'A' * 20_000}.AAAA",
    "stray bits": f"{encode(b'{}')[:-1]}1.{encode(b'{}')}.AAAA",
}


@pytest.mark.parametrize("token", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage(token: str, authenticator: TokenAuthenticator, issuer: IssuerServer) -> None:
    await refusal(authenticator, token)
    assert issuer.requests == {}, "garbage must not make the gateway ask the issuer"


async def test_an_encrypted_token_around_a_good_one(authenticator: TokenAuthenticator, issuer: IssuerServer) -> None:
    inner = issuer.token()
    header = encode(b'{"alg":"dir","enc":"A256GCM","cty":"JWT"}')
    await refusal(authenticator, f"{header}.{encode(inner.encode())}.AAAA")
    await refusal(authenticator, f"{header}..{encode(bytes(12))}.{encode(inner.encode())}.{encode(bytes(16))}")


async def test_a_key_of_one_issuer_does_not_speak_for_another(
    clock: ManualClock, identities: KnownIdentities, issuer: IssuerServer
) -> None:
    other = IssuerServer(clock)
    await other.start()
    shared_name = other.add_key("key-1")
    rules = [IdentityRule(issuer=server.url, when={}, identity="{sub}") for server in (issuer, other)]
    authenticator = TokenAuthenticator([issuer.settings(), other.settings()], rules, Registry(identities), clock)
    try:
        token = assemble(
            b'{"alg": "ES256", "kid": "key-1"}', json.dumps(issuer.claims()).encode(), signer("ES256", shared_name)
        )
        assert (await refusal(authenticator, token)).reason == "the signature does not hold"
    finally:
        await authenticator.close()
        await other.stop()


async def test_an_unknown_issuer_is_never_asked(authenticator: TokenAuthenticator, issuer: IssuerServer) -> None:
    await refusal(authenticator, issuer.token(issuer.claims(iss="http://127.0.0.1:1")))
    assert issuer.requests == {}


async def test_weak_rsa_keys_are_not_used(authenticator: TokenAuthenticator, issuer: IssuerServer) -> None:
    with pytest.warns(Warning, match="2048"):
        weak = RSAKey.generate_key(1024)
    issuer.keys["weak"] = ("RS256", weak)
    assert (await refusal(authenticator, issuer.token(key_id="weak"))).reason == "the issuer publishes no such key"


async def test_the_token_of_a_clockless_gateway(
    authenticator: TokenAuthenticator, issuer: IssuerServer, clock: ManualClock
) -> None:
    token = issuer.token()
    clock.broken = True
    assert "tell the time" in str(await refusal(authenticator, token))


async def test_a_verified_token_is_not_believed_past_its_end(
    authenticator: TokenAuthenticator, issuer: IssuerServer, clock: ManualClock
) -> None:
    token = issuer.token()
    await authenticator.authenticate(token, ADDRESS)
    clock.advance(599)
    await authenticator.authenticate(token, ADDRESS)
    clock.advance(1)
    assert "has expired" in str(await refusal(authenticator, token))


async def test_what_is_remembered_is_bounded(authenticator: TokenAuthenticator, issuer: IssuerServer) -> None:
    remembered = authenticator._remembered
    await authenticator.authenticate(issuer.token(), ADDRESS)
    entry = next(iter(remembered.values()))
    remembered |= {number.to_bytes(32, "big"): entry for number in range(MAX_REMEMBERED - 1)}
    token = issuer.token(issuer.claims(jti="another"))
    await authenticator.authenticate(token, ADDRESS)
    assert len(remembered) == MAX_REMEMBERED
    assert hashlib.sha256(token.encode()).digest() in remembered


async def test_many_logins_at_once_fetch_the_keys_once(authenticator: TokenAuthenticator, issuer: IssuerServer) -> None:
    tokens = [issuer.token(issuer.claims(jti=str(number))) for number in range(50)]
    await asyncio.gather(*(authenticator.authenticate(token, ADDRESS) for token in tokens))
    assert issuer.requests == {"/.well-known/openid-configuration": 1, "/jwks": 1}


async def test_a_registered_identity_adds_groups_and_an_owner(
    authenticator: TokenAuthenticator, issuer: IssuerServer, identities: KnownIdentities
) -> None:
    identities.by_name["ci:acme/crm"] = RegisteredIdentity(
        "ci:acme/crm", PrincipalKind.AGENT, owner="ada", groups=frozenset({"readers"})
    )
    principal = await authenticator.authenticate(issuer.token(), ADDRESS)
    assert principal.groups == {"ci", "readers"}
    assert principal.owner == "ada"


async def test_a_disabled_identity_is_refused_at_once_though_its_token_was_verified(
    authenticator: TokenAuthenticator, issuer: IssuerServer, identities: KnownIdentities
) -> None:
    token = issuer.token()
    await authenticator.authenticate(token, ADDRESS)
    identities.by_name["ci:acme/crm"] = RegisteredIdentity("ci:acme/crm", PrincipalKind.AGENT, disabled=True)
    assert str(await refusal(authenticator, token)) == "this identity is disabled"


async def test_a_token_does_not_make_an_agent_of_a_user(
    authenticator: TokenAuthenticator, issuer: IssuerServer, identities: KnownIdentities
) -> None:
    identities.by_name["ci:acme/crm"] = RegisteredIdentity("ci:acme/crm", PrincipalKind.USER)
    await refusal(authenticator, issuer.token())


def with_actors(*acting: Principal) -> Principal:
    return Principal(PrincipalKind.USER, "ada", frozenset({"sales"}), acting=acting)


AGENTS = (Principal(PrincipalKind.AGENT, "ci:acme/crm"), Principal(PrincipalKind.AGENT, "planner"))


async def test_each_who_acts_has_what_is_registered_for_it(
    authenticator: TokenAuthenticator, identities: KnownIdentities
) -> None:
    for name, group in (("ci:acme/crm", "crm"), ("planner", "planning")):
        identities.by_name[name] = RegisteredIdentity(name, PrincipalKind.AGENT, "lee", frozenset({group}))
    admitted = authenticator.admit(with_actors(*AGENTS))
    assert admitted.groups == {"sales"}
    assert [(actor.name, actor.groups, actor.owner) for actor in admitted.acting] == [
        ("ci:acme/crm", frozenset({"crm"}), "lee"),
        ("planner", frozenset({"planning"}), "lee"),
    ]


@pytest.mark.parametrize("name", ["ci:acme/crm", "planner", "ada"])
async def test_one_who_is_disabled_keeps_all_of_them_out(
    authenticator: TokenAuthenticator, identities: KnownIdentities, name: str
) -> None:
    kind = PrincipalKind.USER if name == "ada" else PrincipalKind.AGENT
    identities.by_name[name] = RegisteredIdentity(name, kind, disabled=True)
    with pytest.raises(LoginRefused, match="disabled"):
        authenticator.admit(with_actors(*AGENTS))


async def test_who_acts_is_what_it_is_registered_as(
    authenticator: TokenAuthenticator, identities: KnownIdentities
) -> None:
    identities.by_name["planner"] = RegisteredIdentity("planner", PrincipalKind.USER)
    with pytest.raises(LoginRefused):
        authenticator.admit(with_actors(*AGENTS))


async def test_an_identity_with_a_secret(authenticator: TokenAuthenticator, identities: KnownIdentities) -> None:
    verifier = make_verifier("s3cret")
    identities.by_name["batch"] = RegisteredIdentity(
        "batch", PrincipalKind.AGENT, owner="ada", groups=frozenset({"jobs"}), scram_verifier=verifier
    )
    assert authenticator.scram_verifier("batch") == verifier
    principal = authenticator.scram_principal("batch")
    assert (principal.name, principal.owner) == ("batch", "ada")
    assert principal.groups == {"jobs"}
    assert principal.expires_at_s is None


async def test_who_has_no_secret_cannot_use_one(authenticator: TokenAuthenticator, identities: KnownIdentities) -> None:
    identities.by_name["plain"] = RegisteredIdentity("plain", PrincipalKind.AGENT)
    identities.by_name["off"] = RegisteredIdentity("off", PrincipalKind.AGENT, disabled=True, scram_verifier="v")
    for user in ("plain", "off", "nobody"):
        assert authenticator.scram_verifier(user) is None
        with pytest.raises(LoginRefused):
            authenticator.scram_principal(user)


async def test_when_identities_cannot_be_looked_up_nobody_gets_in(
    authenticator: TokenAuthenticator, issuer: IssuerServer, identities: KnownIdentities
) -> None:
    token = issuer.token()
    await authenticator.authenticate(token, ADDRESS)
    identities.by_name["batch"] = RegisteredIdentity("batch", PrincipalKind.AGENT, scram_verifier="v")
    identities.broken = True
    assert (await refusal(authenticator, token)).reason == "state store"
    assert authenticator.scram_verifier("batch") is None
    with pytest.raises(LoginRefused):
        authenticator.scram_principal("batch")
