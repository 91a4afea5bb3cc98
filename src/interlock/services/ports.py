"""What the use cases need from the outside, as protocols that adapters implement.

Nothing in here does anything. A port says what is promised, in which unit, and what is raised.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from typing import Protocol

from interlock.core.administration import ColumnPath, HardeningPlan
from interlock.core.catalogue import Catalogue, Relation
from interlock.core.http_credential import HttpCredential
from interlock.core.identity import Principal
from interlock.core.ledger import AnyRecord
from interlock.core.lock import Restriction
from interlock.core.operation import Operation
from interlock.core.session import Session
from interlock.core.session_token import SessionToken, TokenForm
from interlock.core.ssh_key import SignedKey, SshPublicKey
from interlock.core.tool import ToolDefinition


class Clock(Protocol):
    """The only source of time."""

    def now_s(self) -> float:
        """Unix time in seconds. Raises ``OSError`` when there is none; callers treat that as a denial."""

    def monotonic_s(self) -> float:
        """Seconds that never run backwards, for measuring."""


class Ledger(Protocol):
    """Append-only evidence (see ``core.ledger``)."""

    def append(self, record: AnyRecord) -> asyncio.Future[None] | None:
        """Accept a record in the configured durability.

        Returns None when the record is already accepted, otherwise a future that completes when it is (group
        commit). Raises, or sets on the future, ``LedgerUnavailable``: then nothing may be forwarded.
        """

    def note(self, record: AnyRecord) -> None:
        """Append a record that nothing waits for (an outcome); ordered with all others.

        Raises ``LedgerUnavailable`` when the ledger has failed.
        """


class LocksInForce(Protocol):
    """What ``services.locks`` tells the decision points."""

    @property
    def epoch(self) -> int:
        """Grows with every change of what is in force."""

    @property
    def masking_epoch(self) -> int:
        """Grows with every change of locks that mask."""

    def restriction(self, principal: Principal, connection: str, run: str) -> Restriction | None:
        """What is in force for a session; it stays so while ``epoch`` does. Raises ``StateUnavailable``."""


class ToolReview(Protocol):
    """Which tools of MCP servers may be used, as their servers describe them (see ``services.tool_pins``)."""

    def refusal(self, connection: str, tool: str) -> str | None:
        """Why a tool may not be used now, as a sentence; None when it may."""

    def note(
        self, connection: str, session: str, tools: Sequence[ToolDefinition]
    ) -> tuple[tuple[bool, ...], list[asyncio.Future[None]]]:
        """A server lists tools: which of them may be shown, once all the futures are done.

        Raises ``LedgerUnavailable``, as the futures do, or ``StateUnavailable``: then none may be shown.
        """


class SessionRecorder(Protocol):
    """Keeps what one session said: sealed requests for the ledger, answers in encrypted chunks on disk."""

    @property
    def wrapped_key(self) -> bytes:
        """The session's data key, encrypted for the gateway."""

    def seal(self, operation: Operation) -> bytes:
        """The operation's text and parameters, encrypted and bounded, for ``OperationDecided.sealed``."""

    def answer(self, number: int, data: bytes) -> None:
        """Keep bytes that go to the client, as they go, up to the configured size; count and digest the rest.

        ``number`` is the operation they belong to, 0 when to none.
        """

    def request(self, number: int, data: bytes) -> None:
        """Keep bytes that stream to the target as part of a permitted operation (COPY data), in the same way."""

    def ended(self, number: int) -> None:
        """The operation is over: what was left out of it is put on record."""

    def close(self) -> None:
        """Store what is left. Called exactly once."""


class Recordings(Protocol):
    """Makes a recorder for each session."""

    def open(self, session_id: str, protocol: str) -> SessionRecorder:
        """A recorder with a fresh data key. Raises ``LedgerUnavailable`` when there is no room to record."""


class SessionIndex(Protocol):
    """A quick list of sessions for people; the ledger is the truth."""

    def opened(self, session: Session, at_s: float) -> None: ...

    def used(self, session: Session, action: str, at_s: float) -> None:
        """A session was permitted an action for the first time."""

    def closed(self, session_id: str, status: str, at_s: float, operations: int, denied: int, rows: int) -> None: ...


class Authenticator(Protocol):
    """Turns a caller's proof into a principal."""

    def authenticate(self, token: str, client_address: str) -> Awaitable[Principal]:
        """Verify a bearer token. Raises ``LoginRefused``."""

    def scram_verifier(self, user: str) -> str | None:
        """The SCRAM-SHA-256 verifier (RFC 5803 form) of an identity that has a generated secret, else None."""

    def scram_principal(self, user: str) -> Principal:
        """The principal behind a SCRAM user that has just proved its secret. Raises ``LoginRefused``."""


class Prover(Protocol):
    """Says whom a bearer token speaks for, before it is exchanged for another one."""

    async def prove(self, token: str, client_address: str) -> Principal:
        """Whom the token speaks for by itself, with nothing that is registered. Raises ``LoginRefused``."""

    def admit(self, principal: Principal) -> Principal:
        """The principal with what is registered for its name now. Raises ``LoginRefused`` when it may not log in."""

    def is_for_one_exchange(self, principal: Principal) -> bool:
        """Whether the proof that the principal comes from may be exchanged once only."""


class SessionTokens(Protocol):
    """Writes session tokens."""

    async def give(self, token: SessionToken, form: TokenForm) -> str:
        """The token's text; when this returns, it counts. Raises ``StateUnavailable``, ``OSError`` without a clock."""


class SpentTokens(Protocol):
    """Remembers tokens that may be used once only, until they have ended anyway."""

    async def spend(self, issuer: str, token_id: str, expires_at_s: float, now_s: float) -> bool:
        """Note that a token is used; False when it was used before. Raises ``StateUnavailable``."""


class CertificateLogins(Protocol):
    """Turns a client certificate whose key the client has proved to hold into a principal, as it is at this moment."""

    def certificate_principal(self, chain: Sequence[bytes]) -> Awaitable[Principal]:
        """Whom it is for. ``chain`` is in DER, the client's own certificate first. Raises ``LoginRefused``."""


class SshLogins(Protocol):
    """Turns what an SSH client has proved to hold into a principal, as it is at this moment."""

    def key_principal(self, fingerprint: str) -> Principal:
        """Who has registered the key with this fingerprint (``SHA256:…``). Raises ``LoginRefused``."""

    def certificate_principal(self, certificate: str, client_address: str) -> Principal:
        """Whom a user certificate of this gateway is for; one line, as in a ``-cert.pub`` file.

        Raises ``LoginRefused``. ``client_address`` is ``host:port``.
        """


class SshSigning(Protocol):
    """The gateway's authorities for SSH, as far as clients have to do with them. No private key is shown."""

    def host_key_public(self) -> str:
        """``ssh-ed25519 AAAA…``, as all of these."""

    def user_authority_public(self) -> str:
        """Whose certificates let clients in at this gateway."""

    def target_authority_public(self) -> str:
        """Whose certificates let sessions of this gateway in at targets."""

    def known_hosts_line(self, names: Sequence[str], port: int) -> str:
        """The lines for ``known_hosts``."""

    def sign_user(
        self, key: SshPublicKey, principal: Principal, lifetime_s: int, addresses: Sequence[str] = ()
    ) -> SignedKey:
        """A certificate by which the holder of the key is the principal, at most while the principal's proof counts.

        Raises ``ValueError`` for what cannot be signed, ``OSError`` when there is no time.
        """


class TargetCredential(Protocol):
    """What the gateway itself logs in with. ``repr`` shows nothing of it."""

    @property
    def user(self) -> str: ...

    @property
    def password(self) -> str | None: ...

    @property
    def certificate_pem(self) -> bytes | None: ...

    @property
    def private_key_pem(self) -> bytes | None: ...


class CredentialVault(Protocol):
    """Holds the targets' credentials."""

    def reveal(self, connection: str) -> Awaitable[TargetCredential]:
        """The credential of a connection, for the dialler only. Raises ``CredentialUnavailable``."""


class HttpCredentials(Protocol):
    """What HTTP targets are shown."""

    def peek(self, connection: str) -> HttpCredential | None:
        """What was found out a moment ago and still counts; None: ask ``get``."""

    def get(self, connection: str) -> Awaitable[HttpCredential]:
        """What to show the target now. Raises ``CredentialUnavailable``, ``StateUnavailable``."""

    def forget(self, connection: str) -> None:
        """The target did not accept it: a token that was fetched is not used again."""


class CatalogueReader(Protocol):
    """Reads what a target's database contains, over a connection of the gateway's own."""

    async def read(self, connection: str, database: str) -> Catalogue:
        """The catalogue as of one moment, without lineage. Raises ``CatalogueUnavailable``."""


class ColumnSampler(Protocol):
    """Looks at rows of a target, over a connection of the gateway's own, to propose tags."""

    def sample(
        self, connection: str, database: str, relation: Relation, columns: Sequence[str], rows: int
    ) -> AsyncGenerator[list[tuple[bytes | None, ...]], None]:
        """Up to ``rows`` rows of a relation, in batches: these columns as text, cut when long; None for NULL.

        Raises ``CatalogueUnavailable``.
        """


class ColumnGrants(Protocol):
    """Takes columns away from a role of a target."""

    async def plan(self, connection: str, database: str, role: str, columns: Sequence[ColumnPath]) -> HardeningPlan:
        """What has to be done, and why it may not be enough.

        Raises ``AdministrationRefused`` when there is no such role or column, ``CatalogueUnavailable``.
        """

    async def apply(self, connection: str, database: str, plan: HardeningPlan, columns: Sequence[ColumnPath]) -> None:
        """Do all of it, or nothing when the role could read a column even then.

        Raises ``AdministrationRefused`` when the gateway's role may not do it or when it has no effect,
        ``CatalogueUnavailable``.
        """
