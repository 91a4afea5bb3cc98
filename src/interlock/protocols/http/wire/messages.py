"""Values that the parsers of HTTP/1.1 give and the writer takes; no behaviour.

They are not in the modules that use them because those are compiled.
"""

import enum

import msgspec

Headers = tuple[tuple[bytes, bytes], ...]
"""Fields in the order they came: names in lower case, values without blanks around them."""


class BodyKind(enum.Enum):
    """How the end of a body is known (RFC 9112, section 6.3)."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until close"


class RequestHead(msgspec.Struct, frozen=True):
    """A request line and its fields. ``target`` is as it came; ``targets`` says what it means.

    ``length`` is the size of a body of kind LENGTH, else 0. ``upgrade`` is the Upgrade field in lower case when
    Connection says so, else empty.
    """

    method: bytes
    target: bytes
    minor: int
    headers: Headers
    body: BodyKind
    length: int
    keep_alive: bool
    expects_continue: bool
    upgrade: bytes


class ResponseHead(msgspec.Struct, frozen=True):
    """A status line and its fields."""

    status: int
    reason: bytes
    minor: int
    headers: Headers
    body: BodyKind
    length: int
    keep_alive: bool


class BodyData(msgspec.Struct, frozen=True):
    """Some bytes of a body, never none, without transfer coding."""

    data: bytes


class BodyEnd(msgspec.Struct, frozen=True):
    """The end of a message, with or without a body."""

    trailers: Headers = ()


class BadMessage(msgspec.Struct, frozen=True):
    """What came is not HTTP as it is accepted here; nothing more is read from its connection.

    ``reason`` is a sentence for the sender. It never repeats what came.
    """

    status: int
    reason: str


class Malformed(Exception):
    """A ``BadMessage`` on its way out of the parser; never leaves this package."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Target(msgspec.Struct, frozen=True):
    """A path and query in the one form that is both decided and forwarded, see ``targets.canonical_target``.

    ``query_keys`` are decoded, in order, with repetitions.
    """

    path: str
    query: str
    query_keys: tuple[str, ...]

    @property
    def wire(self) -> bytes:
        """The request-target in origin-form."""
        return (f"{self.path}?{self.query}" if self.query else self.path).encode("ascii")


class Authority(msgspec.Struct, frozen=True):
    """A host and, when it was written, a port. IPv6 addresses are without brackets."""

    host: str
    port: int | None = None

    @property
    def wire(self) -> bytes:
        """As in a Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port is None else f"{host}:{self.port}").encode("ascii")


class AbsoluteTarget(msgspec.Struct, frozen=True):
    """A request-target in absolute-form. The port is the scheme's when none was written."""

    scheme: str
    host: str
    port: int
    target: Target
