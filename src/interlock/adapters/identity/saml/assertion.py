"""What a signed assertion says (SAML core 2), read once into values. Whether it holds here is decided elsewhere.

It must be given the element that was parsed from the signed bytes, never one of the document as it was sent.
"""

import datetime
import re
from collections.abc import Iterator
from typing import Final

import msgspec
from lxml.etree import _Element as Element

from interlock.adapters.identity.saml.document import Malformed
from interlock.adapters.identity.saml.names import BEARER, saml

MAX_ID_CHARACTERS: Final = 256
MAX_NAME_ID_CHARACTERS: Final = 256
MAX_ATTRIBUTES: Final = 200
MAX_VALUES: Final = 1000
MAX_VALUE_CHARACTERS: Final = 4096
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_KNOWN_CONDITIONS: Final = frozenset({saml("AudienceRestriction"), saml("OneTimeUse"), saml("ProxyRestriction")})


class Confirmation(msgspec.Struct, frozen=True):
    """How a bearer may show the assertion: where, until when, in answer to what (SAML core 2.4.1.2)."""

    recipient: str
    ends_at_s: float
    in_response_to: str | None


class Assertion(msgspec.Struct, frozen=True):
    """One assertion about one person. Times are Unix times. ``audiences``: one set for each restriction, all must hold.

    ``session_index`` and ``session_ends_at_s`` are of the person's session at the provider, ``context`` is how the
    person was authenticated there.
    """

    identifier: str
    issuer: str
    issued_at_s: float
    name_id: str
    name_id_format: str
    confirmations: tuple[Confirmation, ...]
    begins_at_s: float | None
    ends_at_s: float | None
    audiences: tuple[frozenset[str], ...]
    authenticated_at_s: float
    session_index: str
    session_ends_at_s: float | None
    context: str
    attributes: dict[str, tuple[str, ...]]

    def __repr__(self) -> str:
        return "Assertion(...)"


def read_assertion(element: Element) -> Assertion:
    """The values of a signed assertion. Raises Malformed."""
    if element.tag != saml("Assertion") or element.get("Version") != "2.0":
        raise Malformed("no assertion of SAML 2.0")
    subject = _one(element, "Subject")
    name_id = _one(subject, "NameID")
    conditions = _one(element, "Conditions")
    statement = _one(element, "AuthnStatement")
    if {child.tag for child in conditions} - _KNOWN_CONDITIONS:
        raise Malformed("a condition that is not understood")
    return Assertion(
        identifier=short_text(element.get("ID"), MAX_ID_CHARACTERS, "ID"),
        issuer=text_of(_one(element, "Issuer")),
        issued_at_s=_required_time(element, "IssueInstant"),
        name_id=short_text(whole_text(name_id), MAX_NAME_ID_CHARACTERS, "NameID"),
        name_id_format=name_id.get("Format", ""),
        confirmations=tuple(_confirmations(subject)),
        begins_at_s=read_time(conditions, "NotBefore"),
        ends_at_s=read_time(conditions, "NotOnOrAfter"),
        audiences=tuple(map(_audiences, conditions.findall(saml("AudienceRestriction")))),
        authenticated_at_s=_required_time(statement, "AuthnInstant"),
        session_index=_index(statement.get("SessionIndex", "")),
        session_ends_at_s=read_time(statement, "SessionNotOnOrAfter"),
        context=_context(statement),
        attributes=_attributes(element),
    )


def text_of(element: Element) -> str:
    """The text of an element that has nothing else in it, without the space around it. Raises Malformed."""
    return whole_text(element).strip()


def whole_text(element: Element) -> str:
    """As ``text_of``, with every space: those of a name could make it somebody else's."""
    if len(element):
        raise Malformed("an element where there should be text")
    return element.text or ""


def _one(parent: Element, name: str) -> Element:
    found = parent.findall(saml(name))
    if len(found) != 1:
        raise Malformed(f"not exactly one {name}")
    return found[0]


def short_text(text: str | None, most: int, name: str) -> str:
    """A text that a person can read, of at most so many characters. Raises Malformed."""
    if not text or len(text) > most or not text.isprintable():
        raise Malformed(f"{name} is not a text of at most {most} printable characters")
    return text


def _index(text: str) -> str:
    return short_text(text, MAX_ID_CHARACTERS, "SessionIndex") if text else ""


def read_time(element: Element, name: str) -> float | None:
    """The Unix time in an attribute, None when it is not there. Raises Malformed."""
    text = element.get(name)
    if text is None:
        return None
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise Malformed(f"{name} is not a time with its zone") from None


def _required_time(element: Element, name: str) -> float:
    time_s = read_time(element, name)
    if time_s is None:
        raise Malformed(f"no {name}")
    return time_s


def _confirmations(subject: Element) -> Iterator[Confirmation]:
    """Those for bearers that have an end; others confirm nothing here (SAML profiles 4.1.4.2)."""
    for confirmation in subject.findall(saml("SubjectConfirmation")):
        data = confirmation.findall(saml("SubjectConfirmationData"))
        if confirmation.get("Method") != BEARER or len(data) != 1 or data[0].get("NotBefore") is not None:
            continue
        ends_at_s = read_time(data[0], "NotOnOrAfter")
        if ends_at_s is not None:
            yield Confirmation(data[0].get("Recipient", ""), ends_at_s, data[0].get("InResponseTo"))


def _audiences(restriction: Element) -> frozenset[str]:
    return frozenset(map(text_of, restriction.findall(saml("Audience"))))


def _context(statement: Element) -> str:
    reference = statement.find(f"{saml('AuthnContext')}/{saml('AuthnContextClassRef')}")
    return "" if reference is None else text_of(reference)[:MAX_VALUE_CHARACTERS]


def _attributes(assertion: Element) -> dict[str, tuple[str, ...]]:
    """The texts of each attribute by its ``Name``; values that are no text (nested NameIDs, nil) are left out."""
    found: dict[str, tuple[str, ...]] = {}
    for attribute in assertion.iterfind(f"{saml('AttributeStatement')}/{saml('Attribute')}"):
        name = attribute.get("Name", "")
        values = attribute.findall(saml("AttributeValue"))
        texts = tuple(text for value in values if not len(value) and (text := value.text))
        found[name] = found.get(name, ()) + texts
        if any(len(text) > MAX_VALUE_CHARACTERS for text in (name, *texts)):
            raise Malformed(f"an attribute of more than {MAX_VALUE_CHARACTERS} characters")
    if len(found) > MAX_ATTRIBUTES or sum(map(len, found.values())) > MAX_VALUES:
        raise Malformed(f"more than {MAX_ATTRIBUTES} attributes or {MAX_VALUES} values")
    return found
