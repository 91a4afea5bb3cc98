"""One HTTP client's connection: requests in, answers out, one exchange after the other.

The session parses what comes, finds out where each request is to go and who asks, has it decided, and only then lets a
new request, made from the parsed one, go to the target. It never passes client bytes on, and it never lets a second
request begin before the first is over: what is pipelined waits, in a bounded buffer.

The module is plain typed Python that mypyc compiles where a C compiler is at hand.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from interlock.core.decision import Decision, Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.masking import Masking
from interlock.core.operation import Operation, Outcome, OutcomeStatus
from interlock.core.settings import ConnectionSettings, PlainHttp
from interlock.core.settings.http import HttpApi
from interlock.protocols import base
from interlock.protocols.base import Activity, Effect, Event, Side
from interlock.protocols.http import problems
from interlock.protocols.http.answering import Answer, needs_inspection
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.dialects.base import Dialect, Reply, Request
from interlock.protocols.http.exchange import Exchange, Stage
from interlock.protocols.http.forwarding import build_head, described, forwarded_headers, target_host
from interlock.protocols.http.limits import HttpLimits
from interlock.protocols.http.presented import presented_to_gateway, presented_to_proxy, said_of_run
from interlock.protocols.http.routing import Misrouted, Mode, Route, route_forward, route_inside, route_reverse
from interlock.protocols.http.wire.messages import (
    BadMessage,
    BodyData,
    BodyEnd,
    BodyKind,
    Headers,
    RequestHead,
    ResponseHead,
)
from interlock.protocols.http.wire.requests import RequestParser
from interlock.protocols.http.wire.responses import ResponseParser
from interlock.protocols.http.wire.writing import chunk, last_chunk, response_head

_TLS_HANDSHAKE: Final = b"\x16"
_WAITING_BYTES: Final = 256 << 10
"""So much of what the client sends ahead is kept before it is read no more."""
_SAFE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_UNCERTAIN: Final = "the gateway does not know whether the target carried it out"


class HttpSession:
    """Implements ``ProtocolSession``. ``dialect_of`` gives the dialect of a connection by its name and settings."""

    def __init__(
        self, mode: Mode, limits: HttpLimits, dialect_of: Callable[[str, ConnectionSettings], Dialect]
    ) -> None:
        self._mode = mode
        self._limits = limits
        self._dialect_of = dialect_of
        self._requests = RequestParser(limits.max_head_bytes)
        self._answers = ResponseParser(limits.max_head_bytes)
        self._exchange: Exchange | None = None
        self._closed = False
        self._paused = False
        self._local = False
        self._tls = False
        self._greeted = False
        self._session_id = ""
        self._connection = ""
        self._settings: ConnectionSettings | None = None
        self._dialect: Dialect | None = None
        self._masking: Masking | None = None
        self._number = 0
        self._settled = 0
        self._target_open = False
        self._target_used = False
        self._credential: base.CredentialRevealed | None = None
        self._credential_stale = False
        self._tunnel: Route | None = None
        """The CONNECT that this connection is inside of."""
        self._token = ""
        """What was shown with it."""
        self._out: list[bytes] = []

    def activity(self) -> Activity:
        """What it is at now."""
        exchange = self._exchange
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
            if event.side is Side.TARGET:
                self._from_target(event.data, effects)
            else:
                self._from_client(event.data, effects)
        else:
            _HANDLERS[type(event)](self, event, effects)
        self._flush(effects)
        return effects

    # ------------------------------------------------------------ the client's side

    def _connected(self, event: base.Connected, effects: list[Effect]) -> None:
        self._local = event.local
        effects.append(base.SetTimer(self._limits.head_timeout_s))

    def _from_client(self, data: bytes, effects: list[Effect]) -> None:
        if not self._greeted:
            self._greeted = True
            if data[:1] == _TLS_HANDSHAKE:
                self._begin_tls(data, effects)
                return
            if not self._may_be_plain():
                self._reject(problems.reply(400, "this listener takes TLS only", "Use https."), effects)
                return
        if self._exchange is None and not self._requests.buffered:
            effects.append(base.SetTimer(self._limits.head_timeout_s))
        self._requests.feed(data)
        self._go_on(effects)

    def _begin_tls(self, data: bytes, effects: list[Effect]) -> None:
        if self._tunnel is not None:
            effects.append(base.StartTls(Side.CLIENT, data, self._tunnel.authority.host))
        elif self._tls:
            self._close("a second TLS handshake", effects)
        else:
            effects.append(base.StartTls(Side.CLIENT, data))

    def _may_be_plain(self) -> bool:
        if self._tls:
            return True
        if self._tunnel is not None:
            return self._settings is not None and self._settings.port == 80
        plain = self._limits.plain
        return plain is PlainHttp.ALLOW or (plain is PlainHttp.LOOPBACK and self._local)

    def _tls_established(self, event: base.TlsEstablished, effects: list[Effect]) -> None:
        if event.side is Side.CLIENT:
            self._tls = True
            return
        self._target_is_open(effects)

    def _tls_refused(self, event: base.TlsRefused, effects: list[Effect]) -> None:
        if event.side is Side.CLIENT:
            self._close(f"TLS with the client failed: {event.reason}", effects)
            return
        self._lose_target(effects)
        detail = f"TLS with the target failed: {event.reason}"
        self._answer_instead(problems.reply(502, detail, "Tell the gateway's operator."), effects)

    def _go_on(self, effects: list[Effect]) -> None:
        """Read what the client has sent, as far as it can be used now."""
        while not self._closed:
            exchange = self._exchange
            if exchange is not None and not self._takes_body(exchange):
                break
            message = self._requests.next()
            if message is None:
                break
            if type(message) is RequestHead:
                self._begin(message, effects)
            elif type(message) is BadMessage:
                self._bad_request(message, effects)
            elif exchange is not None and type(message) is BodyData:
                self._request_data(exchange, message.data, effects)
            elif exchange is not None and type(message) is BodyEnd:
                self._request_end(exchange, effects)
        self._throttle(effects)

    def _takes_body(self, exchange: Exchange) -> bool:
        if exchange.request_complete:
            return False
        return exchange.stage is Stage.BODY or (exchange.stage is Stage.ANSWER and exchange.streams)

    def _throttle(self, effects: list[Effect]) -> None:
        """Let the client wait when it sends ahead of what can be used."""
        paused = self._requests.buffered > _WAITING_BYTES
        if paused is not self._paused and not self._closed:
            self._paused = paused
            effects.append(base.Pause(Side.CLIENT) if paused else base.Resume(Side.CLIENT))

    def _bad_request(self, bad: BadMessage, effects: list[Effect]) -> None:
        self._reject(problems.reply(bad.status, bad.reason, "Nothing of it was forwarded."), effects)

    # ------------------------------------------------------------ who asks, and for what

    def _begin(self, head: RequestHead, effects: list[Effect]) -> None:
        route = self._route(head)
        if isinstance(route, Misrouted):
            self._turn_away(head, problems.misrouted(route), effects)
            return
        by_proxy = route.by_proxy and self._tunnel is None
        presented = presented_to_proxy(head.headers) if by_proxy else presented_to_gateway(head.headers)
        if isinstance(presented, str):
            self._turn_away(head, problems.reply(400, presented), effects)
            return
        token = self._token if self._tunnel is not None else presented.token
        if not token:
            detail = "the request shows no token"
            self._turn_away(head, problems.needs_token(detail, by_proxy=by_proxy), effects)
            return
        self._exchange = Exchange(head, route, presented.own_authorization or self._tunnel is not None)
        if route.opens_tunnel:
            self._token = token
        said = said_of_run(head.headers)
        effects.append(
            base.Authenticate(route.connection, token, application=said, host=route.host, by_proxy=route.by_proxy)
        )
        effects.append(base.SetTimer(0))

    def _route(self, head: RequestHead) -> Route | Misrouted:
        if self._tunnel is not None:
            return route_inside(head, self._tunnel, tls=self._tls)
        return route_reverse(head) if self._mode is Mode.REVERSE else route_forward(head)

    def _turn_away(self, head: RequestHead, reply: Reply, effects: list[Effect]) -> None:
        """Answer a request that has no session."""
        keep = head.keep_alive and head.body is BodyKind.NONE and reply.status not in (400, 405, 421)
        self._write_reply(reply, head, keep, effects)
        if keep:
            self._requests.next()  # the end of a message without a body
        else:
            self._close("a request was turned away", effects)

    def _authenticated(self, event: base.Authenticated, effects: list[Effect]) -> None:
        exchange = self._exchange
        assert exchange is not None
        assert event.settings is not None
        if event.session_id != self._session_id:
            self._enter(event, effects)
        self._masking = event.masking
        if exchange.route.opens_tunnel:
            self._open_tunnel(exchange, effects)
            return
        if self._dialect is None or event.settings.http.tunnel:
            self._answer_instead(problems.reply(503, "the settings of this connection cannot be used"), effects)
            return
        self._receive(exchange, event.settings, self._dialect, effects)
        self._go_on(effects)

    def _enter(self, event: base.Authenticated, effects: list[Effect]) -> None:
        """Another session than that of the last request: of it nothing is left."""
        assert event.settings is not None
        self._session_id, self._connection, self._settings = event.session_id, event.connection, event.settings
        self._number = self._settled = 0
        self._target_open = self._target_used = False
        self._answers = ResponseParser(self._limits.max_head_bytes)
        self._credential_stale = False
        effects.append(base.BeReady())
        try:
            self._dialect = self._dialect_of(event.connection, event.settings)
        except ValueError:
            self._dialect = None

    def _receive(
        self, exchange: Exchange, settings: ConnectionSettings, dialect: Dialect, effects: list[Effect]
    ) -> None:
        """Make the request that would go on, and see whether its body has to be read first."""
        head, http = exchange.head, settings.http
        inspected = needs_inspection(self._masking) or http.api is not HttpApi.HTTP
        own = exchange.own_authorization and http.credential_as == "none"
        exchange.headers = forwarded_headers(head, own_authorization=own, inspected=inspected)
        has_body = head.body is not BodyKind.NONE
        target, authority = exchange.route.target, exchange.route.authority if exchange.route.by_proxy else None
        exchange.host = target_host(settings, authority)
        exchange.request = Request(
            exchange.method,
            target.path,
            target.query,
            target.query_keys,
            exchange.headers,
            exchange.host,
            _media_type(exchange.headers),
            None,
            has_body,
        )
        if not has_body:
            self._requests.next()
            self._authorize(exchange, effects)
        elif head.length > http.max_held_bytes:
            exchange.streams = True
            self._authorize(exchange, effects)
        else:
            exchange.stage = Stage.BODY
            effects.append(base.SetTimer(self._limits.body_timeout_s))
            if head.expects_continue:
                self._out.append(_CONTINUE)

    def _request_data(self, exchange: Exchange, data: bytes, effects: list[Effect]) -> None:
        if exchange.stage is Stage.ANSWER:
            self._stream_request(exchange, data, effects)
            return
        exchange.parts.append(data)
        exchange.held_bytes += len(data)
        assert self._settings is not None
        if exchange.held_bytes > self._settings.http.max_held_bytes:
            exchange.streams = True
            self._authorize(exchange, effects)

    def _request_end(self, exchange: Exchange, effects: list[Effect]) -> None:
        exchange.request_complete = True
        if exchange.stage is Stage.BODY:
            self._authorize(exchange, effects)
        elif exchange.head.body is BodyKind.CHUNKED:
            effects.append(base.Send(Side.TARGET, last_chunk()))

    # ------------------------------------------------------------ the decision

    def _authorize(self, exchange: Exchange, effects: list[Effect]) -> None:
        request, dialect = exchange.request, self._dialect
        assert request is not None
        assert dialect is not None
        effects.append(base.SetTimer(0))
        body = b"" if exchange.streams else exchange.body()
        if request.has_body and not exchange.streams:
            request = exchange.request = msgspec.structs.replace(request, body=body)
        reading = exchange.reading = dialect.read(request, self._masking)
        changed = reading.body
        self._number += 1
        exchange.number = self._number
        operation = Operation(
            exchange.number,
            reading.meaning,
            described(exchange.method, exchange.route.target, exchange.host, exchange.headers),
            body if reading.bound is None else reading.bound,
            forwarded=changed if changed is not None else b"",
            masking=self._masking.version if self._masking is not None else "",
            uncertain=exchange.streams,
        )
        exchange.stage = Stage.DECISION
        effects.append(base.Authorize((operation,)))

    def _held(self, event: base.Held, effects: list[Effect]) -> None:
        if self._exchange is not None:
            self._exchange.approval, self._exchange.link = event.approval, event.link

    def _decided(self, event: base.Decided, effects: list[Effect]) -> None:
        exchange = self._exchange
        if exchange is None or exchange.stage is not Stage.DECISION:
            return
        decision: Decision = event.decisions[0]
        if type(decision) is not Permit:
            assert isinstance(decision, Denial)
            self._refuse(exchange, decision, effects)
            return
        exchange.permit = decision
        reading = exchange.reading
        if reading is not None and reading.reply is not None:
            self._answer_instead(reading.reply, effects)
            return
        exchange.stage = Stage.TARGET
        stale, self._credential_stale = self._credential_stale, False
        effects.append(base.RevealCredential(stale))

    def _refuse(self, exchange: Exchange, denial: Denial, effects: list[Effect]) -> None:
        pending = denial.reason is DenialReason.NEEDS_APPROVAL and bool(exchange.approval)
        link = exchange.link if pending else ""
        reply: Reply | None = None
        if self._dialect is not None and exchange.request is not None and exchange.reading is not None:
            reply = self._dialect.refuse(exchange.request, exchange.reading, denial, link)
        exchange.number = 0  # a refused operation has no outcome
        self._answer_instead(reply or problems.denied(denial, exchange.approval, link), effects)

    # ------------------------------------------------------------ the target's side

    def _credential_revealed(self, event: base.CredentialRevealed, effects: list[Effect]) -> None:
        exchange = self._exchange
        if exchange is None or exchange.stage is not Stage.TARGET:
            return
        self._credential = event
        if self._target_open:
            self._send_request(exchange, effects)
        else:
            effects.append(self._connect(exchange))

    def _connect(self, exchange: Exchange) -> base.ConnectTarget:
        authority, settings = exchange.route.authority, self._settings
        assert settings is not None
        if not exchange.route.by_proxy or authority.host == settings.host.lower():
            return base.ConnectTarget()
        return base.ConnectTarget(authority.host, authority.port or settings.port)

    def _target_connected(self, event: base.TargetConnected, effects: list[Effect]) -> None:
        self._answers = ResponseParser(self._limits.max_head_bytes)
        self._target_used = False
        if event.tls_mode == "disable" or self._is_tunnel():
            self._target_is_open(effects)
        else:
            effects.append(base.StartTls(Side.TARGET))

    def _is_tunnel(self) -> bool:
        return self._exchange is not None and self._exchange.route.opens_tunnel

    def _target_is_open(self, effects: list[Effect]) -> None:
        self._target_open = True
        effects.append(base.BeReady())
        exchange = self._exchange
        if exchange is None or exchange.stage is not Stage.TARGET:
            return
        if exchange.route.opens_tunnel:
            self._tunnel_is_open(exchange, effects)
        else:
            self._send_request(exchange, effects)

    def _send_request(self, exchange: Exchange, effects: list[Effect]) -> None:
        settings, credential, reading = self._settings, self._credential, exchange.reading
        assert settings is not None
        assert credential is not None
        assert reading is not None
        body = exchange.body() if reading.body is None else reading.body
        length = None if exchange.streams else len(body)
        try:
            head = build_head(
                exchange.head,
                exchange.route.target,
                settings.http.base_path,
                exchange.host,
                exchange.headers,
                credential,
                length,
            )
        except ValueError:
            self._answer_instead(problems.reply(502, "the request to the target cannot be written"), effects)
            return
        exchange.stage = Stage.ANSWER
        self._answers.begin(exchange.head.method)
        if not exchange.streams:
            effects.append(base.Send(Side.TARGET, head + body))
            exchange.request_complete = True
        else:
            effects.append(base.Send(Side.TARGET, head))
            self._begin_stream(exchange, effects)
        effects.append(base.SetTimer(settings.http.answer_timeout_s))

    def _begin_stream(self, exchange: Exchange, effects: list[Effect]) -> None:
        if exchange.head.expects_continue and not exchange.held_bytes:
            self._out.append(_CONTINUE)
        held = exchange.body()
        exchange.parts.clear()
        if held:
            self._stream_request(exchange, held, effects)
        self._go_on(effects)

    def _stream_request(self, exchange: Exchange, data: bytes, effects: list[Effect]) -> None:
        chunked = exchange.head.body is BodyKind.CHUNKED
        effects.append(base.RecordRequest(exchange.number, data))
        effects.append(base.Send(Side.TARGET, chunk(data) if chunked else data))

    def _from_target(self, data: bytes, effects: list[Effect]) -> None:
        exchange = self._exchange
        if exchange is None or exchange.stage is not Stage.ANSWER:
            self._lose_target(effects)  # nobody asked it for anything
            return
        assert self._settings is not None
        effects.append(base.SetTimer(self._settings.http.answer_timeout_s))
        self._answers.feed(data)
        self._take_answer(exchange, effects)

    def _take_answer(self, exchange: Exchange, effects: list[Effect]) -> None:
        while self._exchange is exchange and not self._closed:
            message = self._answers.next()
            if message is None:
                break
            if type(message) is BadMessage:
                self._bad_answer(exchange, message.reason, effects)
            else:
                self._take_part(exchange, message, effects)

    def _take_part(
        self, exchange: Exchange, message: ResponseHead | BodyData | BodyEnd | BadMessage, effects: list[Effect]
    ) -> None:
        try:
            if type(message) is ResponseHead:
                self._answer_head(exchange, message, effects)
            elif type(message) is BodyData:
                assert exchange.answer is not None
                self._show(exchange, exchange.answer.feed(message.data), effects)
            elif type(message) is BodyEnd:
                self._answer_end(exchange, message, effects)
        except BodyRefused as refused:
            self._withhold(exchange, f"the answer is masked for you, and cannot be looked into: {refused}", effects)
        except ValueError:
            self._bad_answer(exchange, "its head cannot be written", effects)

    def _answer_head(self, exchange: Exchange, head: ResponseHead, effects: list[Effect]) -> None:
        if head.status < 200:
            return
        settings, dialect, request, reading = self._settings, self._dialect, exchange.request, exchange.reading
        assert settings is not None
        assert dialect is not None
        assert request is not None
        assert reading is not None
        http = settings.http
        looked = dialect.answer(request, reading, head, self._masking)
        masking = masking_of_answer(self._masking, reading.fields)
        self._credential_stale = head.status == 401
        exchange.answer = answer = Answer(
            head,
            looked,
            masking,
            http.uninspectable,
            exchange.head,
            http.credential_as == "none",
        )
        exchange.target_stays = head.keep_alive
        exchange.head_bytes = answer.head(exchange.route.prefix, self._origins(exchange), self._stays(exchange))
        if not answer.is_changed or answer.streams:
            self._show(exchange, b"", effects, whole_head=True)

    def _stays(self, exchange: Exchange) -> bool:
        return exchange.head.keep_alive and exchange.request_complete

    def _origins(self, exchange: Exchange) -> tuple[bytes, ...]:
        settings = self._settings
        assert settings is not None
        scheme = b"http" if settings.tls.value == "disable" else b"https"
        base_path = settings.http.base_path.encode()
        names = {exchange.host.encode(), f"{settings.host}:{settings.port}".encode()}
        return tuple(scheme + b"://" + name + base_path for name in sorted(names))

    def _show(self, exchange: Exchange, data: bytes, effects: list[Effect], *, whole_head: bool = False) -> None:
        """Record a part of the answer, and send it."""
        answer = exchange.answer
        assert answer is not None
        if not data and not (whole_head and not exchange.head_sent):
            return
        recorded = data
        sent = answer.framed(data)
        if not exchange.head_sent:
            exchange.head_sent = True
            recorded, sent = exchange.head_bytes + data, exchange.head_bytes + sent
        if not self._may_pass(exchange, len(sent)):
            self._cut(exchange, "a budget is spent", effects)
            return
        effects.append(base.RecordAnswer(exchange.number, recorded))
        self._out.append(sent)

    def _may_pass(self, exchange: Exchange, size: int) -> bool:
        allowance = exchange.permit.allowance if exchange.permit is not None else None
        if allowance is None:
            return True
        allowance.begin()
        return allowance.take(0, size)

    def _answer_end(self, exchange: Exchange, end: BodyEnd, effects: list[Effect]) -> None:
        answer = exchange.answer
        assert answer is not None
        self._show(exchange, answer.finish(), effects, whole_head=True)
        if self._exchange is not exchange:
            return
        tools = answer.filter.listed if answer.filter is not None else ()
        if tools:
            exchange.trailers = end
            effects.append(base.ReviewTools(tools))
            return
        self._out.append(answer.end(end.trailers))
        self._finished(exchange, answer, effects)

    def _tools_reviewed(self, event: base.ToolsReviewed, effects: list[Effect]) -> None:
        exchange = self._exchange
        if exchange is None or exchange.answer is None or exchange.answer.filter is None:
            return
        try:
            shown = exchange.answer.show(exchange.answer.filter.reviewed(event.shown))
            self._show(exchange, shown, effects)
            if exchange.trailers is not None and self._exchange is exchange:
                end, exchange.trailers = exchange.trailers, None
                self._answer_end(exchange, end, effects)
        except BodyRefused as refused:
            self._withhold(exchange, f"the answer cannot be looked into: {refused}", effects)

    def _finished(self, exchange: Exchange, answer: Answer, effects: list[Effect]) -> None:
        """The whole answer is with the client."""
        allowance = exchange.permit.allowance if exchange.permit is not None else None
        if allowance is not None and answer.usage:
            allowance.use_tokens(answer.usage)
        status = OutcomeStatus.COMPLETED if answer.status < 400 else OutcomeStatus.FAILED
        code = "" if answer.status < 400 else str(answer.status)
        self._report(exchange, answer, status, code, effects)
        stays = self._stays(exchange) and not answer.ends_with_connection
        if not exchange.target_stays or not exchange.request_complete or self._answers.buffered:
            self._lose_target(effects)
        self._target_used = True
        self._end_exchange(stays, effects)

    def _report(
        self, exchange: Exchange, answer: Answer | None, status: OutcomeStatus, code: str, effects: list[Effect]
    ) -> None:
        if not exchange.number:
            return
        self._settled = exchange.number
        if answer is None:
            effects.append(base.Report(Outcome(exchange.number, status, code=code)))
            return
        outcome = Outcome(
            exchange.number,
            status,
            str(answer.status),
            code,
            0,
            answer.body_bytes,
            answer.masked_values,
            answer.found,
            tokens=answer.usage,
        )
        effects.append(base.Report(outcome))

    def _end_exchange(self, stays: bool, effects: list[Effect]) -> None:
        self._exchange = None
        if not stays:
            self._close("the client's last request is answered", effects)
            return
        effects.append(base.SetTimer(self._limits.idle_timeout_s))
        self._go_on(effects)

    # ------------------------------------------------------------ what goes wrong

    def _login_failed(self, event: base.LoginFailed, effects: list[Effect]) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.stage is Stage.ADMISSION:
            self._session_id = ""
            self._target_open = False
            exchange.number = 0
        else:
            self._lose_target(effects)
        by_proxy = exchange.route.by_proxy and self._tunnel is None
        self._answer_instead(problems.login_failed(event, by_proxy=by_proxy), effects)

    def _bad_answer(self, exchange: Exchange, reason: str, effects: list[Effect]) -> None:
        self._lose_target(effects)
        if exchange.head_sent:
            self._cut(exchange, reason, effects)
            return
        exchange.answer = None
        detail = f"the target's answer cannot be passed on: {reason}"
        hint = "" if exchange.head.method in _SAFE else f"Look before you send it again: {_UNCERTAIN}."
        self._answer_instead(problems.reply(502, detail, hint), effects, OutcomeStatus.INTERRUPTED)

    def _withhold(self, exchange: Exchange, detail: str, effects: list[Effect]) -> None:
        """The target has answered, but the client may not have it."""
        self._lose_target(effects)
        if exchange.head_sent:
            self._cut(exchange, detail, effects)
            return
        exchange.answer = None
        self._answer_instead(problems.reply(403, detail, "Ask for another format of it."), effects)

    def _cut(self, exchange: Exchange, reason: str, effects: list[Effect]) -> None:
        """The client has a part of the answer and gets no more: the connection ends so that it can tell."""
        self._report(exchange, exchange.answer, OutcomeStatus.INTERRUPTED, "", effects)
        self._exchange = None
        self._close(reason, effects)

    def _answer_instead(
        self, reply: Reply, effects: list[Effect], status: OutcomeStatus = OutcomeStatus.COMPLETED
    ) -> None:
        """Answer the exchange with what the gateway says itself."""
        exchange = self._exchange
        assert exchange is not None
        stays = self._stays(exchange)
        self._write_reply(reply, exchange.head, stays, effects, exchange.number)
        outcome = status if reply.status < 400 or status is not OutcomeStatus.COMPLETED else OutcomeStatus.FAILED
        self._report_reply(exchange, reply, outcome, effects)
        self._end_exchange(stays, effects)

    def _report_reply(self, exchange: Exchange, reply: Reply, status: OutcomeStatus, effects: list[Effect]) -> None:
        if not exchange.number:
            return
        self._settled = exchange.number
        code = "" if reply.status < 400 else str(reply.status)
        effects.append(base.Report(Outcome(exchange.number, status, str(reply.status), code, 0, len(reply.body))))

    def _write_reply(
        self, reply: Reply, head: RequestHead | None, stays: bool, effects: list[Effect], number: int = 0
    ) -> None:
        fields: list[tuple[bytes, bytes]] = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
        if not stays:
            fields.append((b"connection", b"close"))
        text = response_head(reply.status, b"", fields)
        if head is None or head.method != b"HEAD":
            text += reply.body
        if number:
            effects.append(base.RecordAnswer(number, text))
        self._out.append(text)

    def _reject(self, reply: Reply, effects: list[Effect]) -> None:
        """Answer what is no request, and read nothing more."""
        if self._exchange is None or not self._exchange.head_sent:
            self._write_reply(reply, None, False, effects)
        exchange = self._exchange
        if exchange is not None and exchange.number:
            self._report(exchange, exchange.answer, OutcomeStatus.INTERRUPTED, "", effects)
        self._close("what came is no request", effects)

    def _lose_target(self, effects: list[Effect]) -> None:
        self._target_open = False
        effects.append(base.DisconnectTarget())

    def _eof(self, event: base.EofReceived, effects: list[Effect]) -> None:
        if event.side is Side.CLIENT:
            self._client_left(effects)
        else:
            self._target_left(effects)

    def _client_left(self, effects: list[Effect]) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None and exchange.number and exchange.stage is not Stage.DECISION:
            self._report(exchange, exchange.answer, OutcomeStatus.INTERRUPTED, "", effects)
        self._close("the client has left", effects)

    def _target_left(self, effects: list[Effect]) -> None:
        exchange = self._exchange
        used = self._target_used
        self._lose_target(effects)
        if exchange is None or exchange.stage is Stage.DECISION or exchange.stage is Stage.BODY:
            return
        if exchange.stage is not Stage.ANSWER:
            self._answer_instead(problems.reply(502, "the target ended the connection"), effects)
            return
        end = self._answers.eof()
        if type(end) is BodyEnd:
            self._take_part(exchange, end, effects)
        elif used and exchange.answer is None and exchange.head.method in _SAFE and not exchange.again:
            exchange.again = True
            exchange.stage = Stage.TARGET
            effects.append(self._connect(exchange))
        else:
            reason = end.reason if isinstance(end, BadMessage) else "the target ended the connection"
            self._bad_answer(exchange, reason, effects)

    def _time_passed(self, _: base.TimePassed, effects: list[Effect]) -> None:
        exchange = self._exchange
        if exchange is None and not self._requests.buffered:
            self._close("idle for too long", effects)
        elif exchange is None or exchange.stage is Stage.BODY:
            self._reject(problems.reply(408, "the request did not come in time"), effects)
        elif exchange.head_sent:
            self._lose_target(effects)
            self._cut(exchange, "the target stopped in the middle of its answer", effects)
        else:
            self._lose_target(effects)
            hint = "" if exchange.head.method in _SAFE else f"Look before you send it again: {_UNCERTAIN}."
            reply = problems.reply(504, "the target did not answer in time", hint)
            self._answer_instead(reply, effects, OutcomeStatus.INTERRUPTED)

    def _masking_changed(self, event: base.MaskingChanged, effects: list[Effect]) -> None:
        self._masking = event.masking

    def _killed(self, event: base.Killed, effects: list[Effect]) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None and exchange.number and exchange.stage is not Stage.DECISION:
            self._report(exchange, exchange.answer, OutcomeStatus.INTERRUPTED, "", effects)
        if exchange is not None and not exchange.head_sent:
            status = 503 if event.code.startswith("58") else 403
            self._write_reply(problems.reply(status, event.reason), exchange.head, False, effects)
        self._close(event.reason, effects)

    def _close(self, reason: str, effects: list[Effect]) -> None:
        self._flush(effects)
        self._closed = True
        effects.append(base.Close(reason))

    def _flush(self, effects: list[Effect]) -> None:
        if self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            if data:
                effects.append(base.Send(Side.CLIENT, data))

    # ------------------------------------------------------------ tunnels

    def _open_tunnel(self, exchange: Exchange, effects: list[Effect]) -> None:
        settings = self._settings
        assert settings is not None
        if settings.http.tunnel:
            self._answer_instead(problems.reply(503, "tunnels are not there yet"), effects)
            return
        if self._tls:
            detail = "the proxy does not look into TLS within TLS"
            self._answer_instead(problems.reply(501, detail, "Reach the proxy itself without TLS."), effects)
            return
        self._requests.next()
        self._tunnel = exchange.route
        self._exchange = None
        self._greeted = False
        rest = self._requests.take_rest()
        self._requests = RequestParser(self._limits.max_head_bytes)
        self._out.append(response_head(200, b"", ()))
        effects.append(base.SetTimer(self._limits.head_timeout_s))
        if rest:
            self._flush(effects)
            self._from_client(rest, effects)

    def _tunnel_is_open(self, exchange: Exchange, effects: list[Effect]) -> None:
        """Not before blind tunnels are there."""


def masking_of_answer(masking: Masking | None, fields: object) -> Masking | None:
    """The masking under which an answer stands whose fields have other names in it."""
    return masking


def _media_type(headers: Headers) -> str:
    for name, value in headers:
        if name == b"content-type":
            return value.partition(b";")[0].strip().lower().decode("latin-1")
    return ""


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
