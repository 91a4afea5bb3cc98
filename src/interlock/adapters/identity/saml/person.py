"""From an accepted assertion to the claims that identity rules read: who it is, in which groups, authenticated how.

No attribute can take the place of what SAML itself says.
"""

from typing import Any, Final

from interlock.adapters.identity.saml.assertion import MAX_NAME_ID_CHARACTERS, Assertion
from interlock.adapters.identity.saml.response import Refused
from interlock.core.settings import NAME_ID_FORMATS, SamlSettings

GROUPS_LINK: Final = "http://schemas.microsoft.com/claims/groups.link"
"""What Entra ID sends of people with more groups than it lists."""


def claims_of(assertion: Assertion, settings: SamlSettings) -> dict[str, Any]:
    """The claims, with the provider's name in the settings as ``iss``.

    Raises Refused when the person has no stable id, is not authenticated as asked, or has groups somewhere else.
    """
    contexts = settings.authentication_contexts
    if contexts and assertion.context not in contexts:
        raise Refused("the person was not authenticated as asked (AuthnContextClassRef)")
    claims: dict[str, Any] = {
        name: values[0] if len(values) == 1 else list(values) for name, values in assertion.attributes.items() if values
    }
    claims |= {
        "iss": settings.name,
        "sub": _subject(assertion, settings.subject_attribute),
        "name_id": assertion.name_id,
        "sid": assertion.session_index,
        "iat": assertion.authenticated_at_s,
        "acr": assertion.context,
    }
    if settings.groups_attribute is not None:
        claims["groups"] = _groups(assertion, settings.groups_attribute)
    return claims


def _subject(assertion: Assertion, attribute: str | None) -> str:
    """The provider's stable id of the person. Raises Refused."""
    if attribute is None:
        if assertion.name_id_format == NAME_ID_FORMATS["transient"]:
            raise Refused("the NameID is transient: name the attribute with a stable id as subject_attribute")
        return assertion.name_id
    values = assertion.attributes.get(attribute, ())
    if len(values) != 1 or len(values[0]) > MAX_NAME_ID_CHARACTERS or not values[0].isprintable():
        raise Refused("the subject's attribute has not exactly one short, printable value")
    return values[0]


def _groups(assertion: Assertion, attribute: str) -> list[str]:
    if GROUPS_LINK in assertion.attributes:
        raise Refused("there is a link in place of the groups: have the provider send those of the application")
    return list(assertion.attributes.get(attribute, ()))
