"""Masking in which nothing moves, of whole texts and of files that are no text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.catalogue import Catalogue
from interlock.core.content.readable import is_within, lines_that_are_no_text, readable
from interlock.core.content.same_length import mask_same_length
from interlock.core.masking import DETECTOR_CLASSES, ColumnMask, DetectorMask, Masking, MaskKind


def masking(masked: tuple[str, ...], reported: tuple[str, ...] = (), everything: bool = False) -> Masking:
    detectors = {name: DetectorMask(name in masked) for name in (*masked, *reported)}
    fields = {"*": ColumnMask(MaskKind.REDACT)} if everything else {}
    return Masking("1", Catalogue(""), detectors=detectors, fields=fields)


ALL = masking(DETECTOR_CLASSES)


def test_values_become_as_many_stars_and_are_counted() -> None:
    data = b"name,mail\r\nAda,ada@example.com\r\nBob,bob@example.com,4111111111111111\r\n"
    by = masking(("email",), reported=("credit-card",))
    masked, found = mask_same_length(data, by)
    assert masked == data.replace(b"ada@example.com", b"*" * 15).replace(b"bob@example.com", b"*" * 15)
    assert found == {"email": 2, "credit-card": 1}


def test_lines_stay_in_a_value_that_has_some() -> None:
    key = b"-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----\n"
    masked, found = mask_same_length(key, ALL)
    assert masked.translate(None, b"*") == b"\n\n\n"
    assert (len(masked), found) == (len(key), {"secret": 1})


def test_values_amid_bytes_that_are_no_text_are_found() -> None:
    data = b"\x00\x01\xff\x00ada@example.com\x00\x00\xfe4111111111111111\x00\n" + "zu jürgen@example.com\n".encode()
    masked, found = mask_same_length(data, ALL)
    assert found == {"email": 2, "credit-card": 1}
    assert masked == b"\x00\x01\xff\x00" + b"*" * 15 + b"\x00\x00\xfe" + b"*" * 16 + b"\x00\nzu " + b"*" * 19 + b"\n"


@pytest.mark.parametrize("by", [None, masking(()), masking((), ("email",))])
def test_nothing_is_changed_unless_something_is_masked(by: Masking | None) -> None:
    assert mask_same_length(b"ada@example.com", by)[0] == b"ada@example.com"


def test_where_everything_is_masked_nothing_is_left() -> None:
    assert mask_same_length(b"a b\tc\r\n\xff", masking((), everything=True)) == (b"***\t*\r\n*", {})


@given(st.binary(max_size=200))
def test_only_what_is_no_text_is_blank(data: bytes) -> None:
    spans = lines_that_are_no_text(data)
    text = readable(data, spans)
    assert len(text) == len(data)
    text.decode()
    for position, (byte, was) in enumerate(zip(text, data, strict=True)):
        assert byte == was or (byte == 0x20 and was >= 0x80 and is_within(position, spans))
