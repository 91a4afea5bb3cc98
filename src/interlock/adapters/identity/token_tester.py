"""Tries a token for an administrator: runs the checks and rules of a login, and notes instead of ending with the first.

Implements ``services.trust_room.TokenExaminer``. It has no checks of its own, and keeps nothing of what it is given.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.check import Check, shown
from interlock.adapters.identity.keys import IssuerKeys, read_keys
from interlock.adapters.identity.rules import Condition, Rule, find_claim
from interlock.adapters.identity.token import UnverifiedToken, load_strict_json
from interlock.core.administration import CheckResult, RuleResult, TokenExamination
from interlock.core.errors import InvalidCommand, LoginRefused
from interlock.core.identity import Principal


class TokenTester:
    """Tries tokens of the issuers and trust domains that an authenticator knows."""

    def __init__(self, authenticator: TokenAuthenticator) -> None:
        self._authenticator = authenticator

    async def examine(self, token: str, keys: str) -> TokenExamination:
        """What a token comes to. Raises InvalidCommand when ``keys`` are given and no JWK set."""
        given = _keys(keys)
        checks: list[Check] = []
        try:
            unverified = self._authenticator.take_apart(token)
        except LoginRefused as refused:
            return _examination([Check("form", "a signed token", "is none", refused)], (), None)
        checks.append(Check("form", "a signed token", "is one"))
        principal = await self._run(unverified, given, checks)
        return _examination(checks, self._authenticator.rules.of(unverified.issuer), principal, unverified.claims)

    async def _run(self, token: UnverifiedToken, keys: IssuerKeys | None, checks: list[Check]) -> Principal | None:
        """Whom the token speaks for, when every check holds."""
        try:
            _, expires_at_s = await self._authenticator.verification.run(token, checks.append, keys)
        except LoginRefused as refused:
            if all(check.refusal is None for check in checks):
                checks.append(Check("claims", "as RFC 7519 has them", "are not", refused))
            return None
        try:
            principal = self._authenticator.rules.principal(token.claims, "", expires_at_s)
            checks.append(Check("rule", "one that applies", principal.name))
            admitted = self._authenticator.admit(principal)
            checks.append(Check("registration", "may log in", "may"))
        except LoginRefused as refused:
            name = "registration" if checks[-1].name == "rule" else "rule"
            checks.append(Check(name, "may log in" if name == "registration" else "one that applies", "not", refused))
            return None
        return admitted if all(check.refusal is None for check in checks) else None


def _keys(document: str) -> IssuerKeys | None:
    try:
        return read_keys(load_strict_json(document.encode())) if document else None
    except ValueError as error:
        raise InvalidCommand(f"keys: {error}") from None


def _examination(
    checks: Sequence[Check],
    rules: Sequence[Rule],
    principal: Principal | None,
    claims: Mapping[str, Any] | None = None,
) -> TokenExamination:
    refusal = next((check.refusal for check in checks if check.refusal is not None), None)
    told = dict(claims or {})
    return TokenExamination(
        accepted=principal is not None,
        reason=refusal.reason if refusal is not None else "",
        message=str(refusal) if refusal is not None else "",
        checks=tuple(map(_result, checks)),
        rules=tuple(_rule_result(number, rule, told) for number, rule in enumerate(rules, start=1)),
        identity=principal.name if principal is not None else "",
        kind=principal.kind.name.lower() if principal is not None else "",
        groups=tuple(sorted(principal.groups)) if principal is not None else (),
        owner=(principal.owner or "") if principal is not None else "",
        expires_at_s=principal.expires_at_s if principal is not None else None,
    )


def _result(check: Check) -> CheckResult:
    problem = check.refusal.reason if check.refusal is not None else ""
    return CheckResult(check.name, check.refusal is None, check.expected, check.found, problem)


def _rule_result(number: int, rule: Rule, claims: dict[str, Any]) -> RuleResult:
    conditions = tuple(_condition_result(condition, claims) for condition in rule.conditions)
    return RuleResult(number, rule.settings.identity, rule.applies(claims), conditions)


def _condition_result(condition: Condition, claims: dict[str, Any]) -> CheckResult:
    expected = ("none of " if condition.negative else "") + (", ".join(condition.accepted) or "nothing")
    return CheckResult(condition.claim, condition.holds(claims), expected, shown(find_claim(claims, condition.claim)))
