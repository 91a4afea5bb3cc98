"""What the target answers: read as strictly as what clients send. Functions raise ``Malformed``."""

from dataclasses import dataclass
from typing import Final

from interlock.protocols.ssh.sftp.attributes import Attributes, read_attributes
from interlock.protocols.ssh.sftp.wire import STATUS_WORDS, Fields, Malformed, PacketType, StatusCode

_MAX_MESSAGE_CHARACTERS: Final = 1024


@dataclass(frozen=True, slots=True)
class Status:
    """``code`` is a ``StatusCode`` or, of servers that have more of them, another number."""

    code: int
    message: str

    @property
    def is_ok(self) -> bool:
        return self.code == StatusCode.OK

    @property
    def word(self) -> str:
        """``NO_SUCH_FILE``"""
        return STATUS_WORDS.get(self.code, str(self.code))


Answer = bytes | Status
"""To a question of the gateway: a path, or why there is none."""


def read_status(packet: bytes) -> Status:
    """Some servers leave out message and language."""
    fields = Fields(packet)
    code = fields.u32()
    message = fields.string() if fields.left else b""
    if fields.left:
        fields.string()
    fields.end()
    return Status(code, message.decode(errors="replace")[:_MAX_MESSAGE_CHARACTERS])


def read_handle(packet: bytes) -> bytes:
    fields = Fields(packet)
    handle = fields.handle()
    fields.end()
    return handle


def read_names(packet: bytes) -> list[bytes]:
    """The names of a NAME packet."""
    fields = Fields(packet)
    names: list[bytes] = []
    for _ in range(fields.u32()):
        names.append(fields.string())
        fields.string()
        read_attributes(fields)
    fields.end()
    return names


def read_file_attributes(packet: bytes) -> Attributes:
    fields = Fields(packet)
    attributes = read_attributes(fields)
    fields.end()
    return attributes


def read_path(packet: bytes) -> Answer:
    """The answer to REALPATH and its kin."""
    if packet[4] == PacketType.STATUS:
        status = read_status(packet)
        if status.is_ok:
            raise Malformed("it has no name")
        return status
    names = read_names(packet)
    if len(names) != 1:
        raise Malformed(f"it has {len(names)} names where one is asked for")
    return names[0]


def read_extensions(packet: bytes) -> dict[bytes, bytes]:
    """What a VERSION packet offers besides the version, with the version of each (the first one)."""
    fields = Fields(packet)
    extensions: dict[bytes, bytes] = {}
    while fields.left:
        name, data = fields.string(), fields.string()
        extensions.setdefault(name, data)
    return extensions
