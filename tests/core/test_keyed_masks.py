"""Hashes and tokens: stable under one key, different under another, in the promised format."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from interlock.core.keyed_masks import hash_value, tokenise_value

KEY = bytes(range(32))
OTHER_KEY = bytes(32)
VALUES = st.one_of(st.binary(max_size=200), st.text(max_size=80).map(str.encode))


def test_hash_is_keyed_blake2b() -> None:
    expected = hashlib.blake2b(b"jane@example.com", key=KEY, digest_size=12).hexdigest()
    assert hash_value(KEY, b"jane@example.com") == b"hash:" + expected.encode()


@given(VALUES, VALUES)
def test_hashes_tell_values_apart(first: bytes, second: bytes) -> None:
    assert (hash_value(KEY, first) == hash_value(KEY, second)) is (first == second)


@given(VALUES)
def test_hashes_of_two_keys_differ(value: bytes) -> None:
    assert hash_value(KEY, value) != hash_value(OTHER_KEY, value)


@given(VALUES)
def test_tokens_are_stable(value: bytes) -> None:
    assert tokenise_value(KEY, value) == tokenise_value(KEY, value)


@given(st.text(st.characters(max_codepoint=127), max_size=300).map(str.encode))
def test_tokens_keep_the_format_of_ascii(value: bytes) -> None:
    token = tokenise_value(KEY, value)
    assert len(token) == len(value)
    for before, after in zip(map(chr, value), map(chr, token), strict=True):
        assert before.isdigit() is after.isdigit()
        assert before.islower() is after.islower()
        assert before.isupper() is after.isupper()
        if not before.isalnum():
            assert after == before


@given(st.text(max_size=80))
def test_tokens_of_text_are_text_of_the_same_length(value: str) -> None:
    token = tokenise_value(KEY, value.encode()).decode()
    assert len(token) == len(value)
    for before, after in zip(value, token, strict=True):
        assert after == before if not before.isalnum() else after.isascii() and after.isalnum()


@given(VALUES)
def test_a_token_is_not_its_value(value: bytes) -> None:
    changeable = any(character.isalnum() for character in value.decode(errors="replace"))
    assert (tokenise_value(KEY, value) != value) or not changeable


def test_single_digits_are_never_themselves() -> None:
    for key in range(200):
        assert tokenise_value(bytes([key]), b"5") != b"5"


def test_letters_of_other_scripts_keep_their_case() -> None:
    token = tokenise_value(KEY, "Ärzte – Ωmega 日本 ٣".encode()).decode()
    assert [letter.isupper() for letter in token] == [letter.isupper() for letter in "Arzte – Omega aa 3"]
    assert token[5:8] == " – "
    assert token[-1].isdigit()


def test_bytes_that_are_not_text_are_replaced() -> None:
    assert b"\xff" not in tokenise_value(KEY, b"\xff\xfe-\xff")
    assert tokenise_value(KEY, b"\xff-\xff")[1:2] == b"-"


def test_key_and_value_do_not_run_together() -> None:
    assert tokenise_value(b"ab", b"cdefghij") != tokenise_value(b"abc", b"defghij")[:8]
    assert tokenise_value(KEY, b"abcdefgh") != tokenise_value(OTHER_KEY, b"abcdefgh")


def test_nothing_to_replace() -> None:
    assert tokenise_value(KEY, b"") == b""
    assert tokenise_value(KEY, b" -- @") == b" -- @"
