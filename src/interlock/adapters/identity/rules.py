"""From the claims of a verified token to a named identity.

The first rule of the token's issuer whose conditions all hold is used. Texts are compared exactly; ``*`` in a
condition stands for any characters. A caller never learns which claim of which rule did not match.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from interlock.adapters.identity.token import NOT_ACCEPTED
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.settings import IdentityKind, IdentityRule, Trust
from interlock.core.trust_templates import Built, conditions_for

KINDS: Final = {IdentityKind.AGENT: PrincipalKind.AGENT, IdentityKind.USER: PrincipalKind.USER}
IDENTITY_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+=|-]{0,254}")
MAX_GROUPS: Final = 200
MAX_GROUP_CHARACTERS: Final = 200
MAX_KEPT_CHARACTERS: Final = 512
MAX_LOGIN_CHARACTERS: Final = 512
MAX_REASON_CHARACTERS: Final = 300
NO_RULE: Final = "no identity rule applies"
KEPT_CLAIMS: Final = (
    "acr",
    "act",
    "actor",
    "amr",
    "azp",
    "client_id",
    "email",
    "environment",
    "job_workflow_ref",
    "pipeline_id",
    "project_path",
    "ref",
    "repository",
    "run",
    "run_attempt",
    "run_id",
    "sha",
    "user_login",
    "workflow_ref",
)
_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")


class Condition(msgspec.Struct, frozen=True):
    """One condition on a claim: one of the ``accepted`` texts fits it, or none does when it is ``negative``."""

    claim: str
    accepted: tuple[str, ...]
    negative: bool = False

    def holds(self, claims: dict[str, Any]) -> bool:
        """Whether it holds for these claims."""
        return _matches(find_claim(claims, self.claim), self.accepted) is not self.negative


class Rule:
    """One identity rule, ready to be applied. ``trust`` adds what is known of issuers of its kind."""

    def __init__(self, settings: IdentityRule, issuer: str = "", trust: Trust | None = None) -> None:
        self.settings = settings
        built = conditions_for(settings, issuer, trust) if trust is not None else ()
        self.conditions = (
            *(Condition(claim, _texts(expected)) for claim, expected in settings.when.items()),
            *(Condition(claim, _texts(refused), negative=True) for claim, refused in settings.unless.items()),
            *map(_condition, built),
        )

    def applies(self, claims: dict[str, Any]) -> bool:
        """Whether every condition holds for these claims."""
        return all(condition.holds(claims) for condition in self.conditions)

    def failing(self, claims: dict[str, Any]) -> list[Condition]:
        """The conditions that do not hold for these claims."""
        return [condition for condition in self.conditions if not condition.holds(claims)]

    def principal(self, claims: dict[str, Any], token_id: str, expires_at_s: float | None) -> Principal:
        """The identity that the rule gives to a token's holder. Raises LoginRefused."""
        name = _fill(self.settings.identity, claims)
        if name is None or not IDENTITY_NAME.fullmatch(name):
            raise LoginRefused(NOT_ACCEPTED, f"rule {self.settings.identity!r} gives no usable name")
        return Principal(
            kind=KINDS[self.settings.kind],
            name=name,
            groups=frozenset(self.settings.groups) | self._claimed_groups(claims),
            owner=_fill(self.settings.owner, claims) if self.settings.owner is not None else None,
            issuer=claims["iss"],
            subject=claims["sub"],
            token_id=token_id,
            expires_at_s=expires_at_s,
            claims=_kept(claims, (*KEPT_CLAIMS, *self.settings.keep)),
            issued_at_s=_issued_at_s(claims),
            login=_login(claims),
        )

    def _claimed_groups(self, claims: dict[str, Any]) -> frozenset[str]:
        if self.settings.groups_claim is None:
            return frozenset()
        groups = find_claim(claims, self.settings.groups_claim)
        if self.settings.groups_claim in _claims_elsewhere(claims):
            text = f"{self.settings.groups_claim} is kept elsewhere: there are too many groups for the token"
            raise LoginRefused("the token does not say all groups; the gateway's operator can help", text)
        if groups is None:
            return frozenset()
        if not isinstance(groups, list) or len(groups) > MAX_GROUPS or not all(map(_is_group, groups)):
            raise LoginRefused(
                NOT_ACCEPTED, f"{self.settings.groups_claim} is not a list of at most {MAX_GROUPS} names"
            )
        return frozenset(groups)


class Rules:
    """All identity rules, by issuer. ``urls`` maps the names that rules may use for issuers to their URLs.

    ``trusts`` says what kinds of issuers they are, by URL.
    """

    def __init__(
        self, rules: Iterable[IdentityRule], urls: Mapping[str, str], trusts: Mapping[str, Trust] | None = None
    ) -> None:
        self._by_issuer: dict[str, list[Rule]] = {}
        for settings in rules:
            issuer = urls.get(settings.issuer, settings.issuer)
            self._by_issuer.setdefault(issuer, []).append(Rule(settings, issuer, (trusts or {}).get(issuer)))

    def of(self, issuer: str) -> Sequence[Rule]:
        """The rules of an issuer, in their order."""
        return self._by_issuer.get(issuer, ())

    def principal(self, claims: dict[str, Any], token_id: str, expires_at_s: float | None) -> Principal:
        """The principal behind a verified token. Raises LoginRefused when no rule of its issuer applies."""
        rules = self.of(claims["iss"])
        for rule in rules:
            if rule.applies(claims):
                return rule.principal(claims, token_id, expires_at_s)
        message = "what you have shown is genuine, but nobody here is known by it"
        raise LoginRefused(message, f"{NO_RULE}: {_nearest(rules, claims)}")


def _nearest(rules: Sequence[Rule], claims: dict[str, Any]) -> str:
    """Which claims keep the rule from applying that comes nearest; for the ledger, so without what is in them."""
    if not rules:
        return "its issuer has none"
    nearest = min(rules, key=lambda rule: len(rule.failing(claims)))
    failing = dict.fromkeys(condition.claim for condition in nearest.failing(claims))
    return f"not {nearest.settings.identity!r} for its {', '.join(failing)}"[:MAX_REASON_CHARACTERS]


def find_claim(claims: dict[str, Any], path: str) -> object:
    """A claim by its name or, for nested ones, by names joined with dots; None when there is none.

    Names may have dots themselves (``kubernetes.io``): the longest name that exists is tried first.
    """
    if path in claims:
        return claims[path]
    for end in range(len(path) - 1, 0, -1):
        inner = claims.get(path[:end]) if path[end] == "." else None
        if isinstance(inner, dict) and (found := find_claim(inner, path[end + 1 :])) is not None:
            return found
    return None


def _condition(built: Built) -> Condition:
    return Condition(built.claim, built.never or built.only, negative=bool(built.never))


def _claims_elsewhere(claims: dict[str, Any]) -> Iterable[str]:
    """Claims that the issuer left out for their size (OpenID Connect Core section 5.6.2)."""
    names = claims.get("_claim_names")
    return names if isinstance(names, dict) else ()


def _texts(expected: object) -> tuple[str, ...]:
    return tuple(map(_text, expected)) if isinstance(expected, tuple) else (_text(expected),)


def _matches(value: object, accepted: tuple[str, ...]) -> bool:
    """Whether a scalar claim, or any entry of a list claim, matches one of the accepted texts as a whole."""
    values = value if isinstance(value, list) else [value]
    texts = [_text(entry) for entry in values if isinstance(entry, str | int)]
    return any(_glob(pattern, text) for pattern in accepted for text in texts)


def _glob(pattern: str, text: str) -> bool:
    """Whether the text is the pattern with ``*`` for any characters; linear in both, whatever they hold."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    position, end = len(first), len(text) - len(last)
    if position > end or not text.startswith(first) or not text.endswith(last):
        return False
    for piece in middle:
        found = text.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True


def _text(value: object) -> str:
    """A scalar as text. GitLab writes booleans as texts and GitHub ids as texts: both spellings are one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _fill(template: str, claims: dict[str, Any]) -> str | None:
    """The template with claims in place of ``{claim}``; None when one of them is missing or not a scalar."""
    missing = False

    def replace(match: re.Match[str]) -> str:
        nonlocal missing
        value = find_claim(claims, match[1])
        missing = missing or not isinstance(value, str | int) or value == ""
        return _text(value)

    filled = _PLACEHOLDER.sub(replace, template)
    return None if missing else filled


def _is_group(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_GROUP_CHARACTERS


def _issued_at_s(claims: dict[str, Any]) -> float | None:
    issued = claims.get("iat")
    return float(issued) if isinstance(issued, int | float) else None


def _login(claims: dict[str, Any]) -> str:
    """The claim ``sid`` (OpenID Connect Front-Channel Logout section 3), if any. Raises LoginRefused."""
    login = claims.get("sid", "")
    if not isinstance(login, str) or len(login) > MAX_LOGIN_CHARACTERS:
        raise LoginRefused(NOT_ACCEPTED, "sid is not a short text")
    return login


def _kept(claims: dict[str, Any], names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    kept = {}
    for name in names:
        value = find_claim(claims, name)
        if isinstance(value, dict | list):
            value = msgspec.json.encode(value).decode()
        if isinstance(value, str | int):
            kept[name] = _text(value)[:MAX_KEPT_CHARACTERS]
    return tuple(sorted(kept.items()))
