"""Drives one client's session: owns both sockets, TLS and time, and carries out what the protocol session asks for.

The one boundary that catches everything: whatever goes wrong in here ends this session, is logged without details that
could hold data, and touches no other session.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

import structlog

from interlock.core.approval import ApprovalRequest
from interlock.core.decision import Decision, Trial
from interlock.core.errors import AddressNotPermitted, InterlockError, MaskingUnavailable
from interlock.core.http_credential import HttpCredential
from interlock.core.masking import Masking
from interlock.core.operation import Operation
from interlock.core.rehearsal import RehearsalOutcome, SampledTable
from interlock.core.session import SessionStatus
from interlock.protocols import base
from interlock.protocols.base import Event, Side
from interlock.runtime.cancellation import CancelRoute
from interlock.runtime.client_peer import ClientPeer, PeerOwner
from interlock.runtime.driver_parts import DriverParts
from interlock.runtime.peer import Peer
from interlock.runtime.session_timer import SessionTimer
from interlock.runtime.target_link import TargetLink
from interlock.runtime.tasks import spawn
from interlock.services.opening import Caller, NotAdmitted, OpenSession
from interlock.services.ports import HttpCredentials

log = structlog.get_logger()


class StreamDriver:
    """One session. ``socket`` is the protocol to give to the accepted socket; ``on_end`` is called once.

    With a ``peer`` there is no socket: it is the client. With ``on_http2`` a socket on which TLS has chosen HTTP/2 is
    not driven: ``on_http2`` is called, to take it over with ``hand_over``.
    """

    def __init__(
        self,
        parts: DriverParts,
        on_ready: Callable[["StreamDriver"], None],
        on_end: Callable[["StreamDriver"], None],
        peer: ClientPeer | None = None,
        on_http2: Callable[["StreamDriver"], None] | None = None,
    ) -> None:
        self._parts = parts
        self._session = parts.new_session(secrets.token_bytes(parts.entropy_bytes))
        self._on_ready = on_ready
        self._on_end = on_end
        self._on_http2 = on_http2
        self._socket = Peer(self, Side.CLIENT) if peer is None else None
        self.peer: ClientPeer = peer or self.socket
        self._link = TargetLink(self, parts.vault, parts.contexts, parts.connect_timeout_s)
        self._opened: OpenSession | None = None
        self._caller: Caller | None = None
        self._asked: base.Authenticate | None = None
        """What the session that is open was asked for with."""
        self._bytes_before = (0, 0)
        """What had been received from the client and sent to it when the session opened."""
        self._client_is_full = False
        """Whether whoever sends to the client has to wait, which a target that comes later has to be told."""
        self._is_ready = False
        self._lingers = False
        self._timer = SessionTimer(self._time_passed)
        self._events: deque[Event] = deque()
        self._running = False
        self._ended = False
        self._wanted_target = ""
        self._cancel_key: bytes | None = None
        self._refusal_recorded = False
        self._killed = False
        self._rehearsing: asyncio.Future[RehearsalOutcome] | None = None
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._freezes = 0
        self._process_id = 0
        self._certificate: tuple[bytes, ...] = ()
        """What the client has shown in TLS, the outer one where there are two."""
        self._withheld: list[bytes] = []
        """What the client sent while its masks are found out anew."""

    @property
    def socket(self) -> Peer:
        """The client's own socket. Only where no peer was given."""
        assert self._socket is not None
        return self._socket

    @property
    def opened(self) -> OpenSession | None:
        return self._opened

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def killed(self) -> bool:
        """Whether somebody has ended it."""
        return self._killed

    @property
    def frozen(self) -> bool:
        return not self._thawed.is_set()

    @property
    def backend(self) -> tuple[int, int] | None:
        """The target's process, and the port of the gateway's end; None before the target has taken the session."""
        target = self._link.peer
        return (self._process_id, target.local_port) if self._process_id and target is not None else None

    @property
    def sent_bytes(self) -> int:
        """Clear bytes for the client since the session opened."""
        return self.peer.sent_bytes - self._bytes_before[1]

    @property
    def unsent_bytes(self) -> int:
        """Clear bytes that have not left to the client."""
        return self.peer.unsent_bytes

    def activity(self) -> base.Activity:
        """What the session is at."""
        return self._session.activity()

    def kill(self, code: str, reason: str) -> None:
        """End the session, tell the client why, and cancel at the target what is still running."""
        self._killed = True
        self.cancel_running()
        self._feed(base.Killed(code, reason))

    def cut(self, code: str, reason: str) -> None:
        """The same, at once: what has not left to either side is dropped, and what it waits for with it."""
        self._killed = True
        if self._session.activity().busy:
            self.cancel_running()
        self.peer.drop_unsent()
        if self._link.peer is not None:
            self._link.peer.drop_unsent()
        self._events.clear()
        self._feed(base.Killed(code, reason))

    def abort(self) -> None:
        """Drop the client's connection, whatever has not left."""
        self.peer.abort()

    def cancel_running(self) -> None:
        """Ask the target to stop what it runs."""
        if self._cancel_key is not None:
            self._parts.cancel_keys.cancel_soon(self._cancel_key)

    def freeze(self) -> None:
        """Let nothing through either way until ``thaw``, and cancel what runs."""
        self._thawed.clear()
        self._freezes += 1
        self.peer.pause("frozen")
        if self._link.peer is not None:
            self._link.peer.pause("frozen")
        if self._session.activity().busy:
            self.cancel_running()

    def thaw(self) -> None:
        """Go on with what has come meanwhile, in its order."""
        self._thawed.set()
        self._carry_out_all()
        self.peer.resume("frozen")
        if self._link.peer is not None:
            self._link.peer.resume("frozen")

    # ------------------------------------------------------------ what the sockets tell

    def connected(self, side: Side) -> None:
        if side is Side.CLIENT:
            self._feed(base.Connected(is_loopback(self.peer.address)))

    def data_received(self, side: Side, data: bytes) -> None:
        opened = self._opened
        if side is Side.TARGET or opened is None or not (self._withheld or opened.guard.masking_is_stale):
            self._feed(base.DataReceived(side, data))
        else:
            self._withheld.append(data)
            self._renew_masking(opened)

    def _renew_masking(self, opened: OpenSession) -> None:
        """Policy or catalogue have changed: what the client sends from here on is under the new masks."""
        if len(self._withheld) > 1:
            return  # it is being done
        try:
            masking = opened.guard.renew_masking()
        except MaskingUnavailable:
            self.peer.pause("masking")
            self._start(self._load_masking(opened), "load masking")
        else:
            self._masking_renewed(masking)

    async def _load_masking(self, opened: OpenSession) -> None:
        try:
            masking = await opened.guard.load_masking()
        except MaskingUnavailable as error:
            log.warning("session ended", session=opened.session.id, error=str(error))
            self.kill("58000", "the gateway can no longer tell what is masked for you, so it ends this session")
            return
        self.peer.resume("masking")
        self._masking_renewed(masking)

    def _masking_renewed(self, masking: Masking | None) -> None:
        self._feed(base.MaskingChanged(masking))
        data = b"".join(self._withheld)
        self._withheld.clear()
        self._feed(base.DataReceived(Side.CLIENT, data))

    def eof_received(self, side: Side) -> None:
        if self.frozen and side is Side.CLIENT:
            self._thawed.set()
            self._events.clear()
        self._feed(base.EofReceived(side))

    def connection_lost(self, side: Side) -> None:
        self.eof_received(side)

    def notice_leaving(self) -> None:
        """A client that leaves while its session is frozen is noticed only when one looks."""
        if self.frozen and self.peer.has_left:
            self.eof_received(Side.CLIENT)

    def tls_established(self, side: Side) -> None:
        peer = self.peer if side is Side.CLIENT else self._link.peer
        if peer is None or peer.tls is None:
            return
        if side is Side.CLIENT and peer.tls.alpn == "h2" and self._on_http2 is not None:
            self._on_http2(self)
            return
        if side is Side.TARGET:
            self._feed(base.TlsEstablished(side, peer.tls.alpn, peer.tls.peer_end_point()))
            return
        self._certificate = self._certificate or peer.tls.peer_chain()
        has_certificate = bool(self._certificate)
        self._feed(base.TlsEstablished(side, peer.tls.alpn, self._parts.tls_end_point, has_certificate))

    def hand_over(self, owner: PeerOwner) -> Peer:
        """Give the socket away before there is a session: this driver has nothing more to do, and leaves no record."""
        self._ended = True
        self._timer.stop()
        self.socket.change_owner(owner)
        return self.socket

    def tls_refused(self, side: Side, reason: str) -> None:
        self._feed(base.TlsRefused(side, reason))

    def writing_paused(self, side: Side, paused: bool) -> None:
        """A side takes data more slowly than the other gives it."""
        if side is Side.CLIENT:
            self._client_is_full = paused
        other = self._link.peer if side is Side.CLIENT else self.peer
        if other is not None:
            other.pause("write") if paused else other.resume("write")

    # ------------------------------------------------------------ events in, effects out

    def _feed(self, event: Event) -> None:
        """Give an event to the session and carry out what it asks for, and so on until it asks for nothing."""
        if self._ended:
            return
        if type(event) is base.Killed and self.frozen:
            self._thawed.set()
            self._events.clear()
        self._events.append(event)
        if self._thawed.is_set():
            self._carry_out_all()

    def _carry_out_all(self) -> None:
        if self._running:
            return
        self._running = True
        try:
            while self._events and not self._ended:
                for effect in self._session.handle(self._events.popleft()):
                    _CARRY_OUT[type(effect)](self, effect)
        except Exception as error:  # noqa: BLE001 - the boundary: an error ends this session and nothing else
            self._failed(error)
        finally:
            self._running = False

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Have something done that takes waiting; its answer comes as an event."""
        spawn(self._guard(work), name)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - the boundary, see _feed
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        session = self._opened.session.id if self._opened else ""
        log.error(
            "session failed",
            session=session,
            error=type(error).__name__,
            exc_info=not isinstance(error, InterlockError),
        )
        try:
            for effect in self._session.handle(base.Killed("58000", "the gateway had to end this session")):
                if type(effect) is base.Send:
                    self._send(effect)
        except Exception as second:  # noqa: BLE001 - closing is all that is left
            log.error("session could not be told", session=session, error=type(second).__name__)
        self._end(SessionStatus.INTERRUPTED, f"internal error: {type(error).__name__}")

    def _send(self, effect: base.Send) -> None:
        if effect.side is Side.CLIENT:
            self.peer.write(effect.data)
        elif self._link.peer is not None:
            self._link.peer.write(effect.data)

    def _record_answer(self, effect: base.RecordAnswer) -> None:
        assert self._opened is not None
        self._opened.recorder.answer(effect.number, effect.data)

    def _record_request(self, effect: base.RecordRequest) -> None:
        assert self._opened is not None
        self._opened.recorder.request(effect.number, effect.data)

    def _report(self, effect: base.Report) -> None:
        assert self._opened is not None
        self._opened.guard.report(effect.outcome)

    def _authorize(self, effect: base.Authorize) -> None:
        assert self._opened is not None
        decisions = self._opened.guard.authorize(effect.operations)
        if type(decisions) is tuple:
            self._feed(base.Decided(decisions))
        else:
            self._start(self._decide(effect.operations, decisions, self._freezes), "decide")  # type: ignore[arg-type]

    async def _decide(
        self, operations: Sequence[Operation], waiting: Awaitable[tuple[Decision, ...]], freezes: int
    ) -> None:
        decisions = await waiting
        await self._thawed.wait()
        if self._freezes != freezes and self._opened is not None:
            decisions = self._opened.guard.confirm(operations, decisions)
        if self.peer.has_left:
            self._feed(base.EofReceived(Side.CLIENT))
        self._feed(base.Decided(decisions))

    def _tell_held(self, request: ApprovalRequest, link: str) -> None:
        message = f"held: {request.message} Request {request.id}."
        self._feed(base.Held(message, f"It can be answered at: {link}", request.id, link))

    async def _run_rehearsal(self, trial: Trial, tables: tuple[SampledTable, ...], timeout_ms: int) -> RehearsalOutcome:
        if self._ended:
            return RehearsalOutcome(problem="the session has ended")
        answer: asyncio.Future[RehearsalOutcome] = asyncio.get_running_loop().create_future()
        self._rehearsing = answer
        self._feed(base.Rehearse(trial, tables, timeout_ms))
        return await answer

    def _rehearsed(self, effect: base.Rehearsed) -> None:
        if self._rehearsing is not None and not self._rehearsing.done():
            self._rehearsing.set_result(effect.outcome)

    def _end_rehearsal(self) -> None:
        self._feed(base.RehearsalEnded())

    def _compute(self, effect: base.Compute) -> None:
        self._work = spawn(self._compute_aside(effect.work), "compute")

    async def _compute_aside(self, work: Callable[[], object]) -> None:
        try:
            result = await asyncio.to_thread(work)
        except Exception as error:  # noqa: BLE001 - the boundary: without its result the session cannot go on
            self._failed(error)
            return
        self._feed(base.Computed(result))

    def _refresh_catalogue(self, _: base.RefreshCatalogue) -> None:
        self._start(self._refresh(), "refresh the catalogue")

    async def _refresh(self) -> None:
        assert self._opened is not None
        self._feed(base.MaskingChanged(await self._opened.guard.refresh_masking()))

    def _review_tools(self, effect: base.ReviewTools) -> None:
        assert self._opened is not None
        shown = self._opened.guard.review(effect.tools, effect.http)
        if type(shown) is tuple:
            self._feed(base.ToolsReviewed(shown))
        else:
            self._start(self._reviewed(shown), "review tools")  # type: ignore[arg-type]

    async def _reviewed(self, waiting: Awaitable[tuple[bool, ...]]) -> None:
        self._feed(base.ToolsReviewed(await waiting))

    def _start_tls(self, effect: base.StartTls) -> None:
        if effect.side is Side.TARGET:
            self._link.start_tls(effect.received)
        elif not effect.server_name:
            self.peer.start_tls(self._parts.tls, effect.received, server_side=True, host=None)
        else:
            assert self._parts.stand_in is not None
            context = self._parts.stand_in(effect.server_name)
            self.peer.start_tls(context, effect.received, server_side=True, host=None)

    def _describe_login(self, effect: base.DescribeLogin) -> None:
        self._feed(base.LoginDescribed(self._parts.reception.scram_verifier(effect.user)))

    def _authenticate(self, effect: base.Authenticate) -> None:
        opened = self._opened
        if opened is not None and effect == self._asked and self._parts.reception.still_admits(opened):
            self._admitted(opened)
            return
        if opened is not None:
            self._leave(opened)
        self._asked = effect
        self._wanted_target = effect.target or effect.host
        caller = Caller(
            protocol=self._parts.protocol,
            target=effect.target,
            client_address=self.peer.address,
            token=effect.token,
            scram_user=effect.scram_user,
            application=effect.application,
            host=effect.host,
            by_proxy=effect.by_proxy,
            certificate=self._certificate if effect.by_certificate else (),
        )
        self._start(self._open(caller), "open session")

    def _leave(self, opened: OpenSession) -> None:
        """The client goes on as another caller, or with another target."""
        opened.guard.give_up("the client has gone on to something else")
        self._disconnect_target(base.DisconnectTarget())
        self._parts.live.ended(self)
        self._close_record(SessionStatus.CLOSED, "the client went on with another caller or target")
        self._opened = self._caller = None

    async def _open(self, caller: Caller) -> None:
        try:
            opened = await self._parts.reception.open(caller)
        except NotAdmitted as refused:
            self._refusal_recorded = True
            self._feed(base.LoginFailed(refused.code, str(refused), refused.hint))
            return
        self._opened, self._caller = opened, caller
        self._bytes_before = (self.peer.received_bytes, self.peer.sent_bytes)
        opened.guard.tell = self._tell_held
        if opened.guard.holding is not None:
            opened.guard.holding.run_rehearsal = self._run_rehearsal
            opened.guard.holding.end_rehearsal = self._end_rehearsal
        if self._ended:
            self._close_record(SessionStatus.CLOSED, "the client left while it was logged in")
            return
        self._parts.live.opened(self)
        self._admitted(opened)

    def _admitted(self, opened: OpenSession) -> None:
        session, settings = opened.session, opened.settings
        self._feed(
            base.Authenticated(session.id, settings.search_path, opened.guard.masking, session.connection, settings)
        )

    def _connect_target(self, effect: base.ConnectTarget) -> None:
        self._start(self._connect(effect), "connect to target")

    async def _connect(self, effect: base.ConnectTarget) -> None:
        opened = self._opened
        assert opened is not None
        self._link.start_timer(self._target_too_slow)
        try:
            connected = await self._link.connect(opened.session, opened.settings, effect)
        except AddressNotPermitted as error:
            self._target_unreachable(str(error), "42501", "may not be reached at the address that its host stands for")
            return
        except (OSError, InterlockError) as error:
            self._target_unreachable(str(error) or type(error).__name__)
            return
        target = self._link.peer
        if connected is None or target is None:
            return
        if self._client_is_full:
            target.pause("write")
        if self.frozen:
            target.pause("frozen")
        self._feed(connected)

    def _target_too_slow(self) -> None:
        self._link.disconnect()
        self._target_unreachable("it did not answer in time")

    def _target_unreachable(self, why: str, code: str = "08001", text: str = "cannot be reached") -> None:
        if self._ended or self._opened is None:
            return
        self._link.stop_timer()
        name = self._opened.session.connection
        log.warning("target not reached", connection=name, error=why)
        hint = "Try again later or tell the gateway's operator." if code == "08001" else "Tell the gateway's operator."
        self._feed(base.LoginFailed(code, f'the target of connection "{name}" {text}', hint))

    def _disconnect_target(self, _: base.DisconnectTarget) -> None:
        self._link.disconnect()
        self.peer.resume("write")  # nobody else will say that the target takes data again

    def _forget_credential(self, _: base.ForgetCredential) -> None:
        if self._parts.http_credentials is not None and self._opened is not None:
            self._parts.http_credentials.forget(self._opened.session.connection)

    def _reveal_credential(self, _: base.RevealCredential) -> None:
        credentials, opened = self._parts.http_credentials, self._opened
        assert credentials is not None
        assert opened is not None
        known = credentials.peek(opened.session.connection)
        if known is not None:
            self._revealed(known)
        else:
            self._start(self._fetch_credential(credentials, opened), "reveal credential")

    async def _fetch_credential(self, credentials: HttpCredentials, opened: OpenSession) -> None:
        name = opened.session.connection
        try:
            found = await credentials.get(name)
        except (OSError, InterlockError) as error:
            if self._opened is not opened:
                return
            log.warning("credential not revealed", connection=name, error=str(error) or type(error).__name__)
            text = f'the gateway has no credential for connection "{name}" now'
            self._feed(base.LoginFailed("28000", text, "Try again later or tell the gateway's operator."))
            return
        if self._opened is opened:  # it is for no other session's target
            self._revealed(found)

    def _revealed(self, found: HttpCredential) -> None:
        headers = found.headers
        if found.caller and self._caller is not None and not self._caller.token:
            text = "the target takes the caller's token, and a certificate cannot be passed on"
            self._feed(base.LoginFailed("28P01", text, "Come with a token that the target takes, too."))
            return
        if found.caller and self._caller is not None:
            headers += ((b"authorization", b"Bearer " + self._caller.token.encode()),)
        self._feed(base.CredentialRevealed(headers, found.query))

    def _be_ready(self, _: base.BeReady) -> None:
        self._link.stop_timer()
        if not self._is_ready:
            self._is_ready = True
            self._on_ready(self)

    def _set_timer(self, effect: base.SetTimer) -> None:
        self._timer.set(effect.after_s)

    def _time_passed(self) -> None:
        self._feed(base.TimePassed())

    def _register_cancel_key(self, effect: base.RegisterCancelKey) -> None:
        assert self._opened is not None
        self._be_ready(base.BeReady())
        route = CancelRoute(self._opened.settings, self._link.tls, effect, self._opened.guard.give_up)
        self._parts.cancel_keys.register(effect.key, route)
        self._cancel_key = effect.key
        self._process_id = effect.process_id

    def _cancel_target(self, effect: base.CancelTarget) -> None:
        self._start(self._cancel(effect.key), "cancel")

    async def _cancel(self, key: bytes) -> None:
        """The client takes the end of its connection as the sign that the request has arrived."""
        await self._parts.cancel_keys.cancel(key)
        self._end(SessionStatus.CLOSED, "cancel request")

    def _cancel_running(self, _: base.CancelRunning) -> None:
        self._start(self._cancel_own(), "cancel running")

    async def _cancel_own(self) -> None:
        key = self._cancel_key
        arrived = await self._parts.cancel_keys.cancel_running(key) if key is not None else False
        self._feed(base.RunningCancelled(arrived))

    def _pause(self, effect: base.Pause) -> None:
        peer = self.peer if effect.side is Side.CLIENT else self._link.peer
        if peer is not None:
            peer.pause("session")

    def _resume(self, effect: base.Resume) -> None:
        peer = self.peer if effect.side is Side.CLIENT else self._link.peer
        if peer is not None:
            peer.resume("session")

    def _refuse(self, effect: base.Refuse) -> None:
        if self._opened is None and not self._refusal_recorded:
            refusal = self._parts.reception.refused(
                self._parts.protocol, self.peer.address, self._wanted_target, "", effect.reason
            )
            self._start(refusal, "record refusal")
        self._end(SessionStatus.KILLED if self._killed else SessionStatus.CLOSED, effect.reason)

    def _close(self, effect: base.Close) -> None:
        self._lingers = effect.lingers
        self._end(SessionStatus.KILLED if self._killed else SessionStatus.CLOSED, effect.reason)

    # ------------------------------------------------------------ the end

    def _end(self, status: SessionStatus, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._timer.stop()
        if self._opened is not None:
            self._opened.guard.give_up("the client has left")
        self._rehearsed(base.Rehearsed(RehearsalOutcome(problem="the session has ended")))
        if self._cancel_key is not None:
            self._parts.cancel_keys.forget(self._cancel_key)
        if self._lingers:
            self.peer.linger()
        else:
            self.peer.close()
        self._link.disconnect()
        if self._opened is not None:
            self._parts.live.ended(self)
            self._close_record(status, reason)
        self._on_end(self)

    def _close_record(self, status: SessionStatus, reason: str) -> None:
        assert self._opened is not None
        received_before, sent_before = self._bytes_before
        received, sent = self.peer.received_bytes - received_before, self.peer.sent_bytes - sent_before
        self._parts.reception.close(self._opened, status, reason, received, sent)


def is_loopback(address: str) -> bool:
    """Whether ``host:port`` is this machine's own."""
    host = address.rpartition(":")[0]
    return host == "local" or host.startswith(("127.", "::ffff:127.")) or host == "::1"


_CARRY_OUT: Final[dict[type, Callable[[StreamDriver, Any], None]]] = {
    base.Authenticate: StreamDriver._authenticate,
    base.Authorize: StreamDriver._authorize,
    base.BeReady: StreamDriver._be_ready,
    base.Compute: StreamDriver._compute,
    base.CancelRunning: StreamDriver._cancel_running,
    base.CancelTarget: StreamDriver._cancel_target,
    base.Close: StreamDriver._close,
    base.ConnectTarget: StreamDriver._connect_target,
    base.DisconnectTarget: StreamDriver._disconnect_target,
    base.DescribeLogin: StreamDriver._describe_login,
    base.ForgetCredential: StreamDriver._forget_credential,
    base.Pause: StreamDriver._pause,
    base.RecordAnswer: StreamDriver._record_answer,
    base.RefreshCatalogue: StreamDriver._refresh_catalogue,
    base.RecordRequest: StreamDriver._record_request,
    base.Refuse: StreamDriver._refuse,
    base.Rehearsed: StreamDriver._rehearsed,
    base.ReviewTools: StreamDriver._review_tools,
    base.RegisterCancelKey: StreamDriver._register_cancel_key,
    base.Report: StreamDriver._report,
    base.Resume: StreamDriver._resume,
    base.RevealCredential: StreamDriver._reveal_credential,
    base.SetTimer: StreamDriver._set_timer,
    base.Send: StreamDriver._send,
    base.StartTls: StreamDriver._start_tls,
}
