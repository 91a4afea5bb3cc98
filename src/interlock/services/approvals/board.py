"""The board of requests for approval: asking, answering, expiring, spending. The only place that changes a request.

Fails closed: what cannot be recorded, stored or timed leaves a request as it is, which is never released by itself.
A request is spent at most once, by one step in the store; whoever waits is woken and looks for itself.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog

from interlock.core.approval import OPEN_STATUSES, ApprovalRequest, ApprovalStatus, Bypass, Question, Vote
from interlock.core.errors import AdministrationRefused, InterlockError, NotFound, StateUnavailable
from interlock.core.identity import Actor, Principal, line_of
from interlock.core.ledger import (
    AnyRecord,
    ApprovalRefused,
    ApprovalSettled,
    ApprovalVoted,
    BypassEnded,
)
from interlock.core.lock import Lock, LockMode, concerns_anew, sentence
from interlock.core.session import new_session_id
from interlock.core.settings import ApprovalSettings
from interlock.services.approvals.bypasses import Bypasses, Standing, has_ended
from interlock.services.approvals.people import (
    FindIdentity,
    as_registered,
    groups_of,
    objection,
    persons_answering,
    registered_groups,
)
from interlock.services.approvals.steady_time import SteadyTime, is_over
from interlock.services.approvals.terms import asker_of, bypassed, is_met, lasts_s, requested
from interlock.services.ports import Clock, Ledger
from interlock.services.state import ApprovalStore

log = structlog.get_logger()

TICK_S = 0.5
_MINUTE_S = 60.0
_MAX_RATES = 10_000


class Seal(Protocol):
    """Encrypts what only the gateway may read. ``context`` is authenticated with it."""

    def seal(self, plaintext: bytes, context: bytes) -> bytes: ...

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Raises an ``InterlockError`` when it is not what was sealed in this context."""


class Waiter(Protocol):
    """An operation that waits for a request."""

    @property
    def woken(self) -> asyncio.Event:
        """Is set to have it look again."""


class NotAsked(InterlockError):
    """People are not asked. The text says why and what to do."""


Listener = Callable[[ApprovalRequest], None]
BarOn = Callable[[Principal], str | None]
"""Why a person may not use the gateway, None when nothing speaks against it. May raise ``StateUnavailable``."""


class Approvals:
    """The board. ``listeners`` are told of every request that is new or has come to a status, once that is kept."""

    def __init__(
        self,
        store: ApprovalStore,
        ledger: Ledger,
        clock: Clock,
        seal: Seal,
        settings: ApprovalSettings,
        find_identity: FindIdentity,
        bar_on: BarOn = lambda _: None,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._time = SteadyTime(clock)
        self._seal = seal
        self._settings = settings
        self._find_identity = find_identity
        self.bar_on = bar_on
        self._waiting: dict[str, list[Waiter]] = {}
        self._recent: dict[tuple[str, str], list[float]] = {}
        self._turn = asyncio.Lock()
        self._bypasses = Bypasses()
        self.listeners: list[Listener] = []
        self.bypass_listeners: list[Callable[[Bypass], None]] = []

    # ------------------------------------------------------------ asking

    async def ask(self, draft: ApprovalRequest, question: Question) -> ApprovalRequest:
        """The request that stands for this question: an equal one that is open or was denied, or a new one.

        ``draft`` has no id yet. Raises ``NotAsked`` when there are too many, ``InterlockError`` or ``OSError`` when it
        cannot be recorded, kept or timed.
        """
        async with self._turn:
            now_s = self._time.now_s()
            for known in self._store.by_digest(draft.digest):
                if is_over(known, now_s):
                    continue
                if known.status in OPEN_STATUSES or known.status is ApprovalStatus.DENIED:
                    return await self._asked_again(known)
            bypass = await self._bypass_for(draft, now_s)
            if bypass is None:
                self._check_room(draft, now_s)
            request = await self._new(draft, question, now_s)
            if bypass is not None:
                return await self._let_pass(request, bypass)
            self._tell(request)
            return request

    async def _asked_again(self, known: ApprovalRequest) -> ApprovalRequest:
        changed = await self._store.change(
            known.id, lambda request: msgspec.structs.replace(request, asked=request.asked + 1)
        )
        return changed or known

    def _check_room(self, draft: ApprovalRequest, now_s: float) -> None:
        """A person who is asked too much says yes to everything. Raises ``NotAsked``."""
        settings, pending = self._settings, self._store.of_status(ApprovalStatus.PENDING)
        for who in asker_of(draft).asker:
            own = [request for request in pending if who in asker_of(request).asker]
            if len(own) >= settings.max_open_per_identity:
                raise NotAsked(f"{len(own)} requests of {who[1]} are open already")
            if sum(request.session == draft.session for request in own) >= settings.max_open_per_session:
                raise NotAsked(f"this session has {settings.max_open_per_session} requests open already")
            self._check_rate(who, now_s)

    def _check_rate(self, who: tuple[str, str], now_s: float) -> None:
        """Count a request of an identity, by kind and name. Raises ``NotAsked``."""
        times = [at_s for at_s in self._recent.pop(who, ()) if now_s - _MINUTE_S < at_s <= now_s]
        self._recent[who] = times
        if len(self._recent) > _MAX_RATES:
            del self._recent[next(iter(self._recent))]
        if len(times) >= self._settings.requests_per_minute:
            raise NotAsked(f"{who[1]} has caused {len(times)} requests within a minute")
        times.append(now_s)

    async def _new(self, draft: ApprovalRequest, question: Question, now_s: float) -> ApprovalRequest:
        request = msgspec.structs.replace(
            draft,
            id=new_session_id(int(now_s * 1e9), secrets.token_bytes(10)),
            status=ApprovalStatus.PENDING,
            created_at_s=now_s,
            expires_at_s=now_s + lasts_s(draft.demands),
        )
        sealed = self._seal.seal(msgspec.msgpack.encode(question), _context(request.id))
        await self._record(requested(request))
        await self._store.add(request, sealed)
        return request

    def _tell(self, request: ApprovalRequest) -> None:
        for listener in self.listeners:
            listener(request)

    # ------------------------------------------------------------ waiting

    def watch(self, approval: str, waiter: Waiter) -> None:
        """Have somebody who waits woken whenever the request may have changed, until ``unwatch``."""
        self._waiting.setdefault(approval, []).append(waiter)

    def unwatch(self, approval: str, waiter: Waiter) -> None:
        """It is not waited for any more."""
        waiters = self._waiting.get(approval, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiting.pop(approval, None)

    def waiters(self, approval: str) -> tuple[Waiter, ...]:
        """Who waits for the request in this process, the longest first."""
        return tuple(self._waiting.get(approval, ()))

    def waiting_for(self, approval: str) -> int:
        """How many operations wait for the request in this process."""
        return len(self._waiting.get(approval, ()))

    def current(self, approval: str) -> ApprovalRequest | None:
        """The request as it is now. Raises ``StateUnavailable``."""
        found = self._store.find(approval)
        return found[0] if found else None

    def question(self, approval: str) -> tuple[ApprovalRequest, Question] | None:
        """The request with what was asked. Raises ``InterlockError`` when it cannot be read."""
        found = self._store.find(approval)
        if found is None:
            return None
        clear = self._seal.unseal(found[1], _context(approval))
        return found[0], msgspec.msgpack.decode(clear, type=Question)

    def recent(self, status: ApprovalStatus | None, limit: int, before: str) -> list[ApprovalRequest]:
        """Requests, the newest first. Raises ``StateUnavailable``."""
        return self._store.recent(status, limit, before)

    def _wake(self, approval: str) -> None:
        for waiter in self._waiting.get(approval, ()):
            waiter.woken.set()

    # ------------------------------------------------------------ answering

    async def vote(
        self, approval: str, actor: Actor, *, approves: bool, reason: str, digest: str = ""
    ) -> ApprovalRequest:
        """Someone's answer; the request as it is then.

        Raises ``AdministrationRefused``, which is on record by then, when the answer does not count: whatever is
        expired, spent, settled, changed, one's own, or outside of the groups that were asked.
        """
        verdict = "approve" if approves else "deny"
        async with self._turn:
            request, vote = await self._checked(verdict, approval, actor, reason, digest)
            await self._record(ApprovalVoted(approval, actor.name, verdict, vote.groups, reason))
            voted = msgspec.structs.replace(request, votes=(*request.votes, vote))
            if not approves:
                return await self._settle(voted, request, ApprovalStatus.DENIED, actor.name, reason)
            if not is_met(voted):
                return await self._replace(voted, request)
            return await self._grant(voted, request, actor.name, reason)

    async def _grant(self, voted: ApprovalRequest, before: ApprovalRequest, by: str, reason: str) -> ApprovalRequest:
        granted = msgspec.structs.replace(voted, expires_at_s=self._time.now_s() + lasts_s(voted.demands))
        return await self._settle(granted, before, ApprovalStatus.APPROVED, by, reason)

    async def open_to(self, approval: str, actor: Actor) -> ApprovalRequest:
        """The open request, if this person's yes would count.

        Raises ``AdministrationRefused`` when it would not, which is on record by then.
        """
        request, _ = await self._checked("rehearse", approval, actor, "", "")
        return request

    async def _checked(
        self, verdict: str, approval: str, actor: Actor, reason: str, digest: str
    ) -> tuple[ApprovalRequest, Vote]:
        """What an answer is about, and the vote that it is. Records why when it is none."""
        try:
            request, vote = self._check_vote(approval, actor, verdict != "deny", reason, digest)
            if verdict == "bypass" and not is_met(msgspec.structs.replace(request, votes=(vote,))):
                raise AdministrationRefused("it takes more than one person's yes, so nobody can bypass it")
            return request, vote
        except AdministrationRefused as refused:
            await self._record(ApprovalRefused(approval[:64], actor.name, verdict, str(refused)))
            raise

    def _check_vote(
        self, approval: str, actor: Actor, approves: bool, reason: str, digest: str
    ) -> tuple[ApprovalRequest, Vote]:
        request = self.current(approval)
        if request is None:
            raise NotFound(f"there is no request {approval!r}")
        now_s = self._time.now_s()
        if request.status is not ApprovalStatus.PENDING:
            raise AdministrationRefused(f"the request is {request.status.value} already")
        if is_over(request, now_s):
            raise AdministrationRefused("the request has expired")
        if digest and digest != request.digest:
            raise AdministrationRefused("the request is not the one that was looked at; look at it again")
        problem = self.bar_on(actor.principal) or objection(request, actor, self._find_identity)
        if problem is not None:
            raise AdministrationRefused(problem)
        asked = {demand.group for demand in request.demands}
        groups = tuple(sorted(asked & groups_of(actor, self._find_identity)))
        if not groups:
            raise AdministrationRefused(f"only members of {', '.join(sorted(asked))} are asked")
        if self._answered_by(request, actor):
            raise AdministrationRefused("this person has answered already")
        if approves:
            self._check_can_be_shown(approval)
        registered = asked & registered_groups(actor.principal.name, self._find_identity)
        return request, Vote(actor.name, approves, reason, groups, now_s, tuple(sorted(registered)))

    def _check_can_be_shown(self, approval: str) -> None:
        """Nobody says yes to what nobody can look at."""
        try:
            self.question(approval)
        except StateUnavailable:
            raise
        except InterlockError:
            why = "its statement cannot be shown, as what is stored of it is damaged; deny it"
            raise AdministrationRefused(why) from None

    def _answered_by(self, request: ApprovalRequest, actor: Actor) -> bool:
        """Whether the same person has voted, under whichever name."""
        names = persons_answering(actor, self._find_identity)
        return any(vote.reviewer.casefold() in names for vote in request.votes)

    # ------------------------------------------------------------ ends

    async def spend(self, approval: str, digest: str, session: str) -> bool:
        """Use an approval up, for one execution of exactly what was approved; False when that cannot be.

        Raises ``InterlockError`` or ``OSError``: then nothing may be executed, whatever became of the approval.
        """
        async with self._turn:
            request = self.current(approval)
            if request is None or request.digest != digest or request.status is not ApprovalStatus.APPROVED:
                return False
            if is_over(request, self._time.now_s()):
                return False
            lost = self._lost_reviewer(request)
            if lost is not None:
                why = f"{lost} may not approve this any more"
                await self._settle(request, request, ApprovalStatus.VOID, "gateway", why)
                return False
            spent = await self._settle(request, request, ApprovalStatus.SPENT, "gateway", f"session {session}")
            return spent.status is ApprovalStatus.SPENT

    def _lost_reviewer(self, request: ApprovalRequest) -> str | None:
        """A reviewer who has since been disabled or locked, or has left a group; None when there is none."""
        return next((vote.reviewer for vote in request.votes if self._is_lost(vote)), None)

    def _is_lost(self, vote: Vote) -> bool:
        registered = self._find_identity(vote.reviewer)
        disabled = registered is not None and registered.disabled
        has_left = not registered_groups(vote.reviewer, self._find_identity).issuperset(vote.registered)
        return disabled or has_left or self.bar_on(as_registered(vote, self._find_identity)) is not None

    # ------------------------------------------------------------ bypasses

    async def bypass(self, approval: str, actor: Actor, *, reason: str, lasts_s: float) -> Bypass:
        """Approve the request, and for a while whatever is like it, on the word of somebody whose yes alone is enough.

        Raises as ``vote``, whose conditions are the same.
        """
        async with self._turn:
            request, vote = await self._checked("bypass", approval, actor, reason, "")
            bypass = Bypass(
                id=new_session_id(int(vote.at_s * 1e9), secrets.token_bytes(10)),
                approval=request.id,
                principal_kind=request.principal_kind,
                principal=request.principal,
                acting=tuple(map(line_of, request.acting)),
                connection=request.connection,
                database=request.database,
                rules=tuple(sorted({demand.rule for demand in request.demands})),
                policy=request.policy,
                vote=vote,
                expires_at_s=vote.at_s + lasts_s,
            )
            await self._record(bypassed(bypass))
            await self._let_pass(request, bypass)
            self._bypasses.put(bypass, request, actor)
        for listener in self.bypass_listeners:
            listener(bypass)
        return bypass

    def bypasses(self) -> tuple[Bypass, ...]:
        """Those in force. Raises ``OSError`` when there is no clock."""
        now_s = self._time.now_s()
        return tuple(bypass for bypass, *_ in self._bypasses if not has_ended(bypass, now_s))

    async def end_bypass(self, bypass_id: str, by: str, reason: str) -> Bypass:
        """Have people asked again. Raises ``NotFound``; ``LedgerUnavailable`` when it has ended all the same."""
        bypass = self._bypasses.take(bypass_id)
        if bypass is None:
            raise NotFound(f"there is no bypass {bypass_id!r} in force")
        await self._record(BypassEnded(bypass.id, by, reason, bypass.used))
        return bypass

    async def _bypass_for(self, draft: ApprovalRequest, now_s: float) -> Bypass | None:
        """The bypass that answers a new request: never for whoever gave it, or could not answer any more."""
        standing = self._bypasses.covering(draft, now_s)
        if standing is None:
            return None
        bypass = standing.bypass
        if self._is_lost(bypass.vote):
            await self.end_bypass(bypass.id, "gateway", f"{bypass.vote.reviewer} may not approve this any more")
            return None
        if objection(draft, standing.actor, self._find_identity) is not None:
            return None
        self._bypasses.use(bypass)
        return bypass

    async def _let_pass(self, request: ApprovalRequest, bypass: Bypass) -> ApprovalRequest:
        voted = msgspec.structs.replace(request, votes=(*request.votes, bypass.vote))
        return await self._grant(voted, request, bypass.vote.reviewer, f"bypass {bypass.id}: {bypass.vote.reason}")

    async def _end_bypasses(self, wanted: Callable[[Standing], bool], by: str, reason: str) -> None:
        ended = [standing.bypass for standing in self._bypasses if wanted(standing)]
        for bypass in ended:
            self._bypasses.take(bypass.id)
        for bypass in ended:
            await self._record(BypassEnded(bypass.id, by, reason, bypass.used))

    # ------------------------------------------------------------ what takes requests away

    async def withdraw(self, approval: str, reason: str) -> None:
        """Whoever asked has gone: nobody needs to answer any more, unless another still waits for it."""
        async with self._turn:
            request = self.current(approval)
            if request is not None and request.status is ApprovalStatus.PENDING and not self.waiting_for(approval):
                await self._settle(request, request, ApprovalStatus.WITHDRAWN, "client", reason)

    async def void(self, wanted: Callable[[ApprovalRequest], bool], by: str, reason: str) -> int:
        """Take back all open requests and unspent approvals that are wanted; how many."""
        count = 0
        async with self._turn:
            for status in OPEN_STATUSES:
                for request in filter(wanted, self._store.of_status(status)):
                    await self._settle(request, request, ApprovalStatus.VOID, by, reason)
                    count += 1
        return count

    async def void_matching(self, lock: Lock, before: Lock | None = None) -> int:
        """Make void what waits, and what is granted and not spent, of whom a lock is about; how many.

        Without those whom the lock concerned already when it was as ``before``. One that only masks takes nothing away.
        """
        if lock.mode is LockMode.MASK_ALL:
            return 0

        def concerned(request: ApprovalRequest) -> bool:
            return concerns_anew(lock, before, asker_of(request), request.connection, request.trace)

        await self._end_bypasses(lambda standing: concerned(standing.request), lock.by, sentence(lock))
        return await self.void(concerned, lock.by, sentence(lock))

    async def tick(self) -> None:
        """Expire what is due, and have everybody who waits look again: another process may have answered."""
        try:
            async with self._turn:
                now_s = self._time.now_s()
                await self._end_bypasses(lambda standing: has_ended(standing.bypass, now_s), "gateway", "its end")
                for status in OPEN_STATUSES:
                    for request in self._store.of_status(status):
                        if is_over(request, now_s):
                            await self._settle(request, request, ApprovalStatus.EXPIRED, "gateway", _EXPIRED[status])
        except (InterlockError, OSError) as error:
            log.error("requests for approval not looked at", error=type(error).__name__)
        for approval in list(self._waiting):
            self._wake(approval)

    async def interrupt_open(self) -> None:
        """At a start: whoever waited for an answer is gone. Approvals that were given stay."""
        async with self._turn:
            for request in self._store.of_status(ApprovalStatus.PENDING):
                await self._settle(request, request, ApprovalStatus.WITHDRAWN, "gateway", "the gateway was restarted")

    async def _settle(
        self, changed: ApprovalRequest, before: ApprovalRequest, status: ApprovalStatus, by: str, reason: str
    ) -> ApprovalRequest:
        """Bring a request to an end: on record first, then in one step, then whoever waits is woken."""
        await self._record(ApprovalSettled(before.id, status.value, by, reason))
        settled = msgspec.structs.replace(changed, status=status, settled_by=by, settled_reason=reason)
        stored = await self._replace(settled, before)
        self._tell(stored)
        return stored

    async def _replace(self, changed: ApprovalRequest, before: ApprovalRequest) -> ApprovalRequest:
        """Raises ``AdministrationRefused`` when the stored request is not as it was ``before``."""

        def swap(stored: ApprovalRequest) -> ApprovalRequest | None:
            if (stored.status, stored.votes) != (before.status, before.votes):
                return None
            return msgspec.structs.replace(changed, asked=stored.asked)

        stored = await self._store.change(before.id, swap)
        self._wake(before.id)
        if stored is None:
            raise AdministrationRefused("somebody else was faster; look at the request again")
        return stored

    async def _record(self, record: AnyRecord) -> None:
        accepted = self._ledger.append(record)
        if accepted is not None:
            await accepted


_EXPIRED = {
    ApprovalStatus.PENDING: "nobody answered in time",
    ApprovalStatus.APPROVED: "it was not used in time",
}


def _context(approval: str) -> bytes:
    return b"interlock approval " + approval.encode()
