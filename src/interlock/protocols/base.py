"""The protocol seam: what a protocol session is told, and what it asks for.

A protocol session is a state machine without I/O. It is given *events* (what happened, past tense) and answers with
*effects* (what to do, imperative). It never awaits, never reads a clock and never raises for what a peer sent. One
driver in ``runtime`` owns sockets, TLS, time and the services behind the effects.

The two sides are the ``CLIENT`` who connected and the ``TARGET`` behind the gateway, in every protocol.
"""

import enum
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from interlock.core.catalogue import Catalogue
from interlock.core.decision import Decision, Trial
from interlock.core.masking import Masking
from interlock.core.operation import NO_FACTS, Facts, Meaning, Operation, Outcome
from interlock.core.recording import Frame, SealedRequest, TranscriptLine
from interlock.core.rehearsal import RehearsalOutcome, SampledTable
from interlock.core.settings import ConnectionSettings, Settings
from interlock.core.tool import ToolDefinition


class Side(enum.Enum):
    """A peer of the session."""

    CLIENT = "client"
    TARGET = "target"


# ---------------------------------------------------------------- events


class Connected(msgspec.Struct, frozen=True):
    """A client has connected; ``local`` when it is on this machine. The first event of a session that wants it."""

    local: bool


class DataReceived(msgspec.Struct, frozen=True):
    """Bytes from a peer, in any cut."""

    side: Side
    data: bytes


class EofReceived(msgspec.Struct, frozen=True):
    """A peer will send nothing more."""

    side: Side


class TlsEstablished(msgspec.Struct, frozen=True):
    """TLS is up towards a peer. ``server_end_point`` is the channel binding of RFC 5929 (empty when unknown).

    ``has_certificate``: the client has shown one, and proved to hold its key.
    """

    side: Side
    alpn: str | None = None
    server_end_point: bytes = b""
    has_certificate: bool = False


class TlsRefused(msgspec.Struct, frozen=True):
    """The TLS handshake with a peer failed; ``reason`` is safe to show."""

    side: Side
    reason: str


class LoginDescribed(msgspec.Struct, frozen=True):
    """Answer to ``DescribeLogin``: the user's SCRAM verifier (RFC 5803), None when it logs in with a token."""

    scram_verifier: str | None


class Authenticated(msgspec.Struct, frozen=True):
    """Answer to ``Authenticate``: the caller is known and may use the connection.

    ``search_path`` are the schemas that unqualified names mean on this connection unless the client says otherwise.
    ``masking`` is what the caller must not see, None when it may see everything. ``connection`` is the target's name.
    """

    session_id: str
    search_path: tuple[str, ...] = ()
    masking: Masking | None = None
    connection: str = ""
    settings: ConnectionSettings | None = None


class LoginFailed(msgspec.Struct, frozen=True):
    """Answer to ``Authenticate`` or ``ConnectTarget``: why not, as a sentence for the client.

    ``code`` is an SQLSTATE-like five-character code that the protocol may map to its own.
    """

    code: str
    message: str
    hint: str = ""


class TargetConnected(msgspec.Struct, frozen=True):
    """Answer to ``ConnectTarget``: a byte stream to the target is open, with what is needed to log in there."""

    user: str
    password: str | None
    database: str
    tls_mode: str
    has_certificate: bool = False

    def __repr__(self) -> str:
        return f"TargetConnected(user={self.user!r}, database={self.database!r}, tls_mode={self.tls_mode!r})"


class CredentialRevealed(msgspec.Struct, frozen=True):
    """Answer to ``RevealCredential``: header fields to set and query parameters to add. ``repr`` shows nothing."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    query: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return "CredentialRevealed()"


class TimePassed(msgspec.Struct, frozen=True):
    """The time of the last ``SetTimer`` is over."""


class Decided(msgspec.Struct, frozen=True):
    """Answer to ``Authorize``: one decision for each operation, in order; all are on the ledger."""

    decisions: tuple[Decision, ...]


class Held(msgspec.Struct, frozen=True):
    """While ``Authorize`` is answered: an operation waits for people. Both texts are for the client.

    ``approval`` is the request's id, ``link`` where it can be answered.
    """

    message: str
    hint: str
    approval: str = ""
    link: str = ""


class Rehearse(msgspec.Struct, frozen=True):
    """While ``Authorize`` is answered: run the one operation that it is about in a transaction that stays open.

    ``Rehearsed`` answers. ``Decided`` then commits exactly that transaction or rolls it back.
    """

    trial: Trial
    tables: tuple[SampledTable, ...]
    timeout_ms: int


class RehearsalEnded(msgspec.Struct, frozen=True):
    """The transaction of a rehearsal has been open for long enough: roll it back."""


class MaskingChanged(msgspec.Struct, frozen=True):
    """What the caller must not see is another from here on; also the answer to ``RefreshCatalogue``."""

    masking: Masking | None


class ToolsReviewed(msgspec.Struct, frozen=True):
    """Answer to ``ReviewTools``: for each tool whether it may be shown."""

    shown: tuple[bool, ...]


class Computed(msgspec.Struct, frozen=True):
    """Answer to ``Compute``: what the work returned."""

    result: object


class RunningCancelled(msgspec.Struct, frozen=True):
    """Answer to ``CancelRunning``: the request has ``arrived`` at the target, or it could not be reached."""

    arrived: bool


SHUTTING_DOWN = "the gateway is shutting down"
"""The reason of a ``Killed`` that a client may come back after."""
TOO_SLOW = "57014"
"""The code of a ``Killed`` for a client that has not logged in, or asked for anything, in time."""


class Killed(msgspec.Struct, frozen=True):
    """The gateway ends this session; ``reason`` is told to the client."""

    code: str
    reason: str


Event = (
    Connected
    | DataReceived
    | EofReceived
    | TlsEstablished
    | TlsRefused
    | LoginDescribed
    | Authenticated
    | LoginFailed
    | TargetConnected
    | CredentialRevealed
    | TimePassed
    | Decided
    | Held
    | Rehearse
    | RehearsalEnded
    | MaskingChanged
    | ToolsReviewed
    | Computed
    | RunningCancelled
    | Killed
)

# ---------------------------------------------------------------- effects


class Send(msgspec.Struct, frozen=True):
    """Write bytes to a peer."""

    side: Side
    data: bytes


class StartTls(msgspec.Struct, frozen=True):
    """Begin TLS with a peer. ``received`` are bytes of the handshake that were already read (direct TLS).

    Towards a client, ``server_name`` is whom to stand in for, with a certificate of the gateway's own authority.
    """

    side: Side
    received: bytes = b""
    server_name: str = ""


class DescribeLogin(msgspec.Struct, frozen=True):
    """Ask how this user proves itself."""

    user: str


class Authenticate(msgspec.Struct, frozen=True):
    """Ask who the caller is and whether it may use the connection.

    Exactly one of ``token`` (a bearer token), ``scram_user`` (a user whose SCRAM proof the protocol has verified) and
    ``by_certificate`` (that which the client has shown) is given. ``target`` is ``CONNECTION`` or
    ``CONNECTION/DATABASE``; or ``host``, as ``name:port``, stands for the connection that has this host name: as its
    target's when ``by_proxy``, else as the gateway's own. A session may ask again, for another caller or target: what
    was open before is over then.
    """

    target: str
    token: str = ""
    scram_user: str = ""
    application: str = ""
    host: str = ""
    by_proxy: bool = False
    by_certificate: bool = False

    def __repr__(self) -> str:
        return f"Authenticate(target={self.target!r}, scram_user={self.scram_user!r})"


class ConnectTarget(msgspec.Struct, frozen=True):
    """Open a byte stream to the session's target, at its own address or at that of ``host``, one of its other names.

    ``TargetConnected`` answers, or ``LoginFailed``.
    """

    host: str = ""
    port: int = 0


class BeReady(msgspec.Struct, frozen=True):
    """The client is somebody: it is no longer one of those that have not logged in yet."""


class DisconnectTarget(msgspec.Struct, frozen=True):
    """Close the byte stream to the target. The session goes on, and may open another one."""


class RevealCredential(msgspec.Struct, frozen=True):
    """Ask for what the gateway shows the target with one request.

    ``CredentialRevealed`` answers, or ``LoginFailed``.
    """


class ForgetCredential(msgspec.Struct, frozen=True):
    """The target did not accept what it was shown: what was fetched for it is not used again."""


class SetTimer(msgspec.Struct, frozen=True):
    """Send ``TimePassed`` after this time, in place of what was set before; 0: not at all."""

    after_s: float


class Authorize(msgspec.Struct, frozen=True):
    """Ask for a decision on operations, which take effect together. ``Decided`` answers."""

    operations: tuple[Operation, ...]


class Rehearsed(msgspec.Struct, frozen=True):
    """What a rehearsal did, or why there is none."""

    outcome: RehearsalOutcome


class Compute(msgspec.Struct, frozen=True):
    """Do work that is pure but may take long, aside, so that other sessions go on. ``Computed`` answers."""

    work: Callable[[], object]


class RefreshCatalogue(msgspec.Struct, frozen=True):
    """Read the target's catalogue again: a request names what it does not have. ``MaskingChanged`` answers."""


class ReviewTools(msgspec.Struct, frozen=True):
    """A server lists these tools: have them noted, and say which of them the caller may see. ``ToolsReviewed`` answers.

    It decides nothing: a call of a tool is decided when it comes. ``http`` are the request's facts of that name.
    """

    tools: tuple[ToolDefinition, ...]
    http: Facts = NO_FACTS


class RecordAnswer(msgspec.Struct, frozen=True):
    """Keep bytes that go to the client as part of operation ``number`` (0: of none)."""

    number: int
    data: bytes


class RecordRequest(msgspec.Struct, frozen=True):
    """Keep bytes that stream to the target as part of the permitted operation ``number``."""

    number: int
    data: bytes


class Report(msgspec.Struct, frozen=True):
    """An operation ended."""

    outcome: Outcome


class CancelTarget(msgspec.Struct, frozen=True):
    """A stranger asks to cancel what the session with this key is doing; its own connection ends when that is done."""

    key: bytes


class CancelRunning(msgspec.Struct, frozen=True):
    """Ask the target to cancel what it is doing for this session. ``RunningCancelled`` answers."""


class RegisterCancelKey(msgspec.Struct, frozen=True):
    """This session can be cancelled with ``key``, by sending ``request`` to its target on a connection of its own.

    ``tls_request`` asks the target for TLS first; it agrees with the byte ``S``. ``process_id`` is what the target
    calls the process that serves the session.
    """

    key: bytes
    request: bytes
    tls_request: bytes
    process_id: int = 0


class Pause(msgspec.Struct, frozen=True):
    """Read nothing more from a peer until ``Resume``; what was read is kept by the session."""

    side: Side


class Resume(msgspec.Struct, frozen=True):
    """Read from a peer again."""

    side: Side


class Refuse(msgspec.Struct, frozen=True):
    """The session ends before it began; ``reason`` goes to the ledger."""

    reason: str


class Close(msgspec.Struct, frozen=True):
    """End both sides after what was sent; ``reason`` goes to the ledger.

    ``lingers``: the client may still be sending. What it sends is dropped for a moment, so that it gets to read the
    answer before it finds its connection broken.
    """

    reason: str
    lingers: bool = False


Effect = (
    Send
    | StartTls
    | DescribeLogin
    | Authenticate
    | BeReady
    | ConnectTarget
    | DisconnectTarget
    | RevealCredential
    | ForgetCredential
    | SetTimer
    | Authorize
    | Rehearsed
    | Compute
    | RefreshCatalogue
    | ReviewTools
    | RecordAnswer
    | RecordRequest
    | Report
    | CancelTarget
    | CancelRunning
    | RegisterCancelKey
    | Pause
    | Resume
    | Refuse
    | Close
)


class Activity(msgspec.Struct, frozen=True):
    """What a session is at. ``rows`` are those that were sent of an answer that is not complete.

    ``busy``: the target has something to do, or to say. ``deciding``: operations wait for their decision. ``settled``
    is the number of the last operation that is over together with the transaction that it was in.
    """

    busy: bool = False
    deciding: bool = False
    settled: int = 0
    rows: int = 0


class ProtocolSession(Protocol):
    """One client's session in one protocol."""

    def activity(self) -> Activity:
        """What it is at now."""

    def handle(self, event: Event) -> Sequence[Effect]:
        """Take one event, return what to do, in order. Never raises for what a peer sent."""


class Transcript(Protocol):
    """Turns what was recorded of one session into lines for people; give it requests and frames in order."""

    def request(self, at_us: int, number: int, request: SealedRequest) -> Iterable[TranscriptLine]: ...

    def frame(self, frame: Frame) -> Iterable[TranscriptLine]: ...

    def finish(self) -> Iterable[TranscriptLine]: ...


class ProtocolModule(Protocol):
    """What readers need of a protocol: of requests, of recordings. The registry has one of each."""

    name: str

    def interpret(self, text: str, connection: ConnectionSettings | None) -> Meaning:
        """What a request that somebody has written would mean on a connection, for the tools around policy.

        Without settings it is one as protocols have it by default. Raises ``ValueError`` for settings that contradict
        one another.
        """

    def trace(self, catalogue: Catalogue) -> Catalogue:
        """A catalogue of a target with the lineage of its columns. It may take its time, and never raises."""

    def new_transcript(self) -> Transcript:
        """A reader for one session's recording."""


class ByteProtocolModule(ProtocolModule, Protocol):
    """A protocol that is spoken behind this seam."""

    entropy_bytes: int
    """How many random bytes a session is given at its start."""

    def new_session(self, settings: Settings, entropy: bytes) -> ProtocolSession:
        """A session for a client that has just connected."""
