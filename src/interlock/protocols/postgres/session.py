"""A PostgreSQL session from the first byte to the last, as a state machine over the protocol seam.

Puts the phases in order: the client logs in, the gateway says whether it may use the connection, the target is logged
in to, then statements are relayed. Never awaits and never raises for what a peer sent.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from interlock.core.masking import Masking
from interlock.protocols import base
from interlock.protocols.base import Effect, Event, Side
from interlock.protocols.postgres import messages
from interlock.protocols.postgres.answers import LostTrack, interrupted
from interlock.protocols.postgres.client_login import ClientLogin, LoginRejected, PlainText
from interlock.protocols.postgres.frames import FramingError
from interlock.protocols.postgres.masking.guard import steers_planner
from interlock.protocols.postgres.masks import SessionMasks
from interlock.protocols.postgres.messages import PINNED_PARAMETERS
from interlock.protocols.postgres.relay import Fatal, Relay
from interlock.protocols.postgres.scope import SchemaScope
from interlock.protocols.postgres.statements.interpretation import Interpretation
from interlock.protocols.postgres.target_login import TargetLogin, TargetRefused

_KEY_BYTES: Final = 32
ENTROPY_BYTES: Final = 18 + 18 + _KEY_BYTES


class PostgresLimits(msgspec.Struct, frozen=True):
    """What a session is allowed, from the configuration."""

    plain: PlainText = PlainText.REFUSE
    max_statement_bytes: int = 1 << 22


class PostgresSession:
    """One client's session. ``entropy`` are ``ENTROPY_BYTES`` fresh random bytes."""

    def __init__(self, limits: PostgresLimits, entropy: bytes) -> None:
        self._limits = limits
        self._target_nonce = entropy[18:36]
        self._key = entropy[36:]
        self._closed = False
        self._client = ClientLogin(limits.plain, entropy[:18])
        self._target: TargetLogin | None = None
        self._relay: Relay | None = None
        self._search_path: tuple[str, ...] = ()
        self._target_user = ""
        self._masking: Masking | None = None

    def handle(self, event: Event) -> Sequence[Effect]:
        """Take one event, return what to do."""
        if self._closed:
            return ()
        effects: list[Effect] = []
        try:
            if type(event) is base.DataReceived:
                self._data(event.side, event.data, effects)
            elif type(event) is base.Decided:
                if self._relay is not None:
                    self._relay.decided(event.decisions, effects)
            else:
                _HANDLERS[type(event)](self, event, effects)
        except LoginRejected as rejected:
            self._send_client(rejected.error, effects)
            self._end(base.Refuse(str(rejected)), effects)
        except TargetRefused as refused:
            self._send_client(messages.error_response("FATAL", refused.code, str(refused)), effects)
            self._end(base.Refuse(refused.reason), effects)
        except Fatal as fatal:
            self._fatal(fatal.code, str(fatal), effects)
        except FramingError as broken:
            self._fatal("08P01", f"protocol violation: {broken}", effects)
        except LostTrack as lost:
            self._fatal("XX000", f"the gateway closed this session because {lost}", effects)
        if self._relay is not None and self._relay.terminated and not self._closed:
            self._end(base.Close("the client ended the session"), effects)
        return effects

    def activity(self) -> base.Activity:
        """What it is at now."""
        return self._relay.activity() if self._relay is not None else base.Activity()

    def _connected(self, _: base.Connected, effects: list[Effect]) -> None:
        """The client speaks first."""

    def _data(self, side: Side, data: bytes, effects: list[Effect]) -> None:
        if self._relay is not None:
            if side is Side.CLIENT:
                self._relay.receive_client(data, effects)
            else:
                self._relay.receive_target(data, effects)
        elif side is Side.TARGET:
            self._target_login(data, effects)
        else:
            effects += self._client.receive(data)
            if effects and isinstance(effects[-1], base.CancelTarget):
                self._closed = True

    def _tls_established(self, event: base.TlsEstablished, effects: list[Effect]) -> None:
        if event.side is Side.CLIENT:
            self._client.tls_established(event.alpn, event.server_end_point, certificate=event.has_certificate)
        elif self._target is not None:
            effects += self._target.tls_established(event.server_end_point)

    def _tls_refused(self, event: base.TlsRefused, effects: list[Effect]) -> None:
        if event.side is Side.CLIENT:
            raise LoginRejected(b"", f"TLS handshake failed: {event.reason}")
        raise TargetRefused(
            "08006", "the gateway could not establish TLS with the target", f"target TLS: {event.reason}"
        )

    def _login_described(self, event: base.LoginDescribed, effects: list[Effect]) -> None:
        effects += self._client.login_described(event.scram_verifier)

    def _authenticated(self, event: base.Authenticated, effects: list[Effect]) -> None:
        request = self._client.request
        assert request is not None
        self._masking = event.masking
        self._search_path = request.search_path if request.search_path is not None else event.search_path
        wanted = {
            name: value
            for name, value in request.settings.items()
            if event.masking is None or not steers_planner(name)  # as a SET of it would be refused
        }
        settings = wanted | {
            **PINNED_PARAMETERS,
            "search_path": ", ".join(_quoted(schema) for schema in self._search_path),
        }
        self._target = TargetLogin(settings, self._target_nonce)
        effects.append(base.ConnectTarget())

    def _login_failed(self, event: base.LoginFailed, effects: list[Effect]) -> None:
        self._send_client(messages.error_response("FATAL", event.code, event.message, hint=event.hint), effects)
        self._end(base.Refuse(event.message), effects)

    def _target_connected(self, event: base.TargetConnected, effects: list[Effect]) -> None:
        assert self._target is not None
        self._target_user = event.user
        effects += self._target.connected(event)

    def _target_login(self, data: bytes, effects: list[Effect]) -> None:
        if self._target is None:
            raise LostTrack("the target spoke before it was asked")
        effects += self._target.receive(data)
        if self._target.ready:
            self._begin_relay(self._target, effects)

    def _begin_relay(self, target: TargetLogin, effects: list[Effect]) -> None:
        request = self._client.request
        assert request is not None
        # The process id is the target's: clients compare it with pg_backend_pid() and with notifications.
        key = target.process_id.to_bytes(4, "big") + self._key[: request.cancel_key_bytes]
        greeting = [self._client.final, messages.AUTHENTICATION_OK]
        greeting += [messages.parameter_status(name, value) for name, value in target.parameters.items()]
        greeting.append(messages.backend_key_data(target.process_id, key[4:]))
        greeting.append(messages.ready_for_query(ord("I")))
        cancel = messages.cancel_request(target.process_id, target.secret)
        effects.append(base.RegisterCancelKey(key, cancel, messages.SSL_REQUEST, target.process_id))
        effects.append(base.Send(Side.CLIENT, b"".join(greeting)))
        scope = SchemaScope(self._search_path, self._target_user)
        masks = SessionMasks(scope, self._masking)
        self._relay = Relay(scope, self._limits.max_statement_bytes, masks, target.process_id)
        self._target = None
        self._relay.receive_client(self._client.left_over, effects)
        if not self._relay.terminated:
            self._relay.receive_target(target.left_over, effects)

    def _eof(self, event: base.EofReceived, effects: list[Effect]) -> None:
        if event.side is Side.CLIENT:
            if self._relay is None:
                self._end(base.Refuse("the client left before it was logged in"), effects)
            else:
                self._send_target_end(effects)
                self._end(base.Close("the client closed the connection"), effects)
        elif self._relay is None:
            raise TargetRefused("08006", "the target closed the connection during login")
        else:
            self._fatal("08006", "the target closed the connection", effects)

    def _send_target_end(self, effects: list[Effect]) -> None:
        effects.append(base.Send(Side.TARGET, messages.TERMINATE_MESSAGE))

    def _computed(self, event: base.Computed, effects: list[Effect]) -> None:
        if self._relay is not None and isinstance(event.result, Interpretation):
            self._relay.computed(event.result, effects)

    def _running_cancelled(self, event: base.RunningCancelled, effects: list[Effect]) -> None:
        if self._relay is not None:
            self._relay.running_cancelled(event.arrived, effects)

    def _held(self, event: base.Held, effects: list[Effect]) -> None:
        if self._relay is not None:
            self._relay.held(event.message, event.hint, effects)

    def _rehearse(self, event: base.Rehearse, effects: list[Effect]) -> None:
        if self._relay is not None:
            self._relay.rehearse(event, effects)

    def _rehearsal_ended(self, event: base.RehearsalEnded, effects: list[Effect]) -> None:
        if self._relay is not None:
            self._relay.end_rehearsal(effects)

    def _masking_changed(self, event: base.MaskingChanged, effects: list[Effect]) -> None:
        self._masking = event.masking
        if self._relay is not None:
            self._relay.masking_changed(event.masking, effects)

    def _killed(self, event: base.Killed, effects: list[Effect]) -> None:
        self._fatal(event.code, event.reason, effects)

    def _fatal(self, code: str, text: str, effects: list[Effect]) -> None:
        if self._relay is None or self._relay.may_speak:
            self._send_client(messages.error_response("FATAL", code, text), effects)
        self._end(base.Refuse(text) if self._relay is None else base.Close(text), effects)

    def _send_client(self, data: bytes, effects: list[Effect]) -> None:
        if data:
            effects.append(base.Send(Side.CLIENT, data))

    def _end(self, effect: base.Refuse | base.Close, effects: list[Effect]) -> None:
        if self._relay is not None:
            effects += interrupted(self._relay.interrupted())
        effects.append(effect)
        self._closed = True


def _quoted(schema: str) -> str:
    return '"' + schema.replace('"', '""') + '"'


_HANDLERS: Final[dict[type, Callable[[PostgresSession, Any, list[Effect]], None]]] = {
    base.Connected: PostgresSession._connected,
    base.TlsEstablished: PostgresSession._tls_established,
    base.TlsRefused: PostgresSession._tls_refused,
    base.LoginDescribed: PostgresSession._login_described,
    base.Authenticated: PostgresSession._authenticated,
    base.LoginFailed: PostgresSession._login_failed,
    base.TargetConnected: PostgresSession._target_connected,
    base.Held: PostgresSession._held,
    base.Rehearse: PostgresSession._rehearse,
    base.RehearsalEnded: PostgresSession._rehearsal_ended,
    base.Computed: PostgresSession._computed,
    base.RunningCancelled: PostgresSession._running_cancelled,
    base.MaskingChanged: PostgresSession._masking_changed,
    base.EofReceived: PostgresSession._eof,
    base.Killed: PostgresSession._killed,
}
