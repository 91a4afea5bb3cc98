"""What an identity provider says of itself (SAML metadata 2.4.3): its name, its keys, where browsers are sent."""

import base64
import binascii
import datetime
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import Certificate, load_der_x509_certificate
from lxml.etree import _Element as Element

from interlock.adapters.identity.saml.document import METADATA, Malformed, read_document
from interlock.adapters.identity.saml.names import POST_BINDING, PROTOCOL, REDIRECT_BINDING, ds, md

MAX_CERTIFICATES: Final = 8
MIN_RSA_BITS: Final = 2048
MIN_EC_BITS: Final = 256
_BINDINGS: Final = (REDIRECT_BINDING, POST_BINDING)


class Endpoint(msgspec.Struct, frozen=True):
    """Where messages of one kind are sent, and how; ``answer_url`` is for answers when it is another."""

    binding: str
    url: str
    answer_url: str


class ProviderMetadata(msgspec.Struct, frozen=True):
    """A provider, as far as it matters here. ``logout`` is None when it has no place for that.

    ``valid_until_s`` is a Unix time, None when the metadata has no end.
    """

    entity_id: str
    certificates: tuple[Certificate, ...]
    sign_on: Endpoint
    logout: Endpoint | None
    valid_until_s: float | None


def read_metadata(content: bytes, entity_id: str, may_ask: Callable[[str], bool]) -> ProviderMetadata:
    """The provider of this entity id. Raises Malformed when the metadata does not describe it, once.

    Endpoints that ``may_ask`` does not allow are as if they were not there.
    """
    root = read_document(content, METADATA)
    entity = _choose(root, entity_id)
    role = entity.find(md("IDPSSODescriptor"))
    if role is None or PROTOCOL not in role.get("protocolSupportEnumeration", "").split():
        raise Malformed("the entity is no identity provider of SAML 2.0")
    sign_on = _endpoint(role, "SingleSignOnService", may_ask)
    if sign_on is None:
        raise Malformed("no SingleSignOnService with a usable URL for HTTP-Redirect or HTTP-POST")
    ends = [_time(element.get("validUntil")) for element in (root, entity, role) if element.get("validUntil")]
    return ProviderMetadata(
        entity_id=entity_id,
        certificates=_certificates(role),
        sign_on=sign_on,
        logout=_endpoint(role, "SingleLogoutService", may_ask),
        valid_until_s=min(ends, default=None),
    )


def _choose(root: Element, entity_id: str) -> Element:
    entities = [each for each in root.iter(md("EntityDescriptor")) if each.get("entityID") == entity_id]
    if len(entities) != 1:
        raise Malformed(f"describes {len(entities)} entities of the provider's name")
    return entities[0]


def _endpoint(role: Element, service: str, may_ask: Callable[[str], bool]) -> Endpoint | None:
    """The first usable one, HTTP-Redirect before HTTP-POST."""
    for binding in _BINDINGS:
        for element in role.findall(md(service)):
            url = element.get("Location", "")
            answer_url = element.get("ResponseLocation", url)
            if element.get("Binding") == binding and may_ask(url) and may_ask(answer_url):
                return Endpoint(binding, url, answer_url)
    return None


def _certificates(role: Element) -> tuple[Certificate, ...]:
    """The signing certificates, those of a rollover among them. Raises Malformed when there is none to use."""
    found: dict[Certificate, None] = {}
    for key in role.findall(md("KeyDescriptor")):
        if key.get("use", "signing") == "signing":
            found.update(dict.fromkeys(_usable(key)))
    if not 0 < len(found) <= MAX_CERTIFICATES:
        raise Malformed(f"not 1 to {MAX_CERTIFICATES} signing certificates with keys that are strong enough")
    return tuple(found)


def _usable(descriptor: Element) -> Iterator[Certificate]:
    for element in descriptor.iter(ds("X509Certificate")):
        try:
            certificate = load_der_x509_certificate(
                base64.b64decode("".join((element.text or "").split()), validate=True)
            )
            key = certificate.public_key()
        except (ValueError, binascii.Error, UnsupportedAlgorithm):
            raise Malformed("a signing certificate cannot be read") from None
        if isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
            yield certificate
        if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= MIN_EC_BITS:
            yield certificate


def _time(text: str | None) -> float:
    try:
        time = datetime.datetime.fromisoformat(text or "")
    except ValueError:
        raise Malformed("validUntil is not a time") from None
    return (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp()
