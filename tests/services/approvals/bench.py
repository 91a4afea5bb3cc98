"""A board over a real state store, with a clock that stands still and a ledger that can be made to refuse."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interlock.adapters.sealing import Sealer
from interlock.adapters.store.approvals import ApprovalTable
from interlock.adapters.store.database import Database
from interlock.core.approval import ApprovalRequest, ApprovalStatus, Question
from interlock.core.decision import ApprovalDemand, Hold
from interlock.core.denial import Denial
from interlock.core.errors import AdministrationRefused, LedgerUnavailable
from interlock.core.identity import Actor, Principal, PrincipalKind, RegisteredIdentity
from interlock.core.ledger import AnyRecord
from interlock.core.operation import Operation
from interlock.core.session import Session
from interlock.core.settings import ApprovalSettings
from interlock.services.approvals.board import Approvals
from interlock.services.approvals.holding import Answer, HeldOperation, Holding
from tests.clocks import ManualClock
from tests.services.policy.examples import meaning

DBA = ApprovalDemand("one", "dba", 1, 600.0)
POLICY = "policy-1"
DEFAULTS = ApprovalSettings()


class SettableClock(ManualClock):
    """A clock whose hands can be set; time passes all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def monotonic_s(self) -> float:
        return self.passed_s

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self.passed_s += seconds

    def set_by(self, seconds: float) -> None:
        self.at_s += seconds


class ChoosyLedger:
    """Accepts records, but none of the kinds in ``refuses``; ``later`` has it say so only after a while."""

    def __init__(self) -> None:
        self.records: list[AnyRecord] = []
        self.refuses: set[type[AnyRecord]] = set()
        self.later = False

    def append(self, record: AnyRecord) -> asyncio.Future[None] | None:
        refused = type(record) in self.refuses
        if refused and not self.later:
            raise LedgerUnavailable("the disk is full")
        if not refused:
            self.records.append(record)
        if not self.later:
            return None
        future = asyncio.get_running_loop().create_future()
        outcome = (future.set_exception, LedgerUnavailable("full")) if refused else (future.set_result, None)
        asyncio.get_running_loop().call_soon(*outcome)
        return future

    def note(self, record: AnyRecord) -> None:
        self.append(record)

    def of(self, kind: type[Any]) -> list[Any]:
        return [record for record in self.records if type(record) is kind]


class ApprovalsBench:
    """``locked`` are names that may not use the gateway."""

    def __init__(self, directory: Path, settings: ApprovalSettings = DEFAULTS) -> None:
        self.file = directory / "state.db"
        self.settings = settings
        self.clock, self.ledger = SettableClock(), ChoosyLedger()
        self.identities: dict[str, RegisteredIdentity] = {}
        self.locked: set[str] = set()
        self.session = session_of(agent())
        self.told: list[str] = []
        self.open()

    def open(self, clock: ManualClock | None = None) -> None:
        """As a gateway that starts."""
        self.database = Database(self.file)
        self.table = ApprovalTable(self.database)
        self.board = Approvals(
            self.table,
            self.ledger,
            clock or self.clock,
            Sealer(bytes(32)),
            self.settings,
            self.identities.get,
            self._bar_on,
        )

    def close(self) -> None:
        self.database.close()

    def break_store(self) -> None:
        """Have the file lose its table, as seen by everybody who has it open."""
        self.damage("ALTER TABLE approvals RENAME TO gone")

    def mend_store(self) -> None:
        self.damage("ALTER TABLE gone RENAME TO approvals")

    def damage(self, sql: str) -> None:
        with sqlite3.connect(self.file, timeout=10) as connection:
            connection.execute(sql)
        connection.close()

    def _bar_on(self, principal: Principal) -> str | None:
        return "locked" if {principal.name, principal.owner, *principal.groups} & self.locked else None

    def register(self, name: str, *groups: str, owner: str | None = None, disabled: bool = False) -> None:
        kind = PrincipalKind.USER
        self.identities[name] = RegisteredIdentity(name, kind, owner, frozenset(groups), disabled)

    # ------------------------------------------------------------ asking and answering

    async def ask(self, *demands: ApprovalDemand, digest: str = "d" * 64, **other: Any) -> ApprovalRequest:
        return await self.board.ask(draft(digest, demands or (DBA,), **other), QUESTION)

    async def vote(self, request: ApprovalRequest, who: Actor, approves: bool = True, **other: Any) -> ApprovalRequest:
        return await self.board.vote(request.id, who, approves=approves, reason="looked at it", **other)

    async def refusal(self, request: ApprovalRequest, who: Actor, approves: bool = True, **other: Any) -> str:
        """Why an answer does not count."""
        try:
            await self.vote(request, who, approves, **other)
        except AdministrationRefused as refused:
            return str(refused)
        raise AssertionError("the answer counts")

    async def spend(self, request: ApprovalRequest) -> bool:
        return await self.board.spend(request.id, request.digest, "s1")

    def status(self, request: ApprovalRequest) -> ApprovalStatus:
        current = self.board.current(request.id)
        assert current is not None
        return current.status

    # ------------------------------------------------------------ holding

    def holding(self, wait_s: float = 30.0, session: Session | None = None) -> Holding:
        return Holding(session or self.session, self.board, wait_s, lambda approval: f"link to {approval}")

    async def hold(self, holding: Holding, *texts: bytes) -> list[Answer]:
        held = [held_operation(number, text) for number, text in enumerate(texts, 1)]
        return await holding.ask(held, lambda request, _link: self.told.append(request.id))

    async def until(self, condition: Callable[[], object]) -> None:
        """Let everybody else go on until something is so."""
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - there is nothing to wait for
                await asyncio.sleep(0.002)


QUESTION = Question("postgres", b"DELETE FROM users", b"", 17, 0)


def draft(digest: str, demands: tuple[ApprovalDemand, ...], **other: Any) -> ApprovalRequest:
    """A request of the agent ``bot`` that Olga answers for."""
    known: dict[str, Any] = {
        "id": "",
        "digest": digest,
        "status": ApprovalStatus.PENDING,
        "session": "s1",
        "number": 1,
        "principal_kind": PrincipalKind.AGENT.value,
        "principal": "bot",
        "owner": "olga",
        "groups": (),
        "issuer": "https://id",
        "subject": "bot-subject",
        "claims": (),
        "token_id": "",
        "connection": "pg",
        "database": "app",
        "application": "",
        "trace": "",
        "client_address": "127.0.0.1:1",
        "verb": "DELETE",
        "accesses": ("delete on Table public.users",),
        "rules": ("one",),
        "demands": demands,
        "message": "",
        "policy": POLICY,
        "created_at_s": 0.0,
        "expires_at_s": 0.0,
    }
    return ApprovalRequest(**(known | other))


def held_operation(number: int, text: bytes, **other: Any) -> HeldOperation:
    operation = Operation(number, meaning("delete"), text, **other)
    return HeldOperation(operation, Hold((DBA,), "ask a dba", ("one",), POLICY), ("delete on t",), lambda: None)


def agent(name: str = "bot", owner: str | None = "olga") -> Principal:
    return Principal(PrincipalKind.AGENT, name, owner=owner, issuer="https://id", subject=f"{name}-subject")


def session_of(principal: Principal, session_id: str = "s1") -> Session:
    return Session(session_id, "postgres", "pg", "app", principal, "127.0.0.1:5000")


def reviewer(name: str, *groups: str, **other: Any) -> Actor:
    return Actor(Principal(PrincipalKind.USER, name, frozenset(groups), subject=name, issuer="https://id", **other))


def why(answer: Answer) -> str:
    assert isinstance(answer, Denial), answer
    return answer.message


DANA, DIRK = reviewer("dana", "dba"), reviewer("dirk", "dba")
SVEN = reviewer("sven", "security")
