"""What is registered for identities, and whom that keeps out whatever proof they bring.

Fails closed: what cannot be looked up may be somebody who is shut out.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from interlock.adapters.identity.token import NOT_ACCEPTED
from interlock.core.errors import LoginRefused, StateUnavailable
from interlock.core.identity import OWN_ISSUER, Principal, PrincipalKind, RegisteredIdentity
from interlock.core.settings import AgentSettings

_NO_LABELS: Mapping[str, str] = {}
_NO_DEMANDS = AgentSettings()


class Identities(Protocol):
    """The identities that were registered by hand."""

    def find(self, name: str) -> RegisteredIdentity | None:
        """The registered identity of this name, None when there is none. Raises StateUnavailable."""


class OpenLogins(Protocol):
    """Logins of people."""

    def has_ended(self, principal: Principal) -> bool:
        """Whether a principal comes from a login that is over. Raises StateUnavailable."""


class Registry:
    """One for the whole gateway. ``labels`` are the names that settings have for issuers, by URL."""

    def __init__(
        self,
        identities: Identities,
        settings: AgentSettings = _NO_DEMANDS,
        labels: Mapping[str, str] = _NO_LABELS,
        logins: OpenLogins | None = None,
    ) -> None:
        self._identities = identities
        self._settings = settings
        self._labels = labels
        self._logins = logins

    def admit(self, principal: Principal) -> Principal:
        """Whom a token speaks for, with what is registered for the name; so with everybody who acts for it.

        What agents have to be holds for who acts at the moment. Raises LoginRefused when one of them may not log in,
        or comes from a login that is over.
        """
        self._refuse_logged_out(principal)
        return self._admit(principal)

    def _refuse_logged_out(self, principal: Principal) -> None:
        try:
            over = self._logins is not None and self._logins.has_ended(principal)
        except StateUnavailable:
            raise LoginRefused("the gateway cannot look logins up; try again later", "state store") from None
        if over:
            raise LoginRefused("the login that this came from has ended; log in again", "its login has ended")

    def _admit(self, principal: Principal) -> Principal:
        registered = self.find(principal.name)
        if registered is None and self._settings.require_registration and principal.kind is PrincipalKind.AGENT:
            raise LoginRefused(
                f"the agent {principal.name!r} is not registered with the gateway: ask its operator to do that",
                "not registered",
            )
        if registered is not None:
            principal = self._merged(principal, registered)
        self._check_owner(principal)
        if principal.acting:
            current, *earlier = principal.acting
            acting = (self._admit(current), *map(self._as_registered, earlier))
            principal = msgspec.structs.replace(principal, acting=acting)
        return principal

    def _as_registered(self, principal: Principal) -> Principal:
        registered = self.find(principal.name)
        return principal if registered is None else self._merged(principal, registered)

    def own(self, identity: RegisteredIdentity, token_id: str = "", expires_at_s: float | None = None) -> Principal:
        """Who has proved to hold what was registered for an identity. Raises LoginRefused when it may not log in."""
        _check_open(identity)
        principal = Principal(
            kind=identity.kind,
            name=identity.name,
            groups=identity.groups,
            owner=identity.owner,
            issuer=OWN_ISSUER,
            subject=identity.name,
            token_id=token_id,
            expires_at_s=expires_at_s,
        )
        self._check_owner(principal)
        return principal

    def find(self, name: str) -> RegisteredIdentity | None:
        """The registered identity of this name, None when there is none. Raises LoginRefused without an answer."""
        try:
            return self._identities.find(name)
        except StateUnavailable:
            raise LoginRefused("the gateway cannot look identities up; try again later", "state store") from None

    def _merged(self, principal: Principal, registered: RegisteredIdentity) -> Principal:
        _check_open(registered)
        if registered.kind is not principal.kind:
            raise LoginRefused(NOT_ACCEPTED, "the token's rule gives this name to another kind of identity")
        if not registered.accepts(principal.issuer, self._labels.get(principal.issuer, "")):
            raise LoginRefused(NOT_ACCEPTED, "the name is registered for tokens of other issuers")
        return msgspec.structs.replace(
            principal, groups=principal.groups | registered.groups, owner=registered.owner or principal.owner
        )

    def _check_owner(self, principal: Principal) -> None:
        if self._settings.require_owner and principal.kind is PrincipalKind.AGENT and not principal.owner:
            raise LoginRefused(
                f"nobody answers for the agent {principal.name!r}: ask the gateway's operator to register its owner",
                "no owner",
            )


def _check_open(identity: RegisteredIdentity) -> None:
    if identity.disabled:
        raise LoginRefused("this identity is disabled", "identity disabled")
    if identity.handover is not None:
        raise LoginRefused(
            f"{identity.name!r} has a new owner, which nobody has confirmed: ask that owner for it",
            "owner not confirmed",
        )
