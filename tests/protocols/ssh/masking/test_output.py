"""Output in pieces: values never go on, wherever it is cut and whatever is between their characters; the rest stays."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.masking import Masking
from interlock.protocols.ssh.masking import output as output_module
from interlock.protocols.ssh.masking.output import OutputMask
from tests.protocols.ssh.masking.maskings import ALL, KEY, VALUES

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
@settings(max_examples=400, deadline=None)
def test_what_comes_out_does_not_depend_on_the_cuts(data: bytes, cuts: list[int]) -> None:
    assert masked(data, cuts) == masked(data)
    assert masked(data, list(range(len(data)))) == masked(data)


@given(streams, st.lists(st.integers(0, 900), max_size=12), st.integers(60, 400))
@settings(max_examples=300, deadline=None)
def test_nor_do_parts_of_lines_that_are_too_long(data: bytes, cuts: list[int], longest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output_module, "MAX_UNIT_BYTES", longest)
        patch.setattr(output_module, "_AGAIN_BYTES", longest // 4)
        patch.setattr(output_module, "_CONTEXT_BYTES", 16)
        assert masked(data, cuts) == masked(data) == masked(data, list(range(len(data))))


@given(st.sampled_from(EVERY_VALUE), streams, streams, st.lists(st.integers(0, 900), max_size=12), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_value_never_goes_on(value: bytes, before: bytes, behind: bytes, cuts: list[int], terminal: bool) -> None:
    data = before + b"\n" + value + b" \n" + behind
    assert masked(data, cuts, terminal=terminal).count(value) < data.count(value)


@given(st.sampled_from(EVERY_VALUE), st.data())
@settings(max_examples=300, deadline=None)
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
