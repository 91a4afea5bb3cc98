"""Access reviews over what is registered, used, locked and granted."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlock.adapters.store.database import Database
from interlock.adapters.store.identities import IdentityTable
from interlock.adapters.store.identity_use import IdentityUseTable
from interlock.adapters.store.sessions import SessionTable
from interlock.adapters.store.ssh_keys import SshKeyTable
from interlock.core.access_review import DAY_S, Flag, OwnerState
from interlock.core.administration import (
    AddConnection,
    AddIdentity,
    AttestIdentity,
    Command,
    DisableIdentity,
    IdentityReview,
    ReviewIdentities,
    ReviewPage,
)
from interlock.core.errors import LedgerUnavailable, NotFound, StateUnavailable
from interlock.core.identity import Principal, PrincipalKind, local_actor
from interlock.core.ledger import IdentityReviewed
from interlock.core.session import Session
from interlock.core.settings import ConnectionSettings, IdentityKind
from interlock.services import review_room
from interlock.services.policy import PolicyStore
from interlock.services.review_room import ReviewRoom
from tests.services.administration_bench import AdministrationBench, MemoryConnections
from tests.services.policy.examples import source

ROOT = local_actor("root")
POLICY = """
@id("ci-connects") permit (principal in Group::"ci", action == Action::"connect", resource);
@id("ci-reads") permit (principal in Group::"ci", action in Action::"read", resource in Connection::"crm");
@id("held") @approval("dba") forbid (principal, action == Action::"copy-out", resource);
@id("all") permit (principal in Group::"root-bots", action, resource);
@id("sometimes") permit (principal, action, resource) when { context.client.application == "never" };
"""


class Reviews(AdministrationBench):
    """Administration with reviews, over a state store in a file."""

    def __init__(self, directory: Path) -> None:
        self.database = Database(directory / "state.db")
        self.identities = IdentityTable(self.database)
        super().__init__(identities=self.identities)
        self.sessions = SessionTable(self.database)
        self.policies = PolicyStore(self.ledger)
        self.number = 0

    async def start(self) -> "Reviews":
        await self.policies.start([source(POLICY)])
        room = ReviewRoom(
            self.identities,
            IdentityUseTable(self.database),
            SshKeyTable(self.database),
            MemoryConnections(self.state),
            self.policies,
            self.locking.locks,
            self.ledger,
            self.clock,
        )
        self.add_room(room)
        for name in ("crm", "hr"):
            await self.do(
                AddConnection(name, ConnectionSettings(protocol="postgres", host="db", databases=("app",), user="u"))
            )
        return self

    async def do(self, command: Command[Any]) -> Any:
        return await self.administration.execute(command, ROOT)

    async def use(self, name: str, *actions: str, owner: str | None = "ada", groups: tuple[str, ...] = ()) -> None:
        """A session on crm, now."""
        who = Principal(PrincipalKind.AGENT, name, frozenset(groups), owner)
        self.number += 1
        session = Session(f"{self.number:026d}", "postgres", "crm", "app", who, "127.0.0.1:1")
        self.sessions.opened(session, self.clock.now_s())
        for action in actions:
            self.sessions.used(session, action, self.clock.now_s())
        await self.database.write(lambda _: None)

    async def page(self, **terms: float) -> dict[str, IdentityReview]:
        answer = await self.do(ReviewIdentities(**terms))
        assert msgspec.json.decode(msgspec.json.encode(answer), type=ReviewPage) == answer
        return {one.name: one for one in answer.items}

    async def flags(self, name: str) -> set[Flag]:
        return {finding.flag for finding in (await self.page())[name].findings}


@pytest.fixture
async def reviews(tmp_path: Path) -> Reviews:
    return await Reviews(tmp_path).start()


async def test_what_an_agent_did_against_what_it_may(reviews: Reviews) -> None:
    await reviews.do(AddIdentity("ada", IdentityKind.USER))
    await reviews.do(AddIdentity("bot", IdentityKind.AGENT, "ada", ("ci",), purpose="reports"))
    reviews.clock.advance(3 * DAY_S)
    await reviews.use("bot", "select", groups=("ci",))
    (bot,) = (await reviews.page()).values()
    assert (bot.name, bot.purpose, bot.owner, bot.owner_state, bot.sessions) == (
        "bot",
        "reports",
        "ada",
        OwnerState.PRESENT,
        1,
    )
    assert bot.first_used_at_s == bot.last_used_at_s == reviews.clock.now_s()
    crm, hr = bot.connections
    assert (crm.name, crm.granted, crm.actions_used) == ("crm", True, ("connect", "select"))
    assert set(crm.actions_granted) == {"select", "copy-out"}
    assert (hr.name, hr.granted, hr.actions_granted, hr.actions_used, hr.last_used_at_s) == ("hr", True, (), (), None)
    assert [(finding.flag, finding.text) for finding in bot.findings] == [
        (Flag.BREADTH, "used 1 of 2 connections and 1 of 2 actions on them in the last 90 days")
    ]


async def test_an_agent_of_tokens_is_reviewed_while_it_was_seen_lately(reviews: Reviews) -> None:
    await reviews.use("by-token", owner=None)
    assert await reviews.flags("by-token") == {Flag.NOT_REGISTERED, Flag.NO_OWNER}
    reviews.clock.advance(100 * DAY_S)
    assert await reviews.flags("by-token") == {Flag.NOT_REGISTERED, Flag.NO_OWNER, Flag.UNUSED}
    assert await reviews.page(seen_within_s=99.0 * DAY_S) == {}


async def test_a_registered_one_is_shown_however_long_ago(reviews: Reviews) -> None:
    await reviews.do(AddIdentity("bot", IdentityKind.AGENT, "ada"))
    assert Flag.NEVER_USED in await reviews.flags("bot")
    await reviews.use("bot")
    reviews.clock.advance(1000 * DAY_S)
    page = await reviews.page()
    assert page["bot"].sessions == 1
    assert Flag.UNUSED in await reviews.flags("bot")


async def test_owners_who_are_gone_or_unknown(reviews: Reviews) -> None:
    await reviews.do(AddIdentity("bot", IdentityKind.AGENT, "ada"))
    assert Flag.OWNER_UNKNOWN in await reviews.flags("bot")
    await reviews.do(AddIdentity("ada", IdentityKind.USER))
    await reviews.use("bot")
    assert await reviews.flags("bot") == set()
    await reviews.do(DisableIdentity("ada"))
    assert await reviews.flags("bot") == {Flag.OWNER_GONE}
    await reviews.locking.cascade.owner_left("carol", "left", "gateway")
    await reviews.do(AddIdentity("other", IdentityKind.AGENT, "carol"))
    assert Flag.OWNER_GONE in await reviews.flags("other")


async def test_a_rule_that_permits_everything(reviews: Reviews) -> None:
    await reviews.do(AddIdentity("bot", IdentityKind.AGENT, "ada", ("root-bots",)))
    bot = (await reviews.page())["bot"]
    assert [finding.text for finding in bot.findings if finding.flag is Flag.WIDE_RULE] == [
        "everything is permitted to it by all"
    ]
    assert "truncate" in bot.connections[0].actions_granted


async def test_the_greatest_risk_comes_first(reviews: Reviews) -> None:
    await reviews.do(AddIdentity("a-fine-one", IdentityKind.AGENT, "ada"))
    await reviews.do(AddIdentity("wide", IdentityKind.AGENT, "ada", ("root-bots",)))
    await reviews.do(AddIdentity("b-fine-one", IdentityKind.AGENT, "ada"))
    await reviews.use("b-fine-one")
    page = await reviews.page()
    assert list(page) == ["wide", "a-fine-one", "b-fine-one"]
    assert [one.risk for one in page.values()] == sorted((one.risk for one in page.values()), reverse=True)


async def test_that_somebody_has_looked_is_on_record_and_shown(reviews: Reviews) -> None:
    await reviews.do(AddIdentity("bot", IdentityKind.AGENT))
    done = await reviews.do(AttestIdentity("bot", "asked the team"))
    assert done.text == "It is on record that os:root has looked at 'bot'."
    (record,) = [record for record in reviews.ledger.records if isinstance(record, IdentityReviewed)]
    assert record == IdentityReviewed("os:root", "bot", "asked the team", ("no-owner", "never-used"))
    attested = (await reviews.page())["bot"].attested
    assert attested is not None
    assert (attested.by, attested.at_s, attested.note) == ("os:root", reviews.clock.now_s(), "asked the team")


async def test_only_agents_are_attested(reviews: Reviews) -> None:
    await reviews.do(AddIdentity("ada", IdentityKind.USER))
    for name in ("ada", "no-such"):
        with pytest.raises(NotFound, match="there is no agent"):
            await reviews.do(AttestIdentity(name))
    await reviews.use("by-token")
    await reviews.do(AttestIdentity("by-token"))


async def test_what_cannot_be_recorded_is_not_attested(reviews: Reviews) -> None:
    await reviews.do(AddIdentity("bot", IdentityKind.AGENT))
    reviews.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await reviews.do(AttestIdentity("bot"))
    reviews.ledger.broken = False
    assert (await reviews.page())["bot"].attested is None


async def test_what_cannot_be_found_out_fails_the_review(reviews: Reviews) -> None:
    await reviews.do(AddIdentity("bot", IdentityKind.AGENT))
    reviews.database.close()
    with pytest.raises(StateUnavailable):
        await reviews.page()


async def test_more_agents_than_a_review_has_are_counted(reviews: Reviews, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_room, "MAX_REVIEWED", 2)
    for number in range(3):
        await reviews.do(AddIdentity(f"bot-{number}", IdentityKind.AGENT))
    page = await reviews.do(ReviewIdentities())
    assert (len(page.items), page.left_out) == (2, 1)
