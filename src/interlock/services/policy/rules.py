"""From policy texts to validated rules, or to a list of everything that is wrong with them.

A rule is one Cedar policy under its own ``@id``. What does not parse, does not validate against the schema or relies on
something this version does not enforce is refused as a whole: no part of a refused text ever takes effect.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence

import cedarpy
from cedarpy import pst

from interlock.core.decision import ApprovalDemand, BudgetDemand
from interlock.core.masking import ColumnMask
from interlock.services.policy.annotations import annotation_problems, approval_demand, budget_demands, column_mask
from interlock.services.policy.faults import engine_faults
from interlock.services.policy.resources import id_problem
from interlock.services.policy.reveal import reveal_problems
from interlock.services.policy.schema import schema
from interlock.services.policy.sources import PolicySource, Statement, statements

MAX_TEXT_CHARS = 4_000_000
MAX_OPERATORS = 150
"""Operators and brackets in one rule. Cedar recurses on them: 150 fit a stack of 2 MB, 3000 end any process."""

_OPERATOR = re.compile(
    r'//[^\n]*|"(?:\\.|[^"\\])*"|(?P<operator>&&|\|\||[=!<>]=|[(\[{!.+*<>-]|\b(?:if|has|in|is|like)\b)', re.DOTALL
)


@dataclasses.dataclass(frozen=True)
class Rule:
    """One validated Cedar policy. ``place`` is ``file:line``.

    ``demand``, ``budgets`` and ``mask`` are what a forbid softens itself to; without any it forbids. With budgets the
    demand is for when one of them is spent.
    """

    id: str
    place: str
    policy: pst.Template
    message: str
    demand: ApprovalDemand | None
    mask: ColumnMask | None = None
    budgets: tuple[BudgetDemand, ...] = ()

    @property
    def permits(self) -> bool:
        return self.policy.effect == "permit"

    @property
    def softened(self) -> bool:
        return self.mask is not None or self.softens_operations

    @property
    def softens_operations(self) -> bool:
        """Whether it does not forbid an operation at once."""
        return self.demand is not None or bool(self.budgets)

    @property
    def asked_first(self) -> ApprovalDemand | None:
        """The approval that it asks for however little was spent."""
        return None if self.budgets else self.demand


@dataclasses.dataclass(frozen=True)
class Draft:
    """What was read: the rules, and one line for each problem (``file:line: what``).

    Rules are for use only when there is no problem.
    """

    rules: tuple[Rule, ...]
    problems: tuple[str, ...]


def read_rules(sources: Sequence[PolicySource]) -> Draft:
    """Read and validate all texts. Never raises for what is in them."""
    rules: list[Rule] = []
    problems: list[str] = []
    places: dict[str, str] = {}
    for source in sources:
        draft = _read_source(source)
        problems += draft.problems
        for rule in draft.rules:
            if rule.id in places:
                problems.append(f'{rule.place}: the @id "{rule.id}" is already used at {places[rule.id]}')
            places.setdefault(rule.id, rule.place)
        rules += draft.rules
    return Draft(tuple(rules), tuple(problems))


def _read_source(source: PolicySource) -> Draft:
    pieces = list(statements(source.text))
    problems = list(_oversize(source, pieces))
    if problems:
        return Draft((), tuple(problems))
    try:
        with engine_faults():
            parsed = cedarpy.policies_to_pst(source.text)
            invalid = cedarpy.validate_policies(source.text, schema(), release_gil=True).errors
    except Exception as error:  # noqa: BLE001 - whatever the parser says is a problem of the text
        return Draft((), (_syntax_problem(source, pieces, str(error)),))
    places = _places(source, pieces, len(parsed.static_policies) + len(parsed.templates))
    for key in parsed.templates:
        problems.append(f"{places(key)}: templates (?principal, ?resource) are not supported")
    found = {(places(error.policy_id), error.error) for error in invalid}
    problems += [f"{place}: {_without_id(text)}" for place, text in sorted(found)]
    rules = []
    for key, policy in sorted(parsed.static_policies.items(), key=lambda item: _number(item[0])):
        problems += [f"{places(key)}: {problem}" for problem in _policy_problems(policy)]
        if "id" in policy.annotations:
            rules.append(_rule(policy, places(key), usable=not problems))
    return Draft(tuple(rules), tuple(problems))


def _rule(policy: pst.Template, place: str, *, usable: bool) -> Rule:
    annotations = policy.annotations
    return Rule(
        id=annotations["id"],
        place=place,
        policy=dataclasses.replace(policy, id=annotations["id"]),
        message=annotations.get("message", ""),
        demand=approval_demand(annotations) if usable else None,
        mask=column_mask(annotations) if usable else None,
        budgets=budget_demands(annotations) if usable else (),
    )


def _policy_problems(policy: pst.Template) -> Iterator[str]:
    yield from annotation_problems(policy.effect, policy.annotations)
    yield from reveal_problems(policy)
    named = sorted(pst.entity_uids(policy), key=str)
    yield from filter(None, (id_problem(str(uid.type), uid.id) for uid in named))


def _oversize(source: PolicySource, pieces: Sequence[Statement]) -> Iterator[str]:
    if len(source.text) > MAX_TEXT_CHARS:
        yield f"{source.name}:1: a policy text may have {MAX_TEXT_CHARS} characters at most"
        return
    for piece in pieces:
        if sum(1 for match in _OPERATOR.finditer(piece.text) if match["operator"]) > MAX_OPERATORS:
            yield f"{source.name}:{piece.line}: more than {MAX_OPERATORS} operators and brackets in one rule; split it"


def _syntax_problem(source: PolicySource, pieces: Sequence[Statement], message: str) -> str:
    """The parser gives no place: the first statement that does not parse by itself is it."""
    for piece in pieces:
        try:
            with engine_faults():
                cedarpy.policies_to_pst(piece.text)
        except Exception as error:  # noqa: BLE001 - only its text is wanted
            return f"{source.name}:{piece.line}: {error}"
    return f"{source.name}:1: {message}"


class _places:  # noqa: N801 - a function with memory
    """``file:line`` of a policy by the name that the parser gave it (``policy3``)."""

    def __init__(self, source: PolicySource, pieces: Sequence[Statement], count: int) -> None:
        self._name = source.name
        self._lines = [piece.line for piece in pieces] if len(pieces) == count else []

    def __call__(self, key: str) -> str:
        number = _number(key)
        return f"{self._name}:{self._lines[number] if 0 <= number < len(self._lines) else 1}"


def _number(key: str) -> int:
    digits = key.removeprefix("policy")
    return int(digits) if digits.isdecimal() else -1


def _without_id(text: str) -> str:
    return re.sub(r"^for policy `policy\d+`, ", "", text)
