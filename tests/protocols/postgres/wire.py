"""PostgreSQL messages for dialogues in tests, written independently of the code under test.

``frontend`` messages are what clients send, ``backend`` messages what servers answer; each function returns whole
messages. ``split`` and ``show`` take a byte string apart again for comparison and for error messages.
"""

import struct
from collections.abc import Sequence


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack(">I", len(body) + 4) + body


def text(value: str) -> bytes:
    return value.encode() + b"\0"


# ---------------------------------------------------------------- frontend

SSL_REQUEST = struct.pack(">II", 8, 80877103)
GSS_REQUEST = struct.pack(">II", 8, 80877104)
TERMINATE = message("X")


def startup(minor: int = 0, major: int = 3, /, **parameters: str) -> bytes:
    body = b"".join(text(name) + text(value) for name, value in parameters.items()) + b"\0"
    return struct.pack(">IHH", len(body) + 8, major, minor) + body


def cancel(key: bytes) -> bytes:
    return struct.pack(">II", len(key) + 8, 80877102) + key


def password(value: str) -> bytes:
    return message("p", text(value))


def query(sql: str) -> bytes:
    return message("Q", text(sql))


def parse(sql: str, name: str = "", types: Sequence[int] = ()) -> bytes:
    return message("P", text(name) + text(sql) + struct.pack(f">H{len(types)}I", len(types), *types))


def bind(statement: str = "", portal: str = "", values: Sequence[bytes] = ()) -> bytes:
    body = text(portal) + text(statement) + struct.pack(">HH", 0, len(values))
    body += b"".join(struct.pack(">I", len(value)) + value for value in values)
    return message("B", body + struct.pack(">H", 0))


def describe(name: str = "", kind: str = "P") -> bytes:
    return message("D", kind.encode() + text(name))


def execute(portal: str = "", limit: int = 0) -> bytes:
    return message("E", text(portal) + struct.pack(">I", limit))


def close(name: str = "", kind: str = "S") -> bytes:
    return message("C", kind.encode() + text(name))


SYNC = message("S")
FLUSH = message("H")


def copy_data(data: bytes) -> bytes:
    return message("d", data)


COPY_DONE = message("c")


def copy_fail(reason: str = "no more") -> bytes:
    return message("f", text(reason))


def extended(sql: str, name: str = "", portal: str = "") -> bytes:
    """Parse, Bind, Describe, Execute, Sync, as libpq sends them."""
    return parse(sql, name) + bind(name, portal) + describe(portal) + execute(portal) + SYNC


# ---------------------------------------------------------------- backend

AUTHENTICATION_OK = message("R", struct.pack(">I", 0))
CLEARTEXT = message("R", struct.pack(">I", 3))
PARSED = message("1")
BOUND = message("2")
CLOSED = message("3")
NO_DATA = message("n")
SUSPENDED = message("s")
EMPTY = message("I")
COPY_IN = message("G", b"\0\0\0")
COPY_OUT = message("H", b"\0\0\0")


def parameter(name: str, value: str) -> bytes:
    return message("S", text(name) + text(value))


def key_data(process_id: int = 4711, secret: bytes = b"\1\2\3\4") -> bytes:
    return message("K", struct.pack(">I", process_id) + secret)


def ready(status: str = "I") -> bytes:
    return message("Z", status.encode())


def columns(*names: str) -> bytes:
    body = b"".join(text(name) + struct.pack(">IHIHIH", 0, 0, 25, 0xFFFF, 0xFFFFFFFF, 0) for name in names)
    return message("T", struct.pack(">H", len(names)) + body)


def parameters_described(*types: int) -> bytes:
    return message("t", struct.pack(f">H{len(types)}I", len(types), *types))


def row(*values: str) -> bytes:
    cells = b"".join(struct.pack(">I", len(value.encode())) + value.encode() for value in values)
    return message("D", struct.pack(">H", len(values)) + cells)


def complete(tag: str) -> bytes:
    return message("C", text(tag))


def error(code: str = "42601", sentence: str = "syntax error", severity: str = "ERROR") -> bytes:
    fields = [("S", severity), ("V", severity), ("C", code), ("M", sentence)]
    return message("E", b"".join(kind.encode() + text(value) for kind, value in fields) + b"\0")


def notice(sentence: str = "by the way") -> bytes:
    return message("N", b"SNOTICE\0M" + text(sentence) + b"\0")


def notification(channel: str = "news", payload: str = "") -> bytes:
    return message("A", struct.pack(">I", 4711) + text(channel) + text(payload))


def greeting(**parameters: str) -> bytes:
    """What a server says once the client is authenticated."""
    reported = {"server_version": "15.18", "client_encoding": "UTF8", "standard_conforming_strings": "on"}
    statuses = b"".join(parameter(name, value) for name, value in (reported | parameters).items())
    return AUTHENTICATION_OK + statuses + key_data() + ready()


def answer(*rows: str, tag: str = "") -> bytes:
    """Rows of one column with their description and tag, without ReadyForQuery."""
    return columns("value") + b"".join(map(row, rows)) + complete(tag or f"SELECT {len(rows)}")


# ---------------------------------------------------------------- taking apart


def split(stream: bytes) -> list[bytes]:
    """The whole messages of a stream; an incomplete rest is the last item."""
    found = []
    position = 0
    while position < len(stream):
        end = position + 1 + int.from_bytes(stream[position + 1 : position + 5], "big")
        if position + 5 > len(stream) or end <= position or end > len(stream):
            found.append(stream[position:])
            break
        found.append(stream[position:end])
        position = end
    return found


def fields(error_message: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse."""
    return {part[:1].decode(): part[1:].decode() for part in error_message[5:].split(b"\0") if part}


def show(stream: bytes) -> str:
    """A stream for people: one message a line."""
    return "\n".join(f"{part[:1]!r} {part[5:105]!r}" for part in split(stream)) or "(nothing)"
