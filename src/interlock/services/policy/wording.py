"""Sentences about decisions that a caller can act on.

A sentence names the action, the resource and the deciding rule with its ``@message``; it never holds a rule's text.
"""

import datetime
import math
from collections.abc import Sequence

import msgspec

from interlock.core.decision import ApprovalDemand, BudgetDemand, BudgetKind, Hold
from interlock.core.denial import Denial, DenialReason
from interlock.core.identity import Principal
from interlock.core.operation import Access, ResourceKind

_MAX_NAME_CHARS = 200

_NOUNS = {
    ResourceKind.CONNECTION: "connection",
    ResourceKind.DATABASE: "database",
    ResourceKind.SCHEMA: "schema",
    ResourceKind.TABLE: "table",
    ResourceKind.FUNCTION: "function",
    ResourceKind.ROLE: "role",
    ResourceKind.SETTING: "setting",
    ResourceKind.SERVER_FILE: "server file",
    ResourceKind.ENDPOINT: "endpoint",
    ResourceKind.HOST: "host",
    ResourceKind.GRAPHQL_FIELD: "GraphQL field",
    ResourceKind.TOOL: "tool",
    ResourceKind.MODEL: "model",
    ResourceKind.HOSTED_TOOL: "hosted tool",
    ResourceKind.PROGRAM: "program",
    ResourceKind.FILE: "file",
    ResourceKind.GATEWAY: "gateway",
}


def printable(text: str) -> str:
    """A name that came from outside, on one line and of bounded length."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[: _MAX_NAME_CHARS + 1])
    return shown if len(shown) <= _MAX_NAME_CHARS else shown[: _MAX_NAME_CHARS - 1] + "…"


def access_line(access: Access, resource_id: str) -> str:
    """``drop on table prod-pg/app/public/users``."""
    return f"{access.action} on {_NOUNS[access.kind]} {printable(resource_id)}"


def quoted(rules: Sequence[str]) -> str:
    """``rule "a"`` or ``rules "a", "b"``."""
    return ("rule " if len(rules) == 1 else "rules ") + ", ".join(f'"{rule}"' for rule in rules)


def no_permit(who: Principal, line: str, access: Access, connection: str, policy: str) -> Denial:
    place = "the gateway" if access.kind is ResourceKind.GATEWAY else f"connection {printable(connection)}"
    return Denial(
        DenialReason.NO_PERMIT,
        f"{_named(who)} may not {line}: no rule permits it.",
        f"Do it another way, or ask whoever administers {place} for a rule that permits {line}.",
        line,
        (),
        policy,
    )


def forbidden(line: str, rules: tuple[str, ...], messages: Sequence[str], policy: str, noun: str) -> Denial:
    said = " ".join(messages)
    return Denial(
        DenialReason.FORBIDDEN,
        f"{quoted(rules).capitalize()} {'forbids' if len(rules) == 1 else 'forbid'} {line}"
        + (f": {said}" if said else "."),
        f"The same {noun} will be refused again as long as the rule is in force.",
        line,
        rules,
        policy,
    )


def refused_to_principal(denial: Denial, who: Principal, actor: Principal) -> Denial:
    """The denial of a principal for whom somebody acts."""
    return _adding(denial, f"{_named(who)} is not allowed to with {_named(actor)} acting.")


def refused_to_actor(denial: Denial, who: Principal, actor: Principal) -> Denial:
    """The denial of somebody who acts for a principal that is not denied."""
    return _adding(denial, f"{_named(actor)}, who acts for {_named(who)}, is not allowed to.")


def _adding(denial: Denial, sentence: str) -> Denial:
    if denial.reason not in (DenialReason.FORBIDDEN, DenialReason.NO_PERMIT):
        return denial
    return msgspec.structs.replace(denial, message=f"{denial.message} {sentence}")


def _named(who: Principal) -> str:
    return f"{who.kind.value} {printable(who.name)}"


def broken(line: str, rules: tuple[str, ...], policy: str) -> Denial:
    where = f" ({quoted(rules)} failed)" if rules else ""
    return Denial(
        DenialReason.POLICY_ERROR,
        f"Policy could not be evaluated for {line}{where}, so it is refused.",
        "This is a fault on the gateway's side: report it to whoever administers the gateway.",
        line,
        rules,
        policy,
    )


def unresolved(line: str, policy: str, noun: str) -> Denial:
    return Denial(
        DenialReason.POLICY_ERROR,
        f"It is not known which object is meant by {line}, so it is refused.",
        "Write the name with its schema, as in public.users." if noun == "statement" else "Send it in another form.",
        line,
        (),
        policy,
    )


def not_understood(denial: Denial, error: str, noun: str) -> Denial:
    """The denial of a text that no parser understands, which is most often a slip of the pen.

    Parsers quote the text at fault behind "at or near"; that part is left out, as it may hold a value.
    """
    return msgspec.structs.replace(
        denial,
        message=f"The {noun} was not understood ({printable(error.partition(' at or near ')[0])}), "
        "and no rule permits what cannot be judged.",
        hint=f"Correct the {noun} and send it again.",
    )


def opaque(denial: Denial, why: str) -> Denial:
    """The denial of a command of which nobody can say what it does."""
    if not denial.access.startswith("ssh-opaque "):
        return denial
    return msgspec.structs.replace(
        denial,
        message=f"{denial.message} Nobody can say what the command does: {printable(why)}.",
        hint="Write out what is to be run: programs that are known, with their arguments, and nothing that only shows "
        "when it runs. " + denial.hint,
    )


def too_many(count: int, limit: int, policy: str, noun: str) -> Denial:
    return Denial(
        DenialReason.UNSUPPORTED,
        f"The {noun} has {count} different accesses; at most {limit} can be decided at once.",
        f"Split it into several {noun}s.",
        policy=policy,
    )


def unsupported(sentence: str, policy: str, code: str = "", position: int = 0) -> Denial:
    hint = "" if code else "Send the request in another form."
    return Denial(DenialReason.UNSUPPORTED, sentence, hint, policy=policy, code=code, position=position)


def unread(sentence: str, policy: str) -> Denial:
    """A body was not read that a rule asks about."""
    hint = "Send less at once, as JSON or a form that is declared so."
    return Denial(DenialReason.UNSUPPORTED, f"{sentence} A rule asks what is in it.", hint, policy=policy)


def held(
    line: str, demands: tuple[ApprovalDemand, ...], messages: Sequence[str], rules: tuple[str, ...], policy: str
) -> Hold:
    asked = "; ".join(
        f"{demand.approvals} approval{'s' if demand.approvals > 1 else ''} of group {demand.group} "
        f'(rule "{demand.rule}")'
        for demand in demands
    )
    return Hold(demands, " ".join([f"{line} needs {asked}.", *messages]), rules, policy, line)


def amount(demand: BudgetDemand) -> str:
    """``10000 rows per 1h``."""
    return f"{demand.limit} {demand.word or demand.kind.value} per {demand.per}"


def budget_in_words(demand: BudgetDemand) -> str:
    return f'The budget of {amount(demand)} of rule "{demand.rule}"'


def budget_spent(demand: BudgetDemand, counted: int, line: str) -> str:
    whose = " of who acts" if demand.party else ""
    return f'Rule "{demand.rule}" forbids {line} beyond {amount(demand)}, and {counted}{whose} were counted.'


def uncountable(policy: str) -> Denial:
    return Denial(
        DenialReason.POLICY_ERROR,
        "What is used of budgets cannot be counted now, so nothing is allowed within one.",
        "This is a fault on the gateway's side: try again later, and report it to whoever administers the gateway.",
        policy=policy,
    )


def room_again(demands: Sequence[BudgetDemand], at_s: float) -> str:
    """When to come back, once budgets are spent; the time is Unix seconds."""
    if any(demand.window_s == 0 for demand in demands):
        return "The budget is for the whole run: it has no room for this any more."
    hint = f"There is room again at {utc(at_s)} at the earliest." if at_s else "Try again later."
    if any(demand.kind is BudgetKind.DENIALS for demand in demands):
        hint += " Every further denial counts as well."
    return hint


def utc(at_s: float) -> str:
    """A Unix time as ``2026-01-05T12:00:00Z``, rounded up."""
    return datetime.datetime.fromtimestamp(math.ceil(at_s), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
