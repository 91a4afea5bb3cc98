"""Encryption at rest: AES-256-GCM envelopes, and the key that opens them.

Every secret gets a random data key of its own, which the gateway's key-encryption key wraps. ``context`` says what the
secret is for; it is authenticated, so that a sealed value moved to another place does not open there. Nothing in here
writes a key anywhere but into the one file it makes on first start.

    envelope   version (1) | key id (8) | nonce (12) | wrapped data key (32 + 16) | nonce (12) | ciphertext + tag (16)
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from interlock.adapters.private_file import create_private, read_private
from interlock.core.errors import ConfigurationError, CredentialUnavailable
from interlock.core.settings import KeyReference, SecretsSettings

KEY_BYTES: Final = 32
KEY_FILE: Final = "sealing.key"
KEY_COMMAND_TIMEOUT_S: Final = 15.0
_VERSION: Final = b"\x01"
_KEY_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_WRAPPED_BYTES: Final = KEY_BYTES + _TAG_BYTES
_HEADER_BYTES: Final = len(_VERSION) + _KEY_ID_BYTES
_OVERHEAD_BYTES: Final = _HEADER_BYTES + _NONCE_BYTES + _WRAPPED_BYTES + _NONCE_BYTES + _TAG_BYTES

log = structlog.get_logger(__name__)


class Sealer:
    """Seals with one key and opens what it, or one of the earlier keys, has sealed."""

    def __init__(self, key: bytes, old_keys: Iterable[bytes] = ()) -> None:
        """Keys are 32 bytes each. Raises ValueError for any other length."""
        self._key_id = _key_id(key)
        self._derivation_key = hmac.digest(key, b"interlock derived keys", hashlib.sha256)
        self._ciphers = {_key_id(old): AESGCM(old) for old in old_keys} | {self._key_id: AESGCM(key)}

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """The plaintext in an envelope that opens with the same context only."""
        header = _VERSION + self._key_id
        data_key = secrets.token_bytes(KEY_BYTES)
        wrap_nonce, nonce = secrets.token_bytes(_NONCE_BYTES), secrets.token_bytes(_NONCE_BYTES)
        wrapped = self._ciphers[self._key_id].encrypt(wrap_nonce, data_key, _associated(b"key", header, context))
        sealed = AESGCM(data_key).encrypt(nonce, plaintext, _associated(b"data", header, context))
        return header + wrap_nonce + wrapped + nonce + sealed

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """What was sealed. Raises CredentialUnavailable when it was changed, moved or sealed with an unknown key."""
        header, rest = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        if len(sealed) < _OVERHEAD_BYTES or not header.startswith(_VERSION):
            raise CredentialUnavailable("a sealed value is damaged")
        cipher = self._ciphers.get(header[len(_VERSION) :])
        if cipher is None:
            raise CredentialUnavailable("a sealed value needs another key; add it to secrets.old_keys")
        wrap_nonce, rest = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        wrapped, rest = rest[:_WRAPPED_BYTES], rest[_WRAPPED_BYTES:]
        nonce, ciphertext = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        try:
            data_key = cipher.decrypt(wrap_nonce, wrapped, _associated(b"key", header, context))
            return AESGCM(data_key).decrypt(nonce, ciphertext, _associated(b"data", header, context))
        except InvalidTag:
            raise CredentialUnavailable("a sealed value was changed, or belongs to something else") from None

    def derive(self, context: bytes) -> bytes:
        """A key of 32 bytes for ``context``, the same as long as the sealing key is."""
        return hmac.digest(self._derivation_key, context, hashlib.sha256)

    def __repr__(self) -> str:
        return "Sealer(...)"


def _key_id(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes")
    return hmac.digest(key, b"interlock key id", hashlib.sha256)[:_KEY_ID_BYTES]


def _associated(part: bytes, header: bytes, context: bytes) -> bytes:
    return b"interlock " + part + b"\0" + header + context


async def open_sealer(settings: SecretsSettings, data_dir: Path) -> Sealer:
    """The sealer that the settings describe; without a configured key, one is made in ``data_dir`` on first use.

    Raises ConfigurationError; the text names the place of the key and never shows it.
    """
    if settings.key is None:
        key = _own_key(data_dir / KEY_FILE)
    else:
        key = await _read_key(settings.key)
    return Sealer(key, [await _read_key(reference) for reference in settings.old_keys])


def _own_key(file: Path) -> bytes:
    try:
        return _decode_key(_read_key_file(file), str(file))
    except FileNotFoundError:
        key = secrets.token_bytes(KEY_BYTES)
        create_private(file, base64.b64encode(key) + b"\n")
        log.warning("sealing key made; keep a copy of it apart from the data", file=str(file))
        return key


async def _read_key(reference: KeyReference) -> bytes:
    if reference.env is not None:
        return _decode_key(os.environb.get(os.fsencode(reference.env), b""), f"environment variable {reference.env}")
    if reference.file is not None:
        try:
            return _decode_key(_read_key_file(Path(reference.file)), reference.file)
        except FileNotFoundError:
            raise ConfigurationError(f"{reference.file}: there is no such file") from None
    return _decode_key(await _run_key_command(reference.command or ()), "the output of secrets.key.command")


def _read_key_file(file: Path) -> bytes:
    try:
        return read_private(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None


async def _run_key_command(command: tuple[str, ...]) -> bytes:
    """The program's output; its errors go to the gateway's own standard error."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise ConfigurationError(f"secrets.key.command: {command[0]} cannot be run: {error.strerror}") from None
    try:
        output, _ = await asyncio.wait_for(process.communicate(), KEY_COMMAND_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ConfigurationError(f"secrets.key.command: no answer in {KEY_COMMAND_TIMEOUT_S:.0f} s") from None
    if process.returncode != 0:
        raise ConfigurationError(f"secrets.key.command: exit status {process.returncode}")
    return output


def _decode_key(text: bytes, place: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"{place}: must hold {KEY_BYTES} bytes in base64 (openssl rand -base64 32)")
    return key
