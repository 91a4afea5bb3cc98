"""PostgreSQL 3.x messages: names of the types, builders and readers for the bodies that the gateway looks into.

Source: PostgreSQL manual, "Message Formats". Builders return whole messages, type and length included. Nothing in here
keeps state.
"""

import struct
from collections.abc import Iterator
from typing import Final

# Frontend (client to server).
BIND: Final = 0x42  # B
CLOSE: Final = 0x43  # C
COPY_DATA: Final = 0x64  # d
COPY_DONE: Final = 0x63  # c
COPY_FAIL: Final = 0x66  # f
DESCRIBE: Final = 0x44  # D
EXECUTE: Final = 0x45  # E
FLUSH: Final = 0x48  # H
FUNCTION_CALL: Final = 0x46  # F
PARSE: Final = 0x50  # P
PASSWORD: Final = 0x70  # p, also SASL responses
QUERY: Final = 0x51  # Q
SYNC: Final = 0x53  # S
TERMINATE: Final = 0x58  # X

# Backend (server to client); COPY_DATA and COPY_DONE are shared.
AUTHENTICATION: Final = 0x52  # R
BACKEND_KEY_DATA: Final = 0x4B  # K
BIND_COMPLETE: Final = 0x32  # 2
CLOSE_COMPLETE: Final = 0x33  # 3
COMMAND_COMPLETE: Final = 0x43  # C
COPY_BOTH_RESPONSE: Final = 0x57  # W
COPY_IN_RESPONSE: Final = 0x47  # G
COPY_OUT_RESPONSE: Final = 0x48  # H
DATA_ROW: Final = 0x44  # D
EMPTY_QUERY_RESPONSE: Final = 0x49  # I
ERROR_RESPONSE: Final = 0x45  # E
NEGOTIATE_PROTOCOL_VERSION: Final = 0x76  # v
NO_DATA: Final = 0x6E  # n
NOTICE_RESPONSE: Final = 0x4E  # N
NOTIFICATION_RESPONSE: Final = 0x41  # A
PARAMETER_DESCRIPTION: Final = 0x74  # t
PARAMETER_STATUS: Final = 0x53  # S
PARSE_COMPLETE: Final = 0x31  # 1
PORTAL_SUSPENDED: Final = 0x73  # s
READY_FOR_QUERY: Final = 0x5A  # Z
ROW_DESCRIPTION: Final = 0x54  # T

# Requests that come without a type byte.
SSL_REQUEST_CODE: Final = 80877103
GSSENC_REQUEST_CODE: Final = 80877104
CANCEL_REQUEST_CODE: Final = 80877102

SSL_REQUEST: Final = struct.pack(">II", 8, SSL_REQUEST_CODE)

MAX_EARLY_BYTES: Final = 1 << 18
"""How much a client may send ahead of the answer to its login."""

PINNED_PARAMETERS: Final = {"client_encoding": "UTF8", "standard_conforming_strings": "on"}
"""Run-time parameters on which the gateway's reading of SQL depends, with the only values it can work with."""

MAX_NAME_BYTES: Final = 63
"""What PostgreSQL compares of a name."""

_INT32 = struct.Struct(">I")


class Malformed(Exception):
    """A message body does not have the form that its type demands."""


def message(kind: int, body: bytes) -> bytes:
    """One message: type byte, length, body."""
    return bytes((kind,)) + _INT32.pack(len(body) + 4) + body


def cstring(text: str) -> bytes:
    return text.encode() + b"\0"


def startup_message(parameters: dict[str, str]) -> bytes:
    """A StartupMessage for protocol 3.0."""
    body = b"".join(cstring(name) + cstring(value) for name, value in parameters.items()) + b"\0"
    return struct.pack(">II", len(body) + 8, 3 << 16) + body


def cancel_request(process_id: int, secret: bytes) -> bytes:
    return struct.pack(">III", 12 + len(secret), CANCEL_REQUEST_CODE, process_id) + secret


def query(text: str) -> bytes:
    return message(QUERY, cstring(text))


def bind_unknown(statement: str) -> bytes:
    """A Bind of a statement that does not exist: the server fails it and skips to Sync."""
    return message(BIND, b"\0" + cstring(statement) + b"\0\0\0\0\0\0")


SYNC_MESSAGE: Final = message(SYNC, b"")
FLUSH_MESSAGE: Final = message(FLUSH, b"")
TERMINATE_MESSAGE: Final = message(TERMINATE, b"")
AUTHENTICATION_OK: Final = message(AUTHENTICATION, _INT32.pack(0))
AUTHENTICATION_CLEARTEXT: Final = message(AUTHENTICATION, _INT32.pack(3))


def authentication_sasl(mechanisms: list[str]) -> bytes:
    body = b"".join(cstring(name) for name in mechanisms) + b"\0"
    return message(AUTHENTICATION, _INT32.pack(10) + body)


def authentication_sasl_continue(data: bytes) -> bytes:
    return message(AUTHENTICATION, _INT32.pack(11) + data)


def authentication_sasl_final(data: bytes) -> bytes:
    return message(AUTHENTICATION, _INT32.pack(12) + data)


def sasl_initial_response(mechanism: str, data: bytes) -> bytes:
    return message(PASSWORD, cstring(mechanism) + _INT32.pack(len(data)) + data)


def parameter_status(name: str, value: str) -> bytes:
    return message(PARAMETER_STATUS, cstring(name) + cstring(value))


def backend_key_data(process_id: int, secret: bytes) -> bytes:
    return message(BACKEND_KEY_DATA, _INT32.pack(process_id) + secret)


def ready_for_query(status: int) -> bytes:
    return message(READY_FOR_QUERY, bytes((status,)))


def negotiate_protocol_version(minor: int, unknown_options: list[str]) -> bytes:
    """The manual calls the first number the minor version; servers send, and clients want, the whole of it."""
    names = b"".join(cstring(name) for name in unknown_options)
    return message(NEGOTIATE_PROTOCOL_VERSION, struct.pack(">HHI", 3, minor, len(unknown_options)) + names)


def error_response(severity: str, code: str, text: str, detail: str = "", hint: str = "", position: int = 0) -> bytes:
    """An ErrorResponse. A NUL, which the format cannot carry, becomes a blank. ``position`` is 0 for none."""
    fields = [("S", severity), ("V", severity), ("C", code), ("M", text), ("D", detail), ("H", hint)]
    fields.append(("P", str(position) if position else ""))
    return message(ERROR_RESPONSE, _fields(fields))


def notice_response(severity: str, code: str, text: str, hint: str = "") -> bytes:
    """A NoticeResponse, as ``error_response``."""
    fields = [("S", severity), ("V", severity), ("C", code), ("M", text), ("H", hint)]
    return message(NOTICE_RESPONSE, _fields(fields))


def _fields(fields: list[tuple[str, str]]) -> bytes:
    return b"".join(kind.encode() + cstring(value.replace("\0", " ")) for kind, value in fields if value) + b"\0"


def error_fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse body, by their one-letter code."""
    fields: dict[str, str] = {}
    for part in body.split(b"\0"):
        if part:
            fields[chr(part[0])] = part[1:].decode("utf-8", "replace")
    return fields


def split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The whole messages in ``data``, as type and body; what is cut at the end is left out."""
    position = 0
    while position + 5 <= len(data):
        end = position + 1 + int.from_bytes(data[position + 1 : position + 5], "big")
        if end > len(data) or end < position + 5:
            return
        yield data[position], data[position + 5 : end]
        position = end


def read_cstring(body: bytes, start: int) -> tuple[str, int]:
    """The zero-terminated UTF-8 string at ``start`` and the offset behind it. Raises ``Malformed``."""
    end = body.find(b"\0", start)
    if end < 0:
        raise Malformed("a string is not terminated")
    try:
        return body[start:end].decode(), end + 1
    except UnicodeDecodeError as error:
        raise Malformed("a string is not valid UTF-8") from error


def read_text(message: bytes, start: int) -> tuple[bytes, int]:
    """A statement's text and where it ends. Raises ``Malformed``."""
    end = message.find(b"\0", start)
    if end < 0:
        raise Malformed("a statement is not terminated")
    return message[start:end], end + 1


def read_name(message: bytes, start: int) -> tuple[str, int]:
    """A statement's or portal's name, and where it ends. Raises ``Malformed``.

    The target compares 63 bytes, so longer ones could be another's to it.
    """
    name, end = read_cstring(message, start)
    if end - start > MAX_NAME_BYTES + 1:
        raise Malformed(f"a name is longer than {MAX_NAME_BYTES} bytes")
    return name, end


def check_empty(message: bytes) -> None:
    """Raises ``Malformed`` when a message has a body."""
    if len(message) != 5:
        raise Malformed("a message that has no body has one")


def read_pairs(body: bytes, start: int) -> dict[str, str]:
    """Name-value strings up to an empty name, as in a StartupMessage. Raises ``Malformed``."""
    pairs: dict[str, str] = {}
    position = start
    while position < len(body) and body[position] != 0:
        name, position = read_cstring(body, position)
        value, position = read_cstring(body, position)
        if name in pairs:
            raise Malformed(f"parameter {name[:40]!r} is given twice")
        pairs[name] = value
    if position != len(body) - 1:
        raise Malformed("the parameter list does not end where the message does")
    return pairs
