"""A policy comes into force only after its record, and a bad one never does."""

import asyncio

import pytest
from tests.services.policy.examples import BASIC, agent, meaning, source

from interlock.core.errors import ConfigurationError, LedgerUnavailable, PolicyRejected, StateUnavailable
from interlock.core.ledger import AnyRecord, PolicyActivated, PolicyRefused
from interlock.services.policy import PolicyStore

GOOD = [source(BASIC)]
OTHER = [source(BASIC + '@id("more") permit (principal in Group::"x", action, resource);')]
BAD = [source('@id("a") permit (principal, action, resource) when { nonsense };', "bad.cedar")]


class FakeLedger:
    """Keeps records; can wait with its acceptance, or fail."""

    def __init__(self) -> None:
        self.records: list[AnyRecord] = []
        self.pending: asyncio.Future[None] | None = None
        self.failing = False
        self.appended = asyncio.Event()

    def append(self, record: AnyRecord) -> asyncio.Future[None] | None:
        if self.failing:
            raise LedgerUnavailable("no space")
        self.records.append(record)
        self.appended.set()
        return self.pending

    def note(self, record: AnyRecord) -> None:
        raise AssertionError("a change of policy is waited for")


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
async def store(ledger: FakeLedger) -> PolicyStore:
    store = PolicyStore(ledger)
    await store.start(GOOD)
    return store


async def test_start(store: PolicyStore, ledger: FakeLedger) -> None:
    assert ledger.records == [PolicyActivated(store.version, store.engine.text, "start")]
    assert store.epoch == 1
    assert store.engine.decide(agent("ci-bots"), "pg", "app", meaning("select")).rules == ("ci-reads",)


async def test_without_a_valid_policy_there_is_no_start(ledger: FakeLedger) -> None:
    store = PolicyStore(ledger)
    with pytest.raises(ConfigurationError, match=r"bad\.cedar:1: "):
        await store.start(BAD)
    with pytest.raises(ConfigurationError, match="no policy"):
        _ = store.engine
    assert [type(record) for record in ledger.records] == [PolicyRefused]


async def test_wrong_tags_are_no_start(ledger: FakeLedger) -> None:
    with pytest.raises(ConfigurationError, match="tag pattern"):
        await PolicyStore(ledger, {"a.b.c.d": ["x"]}).start(GOOD)


async def test_a_new_policy(store: PolicyStore, ledger: FakeLedger) -> None:
    before = store.version
    assert await store.activate(OTHER, "alice")
    assert store.version != before
    assert store.epoch == 2
    assert ledger.records[-1] == PolicyActivated(store.version, store.engine.text, "alice")


async def test_the_same_policy_again(store: PolicyStore, ledger: FakeLedger) -> None:
    engine = store.engine
    assert not await store.activate([source(BASIC, "another-name.cedar")], "alice")
    assert store.engine is engine
    assert len(ledger.records) == store.epoch == 1


async def test_a_bad_policy_leaves_the_last_good_one(store: PolicyStore, ledger: FakeLedger) -> None:
    engine = store.engine
    with pytest.raises(PolicyRejected):
        await store.activate(BAD, "alice")
    assert store.engine is engine
    assert store.epoch == 1
    assert ledger.records[-1] == PolicyRefused(engine.version, store.problems)
    assert store.problems[0].startswith("bad.cedar:1: ")
    assert not await store.activate(GOOD, "alice")
    assert store.problems == ()


async def test_not_in_force_before_it_is_recorded(store: PolicyStore, ledger: FakeLedger) -> None:
    engine = store.engine
    ledger.pending = asyncio.get_running_loop().create_future()
    ledger.appended.clear()
    change = asyncio.ensure_future(store.activate(OTHER, "alice"))
    await ledger.appended.wait()
    assert store.engine is engine
    ledger.pending.set_result(None)
    assert await change
    assert store.engine is not engine


@pytest.mark.parametrize("later", [False, True])
async def test_not_in_force_when_it_cannot_be_recorded(store: PolicyStore, ledger: FakeLedger, later: bool) -> None:
    engine = store.engine
    if later:
        ledger.pending = asyncio.get_running_loop().create_future()
        ledger.pending.set_exception(LedgerUnavailable("no space"))
    else:
        ledger.failing = True
    with pytest.raises(LedgerUnavailable):
        await store.activate(OTHER, "alice")
    assert store.engine is engine
    assert store.epoch == 1


async def test_changes_take_turns(store: PolicyStore, ledger: FakeLedger) -> None:
    await asyncio.gather(*(store.activate([source(f"{BASIC}// {number}")], "alice") for number in range(5)))
    assert store.epoch == 6
    assert ledger.records[-1] == PolicyActivated(store.version, store.engine.text, "alice")


async def test_unreadable_files_are_a_refusal(store: PolicyStore, ledger: FakeLedger) -> None:
    await store.refuse(["policy.cedar cannot be read"])
    assert ledger.records[-1] == PolicyRefused(store.version, ("policy.cedar cannot be read",))
    assert store.problems == ("policy.cedar cannot be read",)


class TestDeclaredTags:
    """Of connections, which come and go."""

    @pytest.fixture
    def declared(self) -> dict[str, list[str]]:
        return {"Endpoint::crm/volumes": ["dangerous"]}

    @pytest.fixture
    async def store(self, ledger: FakeLedger, declared: dict[str, list[str]]) -> PolicyStore:
        store = PolicyStore(ledger, {"Endpoint::crm/volumes": ["configured"]}, lambda: dict(declared))
        await store.start(GOOD)
        return store

    async def test_they_are_part_of_the_version(self, store: PolicyStore) -> None:
        assert '"Endpoint::crm/volumes": ["configured", "dangerous"]' in store.engine.text.partition("\n")[0]
        assert not store.is_stale

    async def test_a_change_comes_into_force(
        self, store: PolicyStore, ledger: FakeLedger, declared: dict[str, list[str]]
    ) -> None:
        declared["Field::crm/email"] = []
        assert store.is_stale
        assert await store.renew("connections.add")
        assert "Field::crm/email" in store.engine.text
        assert ledger.records[-1] == PolicyActivated(store.version, store.engine.text, "connections.add")
        assert not store.is_stale

    async def test_wrong_ones_are_refused_once(self, store: PolicyStore, declared: dict[str, list[str]]) -> None:
        before = store.version
        declared["Field::crm"] = []
        with pytest.raises(PolicyRejected):
            await store.renew("connections.add")
        assert store.version == before
        assert store.problems
        assert not store.is_stale

    async def test_what_the_ledger_does_not_take_is_tried_again(
        self, store: PolicyStore, ledger: FakeLedger, declared: dict[str, list[str]]
    ) -> None:
        declared["Field::crm/email"] = []
        ledger.failing = True
        with pytest.raises(LedgerUnavailable):
            await store.renew("connections.add")
        assert store.is_stale

    async def test_the_store_of_connections_fails(self, ledger: FakeLedger) -> None:
        def broken() -> dict[str, list[str]]:
            raise StateUnavailable("closed")

        with pytest.raises(StateUnavailable):
            await PolicyStore(ledger, declared=broken).start(GOOD)
