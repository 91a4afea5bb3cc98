"""The commands about incidents: recorded first, and nothing done when that fails."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.core.administration.incidents import (
    CloseIncident,
    FindValue,
    ListIncidents,
    OpenIncident,
    ReportIncident,
    ShowIncident,
)
from interlock.core.errors import AdministrationRefused, LedgerUnavailable, NotFound, StateUnavailable
from interlock.core.identity import Actor, Principal, PrincipalKind, local_actor
from interlock.core.ledger import (
    AdministrationChanged,
    AnyRecord,
    IncidentClosed,
    IncidentOpened,
    LockAdded,
    TokenIssued,
)
from interlock.core.lock import LockMode, LockSubject
from interlock.services.incidents.room import IncidentRoom
from tests.clocks import ManualClock
from tests.services.administration_bench import MemoryIdentities, MemoryState
from tests.services.incidents.incident_bench import World
from tests.services.locks_bench import LocksBench

RITA = local_actor("rita")


class TakingLedger:
    """Puts records into the world's ledger. It takes ``left`` more of them; None is no limit."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.records: list[AnyRecord] = []
        self.left: int | None = None

    def append(self, record: AnyRecord) -> asyncio.Future[None] | None:
        if self.left is not None:
            if not self.left:
                raise LedgerUnavailable("the disk is full")
            self.left -= 1
        self._world.gateway.ledger.append_now(record)
        self.records.append(record)
        return None

    def note(self, record: AnyRecord) -> None:
        self.append(record)


class RoomBench:
    def __init__(self, directory: Path) -> None:
        self.world = World(directory)
        self.ledger = TakingLedger(self.world)
        identities = MemoryIdentities(MemoryState([], {}))
        clock = ManualClock()
        self.locks = LocksBench(self.ledger, clock, identities)

        async def settle() -> bool:
            return True

        self.room = IncidentRoom(self.world.reader, self.world.bundling, self.locks.locks, self.ledger, clock, settle)

    async def give(self, command: object, actor: Actor = RITA) -> object:
        return await self.room.handlers[type(command)](command, actor)  # type: ignore[index]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[RoomBench]:
    bench = RoomBench(tmp_path)
    yield bench
    bench.world.close()


async def opened(bench: RoomBench, mode: LockMode | None = LockMode.REFUSE) -> str:
    answer = await bench.room._open(OpenIncident(LockSubject.AGENT, "it leaks", "bot", mode), RITA)
    return answer.id


async def test_opening_locks_and_says_so(bench: RoomBench) -> None:
    incident = await opened(bench, LockMode.FREEZE)
    first, second = bench.ledger.records
    assert isinstance(first, IncidentOpened)
    assert (first.by, first.mode) == ("os:rita", "freeze")
    assert isinstance(second, LockAdded)
    assert (second.cause, second.mode) == (f"incident {incident}", "freeze")
    page = await bench.room._list(ListIncidents(), RITA)
    assert [(one.id, one.about) for one in page.items] == [(incident, "agent bot")]


async def test_opening_without_a_lock(bench: RoomBench) -> None:
    await opened(bench, None)
    assert len(bench.ledger.records) == 1
    assert not bench.locks.locks.all()


async def test_what_the_ledger_does_not_take_is_not_done(bench: RoomBench) -> None:
    incident = await opened(bench)
    bench.ledger.left = 0
    for command in (
        OpenIncident(LockSubject.AGENT, "r", "other"),
        ShowIncident(incident),
        ReportIncident(incident),
        FindValue("x"),
        CloseIncident(incident, "r", lift_locks=True),
    ):
        with pytest.raises(LedgerUnavailable):
            await bench.give(command)
    assert [lock.subject for lock in bench.locks.locks.all()] == ["bot"]
    assert bench.world.reader.find(incident).closed_ns is None


async def test_an_incident_whose_lock_cannot_be_recorded_says_that_nobody_is_locked(bench: RoomBench) -> None:
    bench.ledger.left = 1
    answer = await bench.room._open(OpenIncident(LockSubject.AGENT, "r", "bot"), RITA)
    assert answer.receipt is None
    assert "NOBODY IS LOCKED" in answer.warning
    assert not bench.locks.locks.all()


async def test_without_knowing_the_locks_none_is_opened(bench: RoomBench) -> None:
    bench.locks.store.broken = True
    bench.locks.start()
    room = IncidentRoom(
        bench.world.reader,
        bench.world.bundling,
        bench.locks.locks,
        bench.ledger,
        ManualClock(),
        bench.room._settle,
    )
    with pytest.raises(StateUnavailable):
        await room._open(OpenIncident(LockSubject.AGENT, "r", "bot"), RITA)
    assert not bench.ledger.records


@pytest.mark.parametrize(("kind", "name"), [(LockSubject.AGENT, ""), (LockSubject.EVERYTHING, "x")])
async def test_what_cannot_be_locked(bench: RoomBench, kind: LockSubject, name: str) -> None:
    with pytest.raises(AdministrationRefused):
        await bench.room._open(OpenIncident(kind, "r", name), RITA)
    assert not bench.ledger.records


async def test_closing_leaves_the_lock_or_lifts_it(bench: RoomBench) -> None:
    first, second = await opened(bench), await opened(bench)
    left = await bench.room._close(CloseIncident(first, "done"), RITA)
    assert (len(left.lifted), len(left.in_force)) == (0, 1)
    lifted = await bench.room._close(CloseIncident(second, "done", lift_locks=True), RITA)
    assert (len(lifted.lifted), len(lifted.in_force)) == (1, 0)
    assert [lock.id for lock in bench.locks.locks.all()] == list(left.in_force)
    with pytest.raises(AdministrationRefused, match="closed already"):
        await bench.room._close(CloseIncident(first, "again"), RITA)
    with pytest.raises(NotFound):
        await bench.room._close(CloseIncident("z", "none"), RITA)


async def test_whoever_is_locked_does_not_close_the_incident_by_lifting_it(bench: RoomBench) -> None:
    incident = await opened(bench)
    owner = Actor(Principal(PrincipalKind.USER, "ann", owner="bot"))
    with pytest.raises(AdministrationRefused, match="somebody else"):
        await bench.room._close(CloseIncident(incident, "r", lift_locks=True), owner)
    assert bench.world.reader.find(incident).closed_ns is None
    assert len(bench.locks.locks.all()) == 1


async def test_a_lock_that_cannot_be_lifted_stays_and_is_named(bench: RoomBench) -> None:
    incident = await opened(bench)
    bench.ledger.left = 1
    closed = await bench.room._close(CloseIncident(incident, "r", lift_locks=True), RITA)
    assert closed.lifted == ()
    assert "stays in force" in closed.warnings[0]
    assert isinstance(bench.ledger.records[-1], IncidentClosed)


async def test_the_value_is_in_no_record(bench: RoomBench) -> None:
    command = FindValue("planted-secret", principal="bot", since_s=5.0)
    assert "planted" not in repr(command)
    search = await bench.room._find_value(command, RITA)
    assert search.verdict == "not delivered"
    (record,) = bench.ledger.records
    assert record == AdministrationChanged("os:rita", "incidents.did-it-leave", "", "principal bot, since_s 5.0")


async def test_an_id_may_be_cut_and_is_whole_on_record(bench: RoomBench) -> None:
    incident = await opened(bench)
    await bench.room._report(ReportIncident(incident[:25]), RITA)
    await bench.room._find_value(FindValue("x", incident[:25]), RITA)
    assert [record.subject for record in bench.ledger.records[-2:]] == [incident, incident]  # type: ignore[union-attr]
    await opened(bench)
    with pytest.raises(NotFound, match="more than one"):
        await bench.room._report(ReportIncident(incident[:2]), RITA)


async def test_a_timeline_comes_in_pages(bench: RoomBench) -> None:
    bench.world.session(("select 1", "C a|R 1"), ("select 2", "C a|R 2"))
    incident = await opened(bench)
    whole = await bench.room._show(ShowIncident(incident), RITA)
    texts, after = [], ""
    while True:
        page = await bench.room._show(ShowIncident(incident, limit=2, after=after), RITA)
        texts += [item.text for item in page.items]
        if not (after := page.next):
            break
    assert texts[: len(whole.items)] == [item.text for item in whole.items]
    assert any("select 2" in text for text in texts)


async def test_tokens_that_were_given_are_in_the_timeline(bench: RoomBench) -> None:
    def given(token_id: str, principal: str, *acting: str) -> None:
        audience = ("connection:orders",)
        names = ("Agent", principal, "https://ci.example", "s", ("t0",), acting, audience, (), "", "", "opaque")
        bench.world.gateway.ledger.append_now(TokenIssued(token_id, *names, "192.0.2.7", 0.0))

    bench.world.session(("select 1", "C a|R 1"))
    incident = await opened(bench)
    given("t1", "bot")
    given("t2", "ada", "bot")
    given("t3", "ada", "other")
    items = (await bench.room._show(ShowIncident(incident), RITA)).items
    told = [(item.who, item.text) for item in items if "session token" in item.text]
    assert told == [
        ("bot", "session token t1 for connection:orders to 192.0.2.7"),
        ("ada, by bot", "session token t2 for connection:orders to 192.0.2.7"),
    ]
