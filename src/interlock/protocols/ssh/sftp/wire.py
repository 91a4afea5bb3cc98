"""Packets of SFTP version 3 as OpenSSH speaks it: their numbers, and how their fields are read and written.

Source: draft-ietf-secsh-filexfer-02, and the file PROTOCOL of OpenSSH for what it adds and for where it differs. A
packet is handed about with the four bytes of its length in front, as it goes over the channel.
"""

import enum
from struct import Struct
from typing import Final

VERSION: Final = 3
MAX_PACKET_BYTES: Final = 256 << 10
"""What is behind the length, of either side; OpenSSH takes no more either."""
MAX_HANDLE_BYTES: Final = 256
"""Section 6.3."""
HEAD_BYTES: Final = 9
"""Length, type and id."""

_U32: Final = Struct(">I")
_U64: Final = Struct(">Q")
_HEAD: Final = Struct(">IBI")


class PacketType(enum.IntEnum):
    """Section 3."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    SYMLINK = 20
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class StatusCode(enum.IntEnum):
    """Section 7."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    NO_CONNECTION = 6
    CONNECTION_LOST = 7
    OP_UNSUPPORTED = 8


STATUS_WORDS: Final = {code.value: code.name for code in StatusCode}


class OpenFlag(enum.IntFlag):
    """``pflags`` of section 6.3."""

    READ = 0x01
    WRITE = 0x02
    APPEND = 0x04
    CREATE = 0x08
    TRUNCATE = 0x10
    EXCLUSIVE = 0x20


ALL_OPEN_FLAGS: Final = 0x3F


class Malformed(Exception):
    """A packet is not what its type says it is. The text is half a sentence: what is wrong."""


class Fields:
    """The fields of one packet from ``position`` on, each read once. Methods raise ``Malformed``."""

    __slots__ = ("_packet", "_position")

    def __init__(self, packet: bytes, position: int = HEAD_BYTES) -> None:
        self._packet = packet
        self._position = position

    def u32(self) -> int:
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack(self.take(8))[0])

    def string(self) -> bytes:
        return self.take(self.u32())

    def handle(self) -> bytes:
        handle = self.string()
        if not 0 < len(handle) <= MAX_HANDLE_BYTES:
            raise Malformed(f"a handle has {len(handle)} bytes")
        return handle

    def take(self, size: int) -> bytes:
        """The next so many bytes."""
        start = self._position
        self._position = start + size
        if self._position > len(self._packet):
            raise Malformed("it ends within a field")
        return self._packet[start : self._position]

    @property
    def position(self) -> int:
        return self._position

    @property
    def left(self) -> bool:
        """Whether there is more."""
        return self._position < len(self._packet)

    def since(self, position: int) -> bytes:
        """What was read from ``position`` on."""
        return self._packet[position : self._position]

    def end(self) -> None:
        """There must be nothing more."""
        if self.left:
            raise Malformed(f"{len(self._packet) - self._position} bytes follow its last field")


def string(data: bytes) -> bytes:
    """A string with its length."""
    return _U32.pack(len(data)) + data


def u32(value: int) -> bytes:
    return _U32.pack(value)


def u64(value: int) -> bytes:
    return _U64.pack(value)


def packet(kind: int, identifier: int, *fields: bytes) -> bytes:
    """A packet with an id."""
    body = b"".join(fields)
    return _HEAD.pack(5 + len(body), kind, identifier) + body


def greeting(kind: PacketType, *fields: bytes) -> bytes:
    """INIT or VERSION, which have the version in the place of an id."""
    return packet(kind, VERSION, *fields)


def status(identifier: int, code: int, message: str = "") -> bytes:
    """Section 7. The text is in UTF-8 and English; without a message it is the code's name."""
    text = (message or STATUS_WORDS.get(code, "").replace("_", " ").lower()).encode(errors="replace")
    return packet(PacketType.STATUS, identifier, u32(code), string(text), string(b"en"))


def name(identifier: int, path: bytes) -> bytes:
    """One name without attributes, as REALPATH answers."""
    return packet(PacketType.NAME, identifier, u32(1), string(path), string(path), u32(0))


def identifier_of(data: bytes) -> int:
    """The id of a packet of at least ``HEAD_BYTES``."""
    return int(_U32.unpack_from(data, 5)[0])
