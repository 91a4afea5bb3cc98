"""The commands about approvals: bad input gets a clear error, and whatever was refused is on record."""

import pytest

from interlock.bootstrap.interpretation import new_transcript
from interlock.core.administration.approvals import Approve, Deny, ListApprovals, Rehearse, ShowApproval
from interlock.core.approval import ApprovalStatus
from interlock.core.errors import AdministrationRefused, LedgerUnavailable, NotFound
from interlock.core.identity import Actor
from interlock.core.ledger import AdministrationChanged, ApprovalRefused
from interlock.services.approvals.room import ApprovalRoom
from tests.services.approvals.bench import DANA, DIRK, SVEN, ApprovalsBench, reviewer


@pytest.fixture
def room(bench: ApprovalsBench) -> ApprovalRoom:
    return ApprovalRoom(
        bench.board, bench.ledger, new_transcript, lambda approval: f"https://gateway/approvals/{approval}"
    )


async def give(room: ApprovalRoom, command: object, actor: Actor = DANA) -> object:
    return await room.handlers[type(command)](command, actor)  # type: ignore[index]


async def test_pages_are_the_newest_first(bench: ApprovalsBench, room: ApprovalRoom) -> None:
    ids = []
    for number in range(5):
        ids.append((await bench.ask(digest=str(number), session=f"s{number}")).id)
        bench.clock.advance(1)
    seen: list[str] = []
    after = ""
    while True:
        page = await room.handlers[ListApprovals](ListApprovals(limit=2, after=after), DANA)
        seen += [item.id for item in page.items]  # type: ignore[attr-defined]
        after = page.next  # type: ignore[attr-defined]
        if not after:
            break
    assert seen == ids[::-1]


async def test_show(bench: ApprovalsBench, room: ApprovalRoom) -> None:
    request = await bench.ask()
    view = await room.handlers[ShowApproval](ShowApproval(request.id), DANA)
    assert view.statement == "DELETE FROM users"  # type: ignore[attr-defined]
    assert view.link == f"https://gateway/approvals/{request.id}"  # type: ignore[attr-defined]
    (looked,) = bench.ledger.of(AdministrationChanged)
    assert (looked.actor, looked.subject) == ("dana", request.id)
    with pytest.raises(NotFound, match="there is no request 'nothing'"):
        await give(room, ShowApproval("nothing"))
    bench.ledger.refuses = {AdministrationChanged}
    with pytest.raises(LedgerUnavailable):
        await give(room, ShowApproval(request.id))


@pytest.mark.parametrize("command", [Approve("{}", "fine"), Deny("{}", "no")])
@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("spent", "the request is spent already"),
        ("denied", "the request is denied already"),
        ("withdrawn", "the request is withdrawn already"),
        ("void", "the request is void already"),
        ("expired", "the request has expired"),
        ("own", "it takes a second person"),
        ("outsider", "only members of dba are asked"),
        ("unknown", "there is no request"),
    ],
)
async def test_what_cannot_be_answered(
    bench: ApprovalsBench, room: ApprovalRoom, command: Approve | Deny, state: str, why: str
) -> None:
    request = await bench.ask()
    who = {"own": reviewer("olga", "dba"), "outsider": SVEN}.get(state, DIRK)
    match state:
        case "spent":
            await bench.vote(request, DANA)
            await bench.spend(request)
        case "denied":
            await bench.vote(request, DANA, approves=False)
        case "withdrawn":
            await bench.board.withdraw(request.id, "gone")
        case "void":
            await bench.board.void(lambda _: True, "rita", "an incident")
        case "expired":
            bench.clock.advance(600)
    approval = "unknown" if state == "unknown" else request.id
    with pytest.raises((AdministrationRefused, NotFound), match=why):
        await give(room, type(command)(approval, command.reason), who)
    (record,) = bench.ledger.of(ApprovalRefused)
    assert (record.approval, record.reviewer) == (approval, who.name)
    assert why in record.why


async def test_a_changed_request_is_refused(bench: ApprovalsBench, room: ApprovalRoom) -> None:
    request = await bench.ask()
    with pytest.raises(AdministrationRefused, match="not the one that was looked at"):
        await give(room, Approve(request.id, "fine", "e" * 64))
    assert bench.status(request) is ApprovalStatus.PENDING


async def test_without_a_gateway_nothing_is_rehearsed(bench: ApprovalsBench, room: ApprovalRoom) -> None:
    request = await bench.ask()
    with pytest.raises(AdministrationRefused, match="takes a running gateway"):
        await give(room, Rehearse(request.id))
