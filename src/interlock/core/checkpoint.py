"""Checkpoints: what the gateway signs about its ledger, as text that any transparency-log tool can read.

The text is a C2SP *tlog-checkpoint* (origin, number of entries, Merkle root) inside a C2SP *signed note* with an
Ed25519 signature. Signing a checkpoint commits the gateway to every entry below it: two checkpoints that no single
history can explain are proof of tampering.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from interlock.core.errors import EvidenceError
from interlock.core.merkle import HASH_BYTES

_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_NAME = re.compile(r"[^\s+]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE = re.compile(r"\u2014 ([^\s+]+) ([A-Za-z0-9+/]+=*)")


class Checkpoint(msgspec.Struct, frozen=True):
    """The state of one ledger: its first ``size`` entries have the Merkle root ``root``."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The checkpoint as note text, ending in a newline."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key with the name that notes give it."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes by which signatures name the key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        """The signed-note form: ``name+hex key id+base64``."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public_key).decode()}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read the signed-note form. Raises ``EvidenceError`` when it is not one."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = _base64(encoded)
        key = cls(name, raw[1:])
        if not _NAME.fullmatch(name) or raw[:1] != _ED25519 or len(raw) != 33 or key.key_id.hex() != key_id:
            raise EvidenceError("not an Ed25519 verifier key (name+hash+base64)")
        return key


class Signer:
    """A private key with the name that notes give it. ``repr`` shows only the public half.

    Raises ``ValueError`` for a name with white space or ``+`` in it.
    """

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError("a key's name must have no white space and no '+'")
        self._private_key = private_key
        self.verifier_key = VerifierKey(name, private_key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"Signer({self.verifier_key})"

    def sign(self, text: str) -> str:
        """``text`` (ends in a newline) as a signed note."""
        key = self.verifier_key
        signature = base64.b64encode(key.key_id + self._private_key.sign(text.encode())).decode()
        return f"{text}\n\u2014 {key.name} {signature}\n"


def open_note(note: str, key: VerifierKey) -> str:
    """The text of a signed note. Raises ``EvidenceError`` unless ``key`` has signed it.

    Signatures of other keys are passed over.
    """
    text, separator, signatures = note.rpartition("\n\n")
    text += "\n"
    lines = signatures.removesuffix("\n").split("\n")
    matches = [_SIGNATURE.fullmatch(line) for line in lines]
    if not separator or not signatures.endswith("\n") or not all(matches):
        raise EvidenceError("not a signed note")
    for match in matches:
        if match and match[1] == key.name and _signed(text, _base64(match[2]), key):
            return text
    raise EvidenceError(f"not signed by {key.name}")


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint in a signed note. Raises ``EvidenceError`` when the signature or the text is wrong."""
    lines = open_note(note, key).split("\n")
    if len(lines) < 4 or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise EvidenceError("the note is signed but is not a checkpoint")
    root = _base64(lines[2])
    if len(root) != HASH_BYTES:
        raise EvidenceError("the checkpoint's root has a wrong length")
    return Checkpoint(lines[0], int(lines[1]), root)


def split_notes(lines: Iterable[str]) -> Iterator[str]:
    """The notes of a checkpoint log, each of which is followed by an empty line.

    A last note that is not whole (a crash while it was written) comes as it is: ``open_note`` refuses it.
    """
    note, empty_lines = "", 0
    for line in lines:
        empty_lines += line == "\n"
        if empty_lines == 2:
            yield note
            note, empty_lines = "", 0
        else:
            note += line
    if note:
        yield note


def _signed(text: str, signature: bytes, key: VerifierKey) -> bool:
    if signature[:_KEY_ID_BYTES] != key.key_id:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature[_KEY_ID_BYTES:], text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def _base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise EvidenceError("not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise EvidenceError("base64 that is not canonical")
    return raw
