"""Bypasses: what they let pass, who may give one, and everything that ends one."""

from typing import Any

import pytest

from interlock.core.approval import ApprovalRequest, ApprovalStatus, Bypass
from interlock.core.decision import ApprovalDemand
from interlock.core.errors import AdministrationRefused, LedgerUnavailable, NotFound
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.ledger import ApprovalBypassed, ApprovalRefused, ApprovalSettled, BypassEnded
from interlock.core.lock import Lock, LockMode, LockSubject
from interlock.services.approvals.bypasses import MAX_USES
from interlock.services.approvals.holding import Granted
from tests.services.approvals.bench import DANA, DBA, DIRK, ApprovalsBench, reviewer

LASTS_S = 900.0
TWO = ApprovalDemand("two", "dba", 2, 600.0)
OTHER = ApprovalDemand("other", "dba", 1, 600.0)


async def bypassed(bench: ApprovalsBench, **other: Any) -> tuple[ApprovalRequest, Bypass]:
    request = await bench.ask(**other)
    return request, await bench.board.bypass(request.id, DANA, reason="a migration", lasts_s=LASTS_S)


async def ask(bench: ApprovalsBench, digest: str, *demands: ApprovalDemand, **other: Any) -> ApprovalStatus:
    """What becomes of a new request at once."""
    return (await bench.ask(*demands, digest=digest * 64, **other)).status


async def test_it_approves_its_request_and_those_like_it(bench: ApprovalsBench) -> None:
    request, bypass = await bypassed(bench)
    assert bench.status(request) is ApprovalStatus.APPROVED
    assert await bench.spend(request)
    assert await ask(bench, "a") is ApprovalStatus.APPROVED
    assert [one.used for one in bench.board.bypasses()] == [1]
    (record,) = bench.ledger.of(ApprovalBypassed)
    assert (record.bypass, record.by, record.reason, record.rules) == (bypass.id, "dana", "a migration", ("one",))
    settled = bench.ledger.of(ApprovalSettled)[-1]
    assert (settled.status, settled.by, settled.reason) == ("approved", "dana", f"bypass {bypass.id}: a migration")


async def test_each_statement_that_passes_is_spent_once(bench: ApprovalsBench) -> None:
    await bypassed(bench)
    request = await bench.ask(digest="a" * 64)
    assert await bench.spend(request)
    assert not await bench.spend(request)


async def test_a_held_statement_goes_on_without_being_told_of(bench: ApprovalsBench) -> None:
    await bypassed(bench)
    (answer,) = await bench.hold(bench.holding(), b"DELETE FROM t")
    assert isinstance(answer, Granted)
    assert answer.reviewers == ("dana",)
    assert bench.told == []


@pytest.mark.parametrize(
    "other",
    [
        {"principal": "another"},
        {"principal_kind": "User"},
        {"connection": "elsewhere"},
        {"database": "elsewhere"},
        {"policy": "policy-2"},
    ],
    ids=str,
)
async def test_others_are_asked_about(bench: ApprovalsBench, other: dict[str, Any]) -> None:
    await bypassed(bench)
    assert await ask(bench, "a", **other) is ApprovalStatus.PENDING


async def test_other_rules_are_asked_about(bench: ApprovalsBench) -> None:
    await bypassed(bench)
    assert await ask(bench, "a", DBA, OTHER) is ApprovalStatus.PENDING
    assert await ask(bench, "b", OTHER) is ApprovalStatus.PENDING


async def test_it_never_answers_for_who_gave_it(bench: ApprovalsBench) -> None:
    """The same agent, now acting for the reviewer."""
    await bypassed(bench)
    assert await ask(bench, "a", claims=(("act", "dana"),)) is ApprovalStatus.PENDING


@pytest.mark.parametrize(
    ("who", "demands", "why"),
    [
        (reviewer("olga", "dba"), (DBA,), "second person"),
        (reviewer("nina", "others"), (DBA,), "only members of dba"),
        (DANA, (TWO,), "more than one person's yes"),
        (DANA, (DBA, ApprovalDemand("three", "leads", 1, 600.0)), "more than one person's yes"),
    ],
)
async def test_who_may_not_give_one(
    bench: ApprovalsBench, who: Any, demands: tuple[ApprovalDemand, ...], why: str
) -> None:
    request = await bench.ask(*demands)
    with pytest.raises(AdministrationRefused, match=why):
        await bench.board.bypass(request.id, who, reason="mine", lasts_s=LASTS_S)
    assert bench.status(request) is ApprovalStatus.PENDING
    assert [record.verdict for record in bench.ledger.of(ApprovalRefused)] == ["bypass"]
    assert bench.board.bypasses() == ()


async def test_what_was_denied_stays_denied(bench: ApprovalsBench) -> None:
    denied = await bench.ask(digest="a" * 64)
    await bench.vote(denied, DIRK, approves=False)
    await bypassed(bench)
    assert await ask(bench, "a") is ApprovalStatus.DENIED


async def end_by_time(bench: ApprovalsBench, bypass: Bypass) -> None:
    bench.clock.advance(LASTS_S)


async def end_by_setting_the_clock_back_later(bench: ApprovalsBench, bypass: Bypass) -> None:
    bench.clock.advance(LASTS_S)
    bench.clock.set_by(-LASTS_S)


async def end_by_command(bench: ApprovalsBench, bypass: Bypass) -> None:
    await bench.board.end_bypass(bypass.id, "sam", "enough")


async def end_by_lock(bench: ApprovalsBench, bypass: Bypass) -> None:
    await bench.board.void_matching(Lock("l", LockSubject.OWNER, "olga", LockMode.READ_ONLY, "odd", "sam", 0.0))


async def end_by_losing_the_reviewer(bench: ApprovalsBench, bypass: Bypass) -> None:
    bench.locked.add("dana")


async def end_by_disabling_the_reviewer(bench: ApprovalsBench, bypass: Bypass) -> None:
    bench.register("dana", "dba", disabled=True)


async def end_by_restart(bench: ApprovalsBench, bypass: Bypass) -> None:
    bench.close()
    bench.open()


@pytest.mark.parametrize(
    "end",
    [
        end_by_time,
        end_by_setting_the_clock_back_later,
        end_by_command,
        end_by_lock,
        end_by_losing_the_reviewer,
        end_by_disabling_the_reviewer,
        end_by_restart,
    ],
)
async def test_its_end(bench: ApprovalsBench, end: Any) -> None:
    _, bypass = await bypassed(bench)
    await end(bench, bypass)
    await bench.board.tick()
    assert await ask(bench, "a") is ApprovalStatus.PENDING
    assert bench.board.bypasses() == ()
    if end is not end_by_restart:
        assert [record.bypass for record in bench.ledger.of(BypassEnded)] == [bypass.id]


async def test_it_ends_after_so_many_statements(bench: ApprovalsBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.services.approvals.bypasses.MAX_USES", 2)
    assert MAX_USES == 1000
    await bypassed(bench)
    found = [await ask(bench, digest) for digest in "abc"]
    assert found == [ApprovalStatus.APPROVED, ApprovalStatus.APPROVED, ApprovalStatus.PENDING]


@pytest.mark.parametrize("kind", [ApprovalBypassed, ApprovalSettled])
async def test_what_cannot_be_recorded_is_not_in_force(bench: ApprovalsBench, kind: Any) -> None:
    request = await bench.ask()
    bench.ledger.refuses.add(kind)
    with pytest.raises(LedgerUnavailable):
        await bench.board.bypass(request.id, DANA, reason="a migration", lasts_s=LASTS_S)
    bench.ledger.refuses.clear()
    assert await ask(bench, "a") is ApprovalStatus.PENDING


async def test_an_end_that_cannot_be_recorded_is_one_all_the_same(bench: ApprovalsBench) -> None:
    _, bypass = await bypassed(bench)
    bench.ledger.refuses.add(BypassEnded)
    with pytest.raises(LedgerUnavailable):
        await bench.board.end_bypass(bypass.id, "sam", "enough")
    assert bench.board.bypasses() == ()
    with pytest.raises(NotFound):
        await bench.board.end_bypass(bypass.id, "sam", "enough")


async def test_listeners_are_told(bench: ApprovalsBench) -> None:
    told: list[Bypass] = []
    bench.board.bypass_listeners.append(told.append)
    _, bypass = await bypassed(bench)
    assert told == [bypass]


async def test_it_is_for_who_acts_as_well(bench: ApprovalsBench) -> None:
    crm, web = (Principal(PrincipalKind.AGENT, name) for name in ("crm", "web"))
    _, bypass = await bypassed(bench, acting=(crm,))
    assert bypass.acting == ("agent crm",)
    assert await ask(bench, "a", acting=(crm,)) is ApprovalStatus.APPROVED
    assert await ask(bench, "b", acting=(web,)) is ApprovalStatus.PENDING
    assert await ask(bench, "c") is ApprovalStatus.PENDING
