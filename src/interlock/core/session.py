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


def place(connection: str, database: str) -> str:
    """Where a session is, for people: ``CONNECTION``, with ``/DATABASE`` where there is one."""
    return f"{connection}/{database}" if database else connection


SESSION_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
SESSION_ID_ENTROPY_BYTES = 10
_SESSION_ID_LENGTH = 26


def new_session_id(time_ns: int, entropy: bytes) -> str:
    """An identifier that sorts by time: 48 bits of Unix milliseconds, then 80 random bits, in Crockford's base 32.

    Raises ``ValueError`` when ``entropy`` is not ten bytes long or the time is before 1970.
    """
    milliseconds = time_ns // 1_000_000
    if len(entropy) != SESSION_ID_ENTROPY_BYTES or not 0 <= milliseconds < 1 << 48:
        raise ValueError("a session id needs a Unix time and ten random bytes")
    number = (milliseconds << 80) | int.from_bytes(entropy, "big")
    return "".join(SESSION_ID_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def session_id_time_ms(session_id: str) -> int:
    """The Unix milliseconds in a session id. Raises ``ValueError`` for what is none."""
    if not is_session_id(session_id):
        raise ValueError("not a session id")
    number = 0
    for letter in session_id:
        number = number << 5 | SESSION_ID_ALPHABET.index(letter)
    return number >> 80


def is_session_id(text: str) -> bool:
    """Whether ``text`` has the form of a session id (and so is safe in a file name)."""
    return len(text) == _SESSION_ID_LENGTH and all(letter in SESSION_ID_ALPHABET for letter in text)


class SessionEntry(msgspec.Struct, frozen=True):
    """One line of the list of sessions. Times are Unix seconds; ``owner`` is empty when nobody answers for it."""

    id: str
    protocol: str
    connection: str
    database: str
    principal_kind: str
    principal: str
    owner: str
    client_address: str
    application: str
    trace: str
    opened_at_s: float
    status: SessionStatus
    closed_at_s: float | None
    operations: int
    denied: int
    rows: int
