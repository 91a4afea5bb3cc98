"""Open sessions are looked at again: they end when what proved their identity counts no more, and only then."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from interlock.core.errors import StateUnavailable
from interlock.core.identity import Principal, PrincipalKind, RegisteredIdentity
from interlock.core.ledger import SessionCut
from interlock.core.settings import AtExpiry, SessionSettings
from interlock.services.rechecks import EXPIRED, LOGIN_ENDED, NO_CLOCK, Rechecks
from tests.services.administration_bench import AdministrationBench
from tests.services.locks_bench import FakeSession
from tests.services.policy.examples import agent, user

WITHDRAWN = "the key is not the issuer's any more"


class Providers:
    """What logins, issuers and the state store say now."""

    def __init__(self, bench: AdministrationBench) -> None:
        self._bench = bench
        self.ended: set[str] = set()
        self.withdrawn: set[str] = set()
        self.broken = False
        self.asked = 0

    def find(self, name: str) -> RegisteredIdentity | None:
        if self.broken:
            raise StateUnavailable("the disk is gone")
        return self._bench.state.identities.get(name)

    def has_ended(self, principal: Principal) -> bool:
        if self.broken:
            raise StateUnavailable("the disk is gone")
        return not self.ended.isdisjoint(principal.ancestors)

    async def refusal(self, principal: Principal) -> str | None:
        self.asked += 1
        await asyncio.sleep(0)
        return WITHDRAWN if principal.token_id in self.withdrawn else None


class Watch:
    """Rechecks over fakes; what ``spawn`` is given runs when ``tick`` is done."""

    def __init__(self, settings: SessionSettings) -> None:
        self.bench = AdministrationBench()
        self.clock = self.bench.clock
        self.providers = Providers(self.bench)
        self._spawned: list[Coroutine[Any, Any, object]] = []
        locking = self.bench.locking
        self.rechecks = Rechecks(
            locking.sessions,
            locking.cascade,
            self.providers,
            self.providers,
            self.providers,
            self.clock,
            settings,
            lambda work, _name: self._spawned.append(work),
        )

    def register(self, name: str, *groups: str, owner: str | None = None, **changes: Any) -> None:
        kind = changes.pop("kind", PrincipalKind.AGENT)
        self.bench.state.identities[name] = RegisteredIdentity(name, kind, owner, frozenset(groups), **changes)

    async def open(self, principal: Principal) -> FakeSession:
        """A session that has been seen by now."""
        session = self.bench.locking.sessions.add(principal)
        await self.tick()
        return session

    async def tick(self, seconds: float = 0.0) -> None:
        if not self.clock.broken:
            self.clock.advance(seconds)
        await self.rechecks.expire()
        await self.rechecks.recheck()
        spawned, self._spawned = self._spawned, []
        await asyncio.gather(*spawned)

    def reasons(self, session: FakeSession) -> list[str]:
        """Why the session was cut, as its client was told; the same has to be on record."""
        told = [done.removeprefix("cut 57P01 ") for done in session.done]
        records = [record for record in self.bench.ledger.records if isinstance(record, SessionCut)]
        assert [record.reason for record in records if record.session == session.session.id] == told
        assert all((record.by, record.lock, record.action) == ("gateway", "", "cut") for record in records)
        return told

    def token(self, life_s: float = 600.0, **changes: Any) -> Principal:
        ends_at_s = self.clock.now_s() + life_s
        return msgspec.structs.replace(agent(), token_id="jti-1", expires_at_s=ends_at_s, **changes)


@pytest.fixture
def settings() -> SessionSettings:
    return SessionSettings()


@pytest.fixture
def watch(settings: SessionSettings) -> Watch:
    return Watch(settings)


# ---------------------------------------------------------------- expiry


async def test_a_session_ends_when_its_token_does(watch: Watch) -> None:
    session = await watch.open(watch.token(600))
    await watch.tick(599)
    assert watch.reasons(session) == []
    await watch.tick(1)
    assert watch.reasons(session) == [EXPIRED]
    await watch.tick(1)
    assert watch.reasons(session) == [EXPIRED]


async def test_one_that_was_opened_with_a_secret_has_no_end(watch: Watch) -> None:
    session = await watch.open(agent())
    await watch.tick(10_000_000)
    assert watch.reasons(session) == []


@pytest.mark.parametrize("settings", [SessionSettings(at_expiry=AtExpiry.GRACE, grace_s=30)])
async def test_with_grace_it_ends_so_much_later(watch: Watch) -> None:
    session = await watch.open(watch.token(600))
    await watch.tick(629)
    assert watch.reasons(session) == []
    await watch.tick(1)
    assert watch.reasons(session) == [EXPIRED]


@pytest.mark.parametrize("settings", [SessionSettings(at_expiry=AtExpiry.GRACE, grace_s=3600)])
async def test_in_its_grace_a_disabled_identity_ends_and_issuers_are_not_asked(watch: Watch) -> None:
    session = await watch.open(watch.token(600))
    await watch.tick(601)
    watch.providers.withdrawn.add("jti-1")
    asked = watch.providers.asked
    await watch.tick(60)
    assert (watch.reasons(session), watch.providers.asked) == ([], asked)
    watch.register("ci-1", disabled=True)
    await watch.tick(60)
    assert watch.reasons(session) == ["ci-1 is disabled"]


async def test_without_a_time_nobody_stays_whose_time_could_be_over(watch: Watch) -> None:
    token, secret = await watch.open(watch.token(600)), await watch.open(agent(name="batch"))
    watch.clock.broken = True
    await watch.tick()
    assert (watch.reasons(token), watch.reasons(secret)) == ([NO_CLOCK], [])


async def test_what_cannot_be_recorded_ends_all_the_same(watch: Watch) -> None:
    session = await watch.open(watch.token(600))
    watch.bench.ledger.broken = True
    await watch.tick(600)
    assert session.done == [f"cut 57P01 {EXPIRED}"]


# ---------------------------------------------------------------- what else counts no more


async def test_it_is_looked_at_every_so_often(watch: Watch) -> None:
    await watch.open(watch.token())
    for seconds, asked in ((59, 0), (1, 1), (30, 1), (30, 2)):
        await watch.tick(seconds)
        assert watch.providers.asked == asked


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"groups": (), "owner": "alice"}, "ci-1 is no longer in night"),
        ({"groups": ("night",), "owner": "bob"}, "ci-1 has another owner, or is something else now"),
        ({"groups": ("night",), "owner": "alice", "disabled": True}, "ci-1 is disabled"),
        ({"groups": ("night", "day"), "owner": "alice"}, None),
        (None, "ci-1 is not registered any more"),
    ],
)
@pytest.mark.parametrize("acting", [False, True])
async def test_what_is_registered_changes_elsewhere(
    watch: Watch, changes: dict[str, Any] | None, reason: str | None, acting: bool
) -> None:
    watch.register("ci-1", "night", owner="alice")
    session = await watch.open(user(name="ada", acting=(agent(),)) if acting else agent())
    if changes is None:
        del watch.bench.state.identities["ci-1"]
    else:
        watch.register("ci-1", *changes["groups"], **{key: changes[key] for key in changes.keys() - {"groups"}})
    await watch.tick(60)
    assert watch.reasons(session) == ([reason] if reason else [])


async def test_the_login_that_it_came_from_ends(watch: Watch) -> None:
    session = await watch.open(watch.token(ancestors=("login:1", "jti-0")))
    other = await watch.open(watch.token(ancestors=("login:2",)))
    watch.providers.ended.add("login:1")
    await watch.tick(60)
    assert (watch.reasons(session), watch.reasons(other)) == ([LOGIN_ENDED], [])


async def test_whoever_vouched_for_it_takes_that_back(watch: Watch) -> None:
    session = await watch.open(watch.token())
    watch.providers.withdrawn.add("jti-1")
    await watch.tick(60)
    assert watch.reasons(session) == [WITHDRAWN]


async def test_what_cannot_be_found_out_now_is_found_out_later_and_the_end_comes_all_the_same(watch: Watch) -> None:
    watch.register("ci-1", "night")
    session, other = await watch.open(watch.token(600)), await watch.open(agent(name="other"))
    watch.providers.broken = True
    late = await watch.open(watch.token(300))
    watch.register("ci-1")
    await watch.tick(60)
    assert watch.reasons(session) == []
    await watch.tick(240)
    assert watch.reasons(late) == [EXPIRED]
    watch.providers.broken = False
    await watch.tick(60)
    assert watch.reasons(session) == ["ci-1 is no longer in night"]
    assert watch.reasons(other) == []
