"""Who is told what; storms are one message; what fails in telling fails nothing else."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from interlock.core.ledger import AlertRaised, NotificationFailed
from interlock.core.lock import SESSION_ENDED, Lock, LockMode, LockSubject
from interlock.services.notifications import notifications as module
from tests.services.notifications.world import LOCK, World

LOCKED = Lock("L1", LockSubject.AGENT, "bot\nApproved: yes", LockMode.REFUSE, "odd", "ann", 1_800_000_000.0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, per_minute=3)
    yield made
    made.database.close()


async def test_a_channel_hears_what_it_wants_to(world: World) -> None:
    await world.tell("a")
    await world.tell("b", LOCK)
    assert world.outbox.waiting() == {"chat": 2, "locks": 1}


async def test_a_storm_becomes_one_message_with_counts(world: World) -> None:
    for number in range(10):
        await world.tell(f"n{number}", LOCK if number % 2 else "approval.requested")
    assert world.outbox.waiting() == {"chat": 4, "locks": 4}
    for _ in range(4):
        await world.delivery.step()
    assert world.told() == ["n0", "n1", "n2"]
    world.clock.advance(61)
    await world.delivery.step()
    assert world.told()[-1] == "And 7 more within a short time"
    assert world.chat.letters[-1].message.facts == (("approval.requested", "3"), ("lock.added", "4"))
    assert world.outbox.waiting() == {"locks": 4}
    await world.tell("later")
    await world.delivery.step()
    assert world.told()[-1] == "later"


async def test_what_comes_while_the_counts_are_being_sent_is_counted_anew(world: World) -> None:
    for number in range(5):
        await world.tell(str(number))
    world.clock.advance(59.5)
    for _ in range(3):
        await world.delivery.step()
    world.chat.failure = RuntimeError()
    world.clock.advance(1)
    await world.delivery.step()
    world.subscriptions["chat"].count(world.clock.now_s())
    world.subscriptions["chat"].count(world.clock.now_s())
    world.subscriptions["chat"].count(world.clock.now_s())
    await world.tell("more")
    assert world.outbox.waiting()["chat"] == 2
    world.chat.failure = None
    world.clock.advance(61)
    await world.delivery.step()
    await world.delivery.step()
    titles = [letter.message.title for letter in world.chat.letters[-2:]]
    assert sorted(titles) == ["And 1 more within a short time", "And 2 more within a short time"]


async def test_the_outbox_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 5)
    for number in range(30):
        await world.tell(str(number))
        world.clock.advance(61)
    assert world.outbox.waiting() == {"chat": 6}
    while await world.delivery.step() == 0:
        pass
    assert world.told()[-1] == "And 25 more within a short time"


async def test_a_store_that_fails_is_on_record_and_ends_nothing(world: World) -> None:
    world.outbox.broken = True
    await world.tell("lost")
    assert world.ledger.failed == [NotificationFailed("chat", "approval.requested", "lost", 0, "the disk is full")]
    assert world.delivery.counts.given_up == 1
    world.outbox.broken = False
    await world.tell("kept")
    assert world.outbox.waiting() == {"chat": 1}


async def test_neither_a_full_intake_nor_a_broken_clock_reaches_whoever_tells(world: World) -> None:
    for number in range(module.MAX_INTAKE + 2):
        world.notifications.tell(world.message(str(number)))
    assert [record.reason for record in world.ledger.failed] == ["too many messages at once"] * 2
    world.clock.broken = True
    world.notifications.lock_added(LOCKED)
    world.ledger.broken = True
    world.clock.broken = False
    world.notifications.lock_added(LOCKED)


async def test_what_waits_for_a_channel_that_is_gone_is_given_up(world: World) -> None:
    await world.tell("b", LOCK)
    del world.subscriptions["locks"]
    await world.tell("c")
    assert world.outbox.waiting() == {"chat": 2}
    assert [(record.channel, record.subject) for record in world.ledger.failed] == [("locks", "b")]


async def test_nobody_is_told_that_people_log_out(world: World) -> None:
    logged_out = msgspec.structs.replace(LOCKED, cause=f"{SESSION_ENDED} with its login")
    world.notifications.lock_added(logged_out)
    world.notifications.lock_removed(logged_out, "gateway", "expired")
    await world.settle()
    assert world.outbox.waiting() == {}


async def test_locks_and_alerts_are_told_in_one_line_each(world: World) -> None:
    world.notifications.lock_added(LOCKED)
    await world.settle()
    world.clock.advance(1)
    world.notifications.lock_removed(LOCKED, "eve", "solved")
    await world.settle()
    world.clock.advance(1)
    await world.notifications.alert(AlertRaised("denials", "bot", "agent bot was denied 50 times", 50))
    await world.settle()
    for _ in range(3):
        await world.delivery.step()
    added, removed, alert = [letter.message for letter in world.chat.letters]
    assert (added.kind, added.title) == ("lock.added", r"Locked: agent bot\nApproved: yes (refuse)")
    assert dict(added.facts)["until"] == "it is removed"
    assert added.link == "interlock lock list"
    assert (removed.kind, dict(removed.facts)["by"], dict(removed.facts)["reason"]) == ("lock.removed", "eve", "solved")
    assert (alert.kind, alert.title) == ("alert.raised", "Alert: agent bot was denied 50 times")
