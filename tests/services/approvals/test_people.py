"""Four eyes: whoever is behind a request never answers it, under no name; a yes of one who lost the right is none."""

import msgspec
import pytest

from interlock.core.approval import ApprovalStatus
from interlock.core.decision import ApprovalDemand
from interlock.core.identity import Actor, Principal, PrincipalKind, local_actor
from tests.services.approvals.bench import DANA, DIRK, ApprovalsBench, reviewer

ITSELF = "it takes a second person"


@pytest.mark.parametrize(
    "who",
    [
        reviewer("olga", "dba"),
        reviewer("OLGA", "dba"),
        reviewer("olga-two", "dba", owner="olga"),
        reviewer("bot", "dba"),
        Actor(Principal(PrincipalKind.USER, "x", frozenset({"dba"}), issuer="https://id", subject="bot-subject")),
        reviewer("mallory", "dba", claims=(("actor", "olga"),)),
    ],
    ids=["owner", "owner in capitals", "another account of the owner", "name", "subject", "claim of the owner"],
)
async def test_whoever_asks_does_not_answer(bench: ApprovalsBench, who: Actor) -> None:
    request = await bench.ask()
    assert ITSELF in await bench.refusal(request, who)
    assert ITSELF in await bench.refusal(request, who, approves=False)


async def test_owners_of_owners_are_the_same_people(bench: ApprovalsBench) -> None:
    bench.register("olga", owner="boss")
    bench.register("deputy", owner="boss")
    request = await bench.ask()
    for name in ("boss", "deputy"):
        assert ITSELF in await bench.refusal(request, reviewer(name, "dba"))
    assert (await bench.vote(request, DANA)).status is ApprovalStatus.APPROVED


async def test_whom_it_acts_for_does_not_answer(bench: ApprovalsBench) -> None:
    request = await bench.ask(claims=(("actor", "dana"), ("repository", "dirk")))
    assert ITSELF in await bench.refusal(request, DANA)
    await bench.vote(request, DIRK)


async def test_an_account_of_this_machine_is_its_name(bench: ApprovalsBench) -> None:
    request = await bench.ask(owner="olga")
    assert ITSELF in await bench.refusal(request, local_actor("olga", frozenset({"dba"})))
    await bench.vote(request, local_actor("dana", frozenset({"dba"})))


async def test_policy_may_allow_it(bench: ApprovalsBench) -> None:
    own = ApprovalDemand("own", "dba", self_approval=True)
    request = await bench.ask(own, ApprovalDemand("strict", "dba"))
    assert ITSELF in await bench.refusal(request, reviewer("olga", "dba"))
    request = await bench.ask(own, digest="e" * 64)
    assert (await bench.vote(request, reviewer("olga", "dba"))).status is ApprovalStatus.APPROVED


async def test_agents_do_not_answer(bench: ApprovalsBench) -> None:
    request = await bench.ask(ApprovalDemand("own", "dba", self_approval=True))
    other = Actor(Principal(PrincipalKind.AGENT, "other", frozenset({"dba"})))
    assert "agents do not answer" in await bench.refusal(request, other)


async def test_one_person_with_two_accounts_votes_once(bench: ApprovalsBench) -> None:
    request = await bench.ask(ApprovalDemand("two", "dba", 2))
    await bench.vote(request, DANA)
    assert "has answered already" in await bench.refusal(request, reviewer("dana-admin", "dba", owner="dana"))
    assert (await bench.vote(request, DIRK)).status is ApprovalStatus.APPROVED


async def test_groups_count_as_they_are_now(bench: ApprovalsBench) -> None:
    nobody = reviewer("nina")
    request = await bench.ask()
    assert "only members of dba" in await bench.refusal(request, nobody)
    bench.register("nina", "dba")
    await bench.vote(request, nobody)


async def test_whoever_is_disabled_or_locked_does_not_answer(bench: ApprovalsBench) -> None:
    request = await bench.ask()
    bench.register("dana", disabled=True)
    assert "disabled" in await bench.refusal(request, DANA)
    bench.register("dana")
    bench.locked = {"dana"}
    assert await bench.refusal(request, DANA) == "locked"


@pytest.mark.parametrize("loss", ["disabled", "locked", "owner locked", "group locked", "group left", "removed"])
async def test_a_yes_of_somebody_who_lost_the_right_is_void(bench: ApprovalsBench, loss: str) -> None:
    """In between the answer and the execution."""
    bench.register("dana", "dba", owner="boss")
    request = await bench.ask(ApprovalDemand("two", "dba", 2))
    await bench.vote(request, reviewer("dana"))
    await bench.vote(request, DIRK)
    match loss:
        case "disabled":
            bench.register("dana", "dba", owner="boss", disabled=True)
        case "group left":
            bench.register("dana", "others", owner="boss")
        case "removed":
            del bench.identities["dana"]
        case _:
            bench.locked = {{"locked": "dana", "owner locked": "boss", "group locked": "dba"}[loss]}
    assert not await bench.spend(request)
    assert bench.status(request) is ApprovalStatus.VOID
    current = bench.board.current(request.id)
    assert current is not None
    assert "may not approve this any more" in current.settled_reason


PLANNER = Principal(PrincipalKind.AGENT, "planner", owner="petra", claims=(("actor", "cleo"),))
CRM = Principal(PrincipalKind.USER, "carl", owner="lee", issuer="https://id", subject="crm-subject")


@pytest.mark.parametrize(
    "who",
    [
        reviewer("carl", "dba"),
        reviewer("lee", "dba"),
        reviewer("lee-two", "dba", owner="lee"),
        Actor(Principal(PrincipalKind.USER, "x", frozenset({"dba"}), issuer="https://id", subject="crm-subject")),
        local_actor("crm-subject", frozenset({"dba"})),
        reviewer("petra", "dba"),
        reviewer("cleo", "dba"),
    ],
    ids=[
        "actor",
        "its owner",
        "kin of its owner",
        "its subject",
        "its account",
        "earlier one's owner",
        "its claim",
    ],
)
async def test_whoever_acts_and_their_kin_do_not_answer(bench: ApprovalsBench, who: Actor) -> None:
    request = await bench.ask(acting=(CRM, PLANNER))
    assert ITSELF in await bench.refusal(request, who)
    assert (await bench.vote(request, DANA)).status is ApprovalStatus.APPROVED


@pytest.mark.parametrize("acting", [PLANNER, Principal(PrincipalKind.USER, "secretary")])
async def test_nobody_answers_through_somebody_else(bench: ApprovalsBench, acting: Principal) -> None:
    request = await bench.ask(ApprovalDemand("own", "dba", self_approval=True))
    through = Actor(msgspec.structs.replace(DANA.principal, acting=(acting,)))
    assert "for somebody else" in await bench.refusal(request, through)
