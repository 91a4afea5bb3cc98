"""Owners of agents: who may give one to somebody else, who may confirm it, and what an owner's leaving does."""

from typing import Any

import msgspec
import pytest

from interlock.core.administration import (
    AddIdentity,
    Command,
    ConfirmOwner,
    DisableIdentity,
    Done,
    EnableIdentity,
    GenerateSecret,
    RemoveIdentity,
    TransferIdentity,
)
from interlock.core.errors import AdministrationRefused, InvalidCommand, LedgerUnavailable, NotAllowed, NotFound
from interlock.core.identity import Actor, Handover, Principal, PrincipalKind, local_actor
from interlock.core.ledger import AccessRefused
from interlock.core.lock import Lock, LockMode, LockSubject
from interlock.core.settings import AgentSettings, IdentityKind
from interlock.services.authority import Authority
from tests.services.administration_bench import AdministrationBench
from tests.services.locks_bench import FakeSession
from tests.services.policy.examples import agent, user

ROOT = local_actor("root")
ADMINISTRATORS = frozenset({"grace", "eve", "ada"})


class FewAdministrators(Authority):
    """The operators of the machine and a few people may administer."""

    def _permits(self, actor: Actor, permission: object) -> bool:
        return actor.principal.kind is PrincipalKind.USER and actor.name in ADMINISTRATORS


class Office(AdministrationBench):
    """Administration by several people."""

    def __init__(self, **settings: bool) -> None:
        super().__init__(agents=AgentSettings(**settings), authority_kind=FewAdministrators)

    async def do(self, command: Command[Any], actor: Actor = ROOT) -> Any:
        return await self.administration.execute(command, actor)

    async def register(self, name: str = "bot", owner: str | None = "ada", **changes: Any) -> Done:
        done: Done = await self.do(AddIdentity(name, IdentityKind.AGENT, owner, **changes))
        return done

    async def people(self, *names: str) -> None:
        for name in names:
            await self.do(AddIdentity(name, IdentityKind.USER))

    async def refused(self, command: Command[Any], actor: Actor) -> str:
        """Why; it must be on record, and nothing else may have happened."""
        before = dict(self.state.identities), self.locks
        with pytest.raises((NotAllowed, NotFound)):
            await self.do(command, actor)
        refused = self.ledger.records[-1]
        assert isinstance(refused, AccessRefused)
        assert (refused.actor, refused.action) == (actor.name, "identities.confirm")
        assert before == (self.state.identities, self.locks)
        return refused.why

    @property
    def locks(self) -> list[Lock]:
        return list(self.locking.locks.all())

    def open(self, name: str = "bot", owner: str | None = "ada", issuer: str = "") -> FakeSession:
        who = msgspec.structs.replace(agent(name=name, owner=owner), issuer=issuer)
        return self.locking.sessions.add(who)


def person(name: str) -> Actor:
    return Actor(user(name=name))


@pytest.fixture
def office() -> Office:
    return Office()


# ------------------------------------------------------------ another owner


async def test_an_agent_that_is_given_away_is_locked_until_its_new_owner_confirms(office: Office) -> None:
    await office.register()
    session = office.open()
    done = await office.do(TransferIdentity("bot", "grace"))
    assert [receipt.action for receipt in done.sessions] == ["cut"]
    assert session.done[0].startswith("cut 57P01 access is locked: its owner was ada")
    (lock,) = office.locks
    assert (lock.subject_kind, lock.subject, lock.mode, lock.cause) == (
        LockSubject.AGENT,
        "bot",
        LockMode.REFUSE,
        "owner changed",
    )
    bot = office.state.identities["bot"]
    assert (bot.owner, bot.handover) == ("grace", Handover(ROOT.name, ("ada",)))
    await office.do(ConfirmOwner("bot"), person("grace"))
    assert office.locks == []
    assert office.state.identities["bot"] == msgspec.structs.replace(bot, handover=None)
    assert [action for _, action, _ in office.recorded] == [
        "identities.add",
        "identities.transfer",
        "identities.confirm",
    ]


async def test_registering_it_anew_with_another_owner_is_the_same(office: Office) -> None:
    await office.register()
    await office.register(owner="grace", replace=True)
    assert [lock.cause for lock in office.locks] == ["owner changed"]


async def test_what_is_not_given_stays(office: Office) -> None:
    await office.register(purpose="reports", issuers=("ci",))
    await office.register(owner=None, groups=("night",), replace=True)
    bot = office.state.identities["bot"]
    assert (bot.owner, bot.purpose, bot.issuers, bot.handover) == ("ada", "reports", frozenset({"ci"}), None)
    assert office.locks == []


@pytest.mark.parametrize(
    ("who", "why"),
    [
        (ROOT, "whoever gives an agent another owner cannot confirm that"),
        (person("os:ROOT"), "only its new owner or an administrator may confirm it"),
        (person("ada"), "whoever answered for 'bot' cannot confirm who does now"),
        (person("ADA"), "only its new owner or an administrator may confirm it"),
        (person("mallory"), "only its new owner or an administrator may confirm it"),
        (Actor(agent(name="grace")), "only its new owner or an administrator may confirm it"),
        (
            Actor(user(name="grace", acting=(agent(name="bot"),))),
            "only its new owner or an administrator may confirm it",
        ),
        (Actor(agent(name="bot", owner="grace")), "only its new owner or an administrator may confirm it"),
    ],
)
async def test_who_may_not_confirm_it(office: Office, who: Actor, why: str) -> None:
    await office.register()
    await office.do(TransferIdentity("bot", "grace"))
    assert await office.refused(ConfirmOwner("bot"), who) == why


async def test_a_second_administrator_may(office: Office) -> None:
    await office.register(owner="x")
    await office.do(TransferIdentity("bot", "team-blue"))
    await office.do(ConfirmOwner("bot"), person("eve"))
    assert office.locks == []


async def test_nobody_takes_over_an_agent_alone(office: Office) -> None:
    await office.register(owner="x")
    await office.do(TransferIdentity("bot", "grace"), person("grace"))
    assert "gives an agent another owner" in await office.refused(ConfirmOwner("bot"), person("grace"))
    await office.do(ConfirmOwner("bot"), person("eve"))


async def test_nor_under_another_name(office: Office) -> None:
    """The issuer says that ``grace`` and ``ada`` are one."""
    await office.register()
    ada = Principal(PrincipalKind.USER, "ada", issuer="https://idp", subject="7")
    office.locking.known.principals[LockSubject.USER, "ada"] = [ada]
    await office.do(TransferIdentity("bot", "grace"))
    grace = Actor(msgspec.structs.replace(ada, name="grace"))
    assert "answered for" in await office.refused(ConfirmOwner("bot"), grace)


async def test_what_its_tokens_said_of_its_owner_counts_where_nothing_is_registered(office: Office) -> None:
    office.locking.uses.add(agent(name="bot", owner="ada"))
    office.open("other", owner="carol")
    await office.register(owner="grace")
    assert office.state.identities["bot"].handover == Handover(ROOT.name, ("ada",))
    await office.register("other", owner="carol")
    assert office.state.identities["other"].handover is None


async def test_a_first_owner_needs_no_confirming(office: Office) -> None:
    await office.register(owner=None)
    await office.do(TransferIdentity("bot", "grace"))
    assert office.state.identities["bot"].handover is None
    assert office.locks == []


async def test_given_on_before_it_is_confirmed_it_is_still_its_last_owners(office: Office) -> None:
    await office.register()
    await office.do(TransferIdentity("bot", "grace"))
    await office.do(TransferIdentity("bot", "carol"), person("eve"))
    assert office.state.identities["bot"].handover == Handover("eve", ("ada",))
    assert len(office.locks) == 1
    assert "gives an agent" in await office.refused(ConfirmOwner("bot"), person("eve"))


async def test_given_back_it_is_free_but_not_by_who_had_it(office: Office) -> None:
    await office.register()
    await office.do(TransferIdentity("bot", "grace"))
    await office.do(TransferIdentity("bot", "ada"), person("ada"))
    assert office.state.identities["bot"].handover == Handover("ada", ("ada",))
    assert len(office.locks) == 1
    await office.do(TransferIdentity("bot", "carol"), person("eve"))
    await office.do(TransferIdentity("bot", "ada"), person("eve"))
    assert office.state.identities["bot"].handover is None
    assert office.locks == []


async def test_the_lock_alone_does_not_hold_it(office: Office) -> None:
    """Whoever lifts it by hand has not confirmed anything."""
    await office.register()
    await office.do(TransferIdentity("bot", "grace"))
    (lock,) = office.locks
    await office.locking.locks.remove(lock.id, person("eve"), "in a hurry")
    assert office.state.identities["bot"].handover is not None
    await office.do(ConfirmOwner("bot"), person("grace"))
    assert office.state.identities["bot"].handover is None


async def test_there_may_be_nothing_to_confirm(office: Office) -> None:
    await office.register()
    told = set()
    for name, who in (("bot", "eve"), ("no-such", "eve"), ("bot", "mallory"), ("no-such", "mallory")):
        with pytest.raises(NotFound) as caught:
            await office.do(ConfirmOwner(name), person(who))
        told.add(str(caught.value).replace(name, "NAME"))
    await office.do(TransferIdentity("bot", "grace"))
    with pytest.raises(NotFound) as caught:
        await office.do(ConfirmOwner("bot"), person("mallory"))
    assert told == {str(caught.value).replace("bot", "NAME")}  # whoever may not confirm it is told of nothing


async def test_a_user_is_not_given_away(office: Office) -> None:
    await office.people("grace")
    with pytest.raises(AdministrationRefused, match="answers for itself"):
        await office.do(TransferIdentity("grace", "eve"))


async def test_what_cannot_be_recorded_changes_no_owner(office: Office) -> None:
    await office.register()
    office.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await office.do(TransferIdentity("bot", "grace"))
    office.ledger.broken = False
    assert office.state.identities["bot"].owner == "ada"
    await office.do(TransferIdentity("bot", "grace"))
    office.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await office.do(ConfirmOwner("bot"), person("grace"))
    assert office.state.identities["bot"].handover is not None
    assert len(office.locks) == 1


async def test_an_agent_needs_an_owner_where_settings_say_so() -> None:
    office = Office(require_owner=True)
    with pytest.raises(InvalidCommand, match="--owner"):
        await office.register(owner=None)
    await office.people("grace")
    await office.register()


# ------------------------------------------------------------ an owner who leaves


async def test_a_disabled_owner_takes_the_agents_along(office: Office) -> None:
    await office.people("ada")
    await office.register("registered", groups=("ci-bots",))
    sessions = [office.open("registered"), office.open("by-token"), office.open("carols", owner="carol")]
    done = await office.do(DisableIdentity("ada"))
    assert [bool(session.done) for session in sessions] == [True, True, False]
    assert {receipt.principal for receipt in done.sessions} == {"registered", "by-token"}
    (lock,) = office.locks
    assert (lock.subject_kind, lock.subject, lock.cause) == (LockSubject.OWNER, "ada", "identity disabled")
    assert office.locking.locks.bar_on(agent(name="later", owner="ada"))
    assert office.locking.locks.bar_on(user(name="ada"))
    await office.do(EnableIdentity("ada"))
    assert office.locks == []


async def test_an_agent_of_a_disabled_owner_is_free_with_another_one(office: Office) -> None:
    await office.people("ada")
    await office.register()
    await office.do(DisableIdentity("ada"))
    await office.do(TransferIdentity("bot", "grace"))
    await office.do(ConfirmOwner("bot"), person("grace"))
    assert [lock.subject for lock in office.locks] == ["ada"]
    assert office.locking.locks.bar_on(agent(name="bot", owner="grace")) is None


async def test_and_its_new_owner_may_see_to_the_others(office: Office) -> None:
    """An agent that was of a locked owner does not make its new owner one with that owner."""
    await office.people("ada")
    await office.register("one")
    await office.register("two")
    office.locking.known.principals[LockSubject.OWNER, "ada"] = [agent(name="one", owner="ada")]
    await office.do(DisableIdentity("ada"))
    await office.do(TransferIdentity("one", "grace"))
    await office.do(ConfirmOwner("one"), person("grace"))
    await office.do(TransferIdentity("two", "eve"), person("grace"))
    assert office.state.identities["two"].owner == "eve"


async def test_nobody_gives_away_agents_that_are_locked_with_himself(office: Office) -> None:
    await office.people("grace")
    await office.register(owner="grace")
    await office.do(DisableIdentity("grace"))
    with pytest.raises(AdministrationRefused):
        await office.do(TransferIdentity("bot", "eve"), person("grace"))


async def test_a_removed_owner_is_locked_with_the_agents_until_registered_again(office: Office) -> None:
    await office.people("ada")
    await office.register()
    session = office.open("by-token")
    done = await office.do(RemoveIdentity("ada"))
    assert "bot, by-token" in done.text
    assert session.done
    assert [(lock.subject_kind, lock.subject, lock.cause) for lock in office.locks] == [
        (LockSubject.OWNER, "ada", "owner left")
    ]
    await office.people("ada")
    assert office.locks == []


async def test_who_answers_for_nobody_is_just_removed(office: Office) -> None:
    await office.people("ada")
    await office.register(owner="grace")
    await office.do(RemoveIdentity("ada"))
    await office.do(RemoveIdentity("bot"))
    assert office.locks == []


async def test_enabling_ends_a_leaving_that_somebody_else_has_told_of(office: Office) -> None:
    await office.people("ada")
    await office.locking.cascade.owner_left("ada", "the account is disabled at the provider", "gateway")
    assert await office.locking.cascade.owner_left("ada", "again", "gateway") is None
    await office.do(EnableIdentity("ada"))
    assert office.locks == []


async def test_a_lock_of_an_earlier_version_on_the_user_alone_is_lifted_too(office: Office) -> None:
    await office.people("ada")
    await office.locking.locks.add(
        LockSubject.USER, "ada", LockMode.REFUSE, "disabled", "root", cause="identity disabled"
    )
    await office.do(EnableIdentity("ada"))
    assert office.locks == []


# ------------------------------------------------------------ what sessions lose


async def test_sessions_with_tokens_of_an_issuer_that_is_not_allowed_any_more_are_cut(office: Office) -> None:
    await office.register()
    by_label, by_url, other, own = (
        office.open(issuer=issuer)
        for issuer in ("https://ci.example", "https://also.example", "https://idp.example", "interlock")
    )
    done = await office.register(owner=None, issuers=("ci", "https://also.example"), replace=True)
    assert [bool(one.done) for one in (by_label, by_url, other, own)] == [False, False, True, False]
    assert len(done.sessions) == 1
    done = await office.register(owner=None, issuers=(), replace=True)
    assert done.sessions == ()


async def test_the_age_of_a_secret_is_kept(office: Office) -> None:
    await office.register()
    office.clock.advance(50)
    await office.do(GenerateSecret("bot"))
    assert office.state.identities["bot"].secret_made_at_s == office.clock.now_s()


async def test_sessions_in_which_it_acts_are_cut_as_its_own(office: Office) -> None:
    await office.register(groups=("night",))
    bot = agent("night", name="bot", owner="ada")
    acted_for, by_other = (office.locking.sessions.add(user(name="zoe", acting=(who,))) for who in (bot, agent()))
    done = await office.register(owner=None, groups=(), replace=True)
    assert (len(done.sessions), bool(acted_for.done), bool(by_other.done)) == (1, True, False)
    assert done.sessions[0].principal == "zoe, by agent bot"
    again = office.locking.sessions.add(user(name="zoe", acting=(bot,)))
    await office.do(RemoveIdentity("bot"))
    assert again.done


async def test_whoever_acts_belongs_to_its_owner(office: Office) -> None:
    await office.people("ada")
    session = office.locking.sessions.add(user(name="zoe", acting=(agent(name="by-token", owner="ada"),)))
    done = await office.do(RemoveIdentity("ada"))
    assert "by-token" in done.text
    assert session.done
