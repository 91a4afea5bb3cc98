"""A message is kept until its channel has it; what nobody could be told is on record."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.core.ledger import NotificationFailed
from interlock.services.notifications import delivery as module
from tests.services.notifications.world import World, down, refused


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.database.close()


async def test_messages_arrive_in_order_and_are_forgotten(world: World) -> None:
    for subject in "abc":
        await world.tell(subject)
        world.clock.advance(0.01)
    assert [await world.delivery.step() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert world.told() == ["a", "b", "c"]
    assert world.outbox.waiting() == {}
    assert await world.delivery.step() > 0
    assert (world.delivery.counts.sent, world.delivery.counts.failed) == (3, 0)


async def test_a_channel_that_is_down_is_left_alone_longer_and_longer(world: World) -> None:
    await world.tell("a")
    world.chat.failure = down()
    pauses = []
    for _ in range(12):
        await world.delivery.step()
        pauses.append(await world.delivery.step())
        world.clock.advance(pauses[-1])
    assert pauses == sorted(pauses)
    assert (round(pauses[0]), round(pauses[-1])) == (1, 300)
    assert world.delivery.problem == "nobody there"
    world.chat.failure = None
    await world.delivery.step()
    assert len({letter.id for letter in world.chat.letters}) == 1
    assert world.outbox.waiting() == {}
    assert world.delivery.problem == ""
    assert world.ledger.failed == []


async def test_a_message_that_is_refused_holds_up_no_other(world: World) -> None:
    await world.tell("bad")
    world.chat.failure = refused()
    await world.delivery.step()
    world.chat.failure = None
    await world.tell("good")
    await world.delivery.step()
    assert world.told() == ["bad", "good"]


async def test_a_message_that_is_refused_again_and_again_is_given_up(world: World) -> None:
    await world.tell("bad")
    world.chat.failure = refused()
    for _ in range(module.MAX_REFUSALS):
        await world.delivery.step()
        world.clock.advance(60)
    assert world.outbox.waiting() == {}
    assert world.ledger.failed == [
        NotificationFailed("chat", "approval.requested", "bad", module.MAX_REFUSALS, "status 400")
    ]
    assert world.delivery.counts.given_up == 1


async def test_what_is_of_no_use_any_more_is_given_up_on_record(world: World) -> None:
    await world.tell("late", until_s=world.clock.now_s() + 600)
    world.chat.failure = down()
    await world.delivery.step()
    world.clock.advance(600)
    await world.delivery.step()
    assert world.ledger.failed == [NotificationFailed("chat", "approval.requested", "late", 1, "nobody there")]
    assert world.outbox.waiting() == {}
    assert len(world.chat.letters) == 1


async def test_what_cannot_be_recorded_is_not_given_up(world: World) -> None:
    await world.tell("late", until_s=world.clock.now_s() + 1)
    world.clock.advance(2)
    world.ledger.broken = True
    assert await world.delivery.step() > 0
    assert world.outbox.waiting() == {"chat": 1}
    world.ledger.broken = False
    world.clock.advance(300)
    await world.delivery.step()
    assert len(world.ledger.failed) == 1
    assert world.outbox.waiting() == {}


async def test_a_store_that_cannot_forget_repeats_nothing(world: World) -> None:
    await world.tell("a")
    world.outbox.broken = True
    assert await world.delivery.step() > 0
    assert await world.delivery.step() > 0
    world.outbox.broken = False
    await world.delivery.step()
    assert world.told() == ["a"]
    assert world.outbox.waiting() == {}


async def test_whatever_a_channel_raises_is_a_failure_without_its_text(world: World) -> None:
    await world.tell("a")
    world.chat.failure = RuntimeError("https://hooks.example/hunter2")
    await world.delivery.step()
    assert world.delivery.problem == "it failed unexpectedly: RuntimeError"
    assert world.outbox.waiting() == {"chat": 1}


async def test_a_channel_that_hangs_is_given_its_time_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DELIVERY_TIMEOUT_S", 0.01)

    async def hang(_letter: object) -> str:
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(world.chat, "deliver", hang)
    await world.tell("a")
    await world.delivery.step()
    assert "no answer within" in world.delivery.problem


async def test_a_clock_that_cannot_be_read_ends_nothing(world: World) -> None:
    await world.tell("a")
    world.clock.broken = True
    assert await world.delivery.step() > 0
    world.clock.broken = False
    await world.delivery.step()
    assert world.told() == ["a"]


async def test_after_a_test_that_works_nothing_waits_any_longer(world: World) -> None:
    await world.tell("a")
    world.chat.failure = down()
    for _ in range(2):
        await world.delivery.step()
    assert await world.delivery.step() > 0
    world.chat.failure = None
    assert await world.delivery.send(world.message("test"), "1") == "took it"
    await world.delivery.step()
    assert world.outbox.waiting() == {}
