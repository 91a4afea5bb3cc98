"""Whatever clients and hosts send, in whatever pieces: nothing raises, and no name reaches the host undecided."""

import random
from collections.abc import Callable
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.decision import Decision, Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.file_paths import FilePath, file_path
from interlock.core.operation import Operation, OutcomeStatus
from interlock.protocols import base
from interlock.protocols.ssh import events
from interlock.protocols.ssh.sftp import extensions, wire
from interlock.protocols.ssh.sftp.framing import PacketReader
from interlock.protocols.ssh.sftp.wire import Fields, PacketType, string, u32, u64
from tests.protocols.ssh.sftp.channels import NO_ATTRIBUTES, Channel, permit_all

NAMES: Final = [b"a", b"/srv/x", b"../..", b"/", b".", b"", b"/srv/../etc/passwd", b"~/x", b"\xff", b"a\0b", b"//x//"]
HANDLES: Final = [b"h0", b"h1", b"h2", b"zz"]
ONE_NAME: Final = [
    PacketType.STAT,
    PacketType.LSTAT,
    PacketType.OPENDIR,
    PacketType.READLINK,
    PacketType.REMOVE,
    PacketType.RMDIR,
    PacketType.REALPATH,
]
TWO_NAMES: Final = [PacketType.RENAME, PacketType.SYMLINK]
NAME_EXTENSIONS: Final = [extensions.STATVFS, extensions.EXPAND_PATH, extensions.HOME_DIRECTORY, b"evil@example.com"]
QUESTIONS: Final = (PacketType.REALPATH, extensions.EXPAND_PATH, extensions.HOME_DIRECTORY, extensions.LIMITS)

names = st.sampled_from(NAMES).map(string)
handles = st.sampled_from(HANDLES).map(string)
attributes = st.sampled_from([NO_ATTRIBUTES, u32(4) + u32(0o4755), u32(1)])
identifiers = st.integers(2, 40)
kinds = st.sampled_from(PacketType)


def packets(kind: st.SearchStrategy[int], *fields: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(kind, identifiers, *fields).map(lambda drawn: wire.packet(drawn[0], drawn[1], *drawn[2:]))


def extended(names_of: list[bytes], *fields: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return packets(st.just(PacketType.EXTENDED), st.sampled_from(names_of).map(string), *fields)


about_names = st.one_of(
    packets(st.sampled_from(ONE_NAME), names),
    packets(st.just(PacketType.OPEN), names, st.integers(0, 63).map(u32), attributes),
    packets(st.sampled_from([PacketType.MKDIR, PacketType.SETSTAT]), names, attributes),
    packets(st.sampled_from(TWO_NAMES), names, names),
    extended(NAME_EXTENSIONS, names),
    extended([extensions.HARDLINK, extensions.POSIX_RENAME], names, names),
)
requests = st.one_of(
    about_names,
    packets(st.sampled_from([PacketType.CLOSE, PacketType.READDIR, PacketType.FSTAT]), handles),
    packets(st.just(PacketType.READ), handles, st.integers(0, 99).map(u64), st.integers(0, 99).map(u32)),
    packets(st.just(PacketType.WRITE), handles, st.integers(0, 99).map(u64), st.binary(max_size=20).map(string)),
    packets(st.just(PacketType.FSETSTAT), handles, attributes),
    extended([extensions.FSYNC, extensions.FSTATVFS], handles),
    extended([extensions.COPY_DATA], handles, st.just(u64(0) + u64(9)), handles, st.just(u64(1))),
    packets(kinds, st.binary(max_size=12)),
)


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
        assert len([effect for effect in self.effects if isinstance(effect, events.Exit)]) <= 1

    asked = 0

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


@settings(max_examples=300, deadline=None)
@given(st.lists(requests, max_size=25), st.integers(0, 1 << 16), st.booleans(), st.sampled_from([0, 1, 5, 30]))
def test_no_name_reaches_the_host_undecided(asked: list[bytes], seed: int, honest: bool, cut: int) -> None:
    channel = Watched(seed, honest, cut)
    channel.asked = len(asked)
    channel.send(wire.greeting(PacketType.INIT) + b"".join(asked))
    channel.feed(events.ClientEof())
    channel.feed(events.ClientClosed())
    channel.check()
    ended = {report.number for report in channel.reports}
    assert ended == channel.permitted
    assert channel.exit is not None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(requests, min_size=1, max_size=10),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=6),
    st.integers(0, 1 << 16),
)
def test_mutated_packets_raise_nothing(asked: list[bytes], changes: list[tuple[int, int]], seed: int) -> None:
    stream = bytearray(b"".join(asked))
    for place, value in changes:
        stream[place % len(stream)] = value
    channel = Watched(seed, True, 0)
    channel.asked = len(stream)
    channel.send(wire.greeting(PacketType.INIT) + bytes(stream))
    channel.check()
    channel.feed(events.ClientClosed())
    assert {report.number for report in channel.reports} == channel.permitted
    assert channel.exit is not None


@settings(max_examples=100, deadline=None)
@given(st.lists(about_names, max_size=12), st.integers(0, 1 << 16), st.integers(1, 40))
def test_any_cut_does_the_same(asked: list[bytes], seed: int, cut: int) -> None:
    """Of requests about names, each with an id of its own; who uses a handle before it is told has to be lucky."""
    stream = b"".join(packet[:5] + u32(50 + place) + packet[9:] for place, packet in enumerate(asked))
    seen = []
    for size in (0, cut):
        channel = Watched(seed, True, size)
        channel.send(wire.greeting(PacketType.INIT) + stream)
        reports = sorted(channel.reports, key=lambda report: report.number)
        seen.append((sorted(channel.packets), channel.to_target, channel.texts, reports))
    assert seen[0] == seen[1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=10), st.booleans())
def test_garbage_from_either_side_raises_nothing(pieces: list[bytes], from_client: bool) -> None:
    channel = Channel(None)
    for piece in pieces:
        if from_client:
            channel.send(piece)
        else:
            channel.feed_target(piece)
    channel.feed(events.TargetClosed())
    assert channel.exit is not None
    assert channel.operations == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 11), max_size=12), st.integers(0, 1 << 16))
def test_events_in_any_order_raise_nothing(order: list[int], seed: int) -> None:
    channel = Watched(seed, True, 0)
    choices: list[events.Event] = [
        events.ClientData(wire.greeting(PacketType.INIT)),
        events.ClientData(wire.packet(PacketType.REMOVE, 9, string(b"/x"))),
        events.ClientEof(),
        events.Resized(80, 24),
        events.Signalled("INT"),
        events.TargetOpened(),
        events.TargetEof(),
        base.TimePassed(),
        base.Held("held", "wait"),
        base.Decided((Permit((), ""),)),
        base.MaskingChanged(None),
        base.Killed("57P01", "ended"),
    ]
    for place in order:
        channel.feed(choices[place])
    channel.feed(events.ClientClosed())
    assert channel.exit is not None
    assert all(report.status in OutcomeStatus for report in channel.reports)
