"""Masks that need a key: a stable hash, and a token that keeps a value's format.

Under one key equal values have equal masks, so joins, grouping and look-ups work on masked data; under another key the
masks are others. Neither can be turned back, but whoever can have values of their choice masked can compare. The
functions see one value's bytes and know nothing of where it is from.
"""

import hashlib
from collections.abc import Callable
from typing import Final

_HASH_BYTES: Final = 12
_ALPHABETS: Final = (b"0123456789", b"abcdefghijklmnopqrstuvwxyz", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_REPLACED: Final = b"".join(_ALPHABETS)
_MAX_TURNS: Final = 256


def _replacements(byte: int) -> bytes:
    """What a byte becomes, by random byte: a character of its alphabet, or itself when it is in none."""
    alphabet = next((letters for letters in _ALPHABETS if byte in letters), bytes((byte,)))
    return bytes(alphabet[random % len(alphabet)] for random in range(256))


_TABLE: Final = b"".join(_replacements(byte) for byte in range(256))


def hash_value(key: bytes, value: bytes) -> bytes:
    """``hash:`` and keyed BLAKE2b (RFC 7693) of 96 bits, in hexadecimal digits. A key has 64 bytes at most."""
    return hasher(key)(value)


def hasher(key: bytes) -> Callable[[bytes], bytes]:
    """``hash_value`` with a key that is prepared once, for many values."""
    fresh = hashlib.blake2b(key=key, digest_size=_HASH_BYTES)

    def hash_of(value: bytes) -> bytes:
        hashed = fresh.copy()
        hashed.update(value)
        return b"hash:" + hashed.hexdigest().encode()

    return hash_of


def tokeniser(key: bytes) -> Callable[[bytes], bytes]:
    """``tokenise_value`` for many values."""

    def token_of(value: bytes) -> bytes:
        return tokenise_value(key, value)

    return token_of


def tokenise_value(key: bytes, value: bytes) -> bytes:
    """A value of the same format: each digit, small and capital letter becomes another of its kind, all else stays.

    A letter outside of ASCII becomes an ASCII letter of like case. What comes back differs from ``value`` whenever that
    has a letter or a digit. Check digits in it are no longer right.
    """
    shape = value if value.isascii() else _ascii_shape(value)
    token = _token(shape, _stream(key, value, len(shape), 0))
    turn = 1
    while token == value and turn < _MAX_TURNS and _has_any(value):
        token = _token(shape, _stream(key, value, len(shape), turn))
        turn += 1
    return token


def _has_any(value: bytes) -> bool:
    """Whether a letter or a digit of ASCII is in it."""
    return len(value.translate(None, _REPLACED)) < len(value)


def _token(shape: bytes, stream: bytes) -> bytes:
    table = _TABLE
    return bytes([table[(byte << 8) | random] for byte, random in zip(shape, stream, strict=True)])


def _stream(key: bytes, value: bytes, length: int, turn: int) -> bytes:
    """Pseudo-random bytes that depend on all arguments: SHAKE-256 of them, each with its length in front."""
    return hashlib.shake_256(b"%d:%b%d:%d:%b" % (len(key), key, turn, len(value), value)).digest(length)


def _ascii_shape(value: bytes) -> bytes:
    """The value with ASCII in the place of all other letters and digits. Bytes that are not UTF-8 count as letters."""
    return b"".join(_ascii(character) for character in value.decode(errors="surrogateescape"))


def _ascii(character: str) -> bytes:
    if 0xDC80 <= ord(character) <= 0xDCFF:  # a byte that was not UTF-8
        return b"a"
    if character.isascii() or not character.isalnum():
        return character.encode()
    if not character.isalpha():
        return b"0"
    return b"A" if character.isupper() or character.istitle() else b"a"
