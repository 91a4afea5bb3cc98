"""Plays plans: one agent with its reviewers at a time, and keeps a history of what was seen."""

import asyncio
import contextlib
from collections.abc import Iterator

from tests.e2e.races.agent import SYNC, AgentConnection, Gone, bind, close, execute, open_agent, parse
from tests.e2e.races.model import Absence, History, Loss, Request, Sent, Vote
from tests.e2e.races.plans import DEMANDS, REVIEWERS, STRANGERS, TEXT_FORMS, Plan, Step
from tests.e2e.races.world import SHORT_S, WAIT_S, World, now_s
from tests.e2e.wire import query

_TO_BE_HELD_S = 1.5
_PATIENCE_S = 60.0
_GROUPS = {"first": ("dba",), "second": ("dba", "security"), "third": ("dba", "security")}


class Slot:
    """One agent and the people around it. Plays one plan after another."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._number = number
        self.history = History(DEMANDS["race_one"], {})
        self.log: list[str] = []

    def name(self, role: str) -> str:
        return f"{role}-{self._number}"

    async def settle_in(self) -> None:
        """Register everybody. Names of one person are alike up to the slash."""
        world, owner = self._world, self.name("owner")
        world.make_token(self.name("agent"), "agent", owner)
        for role in (*REVIEWERS, "owner", "owner/other", "outsider"):
            world.make_token(self.name(role), "user")
            await self._register(role)

    async def _register(self, role: str) -> None:
        groups = _GROUPS.get(role, () if role == "outsider" else ("dba", "security"))
        await self._world.register(self.name(role), groups, self.name("owner") if role == "owner/other" else None)

    async def play(self, plan: Plan) -> None:
        """Everything in the plan; the history is complete then."""
        play = Play(self, self._world, plan)
        self.history, self.log = play.history, play.log
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await play.run()
        except TimeoutError:
            raise AssertionError("\n".join([f"{plan} does not end", *self.log])) from None


class Play:
    """One plan being played."""

    def __init__(self, slot: Slot, world: World, plan: Plan) -> None:
        self._slot = slot
        self._world = world
        self._plan = plan
        members = {slot.name(role): frozenset(_GROUPS[role]) for role in REVIEWERS}
        self.history = History(DEMANDS[plan.table], members)
        self.log: list[str] = []
        self._asked: dict[str, float] = {}
        self._sessions: dict[int, AgentConnection] = {}
        self._busy: set[int] = set()
        self._held = asyncio.Event()
        self._left = False
        self._locks: list[str] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for step in self._plan.steps:
                await asyncio.sleep(step.pause_s)
                if step.patient:
                    await self._world.up.wait()
                self.log.append(f"{now_s():.3f} {step}")
                if step.act == "send":
                    await self._send(step, group)
                elif step.aside:
                    group.create_task(self._do(step))
                else:
                    await self._do(step)
            await asyncio.sleep(0.1)
            self._leave()
        await self._restore()
        await self._unlock()

    def _leave(self) -> None:
        """End all sessions, and those that are being opened as soon as they are."""
        self._left = True
        for session in self._sessions.values():
            session.drop()

    async def _do(self, step: Step) -> None:
        match step.act:
            case "cancel" | "drop":
                await self._break_off(step)
            case "lock agent" | "freeze agent" | "lock owner":
                await self._lock(step.act)
            case "disable" | "ungroup" | "lock reviewer":
                await self._lose(step.act, step.who[0])
            case "unlock":
                await self._unlock()
            case "restore":
                await self._restore()
            case "outlive":
                await asyncio.sleep(SHORT_S + 0.2)
            case "wait out":
                await asyncio.sleep(WAIT_S + 0.2)
            case _:
                await self._answer(step)

    # ------------------------------------------------------------ the agent

    async def _send(self, step: Step, group: asyncio.TaskGroup) -> None:
        """Send a statement in a session; returns when it is held or over, or at once when it is sent aside."""
        if step.session in self._busy:
            return
        self._busy.add(step.session)
        self._held.clear()
        sending = group.create_task(self._sending(step))
        if not step.aside:
            waiting = group.create_task(self._held.wait())
            await asyncio.wait({sending, waiting}, timeout=_TO_BE_HELD_S, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()

    async def _sending(self, step: Step) -> None:
        try:
            session = await self._session(step.session)
            await self._exchange(session, step)
        except Gone as gone:
            self.log.append(f"{now_s():.3f} session {step.session} is gone: {gone}")
            if step.session in self._sessions:
                self._sessions.pop(step.session).drop()
        finally:
            self._busy.discard(step.session)

    async def _session(self, number: int) -> AgentConnection:
        """The session of this number, opened if need be. Raises ``Gone``."""
        if number not in self._sessions:
            await asyncio.wait_for(self._world.up.wait(), 40)
            world, name = self._world, self._slot.name("agent")
            session = await open_agent(world.place, name, world.token(name), self._note_asked)
            if self._left:
                session.drop()
            self._sessions[number] = session
        return self._sessions[number]

    async def _exchange(self, session: AgentConnection, step: Step) -> None:
        """Send a statement in one of its forms. Raises ``Gone``."""
        letters = ("a", "b") if step.form == "pipeline" else (step.marker,)
        markers = [self._marker(letter, step.form) for letter in letters]
        await self._prepare(session, step, markers[0])
        sent = [Sent(now_s(), marker=marker, backend=session.backend) for marker in markers]
        self.history.sent += sent
        reply = await session.ask(b"".join(self._messages(step.form, markers)))
        committed = not reply.code
        if step.form == "transaction":
            ending = await session.ask(query("ROLLBACK" if reply.code else "COMMIT"))
            committed = ending.completed == ["COMMIT"]
        self.log.append(f"{now_s():.3f} {markers}: {reply.completed} {reply.code} {reply.text}")
        for one in sent:
            one.end_s, one.done, one.refused = now_s(), committed, bool(reply.code)

    async def _prepare(self, session: AgentConnection, step: Step, marker: str) -> None:
        if step.form == "transaction":
            await session.ask(query("BEGIN"))
        elif step.form == "named":
            await session.ask(close("s") + parse("s", self._with_value()) + SYNC)
        elif step.form == "swapped":
            await session.ask(close("s") + parse("s", self._with_text("another" + marker)) + SYNC)

    def _messages(self, form: str, markers: list[str]) -> Iterator[bytes]:
        marker = markers[0]
        if form in ("simple", "transaction"):
            yield query(self._with_text(marker))
            return
        if form == "swapped":
            yield close("s") + parse("s", self._with_text(marker)) + bind("s") + execute()
        elif form == "named":
            yield bind("s", marker) + execute()
        else:
            for one in markers:
                yield parse("", self._with_value()) + bind("", one) + execute()
        yield SYNC

    def _marker(self, letter: str, form: str) -> str:
        """What stands for a statement in exactly one text or with exactly one value."""
        return f"{self._plan.number}-{letter}-{'text' if form in TEXT_FORMS else 'value'}"

    def _with_text(self, marker: str) -> str:
        return f"INSERT INTO {self._plan.table} (marker) VALUES ('{marker}')"

    def _with_value(self) -> str:
        return f"INSERT INTO {self._plan.table} (marker) VALUES ($1)"

    def _note_asked(self, request: str) -> None:
        self._asked.setdefault(request, now_s())
        self._held.set()

    async def _break_off(self, step: Step) -> None:
        session = self._sessions.get(step.session)
        if session is None:
            return
        if step.act == "cancel":
            await session.cancel()
        else:
            session.drop()
            self._sessions.pop(step.session, None)

    # ------------------------------------------------------------ reviewers

    async def _answer(self, step: Step) -> None:
        match step.act:
            case "approve" | "approve as a stranger":
                await self._vote(step.marker, step.who[0])
            case "deny":
                await self._vote(step.marker, step.who[0], approves=False)
            case "approve at once":
                await asyncio.gather(*(self._vote(step.marker, who) for who in step.who))
            case "approve and deny":
                yes, no = step.who
                await asyncio.gather(self._vote(step.marker, yes), self._vote(step.marker, no, approves=False))
            case "approve wrongly":
                await self._vote(step.marker, step.who[0], digest="0" * 64)

    async def _vote(self, letter: str, who: str, *, approves: bool = True, digest: str = "") -> None:
        """Answer the newest request about this marker, in whichever form; without one, the newest there is."""
        request = await self._look(letter)
        if request is None:
            return
        name = self._slot.name(who)
        vote = Vote(now_s(), request=request.id, reviewer=name, approves=approves)
        self.history.votes.append(vote)
        body = {"reason": "a race", "digest": digest} if approves else {"reason": "a race"}
        verb = "approve" if approves else "deny"
        status, answer = await self._world.call(name, "POST", f"/v1/approvals/{request.id}/{verb}", body)
        if status == -1:
            self.history.votes.remove(vote)
            return
        if 0 < status < 500:
            vote.end_s, vote.accepted = now_s(), status == 200
        self.log.append(f"{now_s():.3f} {vote}: {answer and answer.get('detail', answer.get('status'))}")
        assert not (vote.accepted and (digest or who in STRANGERS)), f"{vote} counts"

    async def _look(self, letter: str) -> Request | None:
        """The request as a reviewer would look it up: what it is about, the view says."""
        for known, seen_s in reversed(list(self._asked.items())):
            request = self.history.requests.get(known)
            if request is None:
                status, view = await self._world.call(self._slot.name("outsider"), "GET", f"/v1/approvals/{known}")
                if status != 200:
                    continue
                request = self.history.requests.setdefault(known, Request(known, _shown(view), seen_s))
            if f"-{letter}-" in request.marker:
                return request
        return next(reversed(list(self.history.requests.values())), None)

    # ------------------------------------------------------------ operators

    async def _lock(self, act: str) -> None:
        kind = "owner" if act == "lock owner" else "agent"
        loss = Loss(now_s(), what=act)
        self.history.losses.append(loss)
        body = {
            "subject_kind": kind,
            "subject": self._slot.name(kind),
            "mode": "freeze" if act == "freeze agent" else "refuse",
            "reason": "a race",
        }
        receipt = await self._world.insist("POST", "/v1/locks", body)
        if receipt is not None:
            loss.end_s = now_s()
            self._locks.append(receipt["lock"]["id"])

    async def _unlock(self) -> None:
        while self._locks:
            await self._world.insist("POST", f"/v1/locks/{self._locks.pop()}/remove", {"reason": "a race"})

    async def _lose(self, act: str, who: str) -> None:
        """Keep a reviewer from answering."""
        name = self._slot.name(who)
        absence = Absence(now_s(), reviewer=name)
        self.history.absences.append(absence)
        if act == "disable":
            done = await self._world.insist("POST", f"/v1/identities/{name}/disable", {})
        elif act == "ungroup":
            body = {"kind": "user", "groups": ["nothing"], "replace": True}
            done = await self._world.insist("PUT", f"/v1/identities/{name}", body)
        else:
            body = {"subject_kind": "user", "subject": name, "mode": "refuse", "reason": "a race"}
            done = await self._world.insist("POST", "/v1/locks", body)
            absence.lock = done["lock"]["id"] if done is not None else ""
        if done is not None:
            absence.end_s = now_s()

    async def _restore(self) -> None:
        """Let everybody answer again who is kept from it."""
        for absence in [one for one in self.history.absences if one.back_s > now_s()]:
            absence.back_s = now_s()
            if absence.lock:
                await self._world.insist("POST", f"/v1/locks/{absence.lock}/remove", {"reason": "a race"})
            await self._world.insist("POST", f"/v1/identities/{absence.reviewer}/enable", {})
            role = absence.reviewer.partition("-")[0]
            await self._world.register(absence.reviewer, _GROUPS[role])


def _shown(view: dict[str, object]) -> str:
    """The marker in what a reviewer is shown."""
    parameters = view["parameters"]
    if isinstance(parameters, list) and parameters:
        return str(parameters[0])
    with contextlib.suppress(IndexError):
        return str(view["statement"]).split("'")[1]
    raise AssertionError(f"a request shows nothing: {view}")
