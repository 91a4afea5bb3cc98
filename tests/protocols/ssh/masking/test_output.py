"""Output in pieces: values never go on, wherever it is cut and whatever is between their characters; the rest stays."""

import random
import re
import tarfile
from base64 import b64encode
from io import BytesIO
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.content.content import Content
from interlock.core.detection import Finding
from interlock.core.masking import Masking
from interlock.protocols.ssh.masking import output as output_module
from interlock.protocols.ssh.masking.looking import Look
from interlock.protocols.ssh.masking.output import MAX_UNIT_BYTES, OutputMask
from interlock.protocols.ssh.masking.sight import Sight, look_on
from tests.protocols.ssh.masking.maskings import ALL, KEY, VALUES, masking

EVERY_VALUE = [value for values in VALUES.values() for value in values]
WORDS = [
    *(b"Hello", b"there,", b"the", b"year", b"2024", b"10:22:31", b"user@host:~$", b"-", "ü".encode(), b"a:b"),
    *(b'"quoted', b"x=1", b"phone:", b"ssn", b"/usr/share/doc", b"AAAAAAAAAAAAAAAAAAAA", b"100%\r", b"\x00\x00"),
    *(b"YWRhQGV4YW1wbGUuY29tIGFuZCBzbyBvbg==", b"\x1b[31mred\x1b[0m", b"\x1b]0;title\x07", b"\x1b[", b"\xff\xfe"),
    *(b"\x1b]8;;http://x", b"\xc2\x9b1m", b"\x9b2J", b"a\bb\bc", b"\x1bPq", b"-----BEGIN CERTIFICATE-----", KEY),
    *(b"-----BEGIN RSA PRIVATE KEY-----", b"-----END RSA PRIVATE KEY-----", b"MIIabcdefghijklmnop"),
]
SEPARATORS = [b" ", b"\n", b"\r\n", b"", b"\t", b"\n\n"]
words = st.one_of(st.sampled_from(WORDS + EVERY_VALUE), st.binary(max_size=6))
streams = st.lists(st.tuples(words, st.sampled_from(SEPARATORS)), max_size=14).map(
    lambda parts: b"".join(word + separator for word, separator in parts)
)
SEQUENCES = [
    *(
        b"\x1b[31m",
        b"\x1b[0;1;38;5;196m",
        b"\x1b]0;a title\x07",
        b"\x1b]8;;http://a.example/\x1b\\",
        b"\x1b(B",
        b"\x1b7",
    ),
    *(b"\x1bPq#1\x1b\\", b"\xc2\x9b1m", b"\x07", b"\x00", b"\r", b"\xe2\x80\x8b", b"\xc2\xad", b"x\b", b"\x7f"),
    *(b"\x1b7", b"\x1b[2;5H"),
]


def masked(data: bytes, cuts: list[int] | None = None, by: Masking = ALL, terminal: bool = False) -> bytes:
    mask = OutputMask(by, terminal)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts or []), len(data)]
    passed = b"".join(mask.feed(data[start:end]) for start, end in pairwise(edges))
    return passed + mask.finish()


@given(streams, st.lists(st.integers(0, 900), max_size=12))
@settings(max_examples=100, deadline=None)
def test_what_comes_out_does_not_depend_on_the_cuts(data: bytes, cuts: list[int]) -> None:
    assert masked(data, cuts) == masked(data)
    assert masked(data, list(range(len(data)))) == masked(data)


@given(streams, st.lists(st.integers(0, 900), max_size=12), st.integers(60, 400))
@settings(max_examples=100, deadline=None)
def test_nor_do_parts_of_lines_that_are_too_long(data: bytes, cuts: list[int], longest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output_module, "MAX_UNIT_BYTES", longest)
        patch.setattr(output_module, "_AGAIN_BYTES", longest // 4)
        patch.setattr(output_module, "_CONTEXT_BYTES", 16)
        assert masked(data, cuts) == masked(data) == masked(data, list(range(len(data))))


@given(st.sampled_from(EVERY_VALUE), streams, streams, st.lists(st.integers(0, 900), max_size=12), st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_value_never_goes_on(value: bytes, before: bytes, behind: bytes, cuts: list[int], terminal: bool) -> None:
    data = before + b"\n" + value + b" \n" + behind
    assert masked(data, cuts, terminal=terminal).count(value) < data.count(value)


@given(st.sampled_from(EVERY_VALUE), st.data())
@settings(max_examples=100, deadline=None)
def test_nor_does_one_with_sequences_between_its_characters(value: bytes, data: st.DataObject) -> None:
    parts = [value[:1]]
    for index in range(1, len(value)):
        parts += [*data.draw(st.lists(st.sampled_from(SEQUENCES), max_size=2)), value[index : index + 1]]
    written = b"so: " + b"".join(parts) + b" \n"
    shown = masked(written, data.draw(st.lists(st.integers(0, len(written)), max_size=5)))
    assert not re.search(rb"[A-Za-z0-9]{2}.*@|[0-9]", _without_sequences(shown)[4:])
    assert len(shown) == len(written)


def _without_sequences(data: bytes) -> bytes:
    for sequence in sorted(SEQUENCES, key=len, reverse=True):
        data = data.replace(sequence, b"")
    return data


# ---------------------------------------------------------------- what is no value


@given(streams, st.lists(st.integers(0, 900), max_size=6))
@settings(max_examples=100, deadline=None)
def test_without_detectors_everything_goes_on_at_once(data: bytes, cuts: list[int]) -> None:
    mask = OutputMask(masking(), terminal=True)
    assert mask.feed(data) is data
    assert (mask.held, mask.flush(), mask.finish()) == (0, b"", b"")
    assert OutputMask(None, terminal=False).feed(data) is data


@given(
    st.lists(st.sampled_from([word for word in WORDS if b"PRIVATE" not in word and b"YWR" not in word]), max_size=20)
)
@settings(max_examples=60, deadline=None)
def test_what_is_no_value_is_not_changed(words: list[bytes]) -> None:
    data = b" , ".join(words)
    for cuts in ([], list(range(0, len(data), 3))):
        assert masked(data, cuts) == data


def test_binary_output_arrives_as_it_was() -> None:
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for number in range(5):
            entry = tarfile.TarInfo(f"file-{number}")
            entry.size = 20_000
            tar.addfile(entry, BytesIO(random.Random(number).randbytes(20_000)))
    for data in (archive.getvalue(), random.Random(7).randbytes(400_000), bytes(100_000)):
        assert masked(data, list(range(0, len(data), 8191))) == data


def test_a_value_in_a_binary_stream_leaves_the_length_alone() -> None:
    data = b"\x00\xffname\x00ada@example.com\x00\xfe\x80\x00" + bytes(range(256)) + "ä 4111 1111 1111 1111".encode()
    assert masked(data) == data.replace(b"ada@example.com", b"*" * 15).replace(b"4111 1111 1111 1111", b"*" * 19)


def test_a_few_bytes_of_something_else_are_no_address() -> None:
    for data in (b"\xff\xfea@b.co\x80\x81\n", b"\x9c\xffz@\xe9.\xfcx\n"):
        assert masked(data) == data
    assert masked(b"a@b.co\n") == b"******\n"


@given(streams)
@settings(max_examples=80, deadline=None)
def test_no_control_character_is_lost_or_moved(data: bytes) -> None:
    shown = masked(data)
    assert len(shown) == len(data)
    for byte, was in zip(shown, data, strict=True):
        assert byte == was or (byte == ord("*") and was not in b"\x1b\x07\b\r\n\t\x00")


# ---------------------------------------------------------------- what is masked


def test_sequences_stay_whole_in_what_is_masked() -> None:
    assert masked(b"\x1b[1mada\x1b[31m@exa\x1b]0;t\x07mple.com\x1b[0m!\n", terminal=True) == (
        b"\x1b[1m***\x1b[31m****\x1b]*;*\x07********\x1b[0m!\n".replace(b"]*;*", b"]***")
    )
    assert masked(b"p\bpa\ba: 41\b111 1111 1111 1111\n") == masked(b"p\bpa\ba: 41\b111 1111 1111 1111\n", [9, 12])
    assert masked(b"\x1b]0;mail of ada@example.com\x07$ \n") == b"\x1b]0;mail of ***************\x07$ \n"
    assert masked(b"\x1b[4111111111111111m\n") == b"\x1b[****************m\n"


def test_a_terminal_gets_as_many_characters() -> None:
    address = "jürgen@exämple.com"
    assert masked(f"<{address}>\r\n".encode(), terminal=True) == b"<" + b"*" * len(address) + b">\r\n"
    assert masked(f"<{address}>\r\n".encode()) == b"<" + b"*" * len(address.encode()) + b">\r\n"


def test_values_are_counted_once_by_class_and_masked_only_where_they_have_to_be() -> None:
    mask = OutputMask(masking("email", reported=("credit-card",)), terminal=False)
    shown = mask.feed(b"ada@example.com 4111111111111111\nand bob@exa") + mask.flush() + mask.feed(b"mple.com\n")
    assert shown == b"*************** 4111111111111111\nand bob@exa********\n"
    assert (mask.found, mask.masked_values) == ({"email": 2, "credit-card": 1}, 2)


def test_where_everything_is_masked_no_text_goes_on() -> None:
    by = masking("email", everything=True)
    assert masked(b"total 4\r\n\x1b[34msrc\x1b[0m\r\n$ ", [3, 12], by, terminal=True) == (
        b"*******\r\n\x1b[34m***\x1b[0m\r\n**"
    )


def test_a_private_key_is_masked_to_its_end() -> None:
    shown = masked(b"$ cat key\n" + KEY + b"\n$ ls\nbin\n", list(range(0, 700, 7)))
    assert re.fullmatch(rb"\$ cat key\n[*\n]+\n\$ ls\nbin\n", shown)
    assert len(shown) == len(KEY) + 20


def test_of_a_key_without_an_end_no_more_than_its_lines_is_masked() -> None:
    begun = b"\r\n".join(KEY.split(b"\n")[:5])
    mask = OutputMask(ALL, terminal=True)
    shown = (
        mask.feed(begun + b"\r\n") + mask.feed(b"root@host:~# ") + mask.flush() + mask.feed(b"ls /\r\nbin  boot\r\n")
    )
    assert re.fullmatch(rb"[*\r\n]+\r\nroot@host:~# ls /\r\nbin  boot\r\n", shown)


def test_a_key_that_comes_slowly_is_masked_too() -> None:
    mask = OutputMask(ALL, terminal=True)
    passed = b""
    for line in KEY.splitlines(keepends=True):
        passed += mask.feed(line[:20]) + mask.flush() + mask.feed(line[20:]) + mask.flush()
    assert b"MIIabc" not in passed
    assert mask.found == {"secret": 1}
    assert mask.feed(b"\ndone ") + mask.flush() == b"\ndone "


@pytest.mark.parametrize("width", [20, 60, 64, 76])
def test_values_in_base64_over_several_lines_are_masked(width: int) -> None:
    encoded = b64encode(
        b"some text in front of " + b"ada@example.com" + b" and some more text behind it, in several lines"
    )
    lines = b"".join(encoded[start : start + width] + b"\n" for start in range(0, len(encoded), width))
    data = b"$ base64 file\n" + lines + b"root\n"
    for cuts in ([], list(range(0, len(data), 5)), [len(data) - 7]):
        shown = masked(data, cuts)
        assert re.fullmatch(rb"\$ base64 file\n[*\n=]+\nroot\n", shown)


# ---------------------------------------------------------------- what is held


def test_lines_go_on_when_they_are_there_and_the_rest_when_it_is_asked_for() -> None:
    mask = OutputMask(ALL, terminal=True)
    assert mask.feed(b"one\r\ntwo") == b"one\r\n"
    assert mask.held == 3
    assert mask.flush() == b"two"
    assert mask.held == 0
    assert mask.flush() == b""
    assert mask.feed(b" three") == b""
    assert mask.finish() == b" three"


def test_of_a_value_that_was_begun_the_rest_is_masked() -> None:
    mask = OutputMask(ALL, terminal=True)
    assert mask.feed(b"card 4111 1111 1111 1") + mask.flush() == b"card 4111 1111 1111 1"
    assert mask.feed(b"111\n") == b"***\n"


HOSTILE = [b"x", b"0", b"1 ", b"Ab1+", b"a@b.", b"\x1b", b"\x1b[", b"\x1b]", b"\xc2\x9d", b"\x9d", b"\b", b"a\b", b"\r"]
HOSTILE += [b"phone:\n", b"\n", b"AAAAAAAAAAAAAAAA\n", b"ssn", b"\x1b[1mx", b"-----BEGIN RSA PRIVATE KEY-----", b"\x80"]
HOSTILE += [b"-----BEGIN RSA PRIVATE KEY-----\n", b"a@b.co\n", b"\xff a@b.co", b"\x00", b"4111 1111 1111 1111 "]


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("size", [1000, 50_000])
def test_little_is_held_and_nothing_is_looked_at_often(
    piece: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = 0

    def counting(output: bytes, sight: Sight, content: Content | None) -> tuple[Look, Sight]:
        nonlocal looked_at
        looked_at += len(output)
        return look_on(output, sight, content)

    monkeypatch.setattr(output_module, "look_on", counting)
    mask = OutputMask(ALL, terminal=False)
    chunk = piece * (size // len(piece))
    came = went = 0
    for _ in range(200_000 // len(chunk)):
        came += len(chunk)
        went += len(mask.feed(chunk))
        assert mask.held <= MAX_UNIT_BYTES
        assert went == came - mask.held
    assert went + len(mask.finish()) == came
    assert looked_at <= 3 * came


def test_a_value_that_is_longer_than_what_is_looked_at_is_masked_to_its_end() -> None:
    address = b"ada@" + b"example." * 20_000 + b"com"
    for step in (500, 7_000, 1 << 20):
        data = b"See " + address + b" and go.\n"
        shown = masked(data, list(range(0, len(data), step)))
        assert shown == b"See " + b"*" * len(address) + b" and go.\n"


def test_what_cannot_be_looked_at_does_not_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Content, _text: bytes) -> list[Finding]:
        raise ZeroDivisionError

    monkeypatch.setattr(Content, "findings", broken)
    mask = OutputMask(ALL, terminal=False)
    with pytest.raises(ZeroDivisionError):
        mask.feed(b"harmless\n")
