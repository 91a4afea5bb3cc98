"""Reads whom a security event is about: subject identifiers (RFC 9493) in the formats that name people and sessions.

An identifier of somebody else's people, or of something that is no person and no session here, names nobody.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from interlock.core.security_event import MAX_NAME_CHARACTERS, EventSubject

_PERSONAL: Final = frozenset({"user", "session"})


def read_subject(identifier: object, issuer: str) -> EventSubject:
    """Whom an identifier names at an issuer. Raises ValueError, which quotes nothing.

    A ``complex`` one (SSF 1.0 section 3.3) names a session, its user, or both; what else it has narrows that down, so
    that it could only be less than what is done then. An ``opaque`` one is what the issuer calls the person (``sub``),
    or, as a session, the session (``sid``).
    """
    simple = _mapping(identifier)
    if _format(simple) != "complex":
        return _user(simple, issuer)
    members = simple.keys() & _PERSONAL
    if not members:
        raise ValueError("it names neither a user nor a session")
    user = _user(_mapping(simple["user"]), issuer) if "user" in members else EventSubject()
    login = _session(_mapping(simple["session"]), issuer) if "session" in members else ""
    return EventSubject(user.subject, login, user.email)


def _user(identifier: Mapping[str, Any], issuer: str) -> EventSubject:
    read = _READERS.get(_format(identifier))
    if read is None:
        raise ValueError("its format names nobody here; allowed: iss_sub, email, opaque, complex")
    return read(identifier, issuer)


def _session(identifier: Mapping[str, Any], issuer: str) -> str:
    """The issuer's name of a session: RFC 9493 has no format of its own for it."""
    if _format(identifier) == "opaque":
        return _text(identifier, "id")
    if _format(identifier) == "iss_sub":
        return _of_issuer(identifier, issuer)
    raise ValueError("the format of its session names none; allowed: opaque, iss_sub")


def _of_issuer(identifier: Mapping[str, Any], issuer: str) -> str:
    if identifier.get("iss") != issuer:
        raise ValueError("it is somebody of another issuer")
    return _text(identifier, "sub")


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any], str], EventSubject]]] = {
    "iss_sub": lambda identifier, issuer: EventSubject(subject=_of_issuer(identifier, issuer)),
    "opaque": lambda identifier, _: EventSubject(subject=_text(identifier, "id")),
    "email": lambda identifier, _: EventSubject(email=_text(identifier, "email")),
}


def _mapping(identifier: object) -> Mapping[str, Any]:
    if not isinstance(identifier, dict):
        raise ValueError("it is no subject identifier")
    return identifier


def _format(identifier: Mapping[str, Any]) -> str:
    """``format``, or what drafts called it; one with members of a complex one, and no format, is that."""
    name = identifier.get("format", identifier.get("subject_type"))
    if name is None and identifier.keys() & _PERSONAL:
        return "complex"
    return name.replace("-", "_") if isinstance(name, str) else ""


def _text(identifier: Mapping[str, Any], name: str) -> str:
    value = identifier.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARACTERS:
        raise ValueError(f"its {name} is not a short text")
    return value
