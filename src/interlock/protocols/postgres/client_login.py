"""The client's side of a connection up to the moment when its proof has been found good.

Takes the client's bytes, answers with what to send and with what is to be asked of the gateway. Refuses plain text
before a password is asked for. Never sees the target.
"""

import enum
import struct
from typing import Final

from interlock.protocols import base
from interlock.protocols.base import Effect, Side
from interlock.protocols.postgres import messages
from interlock.protocols.postgres.scram import SCRAM, SCRAM_PLUS, ScramError, ScramServer
from interlock.protocols.postgres.startup import MAX_STARTUP_BYTES, StartupRefused, StartupRequest, parse_startup

MAX_PROOF_BYTES: Final = 100_000
_TLS_HANDSHAKE: Final = 0x16
_LONGEST_CANCEL_BYTES: Final = 12 + 256
_ALPN: Final = "postgresql"


class PlainText(enum.Enum):
    """What a client without TLS may do."""

    REFUSE = "refuse"
    SCRAM_ONLY = "scram-only"


class _Step(enum.Enum):
    """What the client owes next."""

    FIRST_PACKET = 1
    TLS = 2
    STARTUP = 3
    LOGIN_KIND = 4
    TOKEN = 5
    SASL_INITIAL = 6
    SASL_RESPONSE = 7
    VERDICT = 8
    DONE = 9


class LoginRejected(Exception):
    """The client is turned away: an ErrorResponse to send (may be empty) and a reason for the ledger."""

    def __init__(self, error: bytes, reason: str) -> None:
        super().__init__(reason)
        self.error = error


def _fatal(code: str, text: str, hint: str = "", reason: str = "") -> LoginRejected:
    return LoginRejected(messages.error_response("FATAL", code, text, hint=hint), reason or text)


class ClientLogin:
    """Call ``receive`` with bytes and the other methods with the answers to its effects.

    When the proof has been handed over, ``request`` is the startup request; ``final`` is what completes the SASL
    exchange and must precede AuthenticationOk.
    """

    def __init__(self, plain: PlainText, nonce: bytes) -> None:
        self._plain = plain
        self._nonce = nonce
        self._step = _Step.FIRST_PACKET
        self._buffer = b""
        self._tls = False
        self._direct_tls = False
        self._binding = b""
        self._certificate = False
        self._verifier = ""
        self._scram: ScramServer | None = None
        self.request: StartupRequest | None = None
        self.final = b""

    @property
    def left_over(self) -> bytes:
        """Bytes that the client sent behind its proof, without waiting for the answer."""
        return self._buffer

    def receive(self, data: bytes) -> list[Effect]:
        """Take bytes. Raises ``LoginRejected``."""
        if self._step is _Step.TLS:
            raise LoginRejected(b"", "plain data while TLS was being established")
        self._buffer += data
        effects: list[Effect] = []
        while self._step in _READERS and _READERS[self._step](self, effects):
            pass
        if len(self._buffer) > messages.MAX_EARLY_BYTES:
            raise _fatal("08P01", "too much data before the login was answered")
        return effects

    def tls_established(self, alpn: str | None, binding: bytes, *, certificate: bool = False) -> None:
        """TLS is up; with a client's ``certificate`` no password is asked for. Raises ``LoginRejected``."""
        if self._direct_tls and alpn != _ALPN:
            raise LoginRejected(b"", "direct TLS without the ALPN protocol postgresql")
        self._tls = True
        self._binding = binding
        self._certificate = certificate
        self._step = _Step.STARTUP

    def login_described(self, scram_verifier: str | None) -> list[Effect]:
        """It is known how the user proves itself. Raises ``LoginRejected``."""
        if scram_verifier is not None:
            self._verifier = scram_verifier
            self._step = _Step.SASL_INITIAL
            mechanisms = [SCRAM_PLUS, SCRAM] if self._binding else [SCRAM]
            return [base.Send(Side.CLIENT, messages.authentication_sasl(mechanisms)), *self.receive(b"")]
        if not self._tls:
            raise _fatal(
                "28000",
                "a token is only accepted over TLS",
                "Connect with sslmode=verify-full (or at least sslmode=require).",
            )
        self._step = _Step.TOKEN
        return [base.Send(Side.CLIENT, messages.AUTHENTICATION_CLEARTEXT), *self.receive(b"")]

    def _read_first_packet(self, effects: list[Effect]) -> bool:
        if self._buffer and self._buffer[0] == _TLS_HANDSHAKE and not self._tls and self._step is _Step.FIRST_PACKET:
            self._direct_tls = True
            return self._start_tls(effects, self._take(len(self._buffer)))
        packet = self._whole_packet()
        if packet is None:
            return False
        (code,) = struct.unpack_from(">I", packet, 4)
        if code == messages.SSL_REQUEST_CODE and len(packet) == len(messages.SSL_REQUEST):
            return self._ssl_request(effects)
        if code == messages.GSSENC_REQUEST_CODE and len(packet) == len(messages.SSL_REQUEST):
            effects.append(base.Send(Side.CLIENT, b"N"))
            return True
        if code == messages.CANCEL_REQUEST_CODE and 16 <= len(packet) <= _LONGEST_CANCEL_BYTES:
            self._step = _Step.DONE
            effects.append(base.CancelTarget(packet[8:]))
            return False
        self._startup(packet, effects)
        return False

    def _whole_packet(self) -> bytes | None:
        if len(self._buffer) < 4:
            return None
        (length,) = struct.unpack_from(">I", self._buffer)
        if not 8 <= length <= MAX_STARTUP_BYTES:
            raise LoginRejected(b"", "invalid length of startup packet")
        return self._take(length) if len(self._buffer) >= length else None

    def _ssl_request(self, effects: list[Effect]) -> bool:
        if self._tls:
            raise _fatal("08P01", "TLS is already in use on this connection")
        if self._buffer:
            raise LoginRejected(b"", "data before TLS: possible injection into an encrypted connection")
        effects.append(base.Send(Side.CLIENT, b"S"))
        return self._start_tls(effects, b"")

    def _start_tls(self, effects: list[Effect], received: bytes) -> bool:
        self._step = _Step.TLS
        effects.append(base.StartTls(Side.CLIENT, received))
        return False

    def _startup(self, packet: bytes, effects: list[Effect]) -> None:
        try:
            self.request = parse_startup(packet)
        except StartupRefused as refused:
            raise _fatal(refused.code, str(refused), refused.hint) from refused
        if not self._tls and self._plain is PlainText.REFUSE:
            raise _fatal(
                "28000",
                "this gateway requires TLS",
                "Connect with sslmode=verify-full (or at least sslmode=require).",
                "plain text connection",
            )
        if self.request.negotiate:
            answer = messages.negotiate_protocol_version(self.request.minor, list(self.request.unknown_options))
            effects.append(base.Send(Side.CLIENT, answer))
        if self._certificate:
            self._step = _Step.VERDICT
            application = self.request.application
            effects.append(base.Authenticate(self.request.target, application=application, by_certificate=True))
            return
        self._step = _Step.LOGIN_KIND
        effects.append(base.DescribeLogin(self.request.user))

    def _read_token(self, effects: list[Effect]) -> bool:
        body = self._password_message()
        if body is None:
            return False
        assert self.request is not None
        token, end = self._cstring(body, 0)
        if end != len(body) or not token:
            raise _fatal("28P01", "the password is empty: send the access token as password")
        self._step = _Step.VERDICT
        effects.append(base.Authenticate(self.request.target, token=token, application=self.request.application))
        return False

    def _read_sasl_initial(self, effects: list[Effect]) -> bool:
        body = self._password_message()
        if body is None:
            return False
        mechanism, position = self._cstring(body, 0)
        if mechanism not in (SCRAM, SCRAM_PLUS) or (mechanism == SCRAM_PLUS and not self._binding):
            raise _fatal("28P01", "client selected an invalid SASL authentication mechanism")
        if body[position : position + 4] != (len(body) - position - 4).to_bytes(4, "big"):
            raise _fatal("08P01", "malformed SASL initial response")
        try:
            self._scram = ScramServer(self._verifier, mechanism, self._binding, self._nonce)
            challenge = self._scram.first(body[position + 4 :])
        except ScramError as error:
            raise _fatal("08P01", str(error)) from error
        self._step = _Step.SASL_RESPONSE
        effects.append(base.Send(Side.CLIENT, messages.authentication_sasl_continue(challenge)))
        return True

    def _read_sasl_response(self, effects: list[Effect]) -> bool:
        body = self._password_message()
        if body is None:
            return False
        assert self.request is not None
        assert self._scram is not None
        try:
            self.final = messages.authentication_sasl_final(self._scram.final(body))
        except ScramError as error:
            text = f'password authentication failed for user "{self.request.user}"'
            raise _fatal("28P01", text, reason=f"SCRAM: {error}") from error
        self._step = _Step.VERDICT
        user, application = self.request.user, self.request.application
        effects.append(base.Authenticate(self.request.target, scram_user=user, application=application))
        return False

    def _password_message(self) -> bytes | None:
        """The body of the next message, which must be of type 'p'."""
        if not self._buffer:
            return None
        if self._buffer[0] == messages.TERMINATE:
            raise LoginRejected(b"", "the client left before it authenticated")
        if self._buffer[0] != messages.PASSWORD:
            raise _fatal("08P01", f"expected password response, got message type 0x{self._buffer[0]:02x}")
        if len(self._buffer) < 5:
            return None
        (length,) = struct.unpack_from(">I", self._buffer, 1)
        if not 4 <= length < MAX_PROOF_BYTES:
            raise _fatal("08P01", "invalid password packet size")
        return self._take(length + 1)[5:] if len(self._buffer) > length else None

    @staticmethod
    def _cstring(body: bytes, start: int) -> tuple[str, int]:
        try:
            return messages.read_cstring(body, start)
        except messages.Malformed as error:
            raise _fatal("08P01", f"malformed password message: {error}") from error

    def _take(self, size: int) -> bytes:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


_READERS: Final = {
    _Step.FIRST_PACKET: ClientLogin._read_first_packet,
    _Step.STARTUP: ClientLogin._read_first_packet,
    _Step.TOKEN: ClientLogin._read_token,
    _Step.SASL_INITIAL: ClientLogin._read_sasl_initial,
    _Step.SASL_RESPONSE: ClientLogin._read_sasl_response,
}
