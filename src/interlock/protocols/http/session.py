"""One HTTP client's connection: requests in, answers out, one exchange after the other.

The session parses what comes, finds out where each request is to go and who asks, has it decided, and only then lets a
new request, made from the parsed one, go to the target. It never passes a client's head on, and it never lets a second
request begin before the first is over: what is pipelined waits, in a bounded buffer.

The module is plain typed Python that mypyc compiles where a C compiler is at hand.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from interlock.core.decision import Decision, Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.operation import Operation, OutcomeStatus
from interlock.core.settings import ConnectionSettings, PlainHttp, TlsMode
from interlock.protocols import base
from interlock.protocols.base import Activity, Effect, Event, Side
from interlock.protocols.http import problems
from interlock.protocols.http.admission import LAST_STATUSES, admission_of, challenge_to
from interlock.protocols.http.answering import Answer
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.client_end import ClientEnd
from interlock.protocols.http.conversation import open_conversation
from interlock.protocols.http.dialects.base import AmendingDialect, Dialect, Reading, Reply
from interlock.protocols.http.exchange import Exchange, Stage
from interlock.protocols.http.limits import HttpLimits
from interlock.protocols.http.passage import Passage
from interlock.protocols.http.relaying import AnswerRelay, BudgetSpent
from interlock.protocols.http.requesting import operation_of, read_request, request_of, request_to_target
from interlock.protocols.http.target_end import TargetEnd, connect_effect
from interlock.protocols.http.terms import Terms
from interlock.protocols.http.tunnel import BlindTunnel, tunnel_meaning
from interlock.protocols.http.values import Inside, Mode
from interlock.protocols.http.wire.messages import BadMessage, BodyData, BodyEnd, BodyKind, RequestHead, ResponseHead
from interlock.protocols.http.wire.writing import chunk, last_chunk, response_head

_TLS_HANDSHAKE: Final = b"\x16"
_SAFE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))
_UNCERTAIN: Final = "Look before you send it again: the gateway does not know whether the target carried it out."
_NOT_IN_TIME: Final = problems.reply(408, "the request did not come in time")
_WEBSOCKET: Final = b"websocket"
_KEY_BYTES: Final = 16


class HttpSession:
    """Implements ``ProtocolSession``. ``dialect_of`` gives the dialect of a connection by its name and settings."""

    def __init__(
        self,
        mode: Mode,
        limits: HttpLimits,
        dialect_of: Callable[[str, ConnectionSettings], Dialect],
        entropy: bytes,
    ) -> None:
        self._mode = mode
        self._limits = limits
        self._dialect_of = dialect_of
        self._entropy = entropy
        self._client = ClientEnd(limits)
        self._target = TargetEnd(limits.max_head_bytes)
        self._relay = AnswerRelay(self._client, self._target)
        self._exchange: Exchange | None = None
        self._closed = False
        self._session_id = ""
        self._terms: Terms | None = None
        self._number = 0
        self._settled = 0
        self._inside: Inside | None = None
        self._passage: Passage | None = None
        """What the connection has become, when it is not one of requests any more."""

    def activity(self) -> Activity:
        """What it is at now."""
        exchange, passage = self._exchange, self._passage
        if passage is not None:
            return Activity(True, passage.deciding, self._settled)
        if exchange is None:
            return Activity(settled=self._settled)
        busy = exchange.stage is Stage.TARGET or exchange.stage is Stage.ANSWER
        return Activity(busy, exchange.stage is Stage.DECISION, self._settled)

    def handle(self, event: Event) -> Sequence[Effect]:
        """Take one event, return what to do."""
        if self._closed:
            return ()
        effects: list[Effect] = []
        if type(event) is base.DataReceived:
            self._data(event.side, event.data, effects)
        else:
            _HANDLERS[type(event)](self, event, effects)
        self._client.flush(effects)
        return effects

    def _data(self, side: Side, data: bytes, effects: list[Effect]) -> None:
        if self._passage is not None:
            self._passage.receive(side, data, effects)
            self._look_at(self._passage, effects)
        elif side is Side.TARGET:
            self._from_target(data, effects)
        else:
            self._from_client(data, effects)

    # ------------------------------------------------------------ the client's side

    def _connected(self, event: base.Connected, effects: list[Effect]) -> None:
        self._client.local = event.local
        effects.append(base.SetTimer(self._limits.head_timeout_s))

    def _from_client(self, data: bytes, effects: list[Effect]) -> None:
        client = self._client
        if not client.greeted:
            client.greeted = True
            if data[:1] == _TLS_HANDSHAKE:
                self._begin_tls(data, effects)
                return
            if not self._may_be_plain():
                self._reject(problems.reply(400, "this listener takes TLS only", "Use https."), effects)
                return
        begins = self._exchange is None and not client.requests.buffered
        client.requests.feed(data)
        self._go_on(effects)
        if begins and self._exchange is None and not self._closed:
            effects.append(base.SetTimer(self._limits.head_timeout_s))

    def _begin_tls(self, data: bytes, effects: list[Effect]) -> None:
        if self._client.tls:
            self._close("TLS within TLS", effects)
            return
        server_name = self._inside.route.authority.host if self._inside is not None else ""
        effects.append(base.StartTls(Side.CLIENT, data, server_name))

    def _may_be_plain(self) -> bool:
        if self._client.tls:
            return True
        if self._inside is not None:
            plain_target = self._terms is not None and self._terms.settings.tls is TlsMode.DISABLE
            return plain_target or self._inside.route.authority.port == 80
        plain = self._limits.plain
        return plain is PlainHttp.ALLOW or (plain is PlainHttp.LOOPBACK and self._client.local)

    def _tls_established(self, event: base.TlsEstablished, effects: list[Effect]) -> None:
        if event.side is Side.CLIENT:
            self._client.tls, self._client.certificate = True, event.has_certificate
        else:
            self._target_is_open(effects)

    def _tls_refused(self, event: base.TlsRefused, effects: list[Effect]) -> None:
        if event.side is Side.CLIENT:
            self._close(f"TLS with the client failed: {event.reason}", effects)
            return
        self._target.lose(effects)
        if self._exchange is not None:
            detail = f"TLS with the target failed: {event.reason}"
            self._answer_instead(problems.reply(502, detail, "Tell the gateway's operator."), effects)

    def _go_on(self, effects: list[Effect]) -> None:
        """Read what the client has sent, as far as it can be used now."""
        while not self._closed and self._passage is None:
            exchange = self._exchange
            if exchange is not None and not exchange.takes_body:
                break
            message = self._client.requests.next()
            if message is None:
                break
            if type(message) is RequestHead:
                self._begin(message, effects)
            elif type(message) is BadMessage:
                self._reject(problems.reply(message.status, message.reason), effects)
            elif exchange is not None and type(message) is BodyData:
                self._request_data(exchange, message.data, effects)
            elif exchange is not None and type(message) is BodyEnd:
                self._request_end(exchange, effects)
        if not self._closed:
            self._client.throttle(effects)

    # ------------------------------------------------------------ who asks, and for what

    def _begin(self, head: RequestHead, effects: list[Effect]) -> None:
        tls, certificate = self._client.tls, self._client.certificate
        found = admission_of(head, self._mode, self._inside, self._limits, tls=tls, certificate=certificate)
        if isinstance(found, Reply):
            self._turn_away(head, found, effects)
            return
        route = found.route
        exchange = self._exchange = Exchange(
            head, route, found.token, found.own_authorization, by_certificate=found.by_certificate
        )
        if head.upgrade == _WEBSOCKET:
            exchange.ask_for_websocket(self._entropy[:_KEY_BYTES])
        host, by_proxy = route.host, route.by_proxy
        effects.append(
            base.Authenticate(
                route.connection,
                found.token,
                application=found.said,
                host=host,
                by_proxy=by_proxy,
                by_certificate=found.by_certificate,
            )
        )
        effects.append(base.SetTimer(0))

    def _turn_away(self, head: RequestHead, reply: Reply, effects: list[Effect]) -> None:
        """Answer a request that has no session."""
        stays = head.keep_alive and head.body is BodyKind.NONE and reply.status not in LAST_STATUSES
        if stays:
            self._client.requests.next()  # the end of a message without a body
        stays = stays and not self._sent_ahead(head)
        self._client.write_reply(reply, head, stays)
        if not stays:
            self._close("a request was turned away", effects, answered=True)

    def _sent_ahead(self, head: RequestHead) -> bool:
        """Whether something follows a CONNECT that may not be meant for the proxy (RFC 9931)."""
        return head.method == b"CONNECT" and self._client.requests.buffered > 0

    def _authenticated(self, event: base.Authenticated, effects: list[Effect]) -> None:
        exchange, settings = self._exchange, event.settings
        if exchange is None:
            return
        assert settings is not None
        if event.session_id != self._session_id:
            self._enter(event, settings, effects)
        terms = self._terms
        if terms is None:
            detail = "the settings of this connection contradict one another"
            self._answer_instead(problems.reply(503, detail, "Tell the gateway's operator."), effects)
            return
        terms.masking = event.masking
        if exchange.route.opens_tunnel:
            self._open_tunnel(exchange, terms, effects)
        elif settings.http.tunnel:
            reply = problems.reply(403, "this host is reached by tunnels only", "Use CONNECT.")
            self._answer_instead(reply, effects)
        else:
            self._receive(exchange, terms, effects)
            self._go_on(effects)

    def _enter(self, event: base.Authenticated, settings: ConnectionSettings, effects: list[Effect]) -> None:
        """Another session than that of the last request: of it nothing is left."""
        self._session_id = event.session_id
        self._number = self._settled = 0
        self._target.begin_anew()
        effects.append(base.BeReady())
        try:
            self._terms = Terms(settings, self._dialect_of(event.connection, settings), event.masking)
        except ValueError:
            self._terms = None

    def _receive(self, exchange: Exchange, terms: Terms, effects: list[Effect]) -> None:
        """Make the request that would go on, and see whether its body has to be read first."""
        head, http = exchange.head, terms.settings.http
        if exchange.rejection is not None:
            self._answer_instead(exchange.rejection, effects)
            return
        exchange.request = request_of(exchange, terms.settings, terms.masking)
        if head.body is BodyKind.NONE:
            self._client.requests.next()  # its end
            self._authorize(exchange, terms, effects)
        elif head.length > http.max_held_bytes:
            exchange.streams = True
            self._authorize(exchange, terms, effects)
        else:
            exchange.stage = Stage.BODY
            effects.append(base.SetTimer(self._limits.body_timeout_s))
            if head.expects_continue:
                self._client.write_continue()

    def _request_data(self, exchange: Exchange, data: bytes, effects: list[Effect]) -> None:
        if exchange.stage is Stage.ANSWER:
            self._stream_request(exchange, data, effects)
            return
        terms = self._terms
        assert terms is not None
        exchange.hold(data)
        if exchange.held_bytes > terms.settings.http.max_held_bytes:
            exchange.streams = True
            self._authorize(exchange, terms, effects)

    def _request_end(self, exchange: Exchange, effects: list[Effect]) -> None:
        exchange.request_complete = True
        if exchange.stage is Stage.BODY:
            assert self._terms is not None
            self._authorize(exchange, self._terms, effects)
        elif exchange.head.body is BodyKind.CHUNKED:
            effects.append(base.Send(Side.TARGET, last_chunk()))

    # ------------------------------------------------------------ the decision

    def _authorize(self, exchange: Exchange, terms: Terms, effects: list[Effect]) -> None:
        request = exchange.request
        assert request is not None
        if exchange.stage is Stage.BODY:
            effects.append(base.SetTimer(0))
        if request.has_body and not exchange.streams:
            exchange.request = msgspec.structs.replace(request, body=exchange.body())
        reading = read_request(exchange, terms.dialect, terms.settings, terms.masking)
        self._ask(exchange, reading, terms, effects)

    def _ask(self, exchange: Exchange, reading: Reading, terms: Terms, effects: list[Effect]) -> None:
        exchange.reading = reading
        exchange.number = self._next_number()
        exchange.stage = Stage.DECISION
        effects.append(base.Authorize((operation_of(exchange, exchange.number, reading, terms.masking),)))

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _held(self, event: base.Held, effects: list[Effect]) -> None:
        if self._passage is not None:
            self._passage.held(event)
        elif self._exchange is not None:
            self._exchange.approval, self._exchange.link = event.approval, event.link

    def _decided(self, event: base.Decided, effects: list[Effect]) -> None:
        decision: Decision = event.decisions[0]
        exchange = self._exchange
        if self._passage is not None:
            self._passage.decided(decision, effects)
            self._look_at(self._passage, effects)
        elif exchange is None or exchange.stage is not Stage.DECISION:
            return
        elif type(decision) is Permit:
            exchange.permit = decision
            self._carry_out(exchange, effects)
        else:
            assert isinstance(decision, Denial)
            self._refuse(exchange, decision, effects)

    def _carry_out(self, exchange: Exchange, effects: list[Effect]) -> None:
        """What was permitted goes to the target, unless the gateway answers it itself."""
        if exchange.reading is not None and exchange.reading.reply is not None:
            self._answer_instead(exchange.reading.reply, effects)
            return
        exchange.stage = Stage.TARGET
        if exchange.route.opens_tunnel:
            assert self._terms is not None
            effects.append(connect_effect(exchange.route, self._terms.settings))
        else:
            effects.append(base.RevealCredential())

    def _refuse(self, exchange: Exchange, denial: Denial, effects: list[Effect]) -> None:
        terms, request, reading = self._terms, exchange.request, exchange.reading
        pending = denial.reason is DenialReason.NEEDS_APPROVAL and bool(exchange.approval)
        link = exchange.link if pending else ""
        reply: Reply | None = None
        if terms is not None and request is not None and reading is not None:
            dialect = terms.dialect
            if isinstance(dialect, AmendingDialect):
                amended = dialect.amend(request, reading, denial, terms.masking)
                if amended is not None:
                    self._ask(exchange, amended, terms, effects)
                    return
            reply = dialect.refuse(request, reading, denial, link, exchange.approval)
        exchange.number = 0  # a refused operation has no outcome
        self._answer_instead(reply or problems.denied(denial, exchange.approval, link), effects)

    # ------------------------------------------------------------ the target's side

    def _credential_revealed(self, event: base.CredentialRevealed, effects: list[Effect]) -> None:
        exchange, terms = self._exchange, self._terms
        if exchange is None or terms is None or exchange.stage is not Stage.TARGET:
            return
        self._target.show(event)
        if self._target.open:
            self._send_request(exchange, effects)
        else:
            effects.append(connect_effect(exchange.route, terms.settings))

    def _target_connected(self, event: base.TargetConnected, effects: list[Effect]) -> None:
        self._target.begin_anew()
        blind = self._exchange is not None and self._exchange.route.opens_tunnel
        if event.tls_mode == "disable" or blind:
            self._target_is_open(effects)
        else:
            effects.append(base.StartTls(Side.TARGET))

    def _target_is_open(self, effects: list[Effect]) -> None:
        self._target.open = True
        effects.append(base.BeReady())
        exchange = self._exchange
        if exchange is None or exchange.stage is not Stage.TARGET:
            return
        if exchange.route.opens_tunnel:
            self._begin_tunnel(exchange, effects)
        else:
            self._send_request(exchange, effects)

    def _send_request(self, exchange: Exchange, effects: list[Effect]) -> None:
        terms, target = self._terms, self._target
        assert terms is not None
        try:
            head, body = request_to_target(exchange, terms.settings, target.credential)
        except ValueError:
            self._answer_instead(problems.reply(502, "the request to the target cannot be written"), effects)
            return
        exchange.stage = Stage.ANSWER
        target.answers.begin(exchange.head.method, exchange.upgrade is not None)
        if exchange.streams:
            effects.append(base.Send(Side.TARGET, head))
            self._begin_stream(exchange, effects)
        else:
            effects.append(base.Send(Side.TARGET, head + body))
            exchange.request_complete = True
        effects.append(base.SetTimer(terms.settings.http.answer_timeout_s))

    def _begin_stream(self, exchange: Exchange, effects: list[Effect]) -> None:
        if exchange.head.expects_continue and not exchange.held_bytes:
            self._client.write_continue()
        held = exchange.release()
        if held:
            self._stream_request(exchange, held, effects)
        self._go_on(effects)

    def _stream_request(self, exchange: Exchange, data: bytes, effects: list[Effect]) -> None:
        assert self._terms is not None
        chunked = exchange.head.body is BodyKind.CHUNKED
        effects.append(base.SetTimer(self._terms.settings.http.answer_timeout_s))
        effects.append(base.RecordRequest(exchange.number, data))
        effects.append(base.Send(Side.TARGET, chunk(data) if chunked else data))

    def _from_target(self, data: bytes, effects: list[Effect]) -> None:
        exchange, terms = self._exchange, self._terms
        if exchange is None or terms is None or exchange.stage is not Stage.ANSWER:
            self._target.lose(effects)  # nobody asked it for anything
            return
        self._target.answers.feed(data)
        while self._exchange is exchange and not self._closed:
            message = self._target.answers.next()
            if type(message) is BadMessage:
                self._bad_answer(exchange, message.reason, effects)
            elif type(message) is ResponseHead and message.status == 101:
                self._switch(exchange, message, terms, effects)
            else:
                self._pass_answer(exchange, message, effects)
            if message is None:
                effects.append(base.SetTimer(terms.settings.http.answer_timeout_s))
                break

    def _pass_answer(
        self,
        exchange: Exchange,
        event: ResponseHead | BodyData | BodyEnd | BadMessage | base.ToolsReviewed | None,
        effects: list[Effect],
    ) -> None:
        """Let a part of the answer go on, or end what must not."""
        terms = self._terms
        assert terms is not None
        try:
            if isinstance(event, base.ToolsReviewed):
                is_over = self._relay.reviewed(exchange, event.shown, effects)
            else:
                assert not isinstance(event, BadMessage)
                is_over = self._relay.take(exchange, event, terms, effects)
        except BudgetSpent:
            assert exchange.allowance is not None
            reply = problems.denied(exchange.allowance.refusal(), "", "")
            self._withhold(exchange, reply, "a budget is spent", effects)
        except BodyRefused as refused:
            detail = f"the answer may hold what is masked, and cannot be looked into: {refused}"
            reply = problems.reply(403, detail, "Ask for another format of it.")
            self._withhold(exchange, reply, detail, effects)
        except ValueError:
            self._bad_answer(exchange, "its head cannot be written", effects)
        else:
            if is_over and exchange.answer is not None:
                self._finished(exchange, exchange.answer, effects)

    def _tools_reviewed(self, event: base.ToolsReviewed, effects: list[Effect]) -> None:
        exchange = self._exchange
        if exchange is not None and exchange.stage is Stage.ANSWER:
            self._pass_answer(exchange, event, effects)

    def _finished(self, exchange: Exchange, answer: Answer, effects: list[Effect]) -> None:
        """The whole answer is with the client."""
        status = OutcomeStatus.COMPLETED if answer.status < 400 else OutcomeStatus.FAILED
        self._report(exchange, status, effects)
        if not exchange.target_stays or not exchange.request_complete or self._target.answers.buffered:
            self._target.lose(effects)
        self._target.used = True
        self._end_exchange(exchange.stays and not answer.ends_with_connection, effects)

    def _report(
        self, exchange: Exchange, status: OutcomeStatus, effects: list[Effect], reply: Reply | None = None
    ) -> None:
        """Say what came of an operation that was permitted, once."""
        if exchange.number:
            self._settled = exchange.number
            exchange.count_tokens()
            effects.append(base.Report(exchange.outcome(status, reply)))
            exchange.number = 0

    def _end_exchange(self, stays: bool, effects: list[Effect]) -> None:
        self._exchange = None
        if not stays:
            self._close("the client's last request is answered", effects, answered=True)
            return
        limits, begun = self._limits, self._client.requests.buffered
        effects.append(base.SetTimer(limits.head_timeout_s if begun else limits.idle_timeout_s))
        self._go_on(effects)

    # ------------------------------------------------------------ what goes wrong

    def _login_failed(self, event: base.LoginFailed, effects: list[Effect]) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.stage is Stage.ADMISSION:
            self._session_id = ""
            self._target.begin_anew()
        else:
            self._target.lose(effects)
        by_proxy = exchange.route.by_proxy and self._inside is None
        where = challenge_to(exchange.head, exchange.route, self._limits, tls=self._client.tls)
        self._answer_instead(problems.login_failed(event, by_proxy=by_proxy, challenge=where), effects)

    def _bad_answer(self, exchange: Exchange, reason: str, effects: list[Effect]) -> None:
        self._target.lose(effects)
        if exchange.head_sent:
            self._cut(exchange, reason, effects)
            return
        exchange.answer = None
        hint = "" if exchange.head.method in _SAFE else _UNCERTAIN
        reply = problems.reply(502, f"the target's answer cannot be passed on: {reason}", hint)
        self._answer_instead(reply, effects, OutcomeStatus.INTERRUPTED)

    def _withhold(self, exchange: Exchange, reply: Reply, reason: str, effects: list[Effect]) -> None:
        """The target has answered, but the client may not have it, or no more of it."""
        self._target.lose(effects)
        if exchange.head_sent:
            self._cut(exchange, reason, effects)
        else:
            self._answer_instead(reply, effects)

    def _cut(self, exchange: Exchange, reason: str, effects: list[Effect]) -> None:
        """The client has a part of the answer and gets no more: the connection ends so that it can tell."""
        self._report(exchange, OutcomeStatus.INTERRUPTED, effects)
        self._exchange = None
        self._close(reason, effects)

    def _answer_instead(
        self, reply: Reply, effects: list[Effect], status: OutcomeStatus = OutcomeStatus.COMPLETED
    ) -> None:
        """Answer the exchange with what the gateway says itself."""
        exchange = self._exchange
        assert exchange is not None
        stays = exchange.stays and not self._sent_ahead(exchange.head)
        sent = self._client.write_reply(reply, exchange.head, stays)
        if exchange.number:
            effects.append(base.RecordAnswer(exchange.number, sent))
        failed = status is OutcomeStatus.COMPLETED and reply.status >= 400
        self._report(exchange, OutcomeStatus.FAILED if failed else status, effects, reply)
        self._end_exchange(stays, effects)

    def _reject(self, reply: Reply, effects: list[Effect]) -> None:
        """Answer what is no request, and read nothing more."""
        exchange, self._exchange = self._exchange, None
        if exchange is None or not exchange.head_sent:
            self._client.write_reply(reply, None, False)
        if exchange is not None:
            self._report(exchange, OutcomeStatus.INTERRUPTED, effects)
        self._close("what came is no request", effects, answered=True)

    def _eof(self, event: base.EofReceived, effects: list[Effect]) -> None:
        if self._passage is not None:
            self._passage.side_left(event.side, effects)
            self._look_at(self._passage, effects)
        elif event.side is Side.CLIENT:
            self._abandon(effects)
            self._close("the client has left", effects)
        else:
            self._target_left(effects)

    def _abandon(self, effects: list[Effect]) -> None:
        """Nobody waits for the answer any more. What was not decided yet has no outcome."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None and exchange.stage is not Stage.DECISION:
            self._report(exchange, OutcomeStatus.INTERRUPTED, effects)

    def _target_left(self, effects: list[Effect]) -> None:
        exchange, terms, target = self._exchange, self._terms, self._target
        used, answers, idle = target.used, target.answers, target.open
        target.lose(effects)
        if exchange is None or terms is None or exchange.stage in (Stage.DECISION, Stage.BODY, Stage.ADMISSION):
            return
        if exchange.stage is Stage.TARGET and idle:
            return  # another stream is opened when the credential is there
        if exchange.stage is not Stage.ANSWER:
            self._answer_instead(problems.reply(502, "the target ended the connection"), effects)
            return
        end = answers.eof()
        if type(end) is BodyEnd:
            self._pass_answer(exchange, end, effects)
        elif used and exchange.answer is None and exchange.head.method in _SAFE and not exchange.again:
            exchange.again = True
            exchange.stage = Stage.TARGET
            effects.append(connect_effect(exchange.route, terms.settings))
        else:
            reason = end.reason if isinstance(end, BadMessage) else "the target ended the connection"
            self._bad_answer(exchange, reason, effects)

    def _time_passed(self, _: base.TimePassed, effects: list[Effect]) -> None:
        exchange = self._exchange
        if exchange is None and not self._client.requests.buffered:
            self._close("idle for too long", effects)
        elif exchange is None or exchange.stage is Stage.BODY:
            self._reject(_NOT_IN_TIME, effects)
        elif exchange.head_sent:
            self._target.lose(effects)
            self._cut(exchange, "the target stopped in the middle of its answer", effects)
        else:
            self._target.lose(effects)
            hint = "" if exchange.head.method in _SAFE else _UNCERTAIN
            reply = problems.reply(504, "the target did not answer in time", hint)
            self._answer_instead(reply, effects, OutcomeStatus.INTERRUPTED)

    def _masking_changed(self, event: base.MaskingChanged, effects: list[Effect]) -> None:
        if self._terms is not None:
            self._terms.masking = event.masking
        if self._passage is not None:
            self._passage.mask_as(event.masking)

    def _killed(self, event: base.Killed, effects: list[Effect]) -> None:
        if self._passage is not None:
            self._passage.stop(event.reason, effects)
        exchange = self._exchange
        if exchange is None and self._client.requests.buffered:
            too_slow = event.code == base.TOO_SLOW
            self._client.write_reply(_NOT_IN_TIME if too_slow else _reply_to_killed(event), None, False)
        elif exchange is not None and not exchange.head_sent:
            self._client.write_reply(_reply_to_killed(event), exchange.head, False)
        self._abandon(effects)
        self._close(event.reason, effects)

    def _close(self, reason: str, effects: list[Effect], *, answered: bool = False) -> None:
        """End it all; when the client was ``answered`` it is given the time to read that."""
        self._client.flush(effects)
        self._closed = True
        effects.append(base.Close(reason, answered))

    # ------------------------------------------------------------ what else a connection becomes

    def _open_tunnel(self, exchange: Exchange, terms: Terms, effects: list[Effect]) -> None:
        self._client.requests.next()  # the end of a message without a body
        if terms.settings.http.tunnel:
            exchange.number = self._next_number()
            exchange.stage = Stage.DECISION
            operation = Operation(exchange.number, tunnel_meaning(exchange.route.authority), exchange.head.target)
            effects.append(base.Authorize((operation,)))
        else:
            self._inside = Inside(exchange.route, exchange.token, exchange.by_certificate)
            self._exchange = None
            effects.append(base.SetTimer(self._limits.head_timeout_s))
            self._client.write(response_head(200, b"", ()))
            self._pass_on(b"", effects)

    def _begin_tunnel(self, exchange: Exchange, effects: list[Effect]) -> None:
        self._passage = BlindTunnel(exchange.number, exchange.allowance)
        self._exchange = None
        self._client.write(response_head(200, b"", ()))
        self._pass_on(b"", effects)

    def _switch(self, exchange: Exchange, head: ResponseHead, terms: Terms, effects: list[Effect]) -> None:
        """The target has switched to WebSocket: so does the client, now."""
        entropy = self._entropy[_KEY_BYTES:]
        opened = open_conversation(
            exchange, head, terms.settings, terms.dialect, terms.masking, self._next_number, entropy
        )
        if isinstance(opened, str):
            self._bad_answer(exchange, f"it switched protocols, but {opened}", effects)
            return
        self._passage, answer = opened
        effects.append(base.RecordAnswer(exchange.number, answer))
        effects.append(base.SetTimer(0))
        self._exchange = None
        self._client.write(answer)
        self._pass_on(self._target.answers.take_rest(), effects)

    def _pass_on(self, from_target: bytes, effects: list[Effect]) -> None:
        """Hand over what both sides have sent ahead, behind the head that tells the client."""
        from_client = self._client.begin_anew()
        self._client.flush(effects)
        for side, data in ((Side.TARGET, from_target), (Side.CLIENT, from_client)):
            if data and not self._closed:
                self._data(side, data, effects)

    def _look_at(self, passage: Passage, effects: list[Effect]) -> None:
        if passage.ended:
            self._close(passage.ended, effects)


def _reply_to_killed(event: base.Killed) -> Reply:
    """What a request is answered with when its session is ended."""
    may_come_back = event.reason == base.SHUTTING_DOWN or event.code.startswith(("53", "58", base.TOO_SLOW))
    return problems.reply(503 if may_come_back else 403, event.reason)


def _ignore(session: HttpSession, event: Event, effects: list[Effect]) -> None:
    """Nothing to do."""


_HANDLERS: Final[dict[type, Callable[[HttpSession, Any, list[Effect]], None]]] = {
    base.Connected: HttpSession._connected,
    base.TlsEstablished: HttpSession._tls_established,
    base.TlsRefused: HttpSession._tls_refused,
    base.Authenticated: HttpSession._authenticated,
    base.LoginFailed: HttpSession._login_failed,
    base.TargetConnected: HttpSession._target_connected,
    base.CredentialRevealed: HttpSession._credential_revealed,
    base.TimePassed: HttpSession._time_passed,
    base.Decided: HttpSession._decided,
    base.Held: HttpSession._held,
    base.MaskingChanged: HttpSession._masking_changed,
    base.ToolsReviewed: HttpSession._tools_reviewed,
    base.EofReceived: HttpSession._eof,
    base.Killed: HttpSession._killed,
    base.RehearsalEnded: _ignore,
}
