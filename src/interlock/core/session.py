"""What is known of one client's session, once its identity is proved."""

import enum

import msgspec

from interlock.core.identity import Principal


class SessionStatus(enum.Enum):
    """How a session ended; ``OPEN`` until it did."""

    OPEN = "open"
    CLOSED = "closed"
    KILLED = "killed"
    INTERRUPTED = "interrupted"


class Session(msgspec.Struct, frozen=True):
    """One authenticated session.

    ``id`` sorts by time (26 lower-case characters). ``client_address`` is ``host:port`` as the listener saw it.
    ``application`` and ``trace`` are what the client says of itself: asserted, never proof.
    """

    id: str
    protocol: str
    connection: str
    database: str
    principal: Principal
    client_address: str
    application: str = ""
    trace: str = ""
