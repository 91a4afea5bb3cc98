"""Framing, names, attributes and digests by themselves."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.ssh.sftp import wire
from interlock.protocols.ssh.sftp.attributes import read_attributes
from interlock.protocols.ssh.sftp.digests import MAX_RANGES, MAX_STASHED_BYTES, RangeDigest
from interlock.protocols.ssh.sftp.file_masking import Window
from interlock.protocols.ssh.sftp.framing import PacketReader
from interlock.protocols.ssh.sftp.names import MAX_NAME_BYTES, Names, UnclearName, told
from interlock.protocols.ssh.sftp.wire import Fields, Malformed, PacketType, string, u32, u64


class TestFraming:
    @given(st.lists(st.binary(max_size=50), max_size=10), st.lists(st.integers(1, 30), min_size=1))
    def test_any_cut_gives_the_same_packets(self, bodies: list[bytes], cuts: list[int]) -> None:
        packets = [wire.packet(PacketType.WRITE, number, body) for number, body in enumerate(bodies)]
        stream, reader, found, turn = b"".join(packets), PacketReader(), list[bytes](), 0
        while stream:
            size = cuts[turn % len(cuts)]
            found += reader.feed(stream[:size])
            stream, turn = stream[size:], turn + 1
        assert found == packets

    @pytest.mark.parametrize("length", [0, 4, wire.MAX_PACKET_BYTES + 1, 0xFFFFFFFF])
    def test_lengths_that_no_packet_has_end_the_reading(self, length: int) -> None:
        reader = PacketReader()
        good = wire.packet(PacketType.STAT, 1)
        assert reader.feed(good + u32(length) + b"x" * 100) == [good]
        assert str(length) in str(reader.problem)
        assert reader.feed(good) == []

    def test_the_longest_packet_comes_in_single_bytes(self) -> None:
        packet = u32(wire.MAX_PACKET_BYTES) + bytes(wire.MAX_PACKET_BYTES)
        reader = PacketReader()
        found = [one for place in range(len(packet)) for one in reader.feed(packet[place : place + 1])]
        assert found == [packet]


class TestNames:
    names = Names("/home/agent")

    @pytest.mark.parametrize(
        ("written", "name"),
        [
            (b"/srv/../etc/passwd", "/etc/passwd"),
            (b"//srv///x/", "/srv/x"),
            (b"/./srv/./x/.", "/srv/x"),
            (b"/../../x", "/x"),
            (b"/", "/"),
            (b"//", "/"),
            (b".", "/home/agent"),
            (b"x", "/home/agent/x"),
            (b"../other/x", "/home/other/x"),
            (b"../../../../etc", "/etc"),
            (b"~/x", "/home/agent/~/x"),
            ("/srv/f\u00fc".encode(), "/srv/f\u00fc"),
        ],
    )
    def test_a_name_has_one_form(self, written: bytes, name: str) -> None:
        assert self.names.read(written) == name

    @pytest.mark.parametrize("written", [b"", b"/srv/\0x", b"/srv/\xff", b"/" + b"x" * MAX_NAME_BYTES])
    def test_a_name_that_is_not_certain_is_refused(self, written: bytes) -> None:
        with pytest.raises(UnclearName):
            self.names.read(written)

    def test_relative_names_need_a_home(self) -> None:
        assert Names().read(b"/x") == "/x"
        with pytest.raises(UnclearName, match="from the root"):
            Names().read(b"x")

    def test_what_is_in_the_home_has_two_names(self) -> None:
        assert self.names.forms("/home/agent/.ssh/id") == ("/home/agent/.ssh/id", "~/.ssh/id")
        assert self.names.forms("/home/agent") == ("/home/agent", "~")
        assert self.names.forms("/home/agent2/x") == ("/home/agent2/x",)
        assert Names("/").forms("/x") == ("/x", "~/x")

    def test_the_host_tells_absolute_names_only(self) -> None:
        assert told(b"/a/../b") == "/b"
        with pytest.raises(UnclearName):
            told(b"b")


class TestAttributes:
    def test_they_are_said_in_words(self) -> None:
        encoded = u32(0x0F) + u64(12) + u32(0) + u32(5) + u32(0o100644) + u32(7) + u32(8)
        attributes = read_attributes(Fields(encoded, 0))
        assert attributes.in_words == "size 12, mode 0644, owner 0:5, times 7 and 8"
        assert attributes.encoded == encoded

    def test_extended_ones_do_not_go_on(self) -> None:
        fields = Fields(u32(0x80000004) + u32(0o644) + u32(1) + string(b"acl@example.com") + string(b"all"), 0)
        assert read_attributes(fields).encoded == u32(4) + u32(0o644)
        fields.end()

    @pytest.mark.parametrize("encoded", [b"", u32(1), u32(0x10), u32(0x80000000) + u32(17), u32(0x80000000) + u32(1)])
    def test_what_is_not_of_version_3_is_malformed(self, encoded: bytes) -> None:
        with pytest.raises(Malformed):
            read_attributes(Fields(encoded, 0))


class TestDigests:
    @given(st.permutations(range(8)))
    def test_pieces_in_any_order_give_the_digest_of_the_whole(self, order: list[int]) -> None:
        pieces = [bytes([number]) * (number + 1) for number in range(8)]
        offsets = [sum(map(len, pieces[:number])) for number in range(8)]
        digest = RangeDigest()
        digest.expect(0)
        for number in order:
            digest.add(offsets[number], pieces[number])
        assert digest.describe() == f"36 bytes sha256:{hashlib.sha256(b''.join(pieces)).hexdigest()}"

    def test_a_part_of_a_file_says_where_it_begins(self) -> None:
        digest = RangeDigest()
        digest.add(500, b"abc")
        assert digest.describe() == f"3 bytes from 500 sha256:{hashlib.sha256(b'abc').hexdigest()}"

    def test_a_gap_that_stays_is_said(self) -> None:
        digest = RangeDigest()
        digest.add(0, b"abc")
        digest.add(10, b"def")
        assert digest.describe() == "6 bytes not in order (0-3, 10-13)"

    def test_what_comes_twice_has_no_digest(self) -> None:
        digest = RangeDigest()
        for offset in (0, 3, 0):
            digest.add(offset, b"abc")
        assert digest.describe() == "9 bytes not in order (0-6)"

    def test_little_is_kept_of_what_is_scattered(self) -> None:
        digest = RangeDigest()
        for place in range(1000):
            digest.add(10 + place * 1000, b"x" * 10)
        assert len(digest._ranges) <= MAX_RANGES
        assert digest.describe().startswith("10000 bytes not in order (about ")
        assert len(digest.describe()) < 300

    def test_no_more_waits_than_is_allowed(self) -> None:
        digest = RangeDigest()
        digest.expect(0)
        for place in range(1, 100):
            digest.add(place << 20, bytes(1 << 16))
        assert digest._stashed <= MAX_STASHED_BYTES
        assert "not in order" in digest.describe()

    @given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 20)), max_size=30))
    def test_ranges_are_what_was_covered(self, pieces: list[tuple[int, int]]) -> None:
        digest, covered = RangeDigest(), set[int]()
        for offset, size in pieces:
            digest.add(offset, bytes(size))
            covered.update(range(offset, offset + size))
        assert {place for start, end in digest._ranges for place in range(start, end)} == covered


class TestWindows:
    @given(st.integers(0, 20), st.integers(1, 40), st.integers(0, 20), st.integers(0, 80))
    def test_a_part_is_within_the_piece_and_what_came(self, before: int, size: int, behind: int, came: int) -> None:
        window = Window(before, size, behind)
        came = min(came, window.whole)
        start, end = window.part(came)
        assert start <= end <= min(came, before + size)
        assert (start == end) is (came <= before)

    def test_of_a_short_answer_the_end_waits_for_what_is_behind_it(self) -> None:
        assert Window(8, 32, 8).part(48) == (8, 40)
        assert Window(8, 32, 8).part(32) == (8, 24)
        assert Window(8, 32, 8).part(12) == (8, 12)
