"""Content detection in files that are read: same length, across borders, in any order; closed on failure."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.core.catalogue import Catalogue
from interlock.core.detection import Scanner
from interlock.core.masking import DetectorMask, Masking
from interlock.core.operation import OutcomeStatus
from interlock.protocols import base
from interlock.protocols.ssh.recorded import decode
from interlock.protocols.ssh.sftp import wire
from interlock.protocols.ssh.sftp.wire import OpenFlag, PacketType, StatusCode, string, u32, u64
from tests.protocols.ssh.sftp.channels import Channel, ServerTarget, real_server

MASKED = Masking("1", Catalogue(""), detectors={"email": DetectorMask(masked=True)})
REPORTED = Masking("2", Catalogue(""), detectors={"email": DetectorMask(masked=False)})
ADDRESS = b"ada.lovelace@example.com"
LINE = b"A line of text with nothing in it that matters to anybody.\n"
TEXT = (LINE * 700 + b"mail " + ADDRESS + b" now\n") * 3 + LINE


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "text").write_bytes(TEXT)
    (tmp_path / "binary").write_bytes(b"\0\1\2" + ADDRESS)
    return tmp_path.resolve()


@pytest.fixture
def target(home: Path) -> Iterator[ServerTarget]:
    with real_server(home) as server:
        yield server


def read(channel: Channel, handle: bytes, offset: int, size: int) -> bytes:
    answer = channel.ask(PacketType.READ, string(handle), u64(offset), u32(size))
    return answer[13:] if answer[4] == PacketType.DATA else b""


def download(channel: Channel, name: bytes, size: int) -> bytes:
    handle = channel.open(name, OpenFlag.READ)
    parts = list[bytes]()
    while part := read(channel, handle, sum(map(len, parts)), size):
        parts.append(part)
    channel.ask(PacketType.CLOSE, string(handle))
    return b"".join(parts)


@pytest.mark.parametrize("size", [7, 1000, 32768, 1 << 18])
def test_values_are_masked_with_as_many_bytes_however_the_file_is_read(target: ServerTarget, size: int) -> None:
    if size < 100:
        small = TEXT[40_000:42_000]
        (target.home / "text").write_bytes(small)
    whole = (target.home / "text").read_bytes()
    channel = Channel(target, masking=MASKED, detect_in_files=True).greet()
    assert download(channel, b"text", size) == whole.replace(ADDRESS, b"*" * len(ADDRESS))
    outcome = channel.reports[-1]
    assert outcome.masked_values == whole.count(ADDRESS)
    assert outcome.found == (("email", whole.count(ADDRESS)),)
    assert outcome.tag.startswith(f"READ {len(whole)} bytes sha256:")


def test_pieces_in_random_order_show_nothing_either(target: ServerTarget) -> None:
    channel = Channel(target, masking=MASKED, detect_in_files=True).greet()
    handle = channel.open(b"text", OpenFlag.READ)
    expected = TEXT.replace(ADDRESS, b"*" * len(ADDRESS))
    offsets = list(range(0, len(TEXT), 1000))
    random.Random(1).shuffle(offsets)
    for offset in offsets:
        got = read(channel, handle, offset, 1000)
        assert got
        assert got == expected[offset : offset + len(got)]


def test_a_server_that_gives_little_at_once_shows_nothing_either(target: ServerTarget) -> None:
    class Clipping:
        def exchange(self, data: bytes) -> bytes:
            if data[4] == PacketType.READ:
                data = data[:-4] + u32(min(20_000, int.from_bytes(data[-4:])))
            return target.exchange(data)

    channel = Channel(Clipping(), masking=MASKED, detect_in_files=True).greet()
    assert download(channel, b"text", 32768) == TEXT.replace(ADDRESS, b"*" * len(ADDRESS))


def test_what_is_no_text_passes_as_it_is(target: ServerTarget) -> None:
    channel = Channel(target, masking=MASKED, detect_in_files=True).greet()
    assert download(channel, b"binary", 32768) == b"\0\1\2" + ADDRESS
    assert channel.reports[-1].masked_values == 0


def test_what_is_only_reported_is_counted(target: ServerTarget) -> None:
    channel = Channel(target, masking=REPORTED, detect_in_files=True).greet()
    assert download(channel, b"text", 32768) == TEXT
    assert channel.reports[-1].masked_values == 0
    assert channel.reports[-1].found == (("email", 3),)


@pytest.mark.parametrize("masking", [None, MASKED])
def test_files_are_looked_into_only_where_that_is_set(target: ServerTarget, masking: Masking | None) -> None:
    channel = Channel(target, masking=masking, detect_in_files=masking is None).greet()
    assert download(channel, b"text", 32768) == TEXT


def test_another_masking_counts_from_the_next_answer_on(target: ServerTarget) -> None:
    channel = Channel(target, detect_in_files=True).greet()
    (target.home / "text").write_bytes(ADDRESS)
    assert download(channel, b"text", 100) == ADDRESS
    handle = channel.open(b"text", OpenFlag.READ)
    channel.target = None
    assert channel.ask(PacketType.READ, string(handle), u64(0), u32(100)) == b""
    channel.feed(base.MaskingChanged(MASKED))
    channel.feed_target(wire.packet(PacketType.DATA, channel.last_id, string(ADDRESS)))
    assert channel.packets[-1][13:] == b"*" * len(ADDRESS)


def test_what_cannot_be_looked_into_is_not_shown(target: ServerTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Channel(target, masking=MASKED, detect_in_files=True).greet()
    handle = channel.open(b"text", OpenFlag.READ)

    def broken(scanner: Scanner, text: bytes) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Scanner, "find", broken)
    answer = channel.ask(PacketType.READ, string(handle), u64(0), u32(1000))
    assert answer[4] == PacketType.STATUS
    assert int.from_bytes(answer[9:13]) == StatusCode.PERMISSION_DENIED
    assert b"Content detection has failed" in channel.errors
    assert LINE not in b"".join(channel.packets)
    channel.ask(PacketType.CLOSE, string(handle))
    assert channel.reports[-1].status is OutcomeStatus.FAILED


@pytest.mark.parametrize("looked_into", [True, False])
def test_the_recording_has_nothing_that_was_not_looked_into(target: ServerTarget, looked_into: bool) -> None:
    channel = Channel(target, masking=MASKED, detect_in_files=looked_into, keep_content=True).greet()
    download(channel, b"text", 32768)
    handle = channel.open(b"up", OpenFlag.WRITE | OpenFlag.CREATE)
    channel.ask(PacketType.WRITE, string(handle), u64(0), string(ADDRESS))
    (target.home / ADDRESS.decode()).touch()
    handle = channel.ask(PacketType.OPENDIR, string(b"."))[13:]
    channel.ask(PacketType.READDIR, string(handle))
    kept = [effect for effect in channel.effects if isinstance(effect, (base.RecordAnswer, base.RecordRequest))]
    contents = b"".join(decode(effect.data).data for effect in kept)
    assert ADDRESS not in contents
    assert (LINE in contents) is looked_into
    assert b"binary\n" in contents
