"""Who asks: agents and users as principals, and what proved them.

Values only. Nothing in here verifies a token or keeps a secret.
"""

import enum
from collections.abc import Sequence
from typing import Final

import msgspec

from interlock.core.addresses import is_within


class PrincipalKind(enum.Enum):
    """Cedar entity types that may be a principal."""

    AGENT = "Agent"
    USER = "User"


class Principal(msgspec.Struct, frozen=True):
    """A caller whose identity has been proved.

    ``name`` is the identity's stable name in this gateway, ``issuer`` and ``subject`` say who vouched for it.
    ``groups`` are gateway groups, after the mapping rules. ``owner`` answers for an agent. ``expires_at_s`` is the
    end of the proof's life as Unix time. ``claims`` are the few claims kept as evidence (run, actor, repository ...),
    sorted by name; never the token itself.

    ``issued_at_s`` is when the first proof was given, as Unix time, None when unknown. ``login`` is the issuer's
    name for the person's session there (``sid`` of OpenID Connect, SessionIndex of SAML). ``audience`` is what the
    proof is good for, ``connection:NAME`` and ``api``; empty: everything. ``ancestors`` are the ids of the tokens that
    this one came from, the nearest first. ``acting`` are those who act for the principal, the current one first
    (``act`` of RFC 8693 section 4.1). ``run`` is the run that the token was given for. ``sources`` are the networks
    that the proof counts from; empty: from anywhere.
    """

    kind: PrincipalKind
    name: str
    groups: frozenset[str] = frozenset()
    owner: str | None = None
    issuer: str = ""
    subject: str = ""
    token_id: str = ""
    expires_at_s: float | None = None
    claims: tuple[tuple[str, str], ...] = ()
    issued_at_s: float | None = None
    login: str = ""
    audience: frozenset[str] = frozenset()
    ancestors: tuple[str, ...] = ()
    acting: tuple["Principal", ...] = ()
    run: str = ""
    sources: tuple[str, ...] = ()

    @property
    def actor(self) -> "Principal | None":
        """Who acts for it now; None when it acts itself."""
        return self.acting[0] if self.acting else None

    @property
    def asker(self) -> tuple[tuple[str, str], ...]:
        """Kind and name of the principal and of all who act for it: what two have in common that ask as the same.

        Policy asks all of them, so that an approval for some is none for others.
        """
        return tuple((who.kind.value, who.name) for who in (self, *self.acting))

    def may_use(self, audience: str) -> bool:
        """Whether the proof is good for this, as ``audience`` names it."""
        return not self.audience or audience in self.audience

    def counts_from(self, client_address: str) -> bool:
        """Whether the proof counts from ``host:port``. An address that cannot be read is nowhere."""
        return not self.sources or is_within(client_address.rpartition(":")[0], self.sources)


OWN_ISSUER: Final = "interlock"
"""In place of an issuer, where the gateway itself vouches: generated secrets and registered keys."""


def line_of(who: Principal) -> str:
    """A principal for people and records: ``agent ci:acme/crm``."""
    return f"{who.kind.value.lower()} {who.name}"


def by_actors(name: str, acting: Sequence[str]) -> str:
    """A name with those who act for it, as lines, the current one first: ``ada, by agent ci:acme/crm``."""
    if not acting:
        return name
    earlier = f" (before: {', '.join(acting[1:])})" if len(acting) > 1 else ""
    return f"{name}, by {acting[0]}{earlier}"


def everybody(principal: Principal) -> tuple[Principal, ...]:
    """The principal and whoever acts or acted for it."""
    return (principal, *principal.acting)


API_AUDIENCE: Final = "api"
"""The gateway's own API, in a principal's audience."""


def connection_audience(connection: str) -> str:
    """A connection, in a principal's audience."""
    return f"connection:{connection}"


class Handover(msgspec.Struct, frozen=True):
    """A change of an agent's owner that nobody has confirmed: who made it, and who answered for the agent before."""

    by: str
    formerly: tuple[str, ...]


class RegisteredIdentity(msgspec.Struct, frozen=True):
    """An identity that was registered by hand: it adds to what tokens say of this name, or shuts it out.

    ``scram_verifier`` is there when a secret was generated for it (RFC 5803 form, never the secret). ``issuers`` are
    those whose tokens may have this name, by URL or by their label in the settings; empty: any. While there is a
    ``handover`` it may not log in.
    """

    name: str
    kind: PrincipalKind
    owner: str | None = None
    groups: frozenset[str] = frozenset()
    disabled: bool = False
    created_at_s: float = 0.0
    scram_verifier: str | None = None
    purpose: str = ""
    issuers: frozenset[str] = frozenset()
    handover: Handover | None = None
    secret_made_at_s: float | None = None

    def accepts(self, issuer: str, label: str) -> bool:
        """Whether tokens of this issuer may have the name. ``label`` is what settings call it, empty for nothing."""
        return not self.issuers or issuer in self.issuers or bool(label and label in self.issuers)

    def __repr__(self) -> str:
        return f"RegisteredIdentity(name={self.name!r}, kind={self.kind.name}, disabled={self.disabled})"


class Actor(msgspec.Struct, frozen=True):
    """Who gives a command: a principal, and whether it is the gateway's own operator on its own machine.

    ``client_address`` is the host that it comes from, empty for this machine.
    """

    principal: Principal
    local: bool = False
    client_address: str = ""

    @property
    def name(self) -> str:
        """As the ledger has it."""
        return self.principal.name


def local_actor(account: str, groups: frozenset[str] = frozenset()) -> Actor:
    """An operating system's account with access to the gateway's data directory."""
    return Actor(Principal(PrincipalKind.USER, f"os:{account}", groups, issuer="os", subject=account), local=True)
