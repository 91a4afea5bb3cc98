"""The records that the ledger keeps: one type for each thing that can happen.

A record is evidence: it is written before what it speaks of takes effect (see ``docs/evidence.md``). Records hold no
secret and no row value. What a client asked is in ``OperationDecided.sealed``, encrypted with the session's key.
"""

import msgspec

from interlock.core.identity import by_actors


class Record(msgspec.Struct, frozen=True, tag_field="kind"):
    """Base of all records. The tag is the event's name: past tense, ``noun.verb``."""


class GatewayStarted(Record, frozen=True, tag="gateway.started"):
    """The gateway opened the ledger. ``durability`` is ``strict`` or ``standard``."""

    node: str
    version: str
    durability: str


class GatewayStopped(Record, frozen=True, tag="gateway.stopped"):
    """The gateway closed the ledger in good order."""

    node: str


class LedgerRecovered(Record, frozen=True, tag="ledger.recovered"):
    """A start after a crash: ``cut_bytes`` of a torn tail were removed behind entry ``last_sequence``."""

    cut_bytes: int
    last_sequence: int
    reason: str


class PolicyActivated(Record, frozen=True, tag="policy.activated"):
    """A policy version came into force. ``version`` is its digest, ``text`` the policy itself."""

    version: str
    text: str
    by: str


class PolicyRefused(Record, frozen=True, tag="policy.refused"):
    """A new policy did not validate; ``active`` stays in force."""

    active: str
    problems: tuple[str, ...]


class AdministrationChanged(Record, frozen=True, tag="administration.changed"):
    """Someone changed the gateway: ``action`` (``connections.add``) on ``subject``, without secrets."""

    actor: str
    action: str
    subject: str
    detail: str = ""


class ConnectionRefused(Record, frozen=True, tag="connection.refused"):
    """A client was turned away before it had a session: bad token, no permit, bad protocol, target down.

    ``acting`` are those who act for the principal, as lines (``agent ci:acme/crm``), the current one first.
    ``connection`` is what it asked for: a name, or the ``host:port`` that is no connection's.
    """

    protocol: str
    client_address: str
    connection: str
    principal: str
    reason: str
    acting: tuple[str, ...] = ()


class TokenIssued(Record, frozen=True, tag="token.issued"):
    """A session token was given in exchange for another token, or for a login.

    ``token_id`` is its id, ``ancestors`` those of the tokens that it came from, the nearest first. ``audience`` is what
    it is good for, ``sources`` are the networks that it counts from (none: anywhere), ``acting`` those who act for the
    principal, the current one first. ``form`` is ``opaque`` or ``jwt``.
    """

    token_id: str
    principal_kind: str
    principal: str
    issuer: str
    subject: str
    ancestors: tuple[str, ...]
    acting: tuple[str, ...]
    audience: tuple[str, ...]
    sources: tuple[str, ...]
    run: str
    trace: str
    form: str
    client_address: str
    expires_at_s: float


class LoginOpened(Record, frozen=True, tag="login.opened"):
    """A person has signed in at a provider; written before the login counts.

    ``holder`` is what it is for: ``browser`` or ``interlock-cli``. ``provider_session`` is the provider's name for the
    person's session there, empty when it gave none. ``groups`` are those that the provider's word gives, without what
    is registered.
    """

    login: str
    holder: str
    provider: str
    principal_kind: str
    principal: str
    groups: tuple[str, ...]
    issuer: str
    subject: str
    provider_session: str
    claims: tuple[tuple[str, str], ...]
    client_address: str
    ends_at_s: float


class LoginClosed(Record, frozen=True, tag="login.closed"):
    """A login has ended: by its time, by the person, by the provider or by a command."""

    login: str
    principal: str
    by: str
    reason: str


class ActingIdentity(msgspec.Struct, frozen=True):
    """Who acts for a session's principal, as it has been proved; the fields are as in ``session.opened``."""

    kind: str
    name: str
    groups: tuple[str, ...]
    owner: str
    issuer: str
    subject: str
    token_id: str
    login: str
    ancestors: tuple[str, ...]


class SessionOpened(Record, frozen=True, tag="session.opened"):
    """A principal may use a connection. ``wrapped_key`` is the session's data key, encrypted for the gateway.

    ``login`` is the issuer's name for the person's session there; ``ancestors`` are the ids of the tokens that this
    session's token came from, the nearest first. ``acting`` are those who act for the principal, the current one first.
    """

    session: str
    protocol: str
    connection: str
    database: str
    principal_kind: str
    principal: str
    groups: tuple[str, ...]
    owner: str
    issuer: str
    subject: str
    token_id: str
    claims: tuple[tuple[str, str], ...]
    client_address: str
    application: str
    trace: str
    policy: str
    rules: tuple[str, ...]
    wrapped_key: bytes
    login: str = ""
    ancestors: tuple[str, ...] = ()
    acting: tuple[ActingIdentity, ...] = ()

    @property
    def acting_lines(self) -> tuple[str, ...]:
        """Who acts, as lines: ``agent ci:acme/crm``."""
        return tuple(f"{one.kind.lower()} {one.name}" for one in self.acting)

    @property
    def who(self) -> str:
        """The principal and who acts for it, in words."""
        return by_actors(self.principal, self.acting_lines)

    @property
    def owners(self) -> frozenset[str]:
        """Who answers for the principal, or for whoever acts for it."""
        return frozenset({self.owner, *(one.owner for one in self.acting)} - {""})

    def is_of(self, name: str) -> bool:
        """Whether it is the session of an identity of this name, or one in which it acts for somebody."""
        return name == self.principal or any(name == one.name for one in self.acting)


class OperationDecided(Record, frozen=True, tag="operation.decided"):
    """A decision on one operation, written before it takes effect.

    ``decision`` is ``allowed``, ``denied`` or ``held``; ``digest`` covers text and parameters; ``sealed`` holds both
    (see ``core.recording``). ``accesses`` are ``action on resource`` lines; ``masked``, as
    ``schema.relation.column mask (rules)``, are the columns that the operation touches and that are masked in it.
    """

    session: str
    number: int
    phase: str
    verb: str
    decision: str
    rules: tuple[str, ...]
    policy: str
    message: str
    accesses: tuple[str, ...]
    digest: bytes
    sealed: bytes
    masked: tuple[str, ...] = ()


class OperationCompleted(Record, frozen=True, tag="operation.completed"):
    """What the target answered to one operation: status, its own completion word, counts. Never a value.

    ``masked_values`` counts what was masked in the answer, ``found`` what content detection found, by class, and
    ``tokens`` what a model used.
    """

    session: str
    number: int
    status: str
    tag: str
    code: str
    rows: int
    bytes_sent: int
    masked_values: int = 0
    found: tuple[tuple[str, int], ...] = ()
    tokens: int = 0


class RecordingStored(Record, frozen=True, tag="recording.stored"):
    """One chunk of a session's recording is on disk. ``sha256`` is over the stored (encrypted) bytes."""

    session: str
    index: int
    sha256: bytes
    frames: int
    size_bytes: int


class RecordingGap(Record, frozen=True, tag="recording.gap"):
    """A part of the session is counted and digested but not kept.

    ``sha256`` is HMAC-SHA-256 of what was left out, keyed from the session's key, so that short values cannot be
    guessed from it.
    """

    session: str
    reason: str
    size_bytes: int
    sha256: bytes


class SessionClosed(Record, frozen=True, tag="session.closed"):
    """A session ended: ``status`` is ``closed``, ``killed`` or ``interrupted``."""

    session: str
    status: str
    reason: str
    operations: int
    denied: int
    rows: int
    bytes_from_client: int
    bytes_from_target: int


class ApprovalRequested(Record, frozen=True, tag="approval.requested"):
    """People are asked about an operation. ``demands`` are ``count of group (rule)``; a yes is bound to ``digest``.

    ``acting`` are those who act for the principal, as lines (``agent ci:acme/crm``), the current one first.
    """

    approval: str
    session: str
    number: int
    principal: str
    connection: str
    digest: str
    rules: tuple[str, ...]
    demands: tuple[str, ...]
    policy: str
    expires_at_s: float
    acting: tuple[str, ...] = ()


class ApprovalVoted(Record, frozen=True, tag="approval.voted"):
    """Someone answered: ``verdict`` is ``approve`` or ``deny``, ``groups`` are those that the answer counts for."""

    approval: str
    reviewer: str
    verdict: str
    groups: tuple[str, ...]
    reason: str


class ApprovalRefused(Record, frozen=True, tag="approval.refused"):
    """Someone's answer did not count; ``why`` says why: expired, spent, changed, one's own, not of the group."""

    approval: str
    reviewer: str
    verdict: str
    why: str


class ApprovalSettled(Record, frozen=True, tag="approval.settled"):
    """A request came to ``status`` (see ``core.approval``): approved, denied, expired, withdrawn, void or spent."""

    approval: str
    status: str
    by: str
    reason: str


class ApprovalBypassed(Record, frozen=True, tag="approval.bypassed"):
    """For a while, ``by`` stands for the answers to what ``rules`` hold of ``principal``; written before it is so."""

    bypass: str
    approval: str
    principal: str
    connection: str
    rules: tuple[str, ...]
    by: str
    reason: str
    expires_at_s: float


class BypassEnded(Record, frozen=True, tag="approval.bypass-ended"):
    """People are asked again. ``used`` is how many statements had passed."""

    bypass: str
    by: str
    reason: str
    used: int


class OperationRehearsed(Record, frozen=True, tag="operation.rehearsed"):
    """A held operation is run for ``by`` to see what it does, in a transaction that only an approval commits."""

    session: str
    number: int
    approval: str
    by: str


class SecurityEventReceived(Record, frozen=True, tag="security-event.received"):
    """An identity provider has said that something has changed; written before anything follows from it.

    ``way`` is ``back-channel logout``, ``push`` or ``poll``; ``event`` is the event type's URI, ``token_id`` the claim
    ``jti``. ``about`` says whom it is about, as the issuer calls them. ``effect`` is ``end``, ``disable``, ``purge``,
    ``enable`` or ``nothing``, which follows from one that was ``repeated`` as well. ``happened_at_s`` is Unix time.
    """

    issuer: str
    way: str
    event: str
    token_id: str
    about: str
    effect: str
    repeated: bool
    happened_at_s: float


class SecurityEventRefused(Record, frozen=True, tag="security-event.refused"):
    """Something came in as an identity provider's event and was none, or none for this gateway.

    ``issuer`` is the name in the path that it came to. The sender was not told the ``reason``.
    """

    issuer: str
    way: str
    client_address: str
    reason: str


class LockAdded(Record, frozen=True, tag="lock.added"):
    """Somebody or something is locked; written before it takes effect. ``expires_at_s`` is 0 for no end.

    It is only about whose first proof was not given after ``issued_before_s``, 0 for no such limit.
    """

    lock: str
    subject_kind: str
    subject: str
    mode: str
    reason: str
    by: str
    cause: str
    expires_at_s: float
    issued_before_s: float = 0.0


class LockRemoved(Record, frozen=True, tag="lock.removed"):
    """A lock was lifted, or has expired."""

    lock: str
    by: str
    reason: str


class LockExempted(Record, frozen=True, tag="lock.exempted"):
    """From now until ``ends_at_s`` a lock does not concern somebody; written before it takes effect."""

    lock: str
    subject_kind: str
    subject: str
    reason: str
    by: str
    ends_at_s: float


class LockExemptionEnded(Record, frozen=True, tag="lock.exemption-ended"):
    """A lock concerns somebody again. When the lock is lifted, ``lock.removed`` says so for its exemptions, too."""

    lock: str
    subject_kind: str
    subject: str
    by: str
    reason: str


class SessionCut(Record, frozen=True, tag="session.cut"):
    """What a lock or a command did to a session, measured. ``lock`` is empty for a command about this session alone.

    Times are in milliseconds from when it was asked for; ``gone_after_ms`` is -1 when the target did not say that what
    was in flight was over.
    """

    session: str
    lock: str
    action: str
    by: str
    reason: str
    stopped_after_ms: float
    in_flight: str
    gone_after_ms: float
    rows: int
    bytes_sent: int


class AlertRaised(Record, frozen=True, tag="alert.raised"):
    """Something that people should know of: ``alert`` is its kind, such as ``denials``; ``count`` how often by now."""

    alert: str
    principal: str
    text: str
    count: int


class ToolsSeen(Record, frozen=True, tag="tool.seen"):
    """An MCP server listed tools that were not known: names with the digests of their definitions.

    ``approved``: they may be used from here on, as first seen. ``shadowed`` are the tools of other connections with the
    same names, as ``CONNECTION/TOOL``.
    """

    session: str
    connection: str
    tools: tuple[tuple[str, str], ...]
    approved: bool
    shadowed: tuple[str, ...] = ()


class ToolsChanged(Record, frozen=True, tag="tool.changed"):
    """An MCP server described tools otherwise than before: names with the new digests.

    Those whose approved definition this is not are not shown and not called from here on.
    """

    session: str
    connection: str
    tools: tuple[tuple[str, str], ...]


class ToolApproved(Record, frozen=True, tag="tool.approved"):
    """Somebody read the definition of a tool, and it may be used; written before it is so."""

    connection: str
    tool: str
    digest: str
    by: str
    reason: str


class ToolWithdrawn(Record, frozen=True, tag="tool.withdrawn"):
    """A tool may not be used any more."""

    connection: str
    tool: str
    by: str
    reason: str


class IncidentOpened(Record, frozen=True, tag="incident.opened"):
    """A responder began to deal with something.

    ``mode`` is that of the lock that comes with it, empty for none: ``lock.added`` with the cause ``incident ID``.
    """

    incident: str
    subject_kind: str
    subject: str
    reason: str
    by: str
    mode: str


class IncidentBundled(Record, frozen=True, tag="incident.bundled"):
    """An evidence bundle of an incident was made, of ``entries`` entries below this one.

    ``leaves`` is SHA-256 over their leaf hashes, in order; ``reports`` are the SHA-256 of the reports in it, by name.
    """

    incident: str
    by: str
    entries: int
    leaves: bytes
    reports: tuple[tuple[str, bytes], ...]


class IncidentClosed(Record, frozen=True, tag="incident.closed"):
    """A responder is done."""

    incident: str
    by: str
    reason: str


class NotificationFailed(Record, frozen=True, tag="notification.failed"):
    """A channel was not told of something, and will not be: ``event`` is what kind of thing, ``subject`` its id.

    ``reason`` says what was wrong at the last of ``attempts``.
    """

    channel: str
    event: str
    subject: str
    attempts: int
    reason: str


class HostKeyRefused(Record, frozen=True, tag="host-key.refused"):
    """An SSH host has shown a key that is not the one it is known by; nothing was sent to it.

    ``fingerprint`` is that of the key it has shown, as OpenSSH writes it.
    """

    session: str
    connection: str
    host: str
    fingerprint: str


class AccessRefused(Record, frozen=True, tag="access.refused"):
    """Someone asked for what policy does not let them do on the gateway itself. ``action`` is the command's name."""

    actor: str
    action: str
    subject: str
    why: str


class IdentityReviewed(Record, frozen=True, tag="identity.reviewed"):
    """Somebody has looked at an agent's access; ``findings`` are what there was to say against it at the time."""

    actor: str
    identity: str
    note: str
    findings: tuple[str, ...]


AnyRecord = (
    GatewayStarted
    | GatewayStopped
    | LedgerRecovered
    | PolicyActivated
    | PolicyRefused
    | AdministrationChanged
    | ConnectionRefused
    | TokenIssued
    | LoginOpened
    | LoginClosed
    | SessionOpened
    | OperationDecided
    | OperationCompleted
    | RecordingStored
    | RecordingGap
    | SessionClosed
    | ApprovalRequested
    | ApprovalVoted
    | ApprovalRefused
    | ApprovalSettled
    | ApprovalBypassed
    | BypassEnded
    | OperationRehearsed
    | SecurityEventReceived
    | SecurityEventRefused
    | LockAdded
    | LockRemoved
    | LockExempted
    | LockExemptionEnded
    | SessionCut
    | AlertRaised
    | ToolsSeen
    | ToolsChanged
    | ToolApproved
    | ToolWithdrawn
    | IncidentOpened
    | IncidentBundled
    | IncidentClosed
    | NotificationFailed
    | HostKeyRefused
    | AccessRefused
    | IdentityReviewed
)
