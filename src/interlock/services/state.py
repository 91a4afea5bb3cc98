"""What the use cases need of the state store, as protocols. All methods raise ``StateUnavailable``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from interlock.core.access_review import Attestation, SeenIdentity, Use
from interlock.core.approval import ApprovalRequest, ApprovalStatus
from interlock.core.identity import Principal, PrincipalKind, RegisteredIdentity
from interlock.core.lock import Exemption, Lock, LockSubject
from interlock.core.login import KeptLogin, Login
from interlock.core.settings import ConnectionSettings
from interlock.core.ssh_key import RegisteredSshKey
from interlock.core.tool import ToolPin


class IdentityStore(Protocol):
    """Identities registered by hand."""

    def find(self, name: str) -> RegisteredIdentity | None:
        """The identity of this name, None when there is none."""

    def all(self) -> list[RegisteredIdentity]:
        """All identities, by name."""

    async def save(self, identity: RegisteredIdentity) -> None:
        """Add the identity, or put it in the place of the one of its name."""

    async def remove(self, name: str) -> None:
        """Forget the identity, its secret and its SSH keys."""


class SshKeyStore(Protocol):
    """SSH keys registered for identities; a key belongs to one."""

    def find(self, fingerprint: str) -> RegisteredSshKey | None:
        """The key with this fingerprint, None when there is none."""

    def all(self, identity: str = "") -> list[RegisteredSshKey]:
        """The keys of an identity, or all of them, by identity and age."""

    async def add(self, registered: RegisteredSshKey) -> None:
        """Keep a key. Raises ``AdministrationRefused`` when it is kept already or there is no such identity."""

    async def remove(self, fingerprint: str) -> None:
        """Forget a key; one that is not there is none to forget."""


class LoginStore(Protocol):
    """Logins of people, with digests of their secrets."""

    def find(self, family: bytes) -> KeptLogin | None:
        """The login whose secret has a first part with this digest, None when there is none."""

    def is_kept(self, login_id: str) -> bool:
        """Whether there is a login of this id."""

    def by_session(self, issuer: str, sid: str) -> list[Login]:
        """The logins of one session at a provider, the oldest first; of no session, none."""

    def by_subject(self, issuer: str, subject: str) -> list[Login]:
        """The logins of a provider's person, the oldest first."""

    def by_issuer(self, issuer: str) -> list[Login]:
        """The logins of all of a provider's people, the oldest first."""

    def by_name(self, name: str) -> list[Login]:
        """The logins of an identity, the oldest first."""

    def ended(self, now_s: float) -> list[Login]:
        """The logins whose time is over."""

    async def add(self, kept: KeptLogin) -> None:
        """Keep a login."""

    async def change(self, family: bytes, change: Callable[[KeptLogin], KeptLogin | None]) -> KeptLogin | None:
        """Put what ``change`` makes of a login in its place, in one step; returns what it was before.

        None when there is no such login. Nothing is changed when ``change`` makes nothing of it.
        """

    async def remove(self, login_id: str) -> bool:
        """Forget a login; whether it was there."""


class ConnectionStore(Protocol):
    """Connections of the settings file and of commands, under one roof."""

    def find(self, name: str) -> ConnectionSettings | None:
        """The connection of this name, None when there is none."""

    def all(self) -> dict[str, ConnectionSettings]:
        """All connections, by name."""

    def is_configured(self, name: str) -> bool:
        """Whether the connection is in the settings file, and so not for commands to change."""

    async def save(self, name: str, settings: ConnectionSettings) -> None:
        """Add the connection, or put it in the place of the one of its name."""

    async def remove(self, name: str) -> None:
        """Remove the connection and its sealed credential."""


KeptAmount = tuple[str, int, int]
"""A counter's key, the number of a bucket, and what was counted in it."""


class BudgetStore(Protocol):
    """What was counted against budgets, by all gateways that share the store."""

    def load(self) -> list[KeptAmount]:
        """Everything that is kept."""

    async def add(self, changes: Sequence[KeptAmount], oldest: Mapping[str, int]) -> list[KeptAmount]:
        """Add amounts, all or none, to what is kept.

        Of each key in ``oldest``, buckets before that one are forgotten, and what is kept then is returned.
        """


class CredentialKeeper(Protocol):
    """Takes credentials in. What it has, only ``ports.CredentialVault`` gives out."""

    async def seal(self, connection: str, password: str) -> None:
        """Keep a connection's password, encrypted."""

    def has(self, connection: str) -> bool:
        """Whether a sealed credential is kept for the connection."""


class TargetProbe(Protocol):
    """Tries whether a target can be used."""

    async def probe(self, connection: str, settings: ConnectionSettings) -> str:
        """Reach the target with its credential; returns a sentence on what was found.

        Raises ``AdministrationRefused`` or ``CredentialUnavailable`` when it cannot be used.
        """


class TokenIssuer(Protocol):
    """The development issuer."""

    def issue_token(self, name: str, kind: str, groups: tuple[str, ...], owner: str | None, ttl_s: int) -> str:
        """A signed token for whoever asks."""


class ApprovalStore(Protocol):
    """Requests for approval, each with its sealed question."""

    def find(self, approval: str) -> tuple[ApprovalRequest, bytes] | None:
        """The request of this id with its sealed question, None when there is none."""

    def by_digest(self, digest: str) -> list[ApprovalRequest]:
        """All requests about the same operation, the newest first."""

    def recent(self, status: ApprovalStatus | None, limit: int, before: str = "") -> list[ApprovalRequest]:
        """Requests, the newest first, of one status or of all; only those with an id before ``before``."""

    def of_status(self, status: ApprovalStatus) -> list[ApprovalRequest]:
        """All requests of a status, the oldest first."""

    async def add(self, request: ApprovalRequest, sealed: bytes) -> None:
        """Keep a new request."""

    async def change(
        self, approval: str, change: Callable[[ApprovalRequest], ApprovalRequest | None]
    ) -> ApprovalRequest | None:
        """Put what ``change`` makes of a request in its place, in one step; None when it makes nothing of it.

        What ``change`` raises is passed on, and nothing is changed then.
        """


class ToolPinStore(Protocol):
    """What is known of tools of MCP servers."""

    def all(self) -> list[ToolPin]:
        """All tools, by connection and name."""

    async def save(self, pins: Sequence[ToolPin]) -> None:
        """Keep these, each in the place of the one of its connection and name; all or none."""


class LockStore(Protocol):
    """The locks that are in force, so that they outlive a start."""

    def all(self) -> list[Lock]:
        """All locks, the oldest first."""

    async def save(self, lock: Lock) -> None:
        """Keep a lock."""

    async def remove(self, lock_id: str) -> None:
        """Forget a lock and its exemptions; one that is not there is none to forget."""

    async def save_exemption(self, lock_id: str, exemption: Exemption) -> None:
        """Keep an exemption, in the place of one of the same subject. The lock must be kept, or it is a failure."""

    async def remove_exemption(self, lock_id: str, exemption: Exemption) -> None:
        """Forget an exemption, unless another one is in its place."""


class IdentityUses(Protocol):
    """Who has had sessions, what they were permitted, and who has looked at that."""

    def agents(self, since_s: float) -> list[SeenIdentity]:
        """Agents that have had a session since then, by name."""

    def find(self, kind: PrincipalKind, name: str) -> SeenIdentity | None:
        """Somebody who has had a session, None when there was none."""

    def uses(self, kind: PrincipalKind, name: str) -> list[Use]:
        """What an identity was permitted, by connection and action."""

    def attestation(self, name: str) -> Attestation | None:
        """The last one of an agent, None when nobody has looked at it."""

    async def attest(self, name: str, attestation: Attestation) -> None:
        """Keep it in the place of an earlier one."""


class ReceivedEvents(Protocol):
    """Security events that were carried out, so that none counts twice. Bounded; raises when it is full, too."""

    def has(self, issuer: str, event_id: str, now_s: float) -> bool:
        """Whether an event was carried out before."""

    async def keep(self, issuer: str, event_id: str, until_s: float, now_s: float) -> None:
        """Note that an event was carried out."""


class KnownPrincipals(Protocol):
    """Principals that have had sessions, with what proved them at the time."""

    def known(self, kind: LockSubject, subject: str) -> list[Principal]:
        """The different principals that a lock on this subject would have been about.

        For users, agents, owners, tokens, runs, logins and subjects of issuers; of groups it knows nothing.
        """
