"""What an identity is told about itself, and what it is not told."""

import pytest

from interlock.core.errors import NotFound, StateUnavailable
from interlock.core.identity import Principal
from interlock.core.lock import LockMode, Restriction
from interlock.core.operation import Meaning
from interlock.core.settings import ConnectionSettings, HttpApi, HttpTarget, SshAuthentication, SshTarget
from interlock.services.policy import PolicyStore
from interlock.services.self_service.knowledge import Knowledge
from tests.clocks import ManualClock
from tests.services.policy.examples import agent, meaning, source, user
from tests.services.test_enforcement import WaywardLedger

POLICY = """
@id("pg") permit (principal in Group::"ci-bots", action in Action::"read", resource in Connection::"pg");
@id("pg-writes") permit (principal in Group::"ci-bots", action in Action::"write", resource in Connection::"pg");
@id("held") @approval("dba")
forbid (principal, action in Action::"write", resource in Connection::"pg");
@id("web") permit (principal in Group::"operators", action in Action::"read", resource in Connection::"web");
@id("web-shell") permit (principal in Group::"operators", action == Action::"shell", resource in Connection::"web");
@id("web-held") @approval("dba") forbid (principal, action == Action::"shell", resource in Connection::"web");
@id("crm") permit (principal in Group::"ci-bots", action == Action::"connect", resource in Connection::"crm");
@id("slow-crm") @approval("dba") forbid (principal, action == Action::"connect", resource in Connection::"crm");
"""
SETTINGS = {
    "pg": ConnectionSettings(protocol="postgres", host="pg", user="app", databases=("app", "archive")),
    "crm": ConnectionSettings(protocol="http", host="crm", http=HttpTarget(api=HttpApi.MCP)),
    "secret": ConnectionSettings(protocol="http", host="secret"),
    "web": ConnectionSettings(
        protocol="ssh",
        host="web",
        user="deploy",
        ssh=SshTarget(authenticate=SshAuthentication.CERTIFICATE, logins=("root",)),
    ),
}
CI, STRANGER = agent("ci-bots"), agent("others")


class Connections:
    """Implements what ``Knowledge`` needs of ``ConnectionStore``."""

    def find(self, name: str) -> ConnectionSettings | None:
        return SETTINGS.get(name)

    def all(self) -> dict[str, ConnectionSettings]:
        return SETTINGS

    def is_configured(self, name: str) -> bool:
        return True

    async def save(self, name: str, settings: ConnectionSettings) -> None:
        raise AssertionError

    async def remove(self, name: str) -> None:
        raise AssertionError


class Locks:
    """Implements ``LocksInForce``."""

    epoch = masking_epoch = 0

    def __init__(self) -> None:
        self.locked: set[str] = set()
        self.failure: Exception | None = None

    def restriction(self, principal: Principal, connection: str, run: str) -> Restriction | None:
        if self.failure is not None:
            raise self.failure
        modes = frozenset({LockMode.REFUSE}) if connection in self.locked else frozenset[LockMode]()
        return Restriction(modes, "looked at", ("lock-1",)) if modes else None


class Words:
    """Implements ``Interpreter``: a text is the name of an action."""

    def interpret(self, connection: str, text: str, protocol: str = "") -> Meaning:
        return meaning(text)


@pytest.fixture
def locks() -> Locks:
    return Locks()


@pytest.fixture
async def knowledge(locks: Locks) -> Knowledge:
    policies = PolicyStore(WaywardLedger())
    await policies.start([source(POLICY)])
    return Knowledge(Connections(), policies, locks, Words(), ManualClock())


async def test_only_what_may_be_used_is_there(knowledge: Knowledge, locks: Locks) -> None:
    assert [(one.name, one.speaks, one.connecting) for one in knowledge.connections(CI)] == [
        ("pg", "postgres", "allowed"),
        ("crm", "mcp", "needs approval"),
    ]
    assert knowledge.connections(CI)[0].databases == ("app", "archive")
    assert knowledge.connections(STRANGER) == ()
    locks.locked = {"pg"}
    assert [one.name for one in knowledge.connections(CI)] == ["crm"]


@pytest.mark.parametrize("connection", ["secret", "nowhere", ""])
async def test_what_may_not_be_used_is_not_there(knowledge: Knowledge, connection: str) -> None:
    with pytest.raises(NotFound, match="that you may use"):
        knowledge.permissions(CI, connection)
    with pytest.raises(NotFound, match="that you may use"):
        await knowledge.judgement(CI, connection, "select")


async def test_what_may_be_done(knowledge: Knowledge) -> None:
    answers = {one.what: one.answer for one in knowledge.permissions(CI, "pg")}
    assert (answers["select"], answers["insert"], answers["drop"]) == ("allowed", "needs approval", "denied")
    whole, access = await knowledge.judgement(CI, "pg", "insert")
    assert (whole.answer, access.answer) == ("needs approval", "needs approval")
    assert access.what == "insert on table pg/app/public/users"
    (denied, _) = await knowledge.judgement(CI, "pg", "drop")
    assert denied.answer == "denied"
    assert "no rule permits it" in denied.why


async def test_locks_that_cannot_be_looked_up_are_an_error(knowledge: Knowledge, locks: Locks) -> None:
    locks.failure = StateUnavailable("the disk is gone")
    with pytest.raises(StateUnavailable):
        knowledge.connections(CI)


async def test_what_may_be_done_on_a_host(knowledge: Knowledge) -> None:
    operator = agent("operators")
    (host,) = knowledge.connections(operator)
    assert (host.name, host.speaks, host.databases, host.logins) == ("web", "ssh", (), ("deploy", "root"))
    answers = {one.what: one.answer for one in knowledge.permissions(operator, "web")}
    assert answers["ssh-read"] == answers["file-read"] == answers["file-list"] == "allowed"
    assert answers["shell"] == "needs approval"
    assert answers["ssh-opaque"] == answers["forward"] == answers["file-write"] == "denied"


async def test_where_somebody_acts_it_is_what_both_may(knowledge: Knowledge) -> None:
    operator = agent("operators", name="op")
    for who in (user("ci-bots", acting=(operator,)), user("operators", acting=(CI,))):
        assert knowledge.connections(who) == ()
    both = user("ci-bots", acting=(CI,))
    assert [one.name for one in knowledge.connections(both)] == ["pg", "crm"]
    answers = {one.what: one.answer for one in knowledge.permissions(both, "pg")}
    assert (answers["select"], answers["insert"], answers["drop"]) == ("allowed", "needs approval", "denied")
