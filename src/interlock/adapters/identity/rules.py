"""From the claims of a verified token to a named identity.

The first rule of the token's issuer whose conditions all hold is used. Texts are compared exactly; ``*`` in a
condition stands for any characters. A caller never learns which claim of which rule did not match.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from interlock.adapters.identity.token import NOT_ACCEPTED
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.settings import IdentityKind, IdentityRule

KINDS: Final = {IdentityKind.AGENT: PrincipalKind.AGENT, IdentityKind.USER: PrincipalKind.USER}
IDENTITY_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+=|-]{0,254}")
MAX_GROUPS: Final = 200
MAX_GROUP_CHARACTERS: Final = 200
MAX_KEPT_CHARACTERS: Final = 512
MAX_LOGIN_CHARACTERS: Final = 512
KEPT_CLAIMS: Final = (
    "act",
    "actor",
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


class Rule:
    """One identity rule, ready to be applied."""

    def __init__(self, settings: IdentityRule) -> None:
        self._settings = settings
        self._conditions = [(claim, _texts(expected)) for claim, expected in settings.when.items()]

    def applies(self, claims: dict[str, Any]) -> bool:
        """Whether every condition holds for these claims."""
        return all(_matches(find_claim(claims, claim), accepted) for claim, accepted in self._conditions)

    def principal(self, claims: dict[str, Any], token_id: str, expires_at_s: float | None) -> Principal:
        """The identity that the rule gives to a token's holder. Raises LoginRefused."""
        name = _fill(self._settings.identity, claims)
        if name is None or not IDENTITY_NAME.fullmatch(name):
            raise LoginRefused(NOT_ACCEPTED, f"rule {self._settings.identity!r} gives no usable name")
        return Principal(
            kind=KINDS[self._settings.kind],
            name=name,
            groups=frozenset(self._settings.groups) | self._claimed_groups(claims),
            owner=_fill(self._settings.owner, claims) if self._settings.owner is not None else None,
            issuer=claims["iss"],
            subject=claims["sub"],
            token_id=token_id,
            expires_at_s=expires_at_s,
            claims=_kept(claims, (*KEPT_CLAIMS, *self._settings.keep)),
            issued_at_s=_issued_at_s(claims),
            login=_login(claims),
        )

    def _claimed_groups(self, claims: dict[str, Any]) -> frozenset[str]:
        if self._settings.groups_claim is None:
            return frozenset()
        groups = find_claim(claims, self._settings.groups_claim)
        if groups is None:
            return frozenset()
        if not isinstance(groups, list) or len(groups) > MAX_GROUPS or not all(map(_is_group, groups)):
            raise LoginRefused(
                NOT_ACCEPTED, f"{self._settings.groups_claim} is not a list of at most {MAX_GROUPS} names"
            )
        return frozenset(groups)


class Rules:
    """All identity rules, by issuer. ``urls`` maps the names that rules may use for issuers to their URLs."""

    def __init__(self, rules: Iterable[IdentityRule], urls: dict[str, str]) -> None:
        self._by_issuer: dict[str, list[Rule]] = {}
        for settings in rules:
            self._by_issuer.setdefault(urls.get(settings.issuer, settings.issuer), []).append(Rule(settings))

    def principal(self, claims: dict[str, Any], token_id: str, expires_at_s: float | None) -> Principal:
        """The principal behind a verified token. Raises LoginRefused when no rule of its issuer applies."""
        for rule in self._by_issuer.get(claims["iss"], ()):
            if rule.applies(claims):
                return rule.principal(claims, token_id, expires_at_s)
        raise LoginRefused("the token is genuine, but nobody here is known by it", "no identity rule applies")


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
