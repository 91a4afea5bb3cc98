"""The client's end of a session: reads requests from its bytes, writes answers to it, and lets it wait.

It decides nothing, and knows of no exchange but the head that it is given. The module is plain typed Python that mypyc
compiles where a C compiler is at hand.
"""

from typing import Final

from interlock.protocols import base
from interlock.protocols.base import Effect, Side
from interlock.protocols.http.dialects.base import Reply
from interlock.protocols.http.limits import HttpLimits
from interlock.protocols.http.wire.messages import RequestHead
from interlock.protocols.http.wire.requests import RequestParser
from interlock.protocols.http.wire.writing import response_head

WAITING_BYTES: Final = 256 << 10
"""So much of what the client sends ahead is kept before it is read no more."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ClientEnd:
    """What is read from a client and written to it. ``tls``: it speaks TLS, ``local``: it is on this machine.

    ``certificate``: it has shown one, on the outside where there is TLS within TLS.
    """

    def __init__(self, limits: HttpLimits) -> None:
        self.limits: Final = limits
        self.requests = RequestParser(limits.max_head_bytes)
        self.tls = False
        self.local = False
        self.certificate = False
        self.greeted = False
        """Whether its first bytes have shown how it comes."""
        self._paused = False
        self._out: list[bytes] = []

    def begin_anew(self) -> bytes:
        """What follows is another conversation, as inside a CONNECT, without TLS so far. What was read ahead of it."""
        rest = self.requests.take_rest()
        self.requests = RequestParser(self.limits.max_head_bytes)
        self.greeted = self.tls = False
        return rest

    def throttle(self, effects: list[Effect]) -> None:
        """Let the client wait when it sends ahead of what can be used."""
        paused = self.requests.buffered > WAITING_BYTES
        if paused is not self._paused:
            self._paused = paused
            effects.append(base.Pause(Side.CLIENT) if paused else base.Resume(Side.CLIENT))

    def write(self, data: bytes) -> None:
        """Goes out with the next ``flush``."""
        if data:
            self._out.append(data)

    def write_continue(self) -> None:
        """Have the client send its body (RFC 9110, section 10.1.1)."""
        self._out.append(_CONTINUE)

    def flush(self, effects: list[Effect]) -> None:
        """Send what was written."""
        if self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            effects.append(base.Send(Side.CLIENT, data))

    def write_reply(self, reply: Reply, head: RequestHead | None, stays: bool) -> bytes:
        """Answer a request with what the gateway says itself, and return what is on its way then."""
        fields: list[tuple[bytes, bytes]] = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
        if not stays:
            fields.append((b"connection", b"close"))
        text = response_head(reply.status, b"", fields)
        if head is None or head.method != b"HEAD":
            text += reply.body
        self._out.append(text)
        return text
