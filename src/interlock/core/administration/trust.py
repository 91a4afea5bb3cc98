"""Trying a token: which checks it passes, and whom each identity rule would make of its holder."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from interlock.core.administration.base import Command, Permission, Route


class CheckResult(msgspec.Struct, frozen=True):
    """One check: ``problem`` says why it does not hold, as the ledger has it."""

    name: str
    holds: bool
    expected: str
    found: str
    problem: str = ""


class RuleResult(msgspec.Struct, frozen=True):
    """One identity rule of the token's issuer: ``number`` counts them from 1."""

    number: int
    identity: str
    applies: bool
    conditions: tuple[CheckResult, ...]


class TokenExamination(msgspec.Struct, frozen=True):
    """What became of a token: the identity when it would be let in, else the reason, as the ledger would have it.

    ``identity`` is empty when there is none. ``message`` is what the caller would be told.
    """

    accepted: bool
    reason: str
    message: str
    checks: tuple[CheckResult, ...]
    rules: tuple[RuleResult, ...]
    identity: str = ""
    kind: str = ""
    groups: tuple[str, ...] = ()
    owner: str = ""
    expires_at_s: float | None = None


class TestToken(Command[TokenExamination], frozen=True, tag="trust.test"):
    """Say for a token what each check and each identity rule makes of it. Nobody is logged in.

    ``keys`` is a JWK set (JSON) to use in place of the issuer's, which is then not asked.
    """

    __test__: ClassVar = False
    route: ClassVar = Route("POST", "/v1/trust/test", (Permission.ADMINISTER,))

    token: Annotated[str, Meta(min_length=1, max_length=20_000)]
    keys: Annotated[str, Meta(max_length=65_536)] = ""

    def __repr__(self) -> str:
        return "TestToken()"
