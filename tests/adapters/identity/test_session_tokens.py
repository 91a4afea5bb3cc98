"""Session tokens as text: what they mean comes back, and what others make of them does not count."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.registry import Registry
from interlock.adapters.identity.session_tokens import TOKEN_TYPE, SessionTokens
from interlock.adapters.identity.token_keys import KEYS_FILE, TokenKeys
from interlock.adapters.sealing import Sealer
from interlock.adapters.store.database import Database
from interlock.adapters.store.session_tokens import SessionTokenTable, SpentTokenTable
from interlock.core.errors import LoginRefused, StateUnavailable
from interlock.core.identity import Principal, PrincipalKind, RegisteredIdentity
from interlock.core.session_token import SessionToken, TokenForm
from tests.adapters.identity.conftest import KnownIdentities
from tests.adapters.identity.issuer_server import encode
from tests.clocks import ManualClock

OWN = "https://gateway.example"
ADDRESS = "192.0.2.1:5000"


class Bench:
    """Tokens in a store of their own, and an authenticator that takes nothing else."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.identities = KnownIdentities()
        self.database = Database(directory / "state.db")
        self.keys = TokenKeys(directory / KEYS_FILE, Sealer(b"k" * 32), 1e6, self.clock.now_s())
        self.tokens = SessionTokens(OWN, self.keys, SessionTokenTable(self.database), self.clock)
        self.authenticator = TokenAuthenticator(
            [], [], Registry(self.identities), self.clock, self.tokens, ["https://idp"]
        )

    def give(self, form: TokenForm, **changes: object) -> str:
        principal = Principal(
            PrincipalKind.AGENT,
            "ci:acme",
            frozenset({"readers"}),
            issuer="https://idp",
            subject="s",
            token_id="t-1",
            expires_at_s=self.clock.now_s() + 600,
            audience=frozenset({"connection:crm"}),
            ancestors=("t-0",),
            acting=(Principal(PrincipalKind.AGENT, "bot", issuer="https://idp"),),
        )
        token = SessionToken(msgspec.structs.replace(principal, **changes), self.clock.now_s())
        return asyncio.run(self.tokens.give(token, form))

    def log_in(self, token: str) -> Principal:
        return asyncio.run(self.authenticator.authenticate(token, ADDRESS))

    def reason(self, token: str) -> str:
        with pytest.raises(LoginRefused) as caught:
            self.log_in(token)
        return caught.value.reason


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.database.close()


@pytest.mark.parametrize("form", TokenForm)
def test_what_a_token_means_comes_back(bench: Bench, form: TokenForm) -> None:
    bench.identities.by_name["ci:acme"] = RegisteredIdentity(
        "ci:acme", PrincipalKind.AGENT, groups=frozenset({"writers"})
    )
    principal = bench.log_in(bench.give(form))
    assert (principal.name, principal.token_id, principal.ancestors) == ("ci:acme", "t-1", ("t-0",))
    assert principal.groups == {"readers", "writers"}
    assert principal.audience == {"connection:crm"}
    assert [who.name for who in principal.acting] == ["bot"]


@pytest.mark.parametrize("form", TokenForm)
def test_a_token_ends(bench: Bench, form: TokenForm) -> None:
    token = bench.give(form)
    bench.clock.advance(599)
    bench.log_in(token)
    bench.clock.advance(1)
    assert bench.reason(token) == "session token expired"


@pytest.mark.parametrize("form", TokenForm)
def test_a_token_ends_with_the_trust_in_who_vouched(bench: Bench, form: TokenForm) -> None:
    assert "not trusted any more" in bench.reason(bench.give(form, issuer="https://gone"))
    gone = (Principal(PrincipalKind.AGENT, "bot", issuer="https://gone"),)
    assert "not trusted any more" in bench.reason(bench.give(form, acting=gone))


@pytest.mark.parametrize("form", TokenForm)
def test_whoever_was_disabled_meanwhile_stays_out(bench: Bench, form: TokenForm) -> None:
    token = bench.give(form)
    bench.identities.by_name["ci:acme"] = RegisteredIdentity("ci:acme", PrincipalKind.AGENT, disabled=True)
    assert bench.reason(token) == "identity disabled"


@pytest.mark.parametrize("form", TokenForm)
def test_without_a_clock_no_token_counts(bench: Bench, form: TokenForm) -> None:
    token = bench.give(form)
    bench.clock.broken = True
    assert bench.reason(token) == "no clock"


def test_without_the_store_no_opaque_token_counts(bench: Bench) -> None:
    token = bench.give(TokenForm.OPAQUE)
    bench.database.close()
    with pytest.raises(Exception):  # noqa: B017 - whatever it is, nobody gets in
        bench.log_in(token)


def test_the_store_has_no_token(bench: Bench) -> None:
    token = bench.give(TokenForm.OPAQUE)
    rows = bench.database.read("SELECT * FROM session_tokens")
    assert token.encode() not in b"".join(bytes(str(tuple(row)), "utf-8") for row in rows)
    assert bench.reason("ilk_" + "A" * 43) == "unknown session token"
    assert bench.reason(token + "A") == "unknown session token"


def _changed(bench: Bench, header: dict[str, object], key: Ed25519PrivateKey | None = None) -> str:
    """A signed token that means more, signed with the gateway's key or another."""
    token = bench.give(TokenForm.JWT)
    own = bench.keys._keys[0]
    head = encode(msgspec.json.encode({"alg": "EdDSA", "kid": own.id, "typ": TOKEN_TYPE} | header))
    signing_input = f"{head}.{token.split('.')[1]}"
    return f"{signing_input}.{encode((key or own.private).sign(signing_input.encode()))}"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"kid": "nobody"}, "the gateway has no such key"),
        ({"kid": "../../etc/passwd"}, "the gateway has no such key"),
        ({"typ": "at+jwt"}, "typ is not that of the gateway's own tokens"),
        ({"typ": "logout+jwt"}, "typ is not that of a bearer token"),
        ({"jwk": {"kty": "OKP"}}, "the header brings its own key (jwk)"),
    ],
)
def test_a_token_with_another_header_does_not_count(bench: Bench, header: dict[str, object], reason: str) -> None:
    bench.log_in(_changed(bench, {}))
    assert bench.reason(_changed(bench, header)) == reason


def test_a_token_signed_by_another_key_does_not_count(bench: Bench) -> None:
    assert bench.reason(_changed(bench, {}, Ed25519PrivateKey.generate())) == "the signature does not hold"


def test_a_changed_token_does_not_count(bench: Bench) -> None:
    header, payload, signature = bench.give(TokenForm.JWT).split(".")
    other = bench.give(TokenForm.JWT, audience=frozenset()).split(".")[1]
    assert payload != other
    assert bench.reason(f"{header}.{other}.{signature}") == "the signature does not hold"


def test_tokens_are_used_once(bench: Bench) -> None:
    spent = SpentTokenTable(bench.database)

    async def spend(issuer: str, now_s: float = 0) -> bool:
        return await spent.spend(issuer, "t", 100, now_s)

    async def spend_all() -> list[bool]:
        return [await spend("a"), await spend("a"), await spend("b"), await spend("a", 99), await spend("a", 100)]

    assert asyncio.run(spend_all()) == [True, False, True, False, True]


def test_only_so_many_tokens_are_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.adapters.store.session_tokens.MAX_KEPT", 2)
    first = [bench.give(TokenForm.OPAQUE) for _ in range(2)]
    with pytest.raises(StateUnavailable, match="more tokens"):
        bench.give(TokenForm.OPAQUE)
    bench.log_in(first[0])
    bench.clock.advance(600)
    bench.log_in(bench.give(TokenForm.OPAQUE))
