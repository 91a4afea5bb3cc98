"""A host with whims, and a channel in which everything that reaches it is held against what was permitted."""

import random
from collections.abc import Callable
from typing import Final

from interlock.core.decision import Decision
from interlock.core.denial import Denial, DenialReason
from interlock.core.file_paths import FilePath, file_path
from interlock.core.operation import Operation
from interlock.protocols.ssh import events
from interlock.protocols.ssh.sftp import extensions, wire
from interlock.protocols.ssh.sftp.framing import PacketReader
from interlock.protocols.ssh.sftp.wire import Fields, PacketType, string, u32
from tests.protocols.ssh.sftp.channels import Channel, permit_all

HANDLES: Final = [b"h0", b"h1", b"h2", b"zz"]
QUESTIONS: Final = (PacketType.REALPATH, extensions.EXPAND_PATH, extensions.HOME_DIRECTORY, extensions.LIMITS)


class Whimsical:
    """A host that answers as it should, most of the time, and otherwise anything."""

    def __init__(self, seed: int, honest: bool) -> None:
        self._random = random.Random(seed)
        self._honest = honest
        self._opened = 0
        offered = ((string(name), string(version)) for name, version in extensions.UNDERSTOOD.items())
        self._greeting = wire.greeting(PacketType.VERSION, *(part for pair in offered for part in pair))

    def exchange(self, data: bytes) -> bytes:
        answers = [self._answer(packet) for packet in PacketReader().feed(data)]
        return b"".join(answers)

    def _answer(self, packet: bytes) -> bytes:
        identifier, kind = wire.identifier_of(packet), packet[4]
        if not self._honest and self._random.random() < 0.2:
            return self._anything(packet)
        if kind == PacketType.INIT:
            return self._greeting
        if self._random.random() < 0.1:
            return wire.status(identifier, self._random.randrange(1, 12), "no")
        return _PROPER.get(kind, _ok)(self, identifier)

    def _anything(self, packet: bytes) -> bytes:
        body = self._random.randbytes(self._random.randrange(12))
        kind = self._random.choice(list(PacketType))
        return self._random.choice((wire.packet(kind, wire.identifier_of(packet), body), body, b"", packet))

    def name(self, identifier: int) -> bytes:
        return wire.name(identifier, self._random.choice([b"/home/agent", b"/etc/passwd", b"/srv/x", b"x", b"/\xff"]))

    def handle(self, identifier: int) -> bytes:
        self._opened += 1
        return wire.packet(PacketType.HANDLE, identifier, string(HANDLES[self._opened % 3]))


def _ok(_: Whimsical, identifier: int) -> bytes:
    return wire.status(identifier, 0)


_PROPER: Final[dict[int, Callable[[Whimsical, int], bytes]]] = {
    PacketType.REALPATH: Whimsical.name,
    PacketType.READLINK: Whimsical.name,
    PacketType.READDIR: Whimsical.name,
    PacketType.OPEN: Whimsical.handle,
    PacketType.OPENDIR: Whimsical.handle,
    PacketType.STAT: lambda _, identifier: wire.packet(PacketType.ATTRS, identifier, u32(0)),
    PacketType.LSTAT: lambda _, identifier: wire.packet(PacketType.ATTRS, identifier, u32(0)),
    PacketType.FSTAT: lambda _, identifier: wire.packet(PacketType.ATTRS, identifier, u32(0)),
    PacketType.READ: lambda _, identifier: wire.packet(PacketType.DATA, identifier, string(b"x")),
}


class Watched(Channel):
    """A channel in which every packet to the host is held against what was permitted."""

    def __init__(self, seed: int, honest: bool, cut: int) -> None:
        self.allowed: set[tuple[FilePath, bool]] = set()
        self.permitted: set[int] = set()
        self._random = random.Random(seed)
        self.asked = 0
        """Requests that the client has sent, at most."""
        super().__init__(Whimsical(seed, honest), self._decide, cut=cut)

    def _decide(self, operation: Operation) -> Decision | None:
        if operation.meaning.refusal is not None or self._random.random() < 0.3:
            return Denial(DenialReason.FORBIDDEN, "denied", "no")
        self.permitted.add(operation.number)
        for access in operation.meaning.accesses:
            self.allowed.add((access.path, access.action == "file-list"))
        return permit_all(operation)

    def check(self) -> None:
        for packet in PacketReader().feed(self.to_target)[1:]:
            kind: int | bytes = packet[4]
            fields = Fields(packet)
            if kind == PacketType.EXTENDED:
                kind = fields.string()
            assert kind in QUESTIONS or self._is_allowed(kind, fields), packet
        answered = [wire.identifier_of(packet) for packet in self.packets[1:]]
        reported = [report.number for report in self.reports]
        assert len(reported) == len(set(reported))
        assert set(reported) <= self.permitted
        assert len(answered) <= self.asked
        assert sum(isinstance(effect, events.Exit) for effect in self.effects) <= 1

    def _is_allowed(self, kind: int | bytes, fields: Fields) -> bool:
        if kind in ON_HANDLES:
            return fields.string() in HANDLES[:3]
        if kind == PacketType.SYMLINK:
            fields.string()  # what it leads to stays as it was written
        names_in_it = [fields.string() for _ in range(2 if kind in WITH_TWO else 1)]
        return all(self._knows(name, kind in LISTING) for name in names_in_it)

    def _knows(self, name: bytes, lists: bool) -> bool:
        return (file_path(name.decode()), lists) in self.allowed


ON_HANDLES: Final = {
    PacketType.READ,
    PacketType.WRITE,
    PacketType.CLOSE,
    PacketType.READDIR,
    PacketType.FSTAT,
    PacketType.FSETSTAT,
    extensions.FSYNC,
    extensions.FSTATVFS,
    extensions.COPY_DATA,
}
WITH_TWO: Final = {PacketType.RENAME, extensions.POSIX_RENAME, extensions.HARDLINK}
LISTING: Final = {
    PacketType.STAT,
    PacketType.LSTAT,
    PacketType.OPENDIR,
    PacketType.READLINK,
    extensions.STATVFS,
}
