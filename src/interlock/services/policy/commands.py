"""The policy in force over the API: showing and explaining it. Nothing in here changes it."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from interlock.core.administration import Command
from interlock.core.administration.policy import (
    AccessFinding,
    ExplainedActor,
    ExplainPolicy,
    OutcomeWord,
    PolicyExplanation,
    PolicyView,
    ShowPolicy,
)
from interlock.core.errors import ConfigurationError, InvalidCommand
from interlock.core.identity import Actor, Principal, PrincipalKind
from interlock.core.operation import Meaning
from interlock.services.administration import Handler
from interlock.services.policy.engine import PolicyEngine
from interlock.services.policy.explain import Question, explain
from interlock.services.policy.interpreter import Interpreter
from interlock.services.policy.permissions import MEANINGS
from interlock.services.policy.session import Outcome
from interlock.services.policy.store import PolicyStore
from interlock.services.policy.viewpoint import ClientFacts
from interlock.services.ports import Clock

_WORDS: Final[Mapping[Outcome, OutcomeWord]] = {Outcome.ALLOW: "allowed", Outcome.HOLD: "held", Outcome.DENY: "denied"}


class PolicyCommands:
    """Implements ``administration.Room``."""

    def __init__(self, policies: PolicyStore, interpreter: Interpreter, clock: Clock, node: str) -> None:
        self._policies = policies
        self._interpreter = interpreter
        self._clock = clock
        self._node = node
        self.handlers: Mapping[type[Command[Any]], Handler] = {ShowPolicy: self._show, ExplainPolicy: self._explain}

    async def _show(self, _command: ShowPolicy, _actor: Actor) -> PolicyView:
        engine = self._policies.engine
        return PolicyView(engine.version, engine.text, self._policies.problems)

    async def _explain(self, command: ExplainPolicy, _actor: Actor) -> PolicyExplanation:
        if (command.permission is None) != bool(command.connection):
            raise InvalidCommand("give a statement or request with its connection, or a permission")
        if command.permission is not None and command.actor is not None:
            raise InvalidCommand("nobody has permissions on the gateway through somebody who acts for them")
        return await asyncio.to_thread(self._answer, self._policies.engine, command, self._clock.now_s())

    def _answer(self, engine: PolicyEngine, command: ExplainPolicy, now_s: float) -> PolicyExplanation:
        """In a worker thread: a statement can be long, and a policy."""
        explanation = explain(engine, self._question(command, now_s))
        verdict = explanation.verdict
        said = verdict.denial or verdict.hold
        return PolicyExplanation(
            outcome=_WORDS[explanation.outcome],
            message=said.message if said else "",
            hint=verdict.denial.hint if verdict.denial else "",
            rules=verdict.rules,
            policy=verdict.policy,
            accesses=tuple(
                AccessFinding(found.line, _WORDS[found.outcome], found.rules) for found in explanation.findings
            ),
            changes=explanation.changes,
            masked=explanation.masked,
        )

    def _question(self, command: ExplainPolicy, now_s: float) -> Question:
        who = _principal(command, (_principal(command.actor),) if command.actor is not None else ())
        client = ClientFacts(command.client_address, command.application, command.trace)
        if command.permission is not None:
            return Question(who, self._node, "", MEANINGS[command.permission], client, now_s)
        return Question(who, command.connection, command.database, self._meaning(command), client, now_s)

    def _meaning(self, command: ExplainPolicy) -> Meaning:
        try:
            return self._interpreter.interpret(command.connection, command.statement, command.protocol)
        except ConfigurationError as error:
            raise InvalidCommand(str(error)) from None


def _principal(said: ExplainPolicy | ExplainedActor, acting: tuple[Principal, ...] = ()) -> Principal:
    kind = PrincipalKind[said.kind.name]
    return Principal(kind, said.name, frozenset(said.groups), said.owner, acting=acting)
