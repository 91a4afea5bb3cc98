"""Scanning of blocks and values: candidates miss nothing, findings are apart, and what is redacted keeps its form."""

import base64
import json
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.core.detection import Finding, find, find_classes, redact, scanner
from interlock.core.masking import DETECTOR_CLASSES

ALL = frozenset(DETECTOR_CLASSES)
SAMPLES = [
    b"jane@example.com",
    b"jane%40example.com",
    b"4111 1111 1111 1111",
    b"378282246310005",
    b"DE89 3704 0044 0532 0130 00",
    b"GB82WEST12345698765432",
    b"078-05-1120",
    b"078 05 1120",
    b"ssn: 078051120",
    b"+1 415 555 0132",
    b"06 12 34 56 78",
    b"0171/12345678",
    b"phone: 5550132",
    b"AKIAIOSFODNN7EXAMPLE",
    b"password=hunter2",
    b"postgres://u:s3cr3t@db/x",
    b"Bearer abcdef0123456789ABCDEF",
    b"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
    base64.b64encode(b"jane@example.com"),
    b"\\x" + b"078-05-1120".hex().encode(),
]
NOISE = st.one_of(st.binary(max_size=12), st.sampled_from([b"", b"0", b"D\0\0\0\x30", b"\0\0\0a", b" ", b"@", b"x@y"]))
TEXTS = st.lists(st.one_of(NOISE, st.sampled_from(SAMPLES)), max_size=6).map(b"".join)


def touched(candidates: list[int], start: int, end: int) -> bool:
    pairs = zip(candidates[::2], candidates[1::2], strict=True)
    return any(left < end and right > start for left, right in pairs)


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples_are_found(sample: bytes) -> None:
    assert find(sample)


@given(st.lists(st.tuples(NOISE, TEXTS), min_size=1, max_size=5))
@example([(b"9", b"4111 1111 1111 1111")])
@example([(b"x@y", b"jane@example.com"), (b"0", b"378282246310005")])
def test_no_value_with_a_finding_is_without_a_candidate(parts: list[tuple[bytes, bytes]]) -> None:
    """Whatever lies next to it in the block."""
    block = b"".join(noise + text for noise, text in parts)
    candidates = scanner(ALL).candidates(block)
    assert candidates == sorted(candidates)
    position = 0
    for noise, text in parts:
        position += len(noise)
        if find(text):
            assert touched(candidates, position, position + len(text))
        position += len(text)


@given(TEXTS, st.frozensets(st.sampled_from(DETECTOR_CLASSES)))
def test_findings_are_apart_and_of_the_classes(text: bytes, classes: frozenset[str]) -> None:
    findings = scanner(classes).find(text)
    assert {finding.detector for finding in findings} <= classes
    position = 0
    for start, end, _ in findings:
        assert position <= start < end <= len(text)
        position = end


@given(TEXTS)
def test_redacting_counts_what_was_found(text: bytes) -> None:
    clean, counts = redact(text, ALL)
    assert sum(counts.values()) == len(find(text))
    assert (clean == text) is (not counts)
    if b"\0" in text:
        assert len(clean) == len(text)


def test_only_the_classes_that_are_asked_for() -> None:
    text = b"jane@example.com 078-05-1120"
    assert redact(text, ["email"]) == (b"*** 078-05-1120", {"email": 1})
    assert redact(text, []) == (text, {})
    assert find_classes(text) == {"email", "ssn"}
    assert scanner([]).candidates(text) == []


def test_unknown_class_is_refused() -> None:
    with pytest.raises(ValueError, match="no detector class 'mail'; there are email, "):
        redact(b"", ["mail"])


def test_overlapping_findings_become_one() -> None:
    text = b"password=jane2@example.com"
    assert find(text) == [Finding(9, 26, "email")]
    assert redact(text, ALL)[0] == b"password=***"


def test_classes_of_encoded_text() -> None:
    encoded = base64.b64encode(b"jane@example.com, 078-05-1120")
    assert find_classes(encoded) == {"email", "ssn"}
    assert redact(encoded, ["ssn"]) == (b"***", {"ssn": 1})
    assert redact(encoded, ["iban"]) == (encoded, {})


@pytest.mark.parametrize(
    "document",
    [
        {"card": 4111111111111111, "note": "4111111111111111", "n": 1},
        {"cards": [4111111111111111, 5555555555554444], "quoted \" : ": "jane@example.com"},
        ["jane@example.com", {"a\\": 4111111111111111}],
        {"nested": json.dumps({"card": 4111111111111111, "mail": "jane@example.com"})},
        {"lines": "first\njane@example.com\n4111111111111111\ttabbed"},
        {"escapes": "\x07jane@example.com\rn4111@example.com", "secret": "password:\nhunter2x"},
        {"encoded": "first\n" + base64.b64encode(b"jane@example.com").decode()},
        {"bytea": "\\x" + b"jane@example.com".hex()},
    ],
)  # fmt: skip
@pytest.mark.parametrize("prefix", [b"", b"\x01"])
def test_json_stays_json(document: object, prefix: bytes) -> None:
    clean, counts = redact(prefix + json.dumps(document).encode(), ALL)
    assert sum(counts.values()) >= 1
    text = json.dumps(json.loads(clean.removeprefix(prefix)))
    assert "jane" not in text
    assert "4111" not in text


def test_binary_forms_keep_their_lengths() -> None:
    """A binary text[]: the lengths of its elements are inside of the value."""
    for note in (b"short", b"jane@example.com", b"jane@example.com and so on".ljust(48), b"jane@a.bc".ljust(0x141)):
        elements = [b"4111 1111 1111 1111".ljust(48), note, b"the end"]
        packed = b"".join(struct.pack(">I", len(element)) + element for element in elements)
        value = struct.pack(">IIIII", 1, 0, 25, 3, 1) + packed
        clean, _ = redact(value, ALL)
        position, read = 20, []
        for _ in elements:
            size = int.from_bytes(clean[position : position + 4])
            read.append(clean[position + 4 : position + 4 + size])
            position += 4 + size
        assert position == len(clean)
        assert [len(element) for element in read] == [len(element) for element in elements]
        assert read[0].strip() == b"*" * 19
        assert not find(clean)
        assert read[2] == b"the end"


@pytest.mark.parametrize(
    "sample", [b"1 ", b"41 ", b"4111 ", b"a@", b"DE89 ", b"://a:b", b"password=", b"+1 ", b"\\x61"]
)
def test_long_texts_take_no_longer_than_their_length_asks_for(sample: bytes) -> None:
    assert find(sample * 100_000) is not None


def test_more_than_can_be_looked_at_is_a_finding_as_a_whole() -> None:
    text = b"a@b " * 70_000
    assert find(text[: 4 * 65_000]) == []
    assert find(text) == [Finding(0, len(text), "email")]
    assert redact(base64.b64encode(text), ["ssn", "email"]) == (b"***", {"email": 1})
    assert scanner(ALL).candidates(text) == [0, len(text)]
    assert find(b"some words " * 100_000) == []
