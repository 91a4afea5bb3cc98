"""What this gateway says to a SAML provider: its metadata, requests to authenticate somebody, answers to logouts.

Elements only; how they are signed and sent is the bindings' business.
"""

import base64
import datetime
from typing import Final

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from lxml import etree
from lxml.builder import ElementMaker
from lxml.etree import _Element as Element

from interlock.adapters.identity.saml.names import (
    ASSERTION,
    METADATA,
    POST_BINDING,
    PROTOCOL,
    REDIRECT_BINDING,
    SIGNATURE,
    SUCCESS,
)
from interlock.core.settings import NAME_ID_FORMATS, SamlSettings

_samlp: Final = ElementMaker(namespace=PROTOCOL, nsmap={"samlp": PROTOCOL, "saml": ASSERTION})
_saml: Final = ElementMaker(namespace=ASSERTION, nsmap={"saml": ASSERTION})
_md: Final = ElementMaker(namespace=METADATA, nsmap={"md": METADATA, "ds": SIGNATURE})
_ds: Final = ElementMaker(namespace=SIGNATURE, nsmap={"ds": SIGNATURE})


class OwnPlaces(msgspec.Struct, frozen=True):
    """What a provider knows this gateway by, and where it answers that provider."""

    entity_id: str
    consumer_url: str
    logout_url: str


def authentication_request(
    identifier: str, destination: str, places: OwnPlaces, now_s: float, settings: SamlSettings
) -> Element:
    """An AuthnRequest (SAML core 3.4.1)."""
    request: Element = _samlp.AuthnRequest(
        _saml.Issuer(places.entity_id),
        ID=identifier,
        Version="2.0",
        IssueInstant=_time(now_s),
        Destination=destination,
        ProtocolBinding=POST_BINDING,
        AssertionConsumerServiceURL=places.consumer_url,
    )
    if settings.force_authentication:
        request.set("ForceAuthn", "true")
    if settings.name_id_format is not None:
        request.append(_samlp.NameIDPolicy(Format=NAME_ID_FORMATS[settings.name_id_format], AllowCreate="true"))
    if settings.authentication_contexts:
        contexts = map(_saml.AuthnContextClassRef, settings.authentication_contexts)
        request.append(_samlp.RequestedAuthnContext(*contexts, Comparison="exact"))
    return request


def logout_response(identifier: str, destination: str, places: OwnPlaces, now_s: float, request: str) -> Element:
    """A LogoutResponse that says the session is over (SAML core 3.7.2)."""
    response: Element = _samlp.LogoutResponse(
        _saml.Issuer(places.entity_id),
        _samlp.Status(_samlp.StatusCode(Value=SUCCESS)),
        ID=identifier,
        Version="2.0",
        IssueInstant=_time(now_s),
        Destination=destination,
        InResponseTo=request,
    )
    return response


def own_metadata(places: OwnPlaces, certificate: Certificate) -> bytes:
    """The metadata of this gateway as a service provider (SAML metadata 2.4.4)."""
    encoded = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
    role = _md.SPSSODescriptor(
        _md.KeyDescriptor(_ds.KeyInfo(_ds.X509Data(_ds.X509Certificate(encoded))), use="signing"),
        *(
            _md.SingleLogoutService(Binding=name, Location=places.logout_url)
            for name in (REDIRECT_BINDING, POST_BINDING)
        ),
        _md.AssertionConsumerService(Binding=POST_BINDING, Location=places.consumer_url, index="0", isDefault="true"),
        AuthnRequestsSigned="true",
        WantAssertionsSigned="true",
        protocolSupportEnumeration=PROTOCOL,
    )
    entity = _md.EntityDescriptor(role, entityID=places.entity_id)
    return etree.tostring(entity, xml_declaration=True, encoding="utf-8", pretty_print=True)


def _time(now_s: float) -> str:
    return datetime.datetime.fromtimestamp(now_s, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
