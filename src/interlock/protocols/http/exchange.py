"""One request and its answer: what is known of it so far, and how far it has come.

It holds, the session acts. The module is plain typed Python that mypyc compiles where a C compiler is at hand.
"""

import enum
from typing import Final

from interlock.core.decision import Permit
from interlock.protocols.http.answering import Answer
from interlock.protocols.http.dialects.base import Reading, Request
from interlock.protocols.http.routing import Route
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

    def __init__(self, head: RequestHead, route: Route, own_authorization: bool) -> None:
        self.head: Final = head
        self.route: Final = route
        self.own_authorization: Final = own_authorization
        self.stage = Stage.ADMISSION
        self.headers: Headers = ()
        self.host = ""
        """What the target is told it is called."""
        self.request: Request | None = None
        self.reading: Reading | None = None
        self.permit: Permit | None = None
        self.number = 0
        self.parts: list[bytes] = []
        self.held_bytes = 0
        self.streams = False
        """The body goes on as it comes, after the decision."""
        self.request_complete = head.body is BodyKind.NONE
        self.answer: Answer | None = None
        self.head_sent = False
        self.head_bytes = b""
        self.target_stays = True
        self.trailers: BodyEnd | None = None
        """The end of an answer that waits for the review of its tools."""
        self.approval = ""
        self.link = ""
        self.again = False
        """It was sent a second time, on a fresh connection."""

    @property
    def method(self) -> str:
        return self.head.method.decode("ascii")

    def body(self) -> bytes:
        """The body that was held."""
        return b"".join(self.parts)
