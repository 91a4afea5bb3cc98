"""A WebSocket within a session: messages are recorded one by one, masked, and decided where they are requests.

It speaks through the effects that it appends. The module is plain typed Python that mypyc compiles where a C compiler
is at hand.
"""

from collections.abc import Callable
from typing import Final

from interlock.core.budget import Allowance
from interlock.core.decision import Decision, Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.masking import Masking
from interlock.core.operation import Operation, Outcome, OutcomeStatus
from interlock.core.settings import ConnectionSettings
from interlock.core.settings.http import Uninspectable
from interlock.protocols import base
from interlock.protocols.base import Effect, Side
from interlock.protocols.http.answering import MAX_DECODED_BYTES, needs_inspection
from interlock.protocols.http.bodies.inspection import Inspection, open_inspection
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.dialects.answer_fields import masked_fields
from interlock.protocols.http.dialects.base import Dialect, MessageDialect, Reading, Request
from interlock.protocols.http.exchange import Exchange
from interlock.protocols.http.websocket.handshake import Agreement, Upgrade, check_answer, client_headers
from interlock.protocols.http.websocket.recorded import recorded
from interlock.protocols.http.websocket.relay import WebSocketRelay
from interlock.protocols.http.websocket.values import Decide, Ended, Filtered, Limits, Message, RelayEffect
from interlock.protocols.http.wire.messages import ResponseHead
from interlock.protocols.http.wire.writing import response_head, without_hop_by_hop

_POLICY: Final = 1008
_AS_TEXT: Final = ((b"content-type", b"text/plain; charset=utf-8"),)


class TextMask:
    """Masks texts, each as a document of its own."""

    def __init__(self, masking: Masking) -> None:
        self._masking = masking

    def take(self, text: bytes) -> Filtered | str:
        """The text as it may be seen, or why it may not."""
        opened = open_inspection(_AS_TEXT, self._masking, MAX_DECODED_BYTES)
        if not isinstance(opened, Inspection):
            return opened
        try:
            masked = opened.feed(text) + opened.finish()
        except BodyRefused as refused:
            return str(refused)
        return Filtered(masked, opened.masked_values)


class Conversation:
    """Implements ``Passage`` for one WebSocket, opened by operation ``number``."""

    def __init__(
        self,
        number: int,
        next_number: Callable[[], int],
        request: Request,
        settings: ConnectionSettings,
        masking: Masking | None,
        allowance: Allowance | None,
        dialect: MessageDialect | None,
        upgrade: Upgrade,
        agreement: Agreement,
        entropy: bytes,
    ) -> None:
        self._number = number
        self._next_number = next_number
        self._request = request
        self._settings = settings
        self._masking = masking
        self._allowance = allowance
        self._dialect = dialect
        self._answers = dialect.answer_messages(request, masking) if dialect is not None else None
        self._reading: Reading | None = None
        self._text = b""
        self._approval = self._link = ""
        self._permitted = True
        self._used = self._charged = 0
        """Tokens that were reported, and counted against budgets."""
        self._sent_bytes = 0
        self._masked_values = 0
        self.ended = ""
        self._relay = WebSocketRelay(
            entropy,
            client_deflate=upgrade.deflate,
            target_deflate=agreement.deflate,
            limits=Limits(settings.http.max_held_bytes, settings.http.max_held_bytes),
            asks=None if dialect is None else _every_text,
            pass_binary=settings.http.uninspectable is Uninspectable.PASS,
        )
        self._set_filters()

    @property
    def deciding(self) -> bool:
        return self._relay.deciding

    def mask_as(self, masking: Masking | None) -> None:
        self._masking = masking
        if self._answers is not None:
            self._answers.mask_as(masking)
        self._set_filters()

    def receive(self, side: Side, data: bytes, effects: list[Effect]) -> None:
        self._carry_out(self._relay.receive(side, data), effects)

    def side_left(self, side: Side, effects: list[Effect]) -> None:
        self._carry_out(self._relay.side_left(side), effects)

    def stop(self, reason: str, effects: list[Effect]) -> None:
        self._carry_out(self._relay.close(_POLICY, reason[:120]), effects)
        self._report(OutcomeStatus.INTERRUPTED, effects)

    def held(self, event: base.Held) -> None:
        self._approval, self._link = event.approval, event.link

    def decided(self, decision: Decision, effects: list[Effect]) -> None:
        reading, dialect = self._reading, self._dialect
        assert reading is not None
        assert dialect is not None
        if type(decision) is Permit:
            self._allowance, self._permitted = decision.allowance, True
            self._carry_out(self._relay.permit(self._text if reading.body is None else reading.body), effects)
            return
        assert isinstance(decision, Denial)
        amended = dialect.amend_message(self._request, self._text, reading, decision, self._masking)
        if amended is not None:
            self._ask(amended, effects)
            return
        pending = decision.reason is DenialReason.NEEDS_APPROVAL and bool(self._approval)
        link = self._link if pending else ""
        answer = dialect.refuse_message(self._request, self._text, reading, decision, link)
        self._carry_out(self._relay.refuse(answer), effects)

    def _report(self, status: OutcomeStatus, effects: list[Effect]) -> None:
        """Say what came of the operation that is under way. One that was refused has no outcome."""
        if not self._permitted:
            return
        used = self._answers.usage - self._used if self._answers is not None else 0
        found = self._answers.found if self._answers is not None else ()
        outcome = Outcome(self._number, status, "101", "", 0, self._sent_bytes, self._masked_values, found, tokens=used)
        effects.append(base.Report(outcome))
        self._permitted = False
        self._used += used
        self._sent_bytes = self._masked_values = 0

    def _set_filters(self) -> None:
        texts = TextMask(self._masking) if needs_inspection(self._masking) and self._masking is not None else None
        up = texts.take if texts is not None and self._settings.http.outside and self._dialect is None else None
        if self._answers is not None:
            self._relay.change_filters(up, self._answers.take)
        else:
            self._relay.change_filters(up, texts.take if texts is not None else None)

    def _carry_out(self, found: list[RelayEffect], effects: list[Effect]) -> None:
        for effect in found:
            if self.ended:
                return
            if type(effect) is Message:
                self._record(effect, effects)
            elif type(effect) is Decide:
                self._read(effect.text, effects)
            elif type(effect) is Ended:
                self._end(effect.reason or "the WebSocket is closed", effects)
            elif type(effect) is base.Send and effect.side is Side.CLIENT:
                self._send(effect, effects)
            else:
                effects.append(effect)  # type: ignore[arg-type]

    def _end(self, reason: str, effects: list[Effect]) -> None:
        if not self.ended:
            self.ended = reason
            self._report(OutcomeStatus.COMPLETED, effects)

    def _send(self, effect: base.Send, effects: list[Effect]) -> None:
        allowance, size = self._allowance, len(effect.data)
        if allowance is not None:
            allowance.begin()
            if not allowance.take(0, size):
                self._allowance = None
                self._carry_out(self._relay.close(_POLICY, "a budget is spent"), effects)
                return
        self._sent_bytes += size
        effects.append(effect)
        if allowance is not None and self._answers is not None and self._answers.usage > self._charged:
            allowance.use_tokens(self._answers.usage - self._charged)
            self._charged = self._answers.usage

    def _record(self, message: Message, effects: list[Effect]) -> None:
        self._masked_values += message.masked_values
        if message.to is Side.CLIENT:
            effects.append(base.RecordAnswer(self._number, recorded(message)))
        else:
            effects.append(base.RecordRequest(self._number, recorded(message)))

    def _read(self, text: bytes, effects: list[Effect]) -> None:
        assert self._dialect is not None
        self._text = text
        self._approval = self._link = ""
        self._ask(self._dialect.read_message(self._request, text, self._masking), effects)

    def _ask(self, reading: Reading, effects: list[Effect]) -> None:
        self._report(OutcomeStatus.COMPLETED, effects)
        self._number, self._permitted = self._next_number(), False
        self._reading = reading
        operation = Operation(
            self._number,
            reading.meaning,
            f"WEBSOCKET {self._request.path}\nhost: {self._request.host}\n".encode(),
            self._text if reading.bound is None else reading.bound,
            forwarded=reading.body if reading.body is not None else b"",
            masked=masked_fields(self._masking),
            masking=self._masking.version if self._masking is not None else "",
        )
        effects.append(base.Authorize((operation,)))


def open_conversation(
    exchange: Exchange,
    head: ResponseHead,
    settings: ConnectionSettings,
    dialect: Dialect | None,
    masking: Masking | None,
    next_number: Callable[[], int],
    entropy: bytes,
) -> tuple[Conversation, bytes] | str:
    """The WebSocket that a target has switched to, and the head that tells the client; or why it is none."""
    upgrade, request = exchange.upgrade, exchange.request
    if upgrade is None or request is None:
        return "nobody asked for it"
    agreement = check_answer(upgrade, exchange.key, head.headers)
    if isinstance(agreement, str):
        return agreement
    messages = dialect if isinstance(dialect, MessageDialect) and dialect.has_messages(request) else None
    headers = client_headers(upgrade, agreement, without_hop_by_hop(head.headers))
    conversation = Conversation(
        exchange.number,
        next_number,
        request,
        settings,
        masking,
        exchange.allowance,
        messages,
        upgrade,
        agreement,
        entropy,
    )
    return conversation, response_head(101, b"Switching Protocols", headers)


def _every_text(text: bytes) -> bool:
    return True
