"""One HTTP exchange as it was recorded: a request and its answer, whole, for whoever exports it.

Values only. Names of fields are in lower case; bodies are as they were sent, in the content codings of their heads.
"""

import msgspec

Fields = tuple[tuple[str, str], ...]


class SocketMessage(msgspec.Struct, frozen=True):
    """A message of a WebSocket. ``at_us`` counts microseconds from the session's start."""

    at_us: int
    to_target: bool
    opcode: int
    data: bytes


class RecordedExchange(msgspec.Struct, frozen=True, kw_only=True):
    """A request and its answer. Times are microseconds from the session's start.

    ``sent_us`` is when the last of a body that streamed went on, ``answered_us`` when the answer began, ``ended_us``
    when the last of it was recorded. Without an answer, ``status`` is 0. ``request_body`` and ``body`` are decoded, and
    may be less than was sent: ``body_bytes`` is what was kept of the answer's body as it was sent.
    """

    number: int
    asked_us: int
    sent_us: int
    answered_us: int
    ended_us: int
    method: str
    target: str
    request_headers: Fields
    request_body: bytes
    request_body_bytes: int
    status: int
    reason: str
    headers: Fields
    body: bytes
    body_bytes: int
    messages: tuple[SocketMessage, ...] = ()

    def request_header(self, name: str) -> str:
        """The first field of the request with a name, empty without one."""
        return _first(self.request_headers, name)

    def header(self, name: str) -> str:
        """The first field of the answer with a name, empty without one."""
        return _first(self.headers, name)


def _first(fields: Fields, name: str) -> str:
    return next((value for known, value in fields if known == name), "")
