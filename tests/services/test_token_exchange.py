"""Exchanging tokens: whatever is asked, in whatever order, nothing gets wider; what breaks gives no token."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.addresses import network_within
from interlock.core.errors import LedgerUnavailable, LoginRefused, StateUnavailable
from interlock.core.identity import Principal, PrincipalKind, connection_audience
from interlock.core.ledger import AnyRecord, ConnectionRefused, TokenIssued
from interlock.core.session_token import MAX_ANCESTORS, SessionToken, TokenForm
from interlock.core.settings import TokenSettings
from interlock.services.token_exchange import TOKENS_PER_MINUTE, ExchangeRefused, TokenExchange, Wish
from tests.clocks import ManualClock

HERE = "192.0.2.7"
CONNECTIONS = ("crm", "shop", "wiki")
CRM = Wish(("crm",))
NETWORKS = ("192.0.2.7", "192.0.2.0/24", "192.0.0.0/16", "0.0.0.0/0", "198.51.100.0/24", "::/0")


class Bench:
    """An exchange whose parts are in memory and can be broken. A token's text is its id."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.principals: dict[str, Principal] = {}
        self.records: list[AnyRecord] = []
        self.broken: set[str] = set()
        self.once = False
        self.bars: dict[str, str] = {}
        self.spent: set[tuple[str, str]] = set()
        self.exchange = TokenExchange(self, self, self, self, self.clock, TokenSettings(), self)

    def know(self, token_id: str, **changes: object) -> str:
        """A token of an issuer, as its text."""
        principal = Principal(
            PrincipalKind.AGENT, f"ci:{token_id}", issuer="https://ci", subject=token_id, token_id=token_id
        )
        ends = {"expires_at_s": self.clock.now_s() + 3600}
        self.principals[token_id] = msgspec.structs.replace(principal, **(ends | changes))
        return token_id

    async def prove(self, token: str, client_address: str) -> Principal:
        if token not in self.principals:
            raise LoginRefused("the token is not accepted", "no such token")
        return self.principals[token]

    def admit(self, principal: Principal) -> Principal:
        if "admit" in self.broken:
            raise LoginRefused("this identity is disabled", "identity disabled")
        return principal

    def bar_on(self, principal: Principal) -> str | None:
        if "locks" in self.broken:
            raise StateUnavailable("broken")
        return self.bars.get(principal.name)

    def is_for_one_exchange(self, principal: Principal) -> bool:
        return self.once and not principal.ancestors

    async def give(self, token: SessionToken, form: TokenForm) -> str:
        if "store" in self.broken:
            raise StateUnavailable("broken")
        self.principals[token.id] = token.principal
        return token.id

    async def spend(self, issuer: str, token_id: str, expires_at_s: float, now_s: float) -> bool:
        if "spent" in self.broken:
            raise StateUnavailable("broken")
        fresh = (issuer, token_id) not in self.spent
        self.spent.add((issuer, token_id))
        return fresh

    def append(self, record: AnyRecord) -> None:
        if "ledger" in self.broken:
            raise LedgerUnavailable("broken")
        self.records.append(record)

    def note(self, record: AnyRecord) -> None:
        self.append(record)

    def get(self, token: str, wish: Wish = CRM, actor: str = "", address: str = HERE) -> Principal:
        """The principal of the token that comes of it."""
        return asyncio.run(self.exchange.exchange(token, actor, wish, address)).token.principal


@pytest.fixture
def bench() -> Bench:
    return Bench()


wishes = st.builds(
    Wish,
    audience=st.lists(st.sampled_from((*CONNECTIONS, "api")), max_size=3).map(tuple),
    run=st.sampled_from(("", "", "run-1", "run-2")),
    sources=st.lists(st.sampled_from(NETWORKS), max_size=2).map(tuple),
    lifetime_s=st.none() | st.integers(1, 5000),
)


@given(st.lists(st.tuples(wishes, st.booleans(), st.integers(0, 300)), max_size=6))
def test_no_chain_of_exchanges_makes_a_token_wider(steps: list[tuple[Wish, bool, int]]) -> None:
    bench = Bench()
    token, before = bench.know("t"), bench.principals["t"]
    actor = bench.know("actor", audience=frozenset({connection_audience("crm"), connection_audience("shop")}))
    for wish, with_actor, seconds in steps:
        bench.clock.advance(seconds)
        if (before.expires_at_s or 0) <= bench.clock.now_s():
            return
        try:
            after = bench.get(token, wish, actor if with_actor else "")
        except ExchangeRefused:
            continue
        assert after.audience
        assert not before.audience or after.audience <= before.audience
        assert after.sources or not before.sources
        assert not before.sources or all(network_within(network, before.sources) for network in after.sources)
        assert (after.expires_at_s or 0) <= min(before.expires_at_s or 0, bench.clock.now_s() + 900)
        assert not before.run or after.run == before.run
        assert after.acting[len(after.acting) - len(before.acting) :] == before.acting
        assert after.ancestors == (before.token_id, *before.ancestors)
        assert (after.name, after.subject, after.issuer) == (before.name, before.subject, before.issuer)
        token, before = after.token_id, after


def test_the_actor_acts_for_the_subject(bench: Bench) -> None:
    subject, actor = bench.know("ada"), bench.know("bot", expires_at_s=bench.clock.now_s() + 60)
    given = bench.get(subject, actor=actor)
    assert (given.name, [who.name for who in given.acting]) == ("ci:ada", ["ci:bot"])
    assert given.expires_at_s == bench.clock.now_s() + 60
    (issued,) = [record for record in bench.records if isinstance(record, TokenIssued)]
    assert issued.acting == ("ci:bot",)


def test_an_actor_brings_a_token_of_its_own(bench: Bench) -> None:
    delegated = bench.get(bench.know("ada"), actor=bench.know("bot")).token_id
    with pytest.raises(ExchangeRefused, match="its own"):
        bench.get(bench.know("eve"), actor=delegated)


def test_tokens_for_different_things_do_not_go_together(bench: Bench) -> None:
    subject = bench.know("ada", audience=frozenset({"connection:crm"}))
    actor = bench.know("bot", audience=frozenset({"connection:shop"}))
    with pytest.raises(ExchangeRefused, match="different things"):
        bench.get(subject, Wish(), actor)


def test_a_token_for_one_exchange_is_exchanged_once(bench: Bench) -> None:
    bench.once = True
    token = bench.know("t")
    with pytest.raises(ExchangeRefused, match="say what the token is for"):
        bench.get(token, Wish())
    first = bench.get(token)
    with pytest.raises(ExchangeRefused, match="exchanged before"):
        bench.get(token)
    assert bench.get(first.token_id, Wish()).audience == first.audience


def test_a_chain_has_an_end(bench: Bench) -> None:
    token = bench.know("t")
    for _ in range(MAX_ANCESTORS):
        token = bench.get(token).token_id
    with pytest.raises(ExchangeRefused, match="too often"):
        bench.get(token)


def test_a_token_from_elsewhere_is_not_exchanged(bench: Bench) -> None:
    token = bench.know("t", sources=("198.51.100.0/24",))
    with pytest.raises(ExchangeRefused, match="address"):
        bench.get(token)


@pytest.mark.parametrize("part", ["store", "spent", "ledger", "clock", "admit"])
def test_what_is_broken_gives_no_token(bench: Bench, part: str) -> None:
    bench.once = True
    token = bench.know("t")
    known = set(bench.principals)
    bench.broken.add(part)
    bench.clock.broken = part == "clock"
    with pytest.raises((StateUnavailable, LedgerUnavailable, ExchangeRefused)):
        bench.get(token)
    assert set(bench.principals) == known


def test_a_refusal_is_on_record_with_its_reason(bench: Bench) -> None:
    with pytest.raises(ExchangeRefused) as caught:
        bench.get("forged")
    assert str(caught.value) == "the token is not accepted"
    assert bench.records == [ConnectionRefused("exchange", HERE, "", "", "no such token")]


def test_who_is_locked_gets_no_token(bench: Bench) -> None:
    bench.bars["ci:t"] = "locked: being looked at"
    with pytest.raises(ExchangeRefused, match="being looked at"):
        bench.get(bench.know("t"))
    assert bench.records == [ConnectionRefused("exchange", HERE, "", "ci:t", "locked")]
    bench.broken.add("locks")
    with pytest.raises(StateUnavailable):
        bench.get(bench.know("other"))


def test_who_wants_more_than_a_token_is_good_for_is_on_record(bench: Bench) -> None:
    token = bench.know("t", audience=frozenset({connection_audience("crm")}))
    with pytest.raises(ExchangeRefused):
        bench.get(token, Wish(("shop",)))
    (record,) = bench.records
    assert isinstance(record, ConnectionRefused)
    assert (record.principal, record.reason.partition(":")[0]) == ("ci:t", "invalid_target")


def test_one_identity_gets_so_many_tokens_a_minute(bench: Bench) -> None:
    token = bench.know("t")
    for _ in range(TOKENS_PER_MINUTE):
        bench.get(token)
    kept = len(bench.records)
    with pytest.raises(ExchangeRefused, match="too many tokens"):
        bench.get(token)
    assert len(bench.records) == kept
    bench.get(bench.know("other"))
    bench.clock.advance(60)
    bench.get(token)
