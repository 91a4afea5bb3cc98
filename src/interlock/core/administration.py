"""What an operator can ask of the gateway, and what it answers: one command and one answer for each.

Commands are the same whether they are executed in the process that gives them or sent to a running gateway. Answers
never hold a stored secret; ``GeneratedSecret`` and ``IssuedToken`` hold what was made for this answer and kept nowhere.
"""

from typing import Annotated, ClassVar, Final, Generic, TypeVar, get_args

import msgspec
from msgspec import Meta

from interlock.core.settings import ConnectionSettings, IdentityKind

SOCKET_FILE: Final = "admin.sock"
"""Where a running gateway takes commands, in its data directory."""

AnswerT = TypeVar("AnswerT")
ConnectionName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
IdentityName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+=|-]{0,254}$")]
GroupName = Annotated[str, Meta(min_length=1, max_length=200)]


class Done(msgspec.Struct, frozen=True):
    """It was done; ``text`` is a sentence for people."""

    text: str


class ConnectionView(msgspec.Struct, frozen=True):
    """A connection as it can be shown. ``origin`` is ``file`` or ``command``; ``credential`` says where it is."""

    name: str
    origin: str
    credential: str
    settings: ConnectionSettings


class IdentityView(msgspec.Struct, frozen=True):
    """A registered identity as it can be shown."""

    name: str
    kind: str
    owner: str | None
    groups: tuple[str, ...]
    disabled: bool
    created_at_s: float
    has_secret: bool


class GeneratedSecret(msgspec.Struct, frozen=True):
    """A secret that was made for an identity. It is shown once."""

    identity: str
    secret: str

    def __repr__(self) -> str:
        return f"GeneratedSecret(identity={self.identity!r})"


class IssuedToken(msgspec.Struct, frozen=True):
    """A token of the development issuer."""

    token: str
    expires_in_s: int

    def __repr__(self) -> str:
        return f"IssuedToken(expires_in_s={self.expires_in_s})"


class ColumnPath(msgspec.Struct, frozen=True, order=True):
    """A column of a target, by its names as they are."""

    schema: str
    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}.{self.column}"


class TagProposal(msgspec.Struct, frozen=True):
    """A tag that a column may deserve.

    ``reason`` is the detector class that found something in ``hits`` of ``values`` values that were looked at, or the
    hint in the column's name. ``pattern`` is the column for ``[policy] tags``.
    """

    column: ColumnPath
    by_content: bool
    reason: str
    hits: int
    values: int
    tag: str
    pattern: str


class NotSampled(msgspec.Struct, frozen=True):
    """A table whose rows could not be looked at. Names were."""

    schema: str
    table: str
    why: str


class ScanReport(msgspec.Struct, frozen=True):
    """What a scan found. It holds no value of any row."""

    connection: str
    database: str
    tables: int
    columns: int
    proposals: tuple[TagProposal, ...]
    not_sampled: tuple[NotSampled, ...] = ()


class HardeningPlan(msgspec.Struct, frozen=True):
    """What takes columns away from a role: ``statements`` in order, and ``warnings`` on why they may not be enough."""

    role: str
    statements: tuple[str, ...]
    warnings: tuple[str, ...]
    applied: bool = False


class Command(msgspec.Struct, Generic[AnswerT], frozen=True, tag_field="command", forbid_unknown_fields=True):
    """Base of all commands; the parameter is the type of the answer, which comes within ``answer_timeout_s``."""

    answer_timeout_s: ClassVar[float] = 60.0


class ListConnections(Command[tuple[ConnectionView, ...]], frozen=True, tag="connections.list"):
    """All connections, by name."""


class ShowConnection(Command[ConnectionView], frozen=True, tag="connections.show"):
    """One connection."""

    name: str


class AddConnection(Command[Done], frozen=True, tag="connections.add"):
    """Add a connection; with ``replace``, in the place of the one of its name."""

    name: ConnectionName
    settings: ConnectionSettings
    replace: bool = False


class SetCredential(Command[Done], frozen=True, tag="connections.set-credential"):
    """Seal the password of a connection whose credential is ``sealed``."""

    name: str
    password: Annotated[str, Meta(min_length=1, max_length=65_536)]

    def __repr__(self) -> str:
        return f"SetCredential(name={self.name!r})"


class RemoveConnection(Command[Done], frozen=True, tag="connections.remove"):
    """Remove a connection that was added by a command, with its sealed credential."""

    name: str


class TestConnection(Command[Done], frozen=True, tag="connections.test"):
    """Try to reach a connection's target from the gateway."""

    __test__ = False

    name: str


class ScanConnection(Command[ScanReport], frozen=True, tag="connections.scan"):
    """Look at samples of a database for columns that deserve a tag. Without ``database`` it is the first."""

    answer_timeout_s: ClassVar[float] = 600.0

    name: str
    database: str | None = None
    sample_rows: Annotated[int, Meta(ge=1, le=100_000)] = 1000


class HardenConnection(Command[HardeningPlan], frozen=True, tag="connections.harden"):
    """Plan how to make a role unable to read columns; carry it out when it is what was ``agreed`` to.

    Without ``database`` it is the first one, without ``role`` the one that the gateway logs in as.
    """

    name: str
    columns: Annotated[tuple[ColumnPath, ...], Meta(min_length=1, max_length=1000)]
    role: str | None = None
    database: str | None = None
    agreed: tuple[str, ...] = ()


class ListIdentities(Command[tuple[IdentityView, ...]], frozen=True, tag="identities.list"):
    """All registered identities, by name."""


class ShowIdentity(Command[IdentityView], frozen=True, tag="identities.show"):
    """One registered identity."""

    name: str


class AddIdentity(Command[Done], frozen=True, tag="identities.add"):
    """Register an identity; with ``replace``, change the one of its name, which keeps its state and secret."""

    name: IdentityName
    kind: IdentityKind
    owner: str | None = None
    groups: tuple[GroupName, ...] = ()
    replace: bool = False


class DisableIdentity(Command[Done], frozen=True, tag="identities.disable"):
    """Refuse new logins of an identity."""

    name: str


class EnableIdentity(Command[Done], frozen=True, tag="identities.enable"):
    """Let a disabled identity log in again."""

    name: str


class GenerateSecret(Command[GeneratedSecret], frozen=True, tag="identities.secret"):
    """Make a secret for an identity that cannot bring tokens; an earlier one stops working."""

    name: str


class IssueToken(Command[IssuedToken], frozen=True, tag="token"):
    """Get a token from the development issuer."""

    name: IdentityName
    kind: IdentityKind = IdentityKind.AGENT
    groups: tuple[GroupName, ...] = ()
    owner: str | None = None
    ttl_s: Annotated[int, Meta(ge=1, le=3600)] = 900


AnyCommand = (
    ListConnections
    | ShowConnection
    | AddConnection
    | SetCredential
    | RemoveConnection
    | TestConnection
    | ScanConnection
    | HardenConnection
    | ListIdentities
    | ShowIdentity
    | AddIdentity
    | DisableIdentity
    | EnableIdentity
    | GenerateSecret
    | IssueToken
)


def answer_type(command: Command[AnswerT]) -> type[AnswerT]:
    """The type of a command's answer, for whoever decodes it."""
    bases: tuple[object, ...] = type(command).__orig_bases__  # type: ignore[attr-defined]
    answer: type[AnswerT] = get_args(bases[0])[0]
    return answer
