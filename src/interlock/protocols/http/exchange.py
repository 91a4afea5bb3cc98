"""One request and its answer: what is known of it so far, and how far it has come.

It holds, the session acts. The module is plain typed Python that mypyc compiles where a C compiler is at hand.
"""

import enum
from typing import Final

from interlock.core.budget import Allowance
from interlock.core.decision import Permit
from interlock.core.operation import Outcome, OutcomeStatus
from interlock.core.settings import ConnectionSettings
from interlock.protocols.http import problems
from interlock.protocols.http.answering import Answer
from interlock.protocols.http.dialects.base import Reading, Reply, Request
from interlock.protocols.http.relocation import Place
from interlock.protocols.http.values import Route
from interlock.protocols.http.websocket.handshake import Rejection, Upgrade, new_key, read_upgrade
from interlock.protocols.http.wire.messages import BodyEnd, BodyKind, Headers, RequestHead


class Stage(enum.Enum):
    """How far an exchange is."""

    ADMISSION = enum.auto()
    """Who asks is being found out."""
    BODY = enum.auto()
    """The body is read as a whole before anything is decided."""
    DECISION = enum.auto()
    TARGET = enum.auto()
    """The target is being connected, and the credential fetched."""
    ANSWER = enum.auto()
    """The request is with the target, or on its way."""


class Exchange:
    """One request and its answer. ``number`` is that of its operation, 0 before there is one."""

    def __init__(
        self, head: RequestHead, route: Route, token: str, own_authorization: bool, *, by_certificate: bool = False
    ) -> None:
        self.head: Final = head
        self.route: Final = route
        self.token: Final = token
        """The caller's, which goes to no target."""
        self.own_authorization: Final = own_authorization
        self.by_certificate: Final = by_certificate
        self.stage = Stage.ADMISSION
        self.headers: Headers = ()
        self.host = ""
        """What the target is told it is called."""
        self.request: Request | None = None
        self.reading: Reading | None = None
        self.permit: Permit | None = None
        self.number = 0
        self._parts: list[bytes] = []
        self.held_bytes = 0
        self.streams = False
        """The body goes on as it comes, after the decision."""
        self.request_complete = head.body is BodyKind.NONE
        self.answer: Answer | None = None
        self.head_sent = False
        self.head_bytes = b""
        self.target_stays = True
        self.reviewing = False
        self.end: BodyEnd | None = None
        """The end of an answer that waits for the review of its tools."""
        self.approval = ""
        self.link = ""
        self.upgrade: Upgrade | None = None
        """The WebSocket that the client asks for."""
        self.key = b""
        """What the target is shown of it."""
        self.rejection: Reply | None = None
        """Why it cannot have it."""
        self.again = False
        """It was sent a second time, on a fresh connection."""

    @property
    def method(self) -> str:
        return self.head.method.decode("ascii")

    @property
    def takes_body(self) -> bool:
        """Whether more of the request's body can be used now."""
        if self.request_complete:
            return False
        return self.stage is Stage.BODY or (self.stage is Stage.ANSWER and self.streams)

    @property
    def stays(self) -> bool:
        """Whether the client's connection can be used for another request, which nothing of this one is taken for."""
        return self.head.keep_alive and self.request_complete

    def hold(self, data: bytes) -> None:
        """Keep a part of the body."""
        self._parts.append(data)
        self.held_bytes += len(data)

    def body(self) -> bytes:
        """The body that is held."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    def release(self) -> bytes:
        """The body so far, which is held no longer."""
        data = self.body()
        self._parts = []
        return data

    @property
    def allowance(self) -> Allowance | None:
        """What the answer may still take of budgets."""
        return self.permit.allowance if self.permit is not None else None

    def may_pass(self, size: int) -> bool:
        """Whether so many bytes of the answer may go out. They count when they may."""
        allowance = self.allowance
        if allowance is None:
            return True
        allowance.begin()
        return allowance.take(0, size)

    def count_tokens(self) -> None:
        """Count what a model used for the answer, also for one that was cut."""
        if self.allowance is not None and self.answer is not None and self.answer.usage:
            self.allowance.use_tokens(self.answer.usage)

    def place(self, settings: ConnectionSettings) -> Place:
        """Where the client gets its answer from."""
        return Place(self.route.prefix, self.route.target.path, self.host, settings)

    def ask_for_websocket(self, entropy: bytes) -> None:
        """Take the client's handshake, and make one for the target with 16 fresh random bytes."""
        asked = read_upgrade(self.head.method, self.head.minor, self.head.headers)
        if isinstance(asked, Rejection):
            self.rejection = problems.reply(asked.status, asked.reason, headers=asked.headers)
        else:
            self.upgrade, self.key = asked, new_key(entropy)

    def outcome(self, status: OutcomeStatus, reply: Reply | None) -> Outcome:
        """What came of it: the target's answer, or what the gateway has said in its place."""
        answer = self.answer
        if reply is not None:
            code = "" if reply.status < 400 else str(reply.status)
            return Outcome(self.number, status, str(reply.status), code, 0, len(reply.body))
        if answer is None:
            return Outcome(self.number, status)
        code = "" if answer.status < 400 else str(answer.status)
        masked, found = answer.masked_values, answer.found
        tag, size = str(answer.status), answer.body_bytes
        return Outcome(self.number, status, tag, code, 0, size, masked, found, tokens=answer.usage)
