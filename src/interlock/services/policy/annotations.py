"""What Interlock reads from a rule's annotations.

Architecture invariant: an annotation can only soften a ``forbid``. Nothing but a ``permit`` grants, so a tool that
knows plain Cedar only, and ignores all of this, is stricter and never looser.
"""

import re
from collections.abc import Callable, Mapping

import msgspec

from interlock.core.decision import ApprovalDemand, BudgetDemand, BudgetKind
from interlock.core.masking import ColumnMask, MaskKind, Predicates

DEFAULT_EXPIRY_S = 600.0
_MAX_EXPIRY_S = 7 * 86400
_MAX_APPROVALS = 20
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)
_RULE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}", re.ASCII)
_MAX_BUDGET_S = 31 * 86400
_MAX_BUDGETS = 8
_RUN = "run"
_KINDS = {kind.value: kind for kind in BudgetKind} | {"requests": BudgetKind.STATEMENTS}
_BUDGET = re.compile(rf"({'|'.join(_KINDS)})=([1-9][0-9]{{0,14}}) per ([1-9][0-9]{{0,5}}[smhd]|run)", re.ASCII)
_MASKS = {kind.word: kind for kind in MaskKind if kind is not MaskKind.FORBID}
_PREDICATES = {predicates.word: predicates for predicates in Predicates}


def duration_s(text: str, at_most_s: int = _MAX_EXPIRY_S) -> float | None:
    """Seconds of ``90s``, ``10m``, ``2h`` or ``1d``; None when it is none of these, or more than it may be."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    seconds = int(match[1]) * _UNITS_S[match[2]]
    return float(seconds) if seconds <= at_most_s else None


def _approvals(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and 1 <= int(text[:3]) <= _MAX_APPROVALS else None


class Amount(msgspec.Struct, frozen=True):
    """One part of a ``@budget``; see ``core.decision.BudgetDemand``."""

    word: str
    kind: BudgetKind
    limit: int
    per: str
    window_s: float


def amounts(text: str) -> tuple[Amount, ...]:
    """The parts of a ``@budget``; none when it is malformed, or limits one thing twice for the same time."""
    found = tuple(filter(None, (_amount(part.strip(" ")) for part in text.split(","))))
    distinct = {(amount.kind, amount.window_s) for amount in found}
    return found if len(found) == len(distinct) == text.count(",") + 1 <= _MAX_BUDGETS else ()


def _amount(text: str) -> Amount | None:
    match = _BUDGET.fullmatch(text)
    if match is None:
        return None
    window_s = 0.0 if match[3] == _RUN else duration_s(match[3], _MAX_BUDGET_S)
    return None if window_s is None else Amount(match[1], _KINDS[match[1]], int(match[2]), match[3], window_s)


class Annotation(msgspec.Struct, frozen=True):
    """One known annotation: what its value must look like and where it may stand."""

    form: str
    well_formed: Callable[[str], bool]
    on_permit: bool = False
    needs: str | None = None


ANNOTATIONS: Mapping[str, Annotation] = {
    "id": Annotation(
        "1 to 100 letters, digits and . _ : -", lambda text: bool(_RULE_ID.fullmatch(text)), on_permit=True
    ),
    "message": Annotation("a sentence for the caller", lambda text: 0 < len(text) <= 500 and text.isprintable()),
    "approval": Annotation("the name of a group", lambda text: 0 < len(text) <= 200 and text.isprintable()),
    "approvals": Annotation(
        f"a number from 1 to {_MAX_APPROVALS}", lambda text: _approvals(text) is not None, needs="approval"
    ),
    "expires": Annotation(
        "a time such as 90s, 10m, 2h or 1d, at most 7d", lambda text: duration_s(text) is not None, needs="approval"
    ),
    "mask": Annotation("one of " + ", ".join(_MASKS), lambda text: text in _MASKS),
    "self_approval": Annotation('"allow"', lambda text: text == "allow", needs="approval"),
    "budget": Annotation(
        "such as rows=10000 per 1h, bytes=50000000 per 1h: rows, bytes, statements (or requests), tokens or "
        f"denials, per 90s, 10m, 1h, 1d (at most 31d) or run; at most {_MAX_BUDGETS}, none twice for the same time",
        lambda text: bool(amounts(text)),
    ),
    "predicates": Annotation("one of " + ", ".join(_PREDICATES), lambda text: text in _PREDICATES, needs="mask"),
}


def annotation_problems(effect: str, annotations: Mapping[str, str]) -> list[str]:
    """Everything that is wrong with the annotations of one rule, a sentence each."""
    problems = [] if "id" in annotations else ["every rule needs an @id"]
    for name, value in sorted(annotations.items()):
        known = ANNOTATIONS.get(name)
        if known is None:
            problems.append(f"unknown annotation @{name}; known are @" + ", @".join(sorted(ANNOTATIONS)))
        elif effect == "permit" and not known.on_permit:
            problems.append(f"@{name} may only stand on a forbid: annotations soften, they never grant")
        elif not known.well_formed(value):
            problems.append(f"@{name} must be {known.form}")
        elif known.needs is not None and known.needs not in annotations:
            problems.append(f"@{name} needs @{known.needs} on the same rule")
    return problems


def approval_demand(annotations: Mapping[str, str]) -> ApprovalDemand | None:
    """The approval that a rule asks for, from annotations without problems."""
    group = annotations.get("approval")
    if group is None:
        return None
    expires_s = duration_s(annotations["expires"]) if "expires" in annotations else None
    return ApprovalDemand(
        rule=annotations["id"],
        group=group,
        approvals=int(annotations.get("approvals", "1")),
        expires_s=DEFAULT_EXPIRY_S if expires_s is None else expires_s,
        self_approval="self_approval" in annotations,
    )


def budget_demands(annotations: Mapping[str, str]) -> tuple[BudgetDemand, ...]:
    """The amounts up to which a rule does not forbid, from annotations without problems."""
    return tuple(
        BudgetDemand(
            rule=annotations["id"],
            kind=amount.kind,
            limit=amount.limit,
            per=amount.per,
            window_s=amount.window_s,
            message=annotations.get("message", ""),
            approval=approval_demand(annotations),
            word=amount.word,
        )
        for amount in amounts(annotations.get("budget", ""))
    )


def column_mask(annotations: Mapping[str, str]) -> ColumnMask | None:
    """The mask that a forbid on ``reveal`` softens itself to, from annotations without problems."""
    if "mask" not in annotations:
        return None
    predicates = _PREDICATES[annotations["predicates"]] if "predicates" in annotations else Predicates.EQUALITY
    return ColumnMask(_MASKS[annotations["mask"]], predicates, (annotations["id"],))
