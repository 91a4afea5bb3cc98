"""Whatever clients and hosts send, in whatever pieces: nothing raises, and no name reaches the host undecided."""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.decision import Permit
from interlock.core.operation import OutcomeStatus
from interlock.protocols import base
from interlock.protocols.ssh import events
from interlock.protocols.ssh.sftp import extensions, wire
from interlock.protocols.ssh.sftp.wire import PacketType, string, u32, u64
from tests.protocols.ssh.sftp.channels import NO_ATTRIBUTES, Channel
from tests.protocols.ssh.sftp.watching import HANDLES, Watched

NAMES: Final = [b"a", b"/srv/x", b"../..", b"/", b".", b"", b"/srv/../etc/passwd", b"~/x", b"\xff", b"a\0b", b"//x//"]
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


@settings(max_examples=100, deadline=None)
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


@settings(max_examples=100, deadline=None)
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
    """Of requests about names, each with an id of its own; who uses a handle before it is told has to be lucky.

    A host that says what makes no sense ends the channel: what had been asked for by then depends on the cut.
    """
    stream = b"".join(packet[:5] + u32(50 + place) + packet[9:] for place, packet in enumerate(asked))
    seen = []
    for size in (0, cut):
        channel = Watched(seed, True, size)
        channel.send(wire.greeting(PacketType.INIT) + stream)
        reports = sorted(channel.reports, key=lambda report: report.number)
        whole = (sorted(channel.packets), channel.to_target, channel.texts, reports)
        seen.append(whole if channel.exit is None else ())
    assert seen[0] == seen[1]


@settings(max_examples=80, deadline=None)
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
