"""Policy cases: what a policy is expected to say, in a YAML file, and whether it does.

A file has one key, ``cases``; docs/policy.md lists the keys of a case. Unknown keys are refused.
"""

import datetime
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec

from interlock.core.decision import Verdict
from interlock.core.denial import Denial
from interlock.core.errors import ConfigurationError, MaskingUnavailable
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.operation import Meaning
from interlock.services.policy.budgets import Spent, when_spent
from interlock.services.policy.delegated import AnyPolicy
from interlock.services.policy.engine import PolicyEngine
from interlock.services.policy.explain import outcome_of
from interlock.services.policy.interpreter import Interpreter
from interlock.services.policy.named_masks import named_masks
from interlock.services.policy.viewpoint import ClientFacts

Expectation = Literal["allow", "hold", "deny"]
_DEFAULT_TIME = datetime.datetime(2026, 1, 5, 12, 0, tzinfo=datetime.UTC)


class CaseIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who asks, or who acts for whoever asks."""

    name: str
    kind: Literal["agent", "user"] = "agent"
    groups: tuple[str, ...] = ()
    owner: str | None = None
    issuer: str = ""

    def principal(self, *acting: Principal) -> Principal:
        kind, groups = PrincipalKind[self.kind.upper()], frozenset(self.groups)
        return Principal(kind, self.name, groups, self.owner, self.issuer, acting=acting)


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One statement or request of one identity with the expected outcome, and optionally a rule that must decide it.

    ``actor`` acts for the identity.

    ``masked`` are those of the columns it reads by name, as ``schema.table.column``, that rules must mask; no others.
    For a request they are all fields of the connection that rules mask.
    ``budgets`` are the rules whose budgets must count it, no others; ``spent`` are rules whose budgets are spent.
    """

    name: str
    identity: CaseIdentity
    connection: str
    expect: Expectation
    actor: CaseIdentity | None = None
    statement: str = ""
    request: str = ""
    database: str = ""
    protocol: str = ""
    rule: str | None = None
    masked: tuple[str, ...] | None = None
    budgets: tuple[str, ...] | None = None
    spent: tuple[str, ...] = ()
    address: str = ""
    application: str = ""
    trace: str = ""
    at: Annotated[datetime.datetime, msgspec.Meta(tz=True)] = _DEFAULT_TIME

    def __post_init__(self) -> None:
        if bool(self.statement) == bool(self.request):
            raise ValueError("a case has a statement or a request")

    @property
    def principal(self) -> Principal:
        return self.identity.principal(*((self.actor.principal(),) if self.actor is not None else ()))

    @property
    def text(self) -> str:
        return self.statement or self.request


class CaseFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of cases."""

    cases: tuple[Case, ...]


class CaseResult(msgspec.Struct, frozen=True):
    """What became of a case. ``failure`` says what is different from what was expected, None when nothing is."""

    case: Case
    actual: Expectation
    rules: tuple[str, ...]
    failure: str | None


def read_cases(data: bytes, name: str) -> tuple[Case, ...]:
    """The cases of a YAML file. Raises ``ConfigurationError`` with the place and what is allowed there."""
    try:
        cases = msgspec.yaml.decode(data, type=CaseFile).cases
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{name}: {error}") from error
    if not cases:
        raise ConfigurationError(f"{name}: there is no case in it")
    return cases


def run_cases(engine: PolicyEngine, interpreter: Interpreter, cases: Sequence[Case]) -> tuple[CaseResult, ...]:
    """Decide every case. Raises ``ConfigurationError`` when a case names a protocol that does not exist."""
    return tuple(_run(engine, interpreter, case) for case in cases)


def _run(engine: PolicyEngine, interpreter: Interpreter, case: Case) -> CaseResult:
    client = ClientFacts(case.address, case.application, case.trace)
    session = engine.for_session(case.principal, case.connection, case.database, client)
    meaning = interpreter.interpret(case.connection, case.text, case.protocol)
    verdict = _as_spent(session.decide(meaning, case.at.timestamp()), frozenset(case.spent))
    outcomes: tuple[Expectation, ...] = ("allow", "hold", "deny")
    actual = outcomes[outcome_of(verdict)]
    failure = _wrong_outcome(case, verdict, actual) or _wrong_budgets(case, verdict)
    failure = failure or _wrong_masks(case, session, meaning)
    return CaseResult(case, actual, verdict.rules, failure)


def _wrong_outcome(case: Case, verdict: Verdict, actual: Expectation) -> str | None:
    if actual != case.expect:
        said = verdict.denial.message if verdict.denial else verdict.hold.message if verdict.hold else ""
        return f"expected {case.expect}, got {actual}" + (f": {said}" if said else "")
    if case.rule is not None and case.rule not in verdict.rules:
        return f'expected rule "{case.rule}" to decide, but it was {", ".join(verdict.rules) or "no rule"}'
    return None


def _as_spent(verdict: Verdict, rules: frozenset[str]) -> Verdict:
    """The verdict when the budgets of these rules are spent, as far as they are among its own."""
    spent = [Spent(place, demand.limit) for place, demand in enumerate(verdict.budgets) if demand.rule in rules]
    if not spent or verdict.denial is not None:
        return verdict
    decision = when_spent(verdict, spent)
    if isinstance(decision, Denial):
        return msgspec.structs.replace(verdict, rules=decision.rules, denial=decision)
    return msgspec.structs.replace(verdict, hold=decision)


def _wrong_budgets(case: Case, verdict: Verdict) -> str | None:
    counting = {demand.rule for demand in verdict.budgets}
    if unasked := set(case.spent) - counting:
        return f"no budget of {_listed(unasked, 'rule')} counts it, so none can be spent"
    if case.budgets is None or counting == set(case.budgets):
        return None
    return f"expected budgets of {_listed(case.budgets, 'rule')}, got {_listed(counting, 'rule')}"


def _wrong_masks(case: Case, session: AnyPolicy, meaning: Meaning) -> str | None:
    if case.masked is None:
        return None
    try:
        found = named_masks(session.masks, meaning)
    except MaskingUnavailable as error:
        return str(error)
    if found.unnamed:
        return f"what is masked cannot be told: * stands for columns of {', '.join(found.unnamed)}; name them"
    if found.columns.keys() != set(case.masked):
        noun = "column" if meaning.noun == "statement" else "field"
        return f"expected masks on {_listed(case.masked, noun)}, got {_listed(found.columns, noun)}"
    return None


def _listed(names: Iterable[str], noun: str) -> str:
    return ", ".join(sorted(names)) or f"no {noun}"
