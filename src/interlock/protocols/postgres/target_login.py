"""The target's side of a connection up to its first ReadyForQuery: TLS, startup, password, SCRAM, MD5, certificate.

Never sees the client. Texts of the target that could show the gateway's own login are not passed on.
"""

import enum
import hashlib
import struct
from collections.abc import Mapping
from typing import Final

from interlock.protocols import base
from interlock.protocols.base import Effect, Side
from interlock.protocols.postgres import messages
from interlock.protocols.postgres.frames import FramingError, FrontendFrames
from interlock.protocols.postgres.scram import SCRAM, SCRAM_PLUS, ScramClient, ScramError

MAX_LOGIN_BYTES: Final = 1 << 20
"""How much a target may say before it is ready."""

# Errors at login that speak of what the client asked for, not of the gateway's login.
_SHOWN_CODES: Final = frozenset({"3D000", "53300", "57P01", "57P02", "57P03", "55000"})


_LONGEST_KEY_BYTES: Final = 4 + 256


class _Step(enum.Enum):
    TLS_ANSWER = 1
    TLS = 2
    LOGIN = 3
    DONE = 4


class TargetRefused(Exception):
    """The target cannot be used. ``code`` and the text are for the client, ``reason`` for the ledger."""

    def __init__(self, code: str, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason or message


class TargetLogin:
    """Call ``connected``, then ``receive`` and ``tls_established``, until ``ready`` is true."""

    def __init__(self, settings: Mapping[str, str], nonce: bytes) -> None:
        self._settings = settings
        self._nonce = nonce
        self._step = _Step.LOGIN
        self._frames = FrontendFrames(MAX_LOGIN_BYTES)  # any stream of typed messages is cut alike
        self._received_bytes = 0
        self._credential = base.TargetConnected("", None, "", "disable")
        self._tls = False
        self._binding = b""
        self._scram: ScramClient | None = None
        self._authenticated = False
        self.parameters: dict[str, str] = {}
        self.process_id = 0
        self.secret = b""
        self.ready = False
        self.left_over = b""
        """What the target sent behind its first ReadyForQuery."""

    def connected(self, credential: base.TargetConnected) -> list[Effect]:
        """A byte stream to the target is open."""
        self._credential = credential
        if credential.tls_mode == "disable":
            return self._send_startup()
        self._step = _Step.TLS_ANSWER
        return [base.Send(Side.TARGET, messages.SSL_REQUEST)]

    def tls_established(self, binding: bytes) -> list[Effect]:
        self._tls = True
        self._binding = binding
        return self._send_startup()

    def receive(self, data: bytes) -> list[Effect]:
        """Take bytes. Raises ``TargetRefused``."""
        if self._step is _Step.TLS_ANSWER:
            return self._read_tls_answer(data)
        if self._step is _Step.TLS:
            raise TargetRefused("08006", "the target sent plain data while TLS was being established")
        effects: list[Effect] = []
        self._frames.feed(data)
        while not self.ready and (message := self._next_message()) is not None:
            self._received_bytes += len(message)
            if self._received_bytes > MAX_LOGIN_BYTES:
                raise TargetRefused("08006", "the target says too much during login")
            self._read(message[0], message[5:], effects)
        self.left_over = self._frames.rest() if self.ready else b""
        return effects

    def _next_message(self) -> bytes | None:
        try:
            message = self._frames.next_message()
        except FramingError as error:
            raise TargetRefused("08006", "the target does not speak PostgreSQL's protocol") from error
        if self._frames.streaming:
            raise TargetRefused("08006", "the target sent a message that is too long for a login")
        return message

    def _read_tls_answer(self, data: bytes) -> list[Effect]:
        if data == b"S":
            self._step = _Step.TLS
            return [base.StartTls(Side.TARGET)]
        if data == b"N":
            raise TargetRefused("08006", "the target does not offer TLS, which this connection requires")
        raise TargetRefused("08006", "the target answered the TLS request with unexpected data")

    def _send_startup(self) -> list[Effect]:
        self._step = _Step.LOGIN
        parameters = {"user": self._credential.user, "database": self._credential.database} | dict(self._settings)
        return [base.Send(Side.TARGET, messages.startup_message(parameters))]

    def _read(self, kind: int, body: bytes, effects: list[Effect]) -> None:
        try:
            if kind == messages.AUTHENTICATION and not self._authenticated:
                self._authentication(body, effects)
            elif kind == messages.PARAMETER_STATUS:
                self._parameter_status(body)
            elif kind == messages.BACKEND_KEY_DATA and 8 <= len(body) <= _LONGEST_KEY_BYTES:
                self.process_id, self.secret = int.from_bytes(body[:4], "big"), body[4:]
            elif kind == messages.READY_FOR_QUERY and self._authenticated:
                self.ready = True
            elif kind == messages.ERROR_RESPONSE:
                raise self._refused(messages.error_fields(body))
            elif kind != messages.NOTICE_RESPONSE:
                raise TargetRefused("08006", "the target sent an unexpected message during login")
        except (messages.Malformed, ScramError, struct.error) as error:
            raise TargetRefused("08006", "the target's login failed", f"target login: {error}") from error

    def _parameter_status(self, body: bytes) -> None:
        name, position = messages.read_cstring(body, 0)
        value, _ = messages.read_cstring(body, position)
        if value != messages.PINNED_PARAMETERS.get(name, value):
            raise TargetRefused("08006", f"the target does not take the {name} that the gateway depends on")
        self.parameters[name] = value

    def _refused(self, fields: Mapping[str, str]) -> TargetRefused:
        code, text = fields.get("C", "XX000"), fields.get("M", "")
        if code in _SHOWN_CODES:
            return TargetRefused(code, text)
        return TargetRefused("08006", "the target refused the gateway's login", f"target login failed: {code} {text}")

    def _authentication(self, body: bytes, effects: list[Effect]) -> None:
        (kind,) = struct.unpack_from(">I", body)
        if kind == 0:
            if self._scram is not None:
                raise ScramError("the target skipped its own proof")
            self._authenticated = True
        elif kind == 3 and self._tls:
            self._send_password(self._password().encode() + b"\0", effects)
        elif kind == 5:
            self._send_password(self._md5(body[4:8]), effects)
        elif kind == 10:
            self._sasl_start(body[4:], effects)
        elif kind == 11 and self._scram is not None:
            self._send_password(self._scram.final(body[4:]), effects)
        elif kind == 12 and self._scram is not None:
            self._scram.verify(body[4:])
            self._scram = None
        else:
            raise TargetRefused("08006", "the target asks for an authentication method that is not supported")

    def _send_password(self, body: bytes, effects: list[Effect]) -> None:
        effects.append(base.Send(Side.TARGET, messages.message(messages.PASSWORD, body)))

    def _password(self) -> str:
        if self._credential.password is None:
            raise TargetRefused("08006", "the target asks for a password and none is configured for this connection")
        return self._credential.password

    def _md5(self, salt: bytes) -> bytes:
        """MD5 as the protocol defines it; weak, but what such targets ask for."""
        inner = hashlib.md5((self._password() + self._credential.user).encode(), usedforsecurity=False).hexdigest()
        outer = hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest()
        return f"md5{outer}".encode() + b"\0"

    def _sasl_start(self, body: bytes, effects: list[Effect]) -> None:
        offered = [name.decode("ascii", "replace") for name in body.split(b"\0") if name]
        mechanism = SCRAM_PLUS if SCRAM_PLUS in offered and self._binding else SCRAM
        if mechanism not in offered:
            raise TargetRefused("08006", "the target offers no SASL mechanism that the gateway supports")
        self._scram = ScramClient(self._password(), mechanism, self._binding, self._nonce)
        effects.append(base.Send(Side.TARGET, messages.sasl_initial_response(mechanism, self._scram.first())))
