"""What a session must not see, kept up to date: loaded, stale, renewed, refreshed; and what breaks is a refusal."""

from collections.abc import Awaitable
from typing import Any

import msgspec
import pytest

from interlock.core.catalogue import Catalogue, Column, Relation, RelationKind
from interlock.core.decision import Decision, Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.errors import CatalogueUnavailable, MaskingUnavailable
from interlock.core.ledger import ConnectionRefused, OperationDecided
from interlock.core.lock import LockMode, Restriction
from interlock.core.masking import ColumnMask, DetectorMask, MaskedColumn, MaskingOptions, MaskKind, Predicates
from interlock.core.operation import Operation, Outcome, OutcomeStatus
from interlock.core.session import Session
from interlock.services.enforcement import Enforcement, SessionGuard
from interlock.services.masking import Maskings, SessionMasking
from interlock.services.opening import NotAdmitted, Reception
from interlock.services.policy import PolicyStore
from interlock.services.policy.session import SessionPolicy
from interlock.services.policy.sources import Tags
from interlock.services.policy.viewpoint import ClientFacts
from interlock.services.ports import CertificateLogins
from tests.clocks import ManualClock
from tests.services.policy.examples import agent, meaning, source
from tests.services.test_enforcement import StubRecorder, WaywardLedger
from tests.services.test_opening import CALLER, Parts

SESSION = Session("s1", "postgres", "pg", "app", agent("ci-bots"), "127.0.0.1:5000")
CLIENT = ClientFacts("127.0.0.1", "", "")
PERMIT = '@id("p") permit (principal, action, resource);\n'
HIDE = '@id("hide") @mask("{}") forbid (principal, action == Action::"reveal", resource in Tag::"pii");\n'
REDACT = PERMIT + HIDE.format("redact")
PII: Tags = {"public.users.email": ["pii"]}


def catalogue(version: str = "c1") -> Catalogue:
    email = Column(1, "email", "pg_catalog", "text")
    return Catalogue(version, (Relation(1, "public", "users", RelationKind.TABLE, (email,)),))


class FakeCatalogues:
    """Has ``kept``; reading gives ``content``, or raises it. Counts what is asked for."""

    def __init__(self) -> None:
        self.content: Catalogue | Exception = catalogue()
        self.kept: Catalogue | None = None
        self.epoch = 0
        self.asked: list[str] = []

    async def get(self, connection: str, database: str) -> Catalogue:
        assert (connection, database) == ("pg", "app") or connection == "shop"
        self.asked.append("get")
        return self.kept or self._read()

    async def refresh(self, connection: str, database: str) -> Catalogue:
        self.asked.append("refresh")
        return self._read()

    def peek(self, connection: str, database: str) -> Catalogue | None:
        return self.kept

    def expire(self, connection: str, database: str) -> None:
        self.asked.append("expire")

    def give_up(self) -> None:
        self.kept = None
        self.epoch += 1

    def _read(self) -> Catalogue:
        if isinstance(self.content, Exception):
            raise self.content
        self.kept = self.content
        self.epoch += 1
        return self.content


class Bench:
    def __init__(self, tags: Tags = PII) -> None:
        self.ledger, self.recorder, self.clock = WaywardLedger(), StubRecorder(), ManualClock()
        self.policies = PolicyStore(WaywardLedger(), tags)
        self.catalogues = FakeCatalogues()
        self.options = MaskingOptions()
        self.maskings = Maskings(self.policies, self.catalogues, lambda _: self.options)  # type: ignore[arg-type]
        self.masking = SessionMasking(self.maskings, SESSION, CLIENT)

    async def policy(self, text: str) -> None:
        assert await self.policies.activate([source(text)], by="test")

    def guard(self) -> SessionGuard:
        enforcement = Enforcement(self.policies, self.ledger, self.clock)
        return enforcement.guard(SESSION, self.recorder, self.masking)

    async def decide(self, guard: SessionGuard, masking: str, action: str = "select") -> Decision:
        operation = Operation(1, meaning(action), b"SELECT 1", masking=masking)
        decisions = guard.authorize([operation])
        return (await decisions if isinstance(decisions, Awaitable) else decisions)[0]


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.policies.start([source(REDACT)])
    return bench


# ---------------------------------------------------------------- loading


async def test_before_it_is_loaded_it_is_stale_and_nothing(bench: Bench) -> None:
    assert bench.masking.is_stale
    assert (bench.masking.current, bench.masking.version) == (None, "")


async def test_a_session_is_opened_with_its_masking(bench: Bench) -> None:
    masking = await bench.maskings.open(SESSION, CLIENT)
    assert masking.current is not None
    assert set(masking.current.columns) == {1}
    assert masking.version == masking.current.version != ""
    assert not masking.is_stale
    assert bench.catalogues.asked == ["get"]


async def test_where_policy_masks_nothing_no_catalogue_is_read(bench: Bench) -> None:
    await bench.policy(PERMIT)
    bench.catalogues.content = CatalogueUnavailable("not there")
    masking = await bench.maskings.open(SESSION, CLIENT)
    assert masking.current is None
    assert not masking.is_stale
    assert bench.catalogues.asked == []


async def test_detectors_of_the_configuration_need_no_catalogue(bench: Bench) -> None:
    await bench.policy(PERMIT)
    bench.options = MaskingOptions({"email": DetectorMask(True), "iban": DetectorMask(False)})
    bench.catalogues.content = CatalogueUnavailable("not there")
    masking = await bench.maskings.open(SESSION, CLIENT)
    assert masking.current is not None
    assert masking.current.columns == {}
    first = masking.version
    bench.options = MaskingOptions({"email": DetectorMask(False), "iban": DetectorMask(False)})
    masking.renew()
    assert masking.version != first


async def test_what_tags_nothing_masks_nothing() -> None:
    bench = Bench({})
    await bench.policies.start([source(REDACT)])
    masking = await bench.maskings.open(SESSION, CLIENT)
    assert masking.current is None


async def test_without_a_catalogue_no_session_opens(bench: Bench) -> None:
    bench.catalogues.content = CatalogueUnavailable("role app may not read it")
    with pytest.raises(MaskingUnavailable, match="the catalogue cannot be read: role app may not read it"):
        await bench.maskings.open(SESSION, CLIENT)


async def test_a_catalogue_that_is_gone_again_at_once_opens_no_session(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.catalogues, "peek", lambda *_: None)
    with pytest.raises(MaskingUnavailable, match="no catalogue that may be relied on"):
        await bench.maskings.open(SESSION, CLIENT)


@pytest.mark.parametrize("broken", ["masking", "__init__"])
async def test_what_breaks_while_it_is_determined_is_not_taken_for_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(SessionPolicy, broken, explode)
    with pytest.raises((ZeroDivisionError, MaskingUnavailable)):
        await bench.maskings.open(SESSION, CLIENT)


# ---------------------------------------------------------------- changes


async def test_a_change_of_policy_or_catalogue_makes_it_stale_until_it_is_renewed(bench: Bench) -> None:
    await bench.masking.load()
    first = bench.masking.version
    await bench.policy(PERMIT + HIDE.format("null"))
    assert bench.masking.is_stale
    assert bench.masking.version == first
    assert bench.masking.renew() is bench.masking.current
    assert not bench.masking.is_stale
    assert bench.masking.version != first
    second = bench.masking.version
    bench.catalogues.content = catalogue("c2")
    await bench.masking.refresh()
    assert not bench.masking.is_stale
    assert bench.masking.version != second


async def test_determining_keeps_nothing(bench: Bench) -> None:
    await bench.masking.load()
    first = bench.masking.current
    await bench.policy(PERMIT)
    assert bench.masking.determine() is None
    assert bench.masking.current is first
    assert bench.masking.is_stale


async def test_a_change_while_it_is_renewed_leaves_it_stale(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.masking.load()
    determine = SessionMasking.determine

    def change_first(self: SessionMasking) -> Any:
        found = determine(self)
        bench.catalogues.epoch += 1
        return found

    monkeypatch.setattr(SessionMasking, "determine", change_first)
    bench.masking.renew()
    assert bench.masking.is_stale


async def test_a_catalogue_that_was_given_up_cannot_be_renewed(bench: Bench) -> None:
    await bench.masking.load()
    first = bench.masking.current
    bench.catalogues.give_up()
    assert bench.masking.is_stale
    with pytest.raises(MaskingUnavailable):
        bench.masking.renew()
    assert bench.masking.is_stale
    assert bench.masking.current is first
    await bench.masking.load()
    assert not bench.masking.is_stale


async def test_policy_that_begins_to_mask_needs_a_catalogue_first(bench: Bench) -> None:
    await bench.policy(PERMIT)
    await bench.masking.load()
    await bench.policy(REDACT)
    with pytest.raises(MaskingUnavailable):
        bench.masking.renew()
    await bench.masking.load()
    assert bench.masking.current is not None


async def test_a_refresh_that_fails_goes_on_with_what_is_there(bench: Bench) -> None:
    await bench.masking.load()
    first = bench.masking.version
    bench.catalogues.content = CatalogueUnavailable("gone")
    assert await bench.masking.refresh() is bench.masking.current
    assert bench.masking.version == first
    bench.catalogues.give_up()
    with pytest.raises(MaskingUnavailable):
        await bench.masking.refresh()


# ---------------------------------------------------------------- enforcement


async def test_an_operation_made_under_the_masking_in_force_is_permitted(bench: Bench) -> None:
    await bench.masking.load()
    assert isinstance(await bench.decide(bench.guard(), bench.masking.version), Permit)


@pytest.mark.parametrize("version", ["", "another"])
async def test_an_operation_made_under_another_masking_is_denied(bench: Bench, version: str) -> None:
    await bench.masking.load()
    decision = await bench.decide(bench.guard(), version)
    assert isinstance(decision, Denial)
    assert decision.message == "denied: what is masked for you has just changed"
    (record,) = (one for one in bench.ledger.records if isinstance(one, OperationDecided))
    assert record.decision == "denied"


async def test_a_change_just_before_the_decision_is_seen(bench: Bench) -> None:
    await bench.masking.load()
    guard, first = bench.guard(), bench.masking.version
    await bench.policy(PERMIT + HIDE.format("null"))
    assert isinstance(await bench.decide(guard, first), Denial)
    new = bench.masking.determine()
    assert new is not None
    assert isinstance(await bench.decide(guard, new.version), Permit)


async def test_a_change_that_changes_nothing_for_the_session_denies_nothing(bench: Bench) -> None:
    await bench.masking.load()
    guard, first = bench.guard(), bench.masking.version
    bench.catalogues.epoch += 1
    assert guard.masking_is_stale
    assert isinstance(await bench.decide(guard, first), Permit)


@pytest.mark.parametrize("error", [RuntimeError, MaskingUnavailable, KeyError, RecursionError])
async def test_a_masking_that_breaks_is_a_denial(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    await bench.masking.load()
    guard, version = bench.guard(), bench.masking.version

    def explode(_: object) -> None:
        raise error("alice@example.com")

    bench.catalogues.epoch += 1
    monkeypatch.setattr(SessionMasking, "determine", explode)
    decision = await bench.decide(guard, version)
    assert isinstance(decision, Denial)
    assert decision.reason is DenialReason.POLICY_ERROR
    assert "alice" not in repr(decision) + repr(bench.ledger.records)


async def test_a_catalogue_that_was_given_up_is_a_denial(bench: Bench) -> None:
    await bench.masking.load()
    guard, version = bench.guard(), bench.masking.version
    bench.catalogues.give_up()
    assert isinstance(await bench.decide(guard, version), Denial)


async def test_without_maskings_an_operation_that_was_masked_is_denied(bench: Bench) -> None:
    enforcement = Enforcement(bench.policies, bench.ledger, bench.clock)
    guard = enforcement.guard(SESSION, bench.recorder)
    assert isinstance(await bench.decide(guard, ""), Permit)
    assert isinstance(await bench.decide(guard, "m1"), Denial)
    assert (guard.masking, guard.masking_is_stale) == (None, False)
    assert await guard.load_masking() is None
    assert await guard.refresh_masking() is None
    assert guard.renew_masking() is None


async def test_policys_own_denial_comes_first(bench: Bench) -> None:
    await bench.masking.load()
    await bench.policy('@id("none") forbid (principal, action, resource);')
    decision = await bench.decide(bench.guard(), "another")
    assert isinstance(decision, Denial)
    assert "none" in decision.rules


@pytest.mark.parametrize(
    ("action", "status", "expires"),
    [("create", "completed", 1), ("alter", "completed", 1), ("drop", "failed", 1), ("select", "completed", 0)],
)
async def test_definitions_make_the_catalogue_be_read_again(
    bench: Bench, action: str, status: str, expires: int
) -> None:
    await bench.masking.load()
    guard = bench.guard()
    assert isinstance(await bench.decide(guard, bench.masking.version, action), Permit)
    assert "expire" not in bench.catalogues.asked
    outcome = Outcome(1, OutcomeStatus(status))
    guard.report(outcome)
    guard.report(outcome)
    assert bench.catalogues.asked.count("expire") == expires


async def test_what_was_masked_is_on_record(bench: Bench) -> None:
    await bench.masking.load()
    masked = (MaskedColumn("public", "users", "email", "redact", ("hide", "more")),)
    operation = Operation(1, meaning("select"), b"SELECT 1", masking=bench.masking.version, masked=masked)
    bench.guard().authorize([operation])
    (record,) = (one for one in bench.ledger.records if isinstance(one, OperationDecided))
    assert "public.users.email redact (hide, more)" in repr(msgspec.to_builtins(record, builtin_types=(bytes,)))


# ---------------------------------------------------------------- opening


class MaskedParts(Parts):
    """A reception whose sessions are under masks."""

    def __init__(self) -> None:
        super().__init__()
        self.policies = PolicyStore(self, PII)
        self.catalogues = FakeCatalogues()

    def reception(self, certificates: CertificateLogins | None = None) -> Reception:
        maskings = Maskings(self.policies, self.catalogues, lambda _: MaskingOptions())  # type: ignore[arg-type]
        enforcement = Enforcement(self.policies, self, self.clock)
        find = self.find_connection
        return Reception(self, find, self.policies, enforcement, self, self, self, self.clock, maskings)


@pytest.fixture
async def parts() -> MaskedParts:
    parts = MaskedParts()
    await parts.policies.start([source(REDACT)])
    return parts


async def test_an_open_session_knows_its_masking(parts: MaskedParts) -> None:
    opened = await parts.reception().open(CALLER)
    assert opened.guard.masking is not None
    assert not opened.guard.masking_is_stale


async def test_when_it_cannot_be_told_what_is_masked_nobody_is_let_in(parts: MaskedParts) -> None:
    parts.catalogues.content = CatalogueUnavailable("alice may not be shown this")
    with pytest.raises(NotAdmitted, match="cannot tell what is masked for you on this connection") as caught:
        await parts.reception().open(CALLER)
    assert caught.value.code == "58000"
    assert "alice" not in f"{caught.value} {caught.value.hint}"
    (refused,) = parts.refusals
    assert isinstance(refused, ConnectionRefused)
    assert refused.reason.startswith("masking: the catalogue cannot be read")
    assert refused.principal == "ci-1"
    assert not any(type(record).__name__ == "SessionOpened" for record in parts.records)


@pytest.mark.parametrize("error", [RuntimeError("secret"), OSError("secret"), TimeoutError()])
async def test_whatever_breaks_in_it_keeps_the_caller_out(parts: MaskedParts, error: Exception) -> None:
    parts.catalogues.content = error
    with pytest.raises(NotAdmitted) as caught:
        await parts.reception().open(CALLER)
    assert caught.value.code == "58000"
    assert "secret" not in f"{caught.value} {caught.value.reason} {caught.value.hint}"
    assert len(parts.refusals) == 1


# ---------------------------------------------------------------- bodies


class BodyBench(Bench):
    """A session of a protocol without databases, beside catalogues that fail whatever they are asked."""

    def __init__(self, protocol: str) -> None:
        super().__init__({"Field::crm/email": ["pii"]})
        session = Session("s2", protocol, "crm", "", agent("ci-bots"), "127.0.0.1:5000")
        self.catalogues.content = AssertionError("a catalogue was read")
        self.masking = SessionMasking(self.maskings, session, CLIENT)


@pytest.fixture(params=["http", "ssh"])
async def bodies(request: pytest.FixtureRequest) -> BodyBench:
    bodies = BodyBench(request.param)
    await bodies.policies.start([source(REDACT)])
    return bodies


async def test_fields_are_masked_without_a_catalogue(bodies: BodyBench) -> None:
    await bodies.masking.load()
    assert bodies.masking.current is not None
    assert set(bodies.masking.current.fields) == {"email"}
    assert await bodies.masking.refresh() is bodies.masking.current
    bodies.masking.note_definition()
    bodies.catalogues.give_up()
    assert not bodies.masking.is_stale
    assert bodies.catalogues.asked == []


async def test_fields_follow_the_policy(bodies: BodyBench) -> None:
    await bodies.masking.load()
    before = bodies.masking.version
    await bodies.policy(PERMIT + HIDE.format("hash"))
    assert bodies.masking.is_stale
    masking = bodies.masking.renew()
    assert masking is not None
    assert masking.fields["email"].kind is MaskKind.HASH
    assert bodies.masking.version != before


async def test_detectors_of_policy_and_configuration_are_on_without_a_catalogue(bodies: BodyBench) -> None:
    await bodies.policy(
        PERMIT + HIDE.replace('resource in Tag::"pii"', 'resource == Detector::"iban"').format("redact")
    )
    bodies.options = MaskingOptions({"email": DetectorMask(False)})
    masking = bodies.masking.renew()
    assert masking is not None
    assert masking.detectors == {"email": DetectorMask(False), "iban": DetectorMask(True, ("hide",))}


async def test_a_lock_masks_every_field(bodies: BodyBench) -> None:
    bodies.maskings.locks = MaskAll()
    masking = bodies.masking.renew()
    assert masking is not None
    assert masking.fields["*"] == ColumnMask(MaskKind.REDACT, Predicates.DENY, ("lock l1",))


async def test_no_session_without_its_fields(bodies: BodyBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: SessionPolicy, _options: MaskingOptions) -> None:
        raise MaskingUnavailable("broken")

    monkeypatch.setattr(SessionPolicy, "body_masking", broken)
    with pytest.raises(MaskingUnavailable):
        await bodies.masking.load()
    assert bodies.masking.current is None
    assert bodies.masking.is_stale


class MaskAll:
    """Locks of which one masks everything."""

    epoch = masking_epoch = 1

    def restriction(self, *_about: object) -> Restriction:
        return Restriction(frozenset({LockMode.MASK_ALL}), "Locked.", ("l1",))
