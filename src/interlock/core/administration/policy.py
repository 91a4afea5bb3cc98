"""The policy in force, and what anybody may do under it: what can be asked and what is answered."""

from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Permission, Route
from interlock.core.administration.identities import GroupName, IdentityName
from interlock.core.settings import IdentityKind

OutcomeWord = Literal["allowed", "held", "denied"]
_READERS: Final = (Permission.DEVELOP, Permission.ADMINISTER, Permission.AUDIT)


class PolicyView(msgspec.Struct, frozen=True):
    """The policy in force: its version and canonical text. ``problems`` are those of the last text that was offered."""

    version: str
    text: str
    problems: tuple[str, ...]


class AccessFinding(msgspec.Struct, frozen=True):
    """What policy says about one access of a statement."""

    access: str
    outcome: OutcomeWord
    rules: tuple[str, ...]


class PolicyExplanation(msgspec.Struct, frozen=True):
    """The outcome with the finding for each access, and sentences on what would change it and what would be masked."""

    outcome: OutcomeWord
    message: str
    hint: str
    rules: tuple[str, ...]
    policy: str
    accesses: tuple[AccessFinding, ...]
    changes: tuple[str, ...]
    masked: tuple[str, ...]


class Caller(msgspec.Struct, frozen=True):
    """Who asks, as the gateway knows them. ``expires_at_s`` is when their token ends, Unix time.

    ``acting`` is who acts for them, the current one first: ``agent ci:acme/crm``.
    """

    name: str
    kind: str
    groups: tuple[str, ...]
    permissions: tuple[Permission, ...]
    gateway: str
    local: bool
    expires_at_s: float | None = None
    acting: tuple[str, ...] = ()


class ExplainedActor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who acts for the identity that is asked about."""

    name: IdentityName
    kind: IdentityKind = IdentityKind.AGENT
    groups: tuple[GroupName, ...] = ()
    owner: str | None = None


class ShowPolicy(Command[PolicyView], frozen=True, tag="policy.show"):
    """The policy in force."""

    route: ClassVar = Route("GET", "/v1/policy", _READERS)


class ExplainPolicy(Command[PolicyExplanation], frozen=True, tag="policy.explain"):
    """What the policy in force says about a statement or request, or about a permission on the gateway, and why.

    Exactly one of ``statement`` (or request), with its ``connection``, and ``permission`` is given. ``actor`` is who
    acts for the identity.
    """

    route: ClassVar = Route("POST", "/v1/policy/explain", _READERS)

    name: IdentityName
    kind: IdentityKind = IdentityKind.AGENT
    groups: tuple[GroupName, ...] = ()
    owner: str | None = None
    statement: Annotated[str, Meta(max_length=100_000)] = ""
    connection: str = ""
    database: str = ""
    protocol: str = ""
    permission: Permission | None = None
    client_address: str = ""
    application: str = ""
    trace: str = ""
    actor: ExplainedActor | None = None


class WhoAmI(Command[Caller], frozen=True, tag="whoami"):
    """Who asks, and what they may do here."""

    route: ClassVar = Route("GET", "/v1/whoami", ())
