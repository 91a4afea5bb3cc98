"""The order of requests, decisions that take time, transfers, budgets, and how a channel ends."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.core.budget import Allowance, Book, Purse
from interlock.core.decision import ApprovalDemand, Decision, Hold, Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.operation import Operation, OutcomeStatus
from interlock.protocols import base
from interlock.protocols.ssh import events
from interlock.protocols.ssh.events import Numbers, Output, Subsystem
from interlock.protocols.ssh.recorded import Recorded, Stream, decode
from interlock.protocols.ssh.sftp import session as sftp_session
from interlock.protocols.ssh.sftp import wire
from interlock.protocols.ssh.sftp.open_files import MAX_HANDLES
from interlock.protocols.ssh.sftp.session import SftpSession
from interlock.protocols.ssh.sftp.wire import OpenFlag, PacketType, StatusCode, string, u32, u64
from tests.protocols.ssh.sftp.channels import NO_ATTRIBUTES, Channel, deny, permit_all, real_server

WRITE = OpenFlag.WRITE | OpenFlag.CREATE | OpenFlag.TRUNCATE


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(b"hello\n")
    return tmp_path.resolve()


@pytest.fixture
def channel(home: Path) -> Iterator[Channel]:
    with real_server(home) as target:
        yield Channel(target).greet()


def code(answer: bytes) -> int:
    assert answer[4] == PacketType.STATUS, answer
    return int.from_bytes(answer[9:13])


def close(channel: Channel, handle: bytes) -> None:
    assert code(channel.ask(PacketType.CLOSE, string(handle))) == StatusCode.OK


def read(channel: Channel, handle: bytes, offset: int, size: int) -> bytes:
    answer = channel.ask(PacketType.READ, string(handle), u64(offset), u32(size))
    return answer[13:] if answer[4] == PacketType.DATA else b""


def write(channel: Channel, handle: bytes, offset: int, data: bytes) -> int:
    return code(channel.ask(PacketType.WRITE, string(handle), u64(offset), string(data)))


def frames(channel: Channel, kind: type[base.RecordAnswer] | type[base.RecordRequest]) -> list[Recorded]:
    found = [effect for effect in channel.effects if isinstance(effect, kind)]
    return [decode(frame.data) for frame in found]


class Undecided:
    """A policy that waits to be told."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        channel.policy = lambda _: None

    def decide(self, decision: Decision | None = None) -> None:
        self._channel.feed(base.Decided((decision or Permit(("test",), "policy"),)))


# ---------------------------------------------------------------- transfers


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_a_transfer_is_one_operation_with_a_digest(home: Path, cut: int) -> None:
    with real_server(home) as target:
        channel = Channel(target, cut=cut).greet()
        handle = channel.open(b"up", WRITE)
        parts = [bytes([number]) * 1000 for number in range(3)]
        for number, part in enumerate(parts):
            assert write(channel, handle, number * 1000, part) == StatusCode.OK
        close(channel, handle)
        digest = hashlib.sha256(b"".join(parts)).hexdigest()
        assert (home / "up").read_bytes() == b"".join(parts)
        assert channel.reports[-1].tag == f"WROTE 3000 bytes sha256:{digest}"
        handle = channel.open(b"up", OpenFlag.READ)
        assert read(channel, handle, 0, 2000) + read(channel, handle, 2000, 2000) == b"".join(parts)
        close(channel, handle)
        assert channel.reports[-1].tag == f"READ 3000 bytes sha256:{digest}"
        assert channel.reports[-1].bytes_sent >= 3000
        assert len(channel.operations) == len(channel.reports) == 2
        assert frames(channel, base.RecordRequest) == []


def test_content_is_kept_where_that_is_wanted(home: Path) -> None:
    with real_server(home) as target:
        channel = Channel(target, keep_content=True).greet()
        up, down = channel.open(b"up", WRITE), channel.open(b"a", OpenFlag.READ)
        write(channel, up, 0, b"what is written")
        read(channel, down, 0, 100)
        assert frames(channel, base.RecordRequest) == [(Stream.INPUT, b"what is written")]
        assert frames(channel, base.RecordAnswer) == [(Stream.OUTPUT, b"hello\n")]


def test_a_listing_counts_and_keeps_names(channel: Channel) -> None:
    handle = channel.ask(PacketType.OPENDIR, string(b"."))[13:]
    assert channel.ask(PacketType.READDIR, string(handle))[4] == PacketType.NAME
    close(channel, handle)
    assert channel.reports[-1].tag == "LISTED 1"
    assert b"a\n" in frames(channel, base.RecordAnswer)[0][1]


def test_appended_data_is_digested_in_the_order_it_was_sent(channel: Channel, home: Path) -> None:
    handle = channel.open(b"a", OpenFlag.WRITE | OpenFlag.APPEND)
    write(channel, handle, 0, b"one ")
    write(channel, handle, 0, b"two")
    close(channel, handle)
    assert (home / "a").read_text() == "hello\none two"
    assert channel.reports[-1].tag == f"WROTE 7 bytes sha256:{hashlib.sha256(b'one two').hexdigest()}"


@pytest.mark.parametrize("kind", [PacketType.READDIR, PacketType.FSTAT, PacketType.CLOSE])
def test_handles_that_nobody_opened_go_nowhere(channel: Channel, kind: PacketType) -> None:
    assert code(channel.ask(kind, string(u32(0)))) == StatusCode.FAILURE
    assert channel.sent == []


def test_a_handle_serves_only_what_it_was_opened_for(channel: Channel) -> None:
    reading, writing = channel.open(b"a", OpenFlag.READ), channel.open(b"b", WRITE)
    listing = channel.ask(PacketType.OPENDIR, string(b"."))[13:]
    sent = len(channel.sent)
    assert write(channel, reading, 0, b"x") == StatusCode.FAILURE
    for handle in (writing, listing, b"no"):
        assert code(channel.ask(PacketType.READ, string(handle), u64(0), u32(9))) == StatusCode.FAILURE
    assert code(channel.ask(PacketType.READDIR, string(reading))) == StatusCode.FAILURE
    assert len(channel.sent) == sent
    assert channel.ask(PacketType.FSTAT, string(reading))[4] == PacketType.ATTRS


def test_a_closed_handle_is_gone_before_the_host_says_so(home: Path) -> None:
    channel = Channel(Scripted({PacketType.OPEN: lambda i: wire.packet(PacketType.HANDLE, i, string(b"h"))})).greet()
    handle = channel.open(b"a", OpenFlag.READ)
    channel.target = None
    assert channel.ask(PacketType.CLOSE, string(handle)) == b""
    assert code(channel.ask(PacketType.READ, string(handle), u64(0), u32(9))) == StatusCode.FAILURE


def test_a_write_that_fails_is_the_operations_failure(channel: Channel) -> None:
    handle = channel.open(b"/dev/full", OpenFlag.WRITE)
    assert write(channel, handle, 0, b"x") == StatusCode.FAILURE
    close(channel, handle)
    assert channel.reports[-1].status is OutcomeStatus.FAILED
    assert channel.reports[-1].code == "FAILURE"


def test_only_so_many_handles_are_open(channel: Channel) -> None:
    channel.target = Scripted({PacketType.OPEN: lambda i: wire.packet(PacketType.HANDLE, i, string(u32(i)))})
    for _ in range(MAX_HANDLES):
        handle = channel.open(b"a", OpenFlag.READ)
    answer = channel.ask(PacketType.OPEN, string(b"a"), u32(1), NO_ATTRIBUTES)
    assert code(answer) == StatusCode.FAILURE
    assert len(channel.operations) == MAX_HANDLES
    close(channel, handle)
    channel.open(b"a", OpenFlag.READ)


def test_long_reads_are_answered_with_less(channel: Channel, home: Path) -> None:
    (home / "long").write_bytes(bytes(300_000))
    handle = channel.open(b"long", OpenFlag.READ)
    assert 0 < len(read(channel, handle, 0, 0xFFFFFFFF)) < 256 << 10


def test_only_so_many_requests_are_at_the_host(home: Path) -> None:
    channel = Channel(Scripted({PacketType.OPEN: lambda i: wire.packet(PacketType.HANDLE, i, string(b"h"))})).greet()
    handle = channel.open(b"a", OpenFlag.READ)
    channel.target = None
    before = len(channel.sent)
    for number in range(sftp_session.MAX_OUTSTANDING + 100):
        channel.send(wire.packet(PacketType.READ, 1000 + number, string(handle), u64(0), u32(9)))
    assert len(channel.sent) - before == sftp_session.MAX_OUTSTANDING
    assert channel.paused
    for number in range(200):
        channel.feed_target(wire.status(1000 + number, StatusCode.EOF))
    assert not channel.paused
    assert len(channel.sent) - before == sftp_session.MAX_OUTSTANDING + 100


# ---------------------------------------------------------------- decisions


def test_nothing_reaches_the_host_before_it_is_decided(channel: Channel) -> None:
    waiting = Undecided(channel)
    assert channel.ask(PacketType.REMOVE, string(b"a")) == b""
    assert {packet[4] for packet in channel.sent} == {PacketType.REALPATH}
    assert channel.session.activity().deciding
    waiting.decide()
    assert channel.sent[-1][4] == PacketType.REMOVE
    assert not channel.session.activity().deciding
    assert channel.session.activity().settled == 1


def test_requests_behind_a_held_one_wait_in_their_order(channel: Channel, home: Path) -> None:
    handle = channel.open(b"a", OpenFlag.READ)
    waiting = Undecided(channel)
    channel.ask(PacketType.REMOVE, string(b"a"))
    channel.feed(base.Held("held: needs an approval. Request 7.", "It can be answered at: https://gateway/7"))
    assert b"interlock: held: needs an approval" in channel.errors
    assert b"https://gateway/7" in channel.errors
    assert channel.ask(PacketType.READ, string(handle), u64(0), u32(9)) == b""
    channel.policy = permit_all
    waiting.decide()
    assert [packet[4] for packet in channel.packets[-2:]] == [PacketType.STATUS, PacketType.DATA]
    assert not (home / "a").exists()


def test_many_waiting_requests_pause_the_client(channel: Channel) -> None:
    waiting = Undecided(channel)
    for number in range(sftp_session.MAX_WAITING + 2):
        channel.send(wire.packet(PacketType.STAT, 1000 + number, string(b"a")))
    assert channel.paused
    channel.policy = permit_all
    waiting.decide()
    assert not channel.paused
    assert len(channel.packets) == sftp_session.MAX_WAITING + 3
    assert isinstance(channel.effects[-1], base.Resume) or channel.exit is None


def test_who_sends_on_and_on_while_a_request_is_held_is_ended(channel: Channel) -> None:
    Undecided(channel)
    channel.ask(PacketType.STAT, string(b"a"))
    packet = wire.packet(PacketType.WRITE, 1, bytes(200_000))
    for _ in range(sftp_session.MAX_KEPT_BYTES // len(packet) + 2):
        channel.send(packet)
    assert channel.exit == events.Exit(sftp_session.FAILED_STATUS)
    assert b"too much" in channel.errors


def test_a_refusal_says_why_and_what_to_do(home: Path) -> None:
    with real_server(home) as target:
        channel = Channel(target, deny("file-remove")).greet()
        answer = channel.ask(PacketType.REMOVE, string(b"a"))
        assert code(answer) == StatusCode.PERMISSION_DENIED
        assert f"denied: file-remove on {home}/a Ask somebody.".encode() in answer
        lines = channel.errors.decode().splitlines()
        assert lines == [f"interlock: denied: file-remove on {home}/a", "interlock: Ask somebody."]
        channel.ask(PacketType.REMOVE, string(b"a"))
        assert channel.errors.decode().splitlines() == lines
        assert (home / "a").exists()
        assert channel.ask(PacketType.STAT, string(b"a"))[4] == PacketType.ATTRS


def test_a_hold_that_nobody_can_be_asked_about_is_a_refusal(channel: Channel) -> None:
    demand = ApprovalDemand("rule", "owners")
    channel.policy = lambda _: Hold((demand,), "removing files", ("rule",), "policy")
    answer = channel.ask(PacketType.REMOVE, string(b"a"))
    assert code(answer) == StatusCode.PERMISSION_DENIED
    assert b"needs approval by owners" in answer


def test_a_name_that_leads_elsewhere_after_a_hold_is_not_opened(channel: Channel, home: Path) -> None:
    (home / "secret").write_text("secret")
    waiting = Undecided(channel)
    channel.ask(PacketType.OPEN, string(b"a"), u32(1), NO_ATTRIBUTES)
    channel.feed(base.Held("held", ""))
    (home / "a").unlink()
    (home / "a").symlink_to("secret")
    waiting.decide()
    assert code(channel.packets[-1]) == StatusCode.FAILURE
    assert b"ask again" in channel.packets[-1]
    assert PacketType.OPEN not in [packet[4] for packet in channel.sent]
    assert channel.reports[-1].status is OutcomeStatus.SKIPPED


def test_what_was_held_and_still_is_the_same_goes_on(channel: Channel) -> None:
    waiting = Undecided(channel)
    channel.ask(PacketType.OPEN, string(b"a"), u32(1), NO_ATTRIBUTES)
    channel.feed(base.Held("held", ""))
    waiting.decide()
    assert channel.packets[-1][4] == PacketType.HANDLE
    assert len(channel.operations) == 1


def _purse(limit: int) -> Purse:
    return Purse([Book(4).window("key", 3600.0)], [limit], 1)


def test_a_budget_ends_what_is_read(channel: Channel, home: Path) -> None:
    (home / "long").write_bytes(bytes(10_000))
    spent = Denial(DenialReason.BUDGET_SPENT, "the budget is spent", "Wait.")

    def policy(operation: Operation) -> Decision:
        return Permit(("test",), "policy", Allowance(None, _purse(3000), lambda: 1000.0, lambda: spent))

    channel.policy = policy
    handle = channel.open(b"long", OpenFlag.READ)
    got = [read(channel, handle, place * 1000, 1000) for place in range(6)]
    assert sum(map(len, got)) < 5000
    assert b"the budget is spent" in channel.packets[-1]
    assert code(channel.packets[-1]) == StatusCode.PERMISSION_DENIED
    assert b"interlock: the budget is spent" in channel.errors
    close(channel, handle)
    assert channel.reports[-1].tag.startswith(f"READ {sum(map(len, got))} bytes")


# ---------------------------------------------------------------- bad input


class Scripted:
    """A target that knows no files; ``answers`` by type, otherwise success."""

    def __init__(self, answers: dict[int, object] | None = None) -> None:
        self._answers = answers or {}

    def exchange(self, data: bytes) -> bytes:
        return self._one(data)

    def _one(self, packet: bytes) -> bytes:
        identifier, kind = wire.identifier_of(packet), packet[4]
        answer = self._answers.get(kind)
        if answer is not None:
            assert callable(answer)
            return bytes(answer(identifier))
        if kind == PacketType.INIT:
            return wire.greeting(PacketType.VERSION)
        if kind == PacketType.REALPATH:
            return wire.name(identifier, b"/home/agent")
        return wire.status(identifier, StatusCode.OK)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (u32(wire.MAX_PACKET_BYTES + 1), "is the limit"),
        (u32(1) + b"x", "which no packet is"),
        (wire.packet(PacketType.STAT, 5, u32(100)), "ends within a field"),
        (wire.packet(PacketType.STAT, 5, string(b"x"), b"more"), "4 bytes follow"),
        (wire.packet(PacketType.OPEN, 5, string(b"x"), u32(0x40), NO_ATTRIBUTES), "flags"),
        (wire.packet(PacketType.WRITE, 5, string(b"x"), u64(0), u32(9), b"x"), "announces 9 bytes"),
        (wire.packet(PacketType.CLOSE, 5, string(b"h" * 257)), "handle has 257 bytes"),
        (wire.packet(PacketType.SETSTAT, 5, string(b"x"), u32(0x20)), "version 3 does not know"),
        (wire.packet(PacketType.EXTENDED, 5, u32(9)), "ends within a field"),
    ],
)
def test_packets_that_cannot_be_read_end_the_channel_with_a_sentence(channel: Channel, data: bytes, why: str) -> None:
    channel.send(data)
    assert channel.exit == events.Exit(sftp_session.FAILED_STATUS)
    assert why.encode() in channel.errors
    assert channel.operations == []
    assert channel.session.handle(events.ClientData(data)) == []


def test_an_id_counts_once_until_it_is_answered(channel: Channel) -> None:
    for _ in range(2):
        channel.send(wire.packet(PacketType.STAT, 7, string(b"a")))
    assert channel.exit is None
    Undecided(channel)
    channel.send(wire.packet(PacketType.STAT, 7, string(b"a")) + wire.packet(PacketType.STAT, 7, string(b"b")))
    channel.feed(base.Decided((Permit((), ""),)))
    assert b"its id 7 is that of a request that has no answer yet" in channel.errors
    assert channel.exit is not None


@pytest.mark.parametrize("version", [0, 2])
def test_old_versions_are_refused(version: int) -> None:
    channel = Channel(Scripted())
    channel.send(wire.packet(PacketType.INIT, version))
    assert f"version {version} is asked for".encode() in channel.errors
    assert channel.exit is not None


def test_newer_versions_get_the_third() -> None:
    channel = Channel(Scripted())
    channel.send(wire.packet(PacketType.INIT, 6, string(b"x@example.com"), string(b"1")))
    assert channel.packets == [wire.greeting(PacketType.VERSION)]
    assert b"example" not in channel.to_target


def test_a_request_before_the_greeting_ends_the_channel() -> None:
    channel = Channel(Scripted())
    channel.send(wire.packet(PacketType.REMOVE, 1, string(b"/x")))
    assert channel.exit is not None
    assert PacketType.REMOVE not in [packet[4] for packet in channel.sent]


def test_requests_may_come_with_the_greeting() -> None:
    channel = Channel(Scripted({PacketType.STAT: lambda i: wire.packet(PacketType.ATTRS, i, u32(0))}))
    channel.send(wire.greeting(PacketType.INIT) + wire.packet(PacketType.STAT, 9, string(b"/x")))
    assert channel.answer(9)[4] == PacketType.ATTRS


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (PacketType.STAT, lambda i: wire.packet(PacketType.HANDLE, i, string(b"h"))),
        (PacketType.STAT, lambda i: wire.packet(PacketType.ATTRS, i)),
        (PacketType.STAT, lambda i: wire.status(i, StatusCode.OK)),
        (PacketType.STAT, lambda i: wire.packet(PacketType.ATTRS, i + 1, u32(0))),
        (PacketType.STAT, lambda i: wire.packet(PacketType.ATTRS, i, u32(0)) * 2),
        (PacketType.STAT, lambda i: u32(0xFFFFFFFF)),
        (PacketType.OPEN, lambda i: wire.packet(PacketType.HANDLE, i, string(b""))),
        (PacketType.REALPATH, lambda i: wire.packet(PacketType.NAME, i, u32(0))),
        (PacketType.REALPATH, lambda i: wire.status(i, StatusCode.OK)),
    ],
)
def test_a_host_that_answers_something_else_ends_the_channel(kind: PacketType, answer: object) -> None:
    channel = Channel(Scripted()).greet()
    channel.target = Scripted({kind: answer})
    fields = (string(b"/x"), u32(1), NO_ATTRIBUTES) if kind is PacketType.OPEN else (string(b"/x"),)
    channel.ask(kind, *fields)
    assert channel.exit == events.Exit(sftp_session.FAILED_STATUS)
    assert b"of the host cannot be read" in channel.errors
    assert any(isinstance(effect, events.CloseTarget) for effect in channel.effects)
    assert len(channel.reports) <= len(channel.operations)


def test_a_handle_that_is_open_already_is_not_believed() -> None:
    channel = Channel(Scripted({PacketType.OPEN: lambda i: wire.packet(PacketType.HANDLE, i, string(b"h"))})).greet()
    channel.open(b"/a", 1)
    channel.ask(PacketType.OPEN, string(b"/b"), u32(1), NO_ATTRIBUTES)
    assert b"open already" in channel.errors
    assert {report.status for report in channel.reports} == {OutcomeStatus.INTERRUPTED}
    assert len(channel.reports) == 2


def test_more_data_than_asked_for_is_not_believed() -> None:
    answers: dict[int, object] = {
        PacketType.OPEN: lambda i: wire.packet(PacketType.HANDLE, i, string(b"h")),
        PacketType.READ: lambda i: wire.packet(PacketType.DATA, i, string(b"x" * 11)),
    }
    channel = Channel(Scripted(answers)).greet()
    handle = channel.open(b"/a", 1)
    assert channel.ask(PacketType.READ, string(handle), u64(0), u32(10)) == b""
    assert b"longer than what was asked for" in channel.errors


def test_text_in_the_place_of_a_greeting_is_guessed_at() -> None:
    channel = Channel(Scripted({PacketType.INIT: lambda _: b"Welcome to this host!\n"}))
    assert b"start-up file" in channel.errors
    assert channel.exit is not None


def test_a_host_without_a_home_has_no_relative_names() -> None:
    channel = Channel(Scripted({PacketType.REALPATH: lambda i: wire.status(i, StatusCode.FAILURE)}), deny()).greet()
    answer = channel.ask(PacketType.STAT, string(b"x"))
    assert code(answer) == StatusCode.PERMISSION_DENIED
    assert b"from the root" in answer


# ---------------------------------------------------------------- the end


def test_a_client_that_is_done_ends_the_host_and_then_the_channel(channel: Channel) -> None:
    channel.feed(events.ClientEof())
    assert channel.exit == events.Exit(0)
    assert any(isinstance(effect, events.TargetEnds) for effect in channel.effects)


def test_the_end_waits_for_what_was_asked_before_it(channel: Channel) -> None:
    waiting = Undecided(channel)
    channel.ask(PacketType.REMOVE, string(b"a"))
    channel.feed(events.ClientEof())
    assert channel.exit is None
    waiting.decide()
    assert channel.reports[-1].status is OutcomeStatus.COMPLETED
    assert channel.exit == events.Exit(0)


@pytest.mark.parametrize(
    "event",
    [
        events.ClientClosed(),
        events.TargetClosed(),
        events.TargetClosed(0),
        events.TargetClosed(None, "KILL"),
        base.Killed("57P01", "somebody has ended it"),
    ],
)
def test_open_transfers_are_interrupted_when_the_channel_ends(channel: Channel, event: events.Event) -> None:
    handle = channel.open(b"up", WRITE)
    write(channel, handle, 0, b"abc")
    channel.target = None
    channel.ask(PacketType.MKDIR, string(b"d"), NO_ATTRIBUTES)
    channel.feed(event)
    assert [report.status for report in channel.reports] == [OutcomeStatus.INTERRUPTED]
    assert channel.reports[0].tag.startswith("WROTE 3 bytes sha256:")
    assert channel.exit is not None
    assert channel.session.activity() == base.Activity(settled=1)
    channel.feed(base.Decided((Permit((), ""),)))
    channel.feed(events.TargetClosed())
    assert channel.reports[1:] == []


def test_a_kill_says_its_reason_first(channel: Channel) -> None:
    channel.feed(base.Killed("57P01", "access is locked"))
    assert channel.errors == b"interlock: access is locked\n"
    assert channel.exit == events.Exit(77)
    assert any(isinstance(effect, events.CloseTarget) for effect in channel.effects)


def test_a_host_that_has_no_sftp_is_told() -> None:
    channel = Channel(None)
    channel.feed(events.TargetFailed("The host offers no SFTP."))
    assert channel.errors == b"interlock: The host offers no SFTP.\n"
    assert channel.exit == events.Exit(255)


def test_other_subsystems_are_not_carried() -> None:
    effects = SftpSession(Channel(None).context, Numbers()).handle(events.Requested(Subsystem("netconf")))
    assert effects[-1] == events.Exit(255)
    assert not any(isinstance(effect, events.OpenTarget) for effect in effects)


def test_what_the_host_says_on_standard_error_is_passed_on_and_kept(channel: Channel) -> None:
    channel.feed(events.TargetData(Output.STDERR, b"disk is nearly full\n"))
    assert channel.errors == b"disk is nearly full\n"
    assert frames(channel, base.RecordAnswer) == [(Stream.ERROR, b"disk is nearly full\n")]
