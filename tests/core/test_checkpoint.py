"""Checkpoints and signed notes against the C2SP formats."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.checkpoint import Checkpoint, Signer, VerifierKey, open_checkpoint, open_note, split_notes
from interlock.core.errors import EvidenceError
from interlock.core.merkle import EMPTY_ROOT

SIGNER = Signer("example.com/log", Ed25519PrivateKey.from_private_bytes(b"s" * 32))
KEY = SIGNER.verifier_key
NOTE = SIGNER.sign(Checkpoint("example.com/log", 7, EMPTY_ROOT).text())


def test_the_documented_example_of_signed_notes_opens() -> None:
    """Key and note of golang.org/x/mod/sumdb/note's documentation, which the C2SP format was taken from."""
    key = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    note = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        "\u2014 PeterNeumann "
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    assert open_note(note, key).startswith("If you think cryptography")


def test_a_checkpoint_is_three_lines_and_comes_back() -> None:
    origin, size, root, *rest = NOTE.split("\n")
    assert (origin, size, base64.b64decode(root)) == ("example.com/log", "7", EMPTY_ROOT)
    assert rest[0] == ""
    assert open_checkpoint(NOTE, KEY) == Checkpoint("example.com/log", 7, EMPTY_ROOT)


def test_other_signatures_are_passed_over() -> None:
    witness = Signer("witness", Ed25519PrivateKey.generate())
    text = Checkpoint("example.com/log", 7, EMPTY_ROOT).text()
    second = witness.sign(text).split("\n\n")[1]
    assert open_checkpoint(NOTE + second, KEY).size == 7
    assert open_checkpoint(NOTE + second, witness.verifier_key).size == 7


@given(st.integers(0, len(NOTE.encode()) * 8 - 1))
def test_every_changed_bit_is_noticed(bit: int) -> None:
    data = bytearray(NOTE.encode())
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(EvidenceError):
        open_checkpoint(data.decode(errors="surrogateescape"), KEY)


@given(st.text(max_size=200))
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(EvidenceError):
        open_checkpoint(text, KEY)
    with pytest.raises(EvidenceError):
        VerifierKey.parse(text)


def test_a_signed_text_that_is_no_checkpoint_is_refused() -> None:
    for text in ("just words\n", "origin\n-1\nAAAA\n", "origin\n01\nAAAA\n", "origin\n1\nAAAA\n", "\n1\nAAAA\n"):
        with pytest.raises(EvidenceError):
            open_checkpoint(SIGNER.sign(text), KEY)


def test_a_key_of_another_name_or_value_does_not_open_it() -> None:
    with pytest.raises(EvidenceError, match="not signed by"):
        open_note(NOTE, VerifierKey("example.com/other", KEY.public_key))
    with pytest.raises(EvidenceError, match="not signed by"):
        open_note(NOTE, Signer(KEY.name, Ed25519PrivateKey.generate()).verifier_key)


def test_keys_have_the_signed_note_form() -> None:
    assert VerifierKey.parse(f"{KEY}\n") == KEY
    assert str(KEY).split("+")[1] == KEY.key_id.hex()
    assert "private" not in repr(SIGNER)
    with pytest.raises(ValueError, match="white space"):
        Signer("two words", Ed25519PrivateKey.generate())


def test_notes_of_a_log_are_told_apart() -> None:
    log = f"{NOTE}\n{NOTE}\n"
    assert list(split_notes(log.splitlines(keepends=True))) == [NOTE, NOTE]
    assert list(split_notes((log + "half\n").splitlines(keepends=True))) == [NOTE, NOTE, "half\n"]
    assert list(split_notes([])) == []
