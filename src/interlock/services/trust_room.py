"""Carries out what administrators ask about identity rules. What a token holds is told to them and kept nowhere."""

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from interlock.core.administration import Command, TestToken, TokenExamination
from interlock.core.identity import Actor
from interlock.core.ledger import AdministrationChanged
from interlock.services.administration import Handler
from interlock.services.ports import Ledger


class TokenExaminer(Protocol):
    """Runs the checks of a login without logging anybody in."""

    def examine(self, token: str, keys: str) -> Awaitable[TokenExamination]:
        """What a token comes to. Raises InvalidCommand when ``keys`` are given and no JWK set."""


class TrustRoom:
    """Implements ``services.administration.Room``."""

    def __init__(self, examiner: TokenExaminer, ledger: Ledger) -> None:
        self._examiner = examiner
        self._ledger = ledger

    @property
    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        """By command."""
        return {TestToken: self._test}

    async def _test(self, command: TestToken, actor: Actor) -> TokenExamination:
        examination = await self._examiner.examine(command.token, command.keys)
        outcome = "accepted" if examination.accepted else examination.reason
        accepted = self._ledger.append(
            AdministrationChanged(actor.name, "trust.test", examination.identity, f"a token was tried: {outcome}")
        )
        if accepted is not None:
            await accepted
        return examination
