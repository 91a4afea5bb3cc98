"""Tokens of the development issuer."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Permission, Route
from interlock.core.administration.identities import GroupName, IdentityName
from interlock.core.settings import IdentityKind


class IssuedToken(msgspec.Struct, frozen=True):
    """A token of the development issuer."""

    token: str
    expires_in_s: int

    def __repr__(self) -> str:
        return f"IssuedToken(expires_in_s={self.expires_in_s})"


class IssueToken(Command[IssuedToken], frozen=True, tag="token"):
    """Get a token from the development issuer."""

    route: ClassVar = Route("POST", "/v1/tokens", (Permission.ADMINISTER,))

    name: IdentityName
    kind: IdentityKind = IdentityKind.AGENT
    groups: tuple[GroupName, ...] = ()
    owner: str | None = None
    ttl_s: Annotated[int, Meta(ge=1, le=3600)] = 900
