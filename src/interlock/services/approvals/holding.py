"""One session's held operations: asks people, waits, and says what they answered about exactly that operation.

Releases nothing by itself: enforcement decides again with what it is given.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import msgspec
import structlog

from interlock.core.approval import OPEN_STATUSES, ApprovalRequest, ApprovalStatus, Question
from interlock.core.decision import Hold, Trial
from interlock.core.denial import Denial, DenialReason
from interlock.core.errors import InterlockError, StateUnavailable
from interlock.core.operation import Operation
from interlock.core.rehearsal import RehearsalOutcome, SampledTable
from interlock.core.session import Session
from interlock.services.approvals.board import Approvals, NotAsked
from interlock.services.approvals.digest import approval_digest

log = structlog.get_logger()

MAX_KEPT_BYTES = 1 << 20
"""How much of a statement's text, and of its values, reviewers are shown."""

RunRehearsal = Callable[[Trial, tuple[SampledTable, ...], int], Awaitable[RehearsalOutcome]]
"""Runs a held operation in a transaction that stays open; the statement may take so many milliseconds."""

Tell = Callable[[ApprovalRequest, str], None]
"""Tells the client that an operation waits, and where it can be answered."""


class Granted(msgspec.Struct, frozen=True):
    """People have said yes, and that yes is used up."""

    approval: str
    reviewers: tuple[str, ...]


class HeldOperation(msgspec.Struct, frozen=True, eq=False):
    """An operation that policy holds; ``accesses`` are its meaning's, as lines.

    ``trial`` says whether it may be rehearsed now, which is so only while policy holds it.
    """

    operation: Operation
    hold: Hold
    accesses: tuple[str, ...]
    trial: Callable[[], Trial | None]


Answer = Granted | Denial


class Holding:
    """The operations of one session that wait. ``link_of`` says where a request can be answered."""

    def __init__(self, session: Session, approvals: Approvals, wait_s: float, link_of: Callable[[str], str]) -> None:
        self.session = session
        self.approvals = approvals
        self.wait_s = wait_s
        self.link_of = link_of
        self.run_rehearsal: RunRehearsal | None = None
        self.end_rehearsal: Callable[[], None] = lambda: None
        """Both are set by whoever speaks with the target; without the first nothing can be rehearsed."""
        self._waits: list[Wait] = []

    @property
    def waiting(self) -> bool:
        """Whether an operation waits for people."""
        return bool(self._waits)

    def give_up(self, reason: str, numbers: Collection[int] | None = None) -> bool:
        """The client has gone or has cancelled: what waits is withdrawn. Whether anything was waiting.

        ``numbers`` are the operations that it is about, all without them.
        """
        withdrawn = [wait for wait in self._waits if numbers is None or wait.number in numbers]
        for wait in withdrawn:
            wait.give_up(reason)
        return bool(withdrawn)

    async def ask(self, held: Sequence[HeldOperation], tell: Tell) -> list[Answer]:
        """Ask about operations of one group at once; their answers, in order.

        When one is not approved, those behind it are withdrawn, as they would not be executed either. Never raises:
        what goes wrong is a denial.
        """
        waits = [Wait(self, one, tell) for one in held]
        self._waits += waits
        try:
            return await asyncio.gather(*(self._answer(waits, index) for index in range(len(waits))))
        finally:
            self._waits = [wait for wait in self._waits if wait not in waits]

    async def _answer(self, waits: "list[Wait]", index: int) -> Answer:
        answer = await waits[index].answer()
        if isinstance(answer, Denial):
            for wait in waits[index + 1 :]:
                wait.give_up("what was to run before it was not approved")
        return answer


class Wait:
    """One operation that waits."""

    def __init__(self, holding: Holding, held: HeldOperation, tell: Tell) -> None:
        self.holding = holding
        self._approvals = holding.approvals
        self.held = held
        self._noun = held.operation.meaning.noun
        self._tell = tell
        self._given_up = ""
        self.woken = asyncio.Event()
        self._told: set[str] = set()
        self._until_s = asyncio.get_running_loop().time() + holding.wait_s

    @property
    def number(self) -> int:
        return self.held.operation.number

    def give_up(self, reason: str) -> None:
        self._given_up = self._given_up or reason
        self.woken.set()

    async def answer(self) -> Answer:
        """The answer, or a denial for what went wrong on the way to it."""
        try:
            return await self._ask()
        except TimeoutError:
            return self._denied(
                DenialReason.NEEDS_APPROVAL,
                "nobody has answered yet",
                f"Send the same {self._noun} again, unchanged: it finds its approval once it is given.",
            )
        except NotAsked as refused:
            return self._denied(
                DenialReason.NEEDS_APPROVAL, f"nobody was asked: {refused}", "Wait for the answers that are due."
            )
        except (InterlockError, OSError) as error:
            log.error("operation not held", session=self.holding.session.id, error=type(error).__name__)
            return self._denied(
                DenialReason.NEEDS_APPROVAL, "nobody can be asked now", "Try again later; the operator has been told."
            )

    async def _ask(self) -> Answer:
        """Ask until somebody answers this very operation; an answer that another took is asked for anew."""
        digest = approval_digest(self.holding.session, self.held.operation, self.held.accesses, self.held.hold.policy)
        while True:
            request = await self._approvals.ask(self._draft(digest), self._question())
            answer = await self._wait_for(request)
            if answer is not None:
                return answer

    async def _wait_for(self, request: ApprovalRequest) -> Answer | None:
        self._approvals.watch(request.id, self)
        try:
            return await self._settled(request)
        finally:
            self._approvals.unwatch(request.id, self)
            if self._given_up:
                await self._approvals.withdraw(request.id, self._given_up)

    async def _settled(self, request: ApprovalRequest) -> Answer | None:
        while not self._given_up:
            self.woken.clear()
            current = self._look(request)
            if current.status is ApprovalStatus.APPROVED:
                if await self._approvals.spend(current.id, current.digest, self.holding.session.id):
                    break
                current = self._look(current)
            if current.status is ApprovalStatus.SPENT:
                return None
            if current.status not in OPEN_STATUSES:
                return self._ended(current)
            if current.status is ApprovalStatus.PENDING and current.id not in self._told:
                self._told.add(current.id)
                self._tell(current, self.holding.link_of(current.id))
            async with asyncio.timeout_at(self._until_s):
                await self.woken.wait()
        if self._given_up:
            return self._denied(DenialReason.WITHDRAWN, self._given_up, "Nothing was executed.")
        return Granted(current.id, tuple(vote.reviewer for vote in current.votes))

    def _look(self, request: ApprovalRequest) -> ApprovalRequest:
        """The request as it is now; while the store is silent, it stands as before and nothing is released."""
        try:
            return self._approvals.current(request.id) or msgspec.structs.replace(request, status=ApprovalStatus.VOID)
        except StateUnavailable as error:
            log.error("request for approval not read", approval=request.id, error=type(error).__name__)
            return msgspec.structs.replace(request, status=ApprovalStatus.PENDING)

    def _ended(self, request: ApprovalRequest) -> Denial:
        if request.status is ApprovalStatus.DENIED:
            return self._denied(
                DenialReason.REJECTED,
                f"{request.settled_by} denied it: {request.settled_reason}",
                f"Do it another way: the same {self._noun} stays denied. Request {request.id}.",
            )
        if request.status is ApprovalStatus.EXPIRED:
            return self._denied(
                DenialReason.NOT_APPROVED, request.settled_reason, "Send it again if it is still needed."
            )
        return self._denied(
            DenialReason.NOT_APPROVED,
            f"its request is {request.status.value}: {request.settled_reason}",
            "Send it again if it is still needed.",
        )

    def _denied(self, reason: DenialReason, why: str, hint: str) -> Denial:
        hold = self.held.hold
        if reason is DenialReason.NEEDS_APPROVAL:
            groups = ", ".join(sorted({demand.group for demand in hold.demands}))
            why = f"needs approval by {groups}: {why}"
        return Denial(reason, f"denied: {why}. {hold.message}", hint, hold.access, hold.rules, hold.policy)

    def _draft(self, digest: str) -> ApprovalRequest:
        """The request as it would be; the board gives it its id and its times."""
        session, principal = self.holding.session, self.holding.session.principal
        return ApprovalRequest(
            id="",
            digest=digest,
            status=ApprovalStatus.PENDING,
            session=session.id,
            number=self.held.operation.number,
            principal_kind=principal.kind.value,
            principal=principal.name,
            owner=principal.owner or "",
            groups=tuple(sorted(principal.groups)),
            issuer=principal.issuer,
            subject=principal.subject,
            claims=principal.claims,
            token_id=principal.token_id,
            connection=session.connection,
            database=session.database,
            application=session.application,
            trace=session.trace,
            client_address=session.client_address,
            verb=self.held.operation.meaning.verb,
            accesses=self.held.accesses,
            rules=self.held.hold.rules,
            demands=self.held.hold.demands,
            message=self.held.hold.message,
            policy=self.held.hold.policy,
            created_at_s=0.0,
            expires_at_s=0.0,
            issued_at_s=principal.issued_at_s,
            login=principal.login,
            ancestors=principal.ancestors,
            acting=principal.acting,
        )

    def _question(self) -> Question:
        operation = self.held.operation
        runs = _kept(operation.runs)
        return Question(
            protocol=self.holding.session.protocol,
            text=operation.text[:MAX_KEPT_BYTES],
            parameters=operation.parameters[:MAX_KEPT_BYTES],
            text_bytes=len(operation.text),
            parameter_bytes=operation.parameter_bytes or len(operation.parameters),
            forwarded=operation.forwarded[:MAX_KEPT_BYTES],
            parameter_types=operation.parameter_types,
            runs=runs,
            runs_left_out=len(operation.runs) - len(runs),
            noun=operation.meaning.noun,
            unknown=str(operation.meaning.facts.get("opaque", "")),
        )


def _kept(runs: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    """The first of what a text runs by name, as much as reviewers are shown."""
    room = MAX_KEPT_BYTES
    for index, (text, values) in enumerate(runs):
        room -= len(text) + len(values)
        if room < 0:
            return runs[:index]
    return runs
