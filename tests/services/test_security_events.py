"""What identity providers say of sessions and accounts: what follows from it, once, and what happens when it cannot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from interlock.adapters.store.database import Database
from interlock.adapters.store.logins import LoginTable
from interlock.adapters.store.received_events import ReceivedEventTable
from interlock.core.errors import LedgerUnavailable, StateUnavailable
from interlock.core.identity import Actor, Principal, PrincipalKind
from interlock.core.ledger import LockAdded, SecurityEventReceived, SecurityEventRefused, SessionCut
from interlock.core.lock import LockSubject
from interlock.core.login import LoginHolder
from interlock.core.security_event import Effect, EventSubject, SecurityEvent
from interlock.services.logins import Logins
from interlock.services.security_events import MAX_AGE_S, Outcome, SecurityEvents, Way
from tests.services.administration_bench import AdministrationBench
from tests.services.policy.examples import agent

ISSUER = "https://id.example"
PERSON = EventSubject(subject="7")
LONGEST_LIFE_S = 3600


class Issuer(NamedTuple):
    label: str = "corp"
    longest_life_s: int = LONGEST_LIFE_S


class Desk:
    """Where events come in, with real stores of logins and events."""

    def __init__(self, file: Path, issuer: str = ISSUER) -> None:
        self.issuer = issuer
        self.bench = AdministrationBench()
        self.locking, self.clock, self.ledger = self.bench.locking, self.bench.clock, self.bench.ledger
        self.database = Database(file)
        self.received = ReceivedEventTable(self.database, max_kept=3)
        self.logins = Logins(LoginTable(self.database), self.ledger, self.clock, 28_800)
        self.logins.enders.append(self.locking.cascade.login_ended)
        self._number = 0
        self.start()

    def start(self) -> None:
        self.events = SecurityEvents(
            {self.issuer: Issuer()},
            self.locking.locks,
            self.logins,
            self.locking.known,
            self.received,
            self.ledger,
            self.clock,
            28_800,
        )

    def event(self, effect: Effect = Effect.END, about: EventSubject | None = PERSON, **changes: Any) -> SecurityEvent:
        self._number += 1
        event = SecurityEvent(ISSUER, f"e{self._number}", "urn:event", effect, self.clock.now_s(), about)
        return msgspec.structs.replace(event, **changes)

    async def receive(self, effect: Effect = Effect.END, about: EventSubject = PERSON) -> Outcome:
        return await self.events.receive(self.event(effect, about), Way.PUSH)

    def person(self, issued_s_ago: float | None = 10.0, **changes: Any) -> Principal:
        issued_at_s = None if issued_s_ago is None else self.clock.now_s() - issued_s_ago
        person = Principal(
            PrincipalKind.USER, "ada", issuer=ISSUER, subject="7", token_id="t1", login="s1", issued_at_s=issued_at_s
        )
        return msgspec.structs.replace(person, **changes)

    def is_out(self, principal: Principal) -> bool:
        restriction = self.locking.locks.restriction(principal, "pg", "")
        return restriction is not None and restriction.keeps_out


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "state.db")
    yield desk
    desk.database.close()


# ---------------------------------------------------------------- the end of what was proved


async def test_what_was_proved_before_is_over_and_whoever_proves_it_anew_comes_in(desk: Desk) -> None:
    session, other = desk.locking.sessions.add(desk.person()), desk.locking.sessions.add(agent())
    assert await desk.receive() is Outcome.DONE
    assert [done.split()[:2] for done in session.done] == [["cut", "57P01"]]
    assert other.done == []
    assert desk.is_out(desk.person(issued_s_ago=1))
    assert desk.is_out(desk.person(issued_s_ago=None)), "when it was given is not known"
    assert desk.is_out(agent_for(desk.person()))
    assert not desk.is_out(desk.person(issued_s_ago=-1))
    assert not desk.is_out(desk.person(issuer="https://other.example"))
    (cut,) = [record for record in desk.ledger.records if isinstance(record, SessionCut)]
    (added,) = [record for record in desk.ledger.records if isinstance(record, LockAdded)]
    assert (cut.lock, added.cause, added.by) == (added.lock, "session ended by security event e1", "issuer corp")


def agent_for(person: Principal) -> Principal:
    return msgspec.structs.replace(agent(), acting=(person,))


async def test_the_lock_lasts_as_long_as_a_proof_could_live(desk: Desk) -> None:
    await desk.receive()
    desk.clock.advance(LONGEST_LIFE_S)
    await desk.locking.locks.expire()
    assert desk.is_out(desk.person(issued_s_ago=None))
    desk.clock.advance(61)
    await desk.locking.locks.expire()
    assert not desk.is_out(desk.person(issued_s_ago=None))


async def test_a_session_at_the_issuer_ends_alone(desk: Desk) -> None:
    await desk.receive(about=EventSubject(subject="7", login="s1"))
    assert desk.is_out(desk.person())
    assert not desk.is_out(desk.person(login="s2"))
    assert desk.is_out(desk.person(login="")), "it may be one of that session"
    assert not desk.is_out(desk.person(login="", issued_s_ago=-1))
    assert not desk.is_out(desk.person(login="", subject="8"))


async def test_somebody_who_is_called_by_an_address(desk: Desk) -> None:
    claims = (("email", "Ada@Example.org"),)
    await desk.receive(about=EventSubject(email="ada@example.ORG"))
    early = desk.person(claims=claims)
    assert desk.is_out(early)
    assert not desk.is_out(desk.person())
    desk.clock.advance(28_800)
    await desk.locking.locks.expire()
    assert desk.is_out(early), "it is not known which logins are theirs"


@pytest.mark.parametrize("about", [EventSubject(login="s1"), PERSON])
async def test_logins_end_and_what_came_from_them(desk: Desk, about: EventSubject) -> None:
    login, _ = await desk.logins.open(desk.person(), "corp", LoginHolder.CLI, "192.0.2.1")
    other, _ = await desk.logins.open(desk.person(subject="8", login="s8"), "corp", LoginHolder.CLI, "192.0.2.1")
    given = msgspec.structs.replace(login.principal, token_id="ilk", ancestors=(login.principal.token_id, "t1"))
    session = desk.locking.sessions.add(given)
    await desk.receive(about=about)
    assert session.done
    assert desk.logins.has_ended(given)
    assert not desk.logins.has_ended(other.principal)
    assert desk.is_out(msgspec.structs.replace(given, login="", subject="", issued_at_s=None)), "by the login itself"


# ---------------------------------------------------------------- accounts


async def test_an_account_is_locked_until_it_is_enabled(desk: Desk) -> None:
    desk.locking.known.principals[LockSubject.SUBJECT, f"{ISSUER} 7"] = [desk.person()]
    bot = agent(name="bot", owner="ada")
    for _ in range(2):
        await desk.receive(Effect.DISABLE)
        assert [desk.is_out(who) for who in (desk.person(issued_s_ago=-1000), bot, agent())] == [True, True, False]
    assert len(desk.locking.locks.all()) == 2, "the account, and the agents that its person answers for"
    desk.clock.advance(1_000_000)
    await desk.locking.locks.expire()
    await desk.receive(Effect.ENABLE)
    assert not any(map(desk.is_out, (desk.person(), bot)))


async def test_enabling_an_account_lifts_nobody_elses_lock(desk: Desk) -> None:
    mine = f"{ISSUER} 7"
    add = desk.locking.locks.add
    await desk.receive(Effect.DISABLE)
    await add(LockSubject.SUBJECT, mine, next(iter(desk.locking.locks.all())).mode, "looked at", "eve")
    await desk.receive(Effect.ENABLE)
    assert [lock.by for lock in desk.locking.locks.all()] == ["eve"]


async def test_a_purged_account_is_not_enabled_again(desk: Desk) -> None:
    await desk.receive(Effect.PURGE)
    await desk.receive(Effect.ENABLE)
    assert desk.is_out(desk.person(issued_s_ago=-1000))


async def test_whoever_is_locked_by_its_issuer_does_not_lift_that(desk: Desk) -> None:
    await desk.receive(Effect.DISABLE)
    (lock,) = desk.locking.locks.all()
    with pytest.raises(Exception, match="somebody else has to lift it"):
        await desk.locking.locks.remove(lock.id, Actor(desk.person(issued_s_ago=-1000)), "it is me")


# ---------------------------------------------------------------- once, and on record


async def test_what_happened_is_on_record_before_anything_follows(desk: Desk) -> None:
    event = desk.event(about=EventSubject(subject="7", login="s1"))
    await desk.events.receive(event, Way.LOGOUT)
    assert desk.ledger.records[0] == SecurityEventReceived(
        issuer=ISSUER,
        way="back-channel logout",
        event="urn:event",
        token_id=event.id,
        about="login s1, subject 7",
        effect="end",
        repeated=False,
        happened_at_s=desk.clock.now_s(),
    )


async def test_an_event_counts_once_also_after_a_restart(desk: Desk) -> None:
    disabled, enabled = desk.event(Effect.DISABLE), desk.event(Effect.ENABLE)
    for event in (disabled, enabled):
        assert await desk.events.receive(event, Way.POLL) is Outcome.DONE
    desk.start()
    desk.clock.advance(MAX_AGE_S)
    assert await desk.events.receive(disabled, Way.POLL) is Outcome.REPEATED
    assert not desk.is_out(desk.person())
    last = desk.ledger.records[-1]
    assert isinstance(last, SecurityEventReceived)
    assert (last.repeated, last.effect) == (True, "nothing")
    other = msgspec.structs.replace(disabled, id="other")
    assert await desk.events.receive(other, Way.POLL) is Outcome.DONE


async def test_more_than_can_be_remembered_is_not_carried_out(desk: Desk) -> None:
    for _ in range(3):
        await desk.receive(Effect.NOTHING)
    with pytest.raises(StateUnavailable, match="send it later"):
        await desk.receive(Effect.DISABLE)
    assert not desk.is_out(desk.person())
    desk.clock.advance(MAX_AGE_S + 121)
    assert await desk.receive(Effect.DISABLE) is Outcome.DONE


@pytest.mark.parametrize("part", ["ledger", "locks", "events", "clock"])
async def test_what_cannot_be_carried_out_works_when_it_comes_again(desk: Desk, part: str) -> None:
    event, session = desk.event(Effect.DISABLE), desk.locking.sessions.add(desk.person())
    if part == "events":
        desk.database.close()
    desk.ledger.broken = part == "ledger"
    desk.locking.store.broken = part == "locks"
    desk.clock.broken = part == "clock"
    with pytest.raises((LedgerUnavailable, StateUnavailable)):
        await desk.events.receive(event, Way.PUSH)
    assert bool(session.done) is (part == "locks"), "with the store down the lock is in force all the same"
    if part == "events":
        return
    desk.ledger.broken = desk.locking.store.broken = desk.clock.broken = False
    assert await desk.events.receive(event, Way.PUSH) is Outcome.DONE
    assert session.done
    assert [lock.subject for lock in desk.locking.store.all()] == [f"{ISSUER} 7"]


async def test_what_was_no_event_is_on_record_with_the_reason(desk: Desk) -> None:
    await desk.events.refuse("corp", Way.PUSH, "192.0.2.7", "the signature does not hold")
    assert desk.ledger.records == [SecurityEventRefused("corp", "push", "192.0.2.7", "the signature does not hold")]
