"""Messages as JSON to a URL, signed as Standard Webhooks has it (https://www.standardwebhooks.com, version 1).

Text is data here: it is as exact as the message has it, and JSON keeps it apart.
"""

import base64
import binascii
import datetime
import hashlib
import hmac
from typing import Any, Final

import msgspec

from interlock.adapters.notifications.posting import post_json
from interlock.adapters.notifications.secret import read_secret
from interlock.core.notification import Letter
from interlock.core.settings import SecretReference
from interlock.services.notifications.ports import DeliveryFailed
from interlock.services.ports import Clock

PREFIX: Final = "whsec_"
MIN_KEY_BYTES: Final = 24
MAX_KEY_BYTES: Final = 64


class Webhook:
    """Implements ``services.notifications.ports.Channel``."""

    def __init__(self, url: str, secret: SecretReference, ca_file: str | None, clock: Clock) -> None:
        self._url = url
        self._secret = secret
        self._ca_file = ca_file
        self._clock = clock

    async def deliver(self, letter: Letter) -> str:
        """See ``Channel``."""
        key = decode_key(await read_secret(self._secret))
        body = payload(letter)
        at_s = int(self._clock.now_s())
        headers = {
            "webhook-id": letter.id,
            "webhook-timestamp": str(at_s),
            "webhook-signature": signature(key, letter.id, at_s, body),
        }
        return await post_json(self._url, body, headers, self._ca_file)


def decode_key(secret: str) -> bytes:
    """The key of a secret ``whsec_`` and base64. Raises DeliveryFailed."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        limits = f"{MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes"
        raise DeliveryFailed(f"the secret must be {PREFIX} and the base64 of {limits}")
    return key


def signature(key: bytes, letter_id: str, at_s: int, body: bytes) -> str:
    """The header ``webhook-signature``: HMAC-SHA-256 over id, time and body."""
    signed = b".".join((letter_id.encode(), str(at_s).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def payload(letter: Letter) -> bytes:
    """The body: type, time and data. It is the same at each attempt."""
    message = letter.message
    data: dict[str, Any] = {
        "title": message.title,
        "subject": message.subject,
        "link": message.link,
        "facts": dict(message.facts),
    }
    if letter.statement is not None:
        data["statement"] = {"text": letter.statement.text, "left_out_bytes": letter.statement.left_out_bytes}
    at = datetime.datetime.fromtimestamp(message.at_s, datetime.UTC)
    return msgspec.json.encode({"type": message.kind, "timestamp": at.isoformat(), "data": data})
