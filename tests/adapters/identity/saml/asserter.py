"""A SAML identity provider without a network: it makes responses, signed as they are asked for, and its metadata."""

import base64
import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from lxml import etree
from lxml.etree import _Element as Element

from interlock.adapters.identity.saml.names import REDIRECT_BINDING, SIGNATURE, saml
from interlock.adapters.identity.saml.signatures import ENVELOPED, EXCLUSIVE

NOW_S = 1_800_000_000.0
ENTITY_ID = "https://idp.example/entity"
AUDIENCE = "https://gateway.example/saml/corp/metadata"
CONSUMER_URL = "https://gateway.example/login/callback/corp"
REQUEST = "_request-of-this-browser"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"

ALGORITHMS = {
    "rsa-sha256": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "rsa-sha1": "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
    "ecdsa-sha256": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "hmac-sha256": "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
}
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def new_pair(key: Key | None = None) -> tuple[Key, x509.Certificate]:
    """A key and a certificate for it, whose dates are long past: metadata vouches for keys."""
    key = key or rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start)
    return key, builder.not_valid_after(start + datetime.timedelta(days=365)).sign(key, hashes.SHA256())


def at(time_s: float) -> str:
    return datetime.datetime.fromtimestamp(time_s, datetime.UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Said:
    """What a response says. None leaves something out."""

    name_id: str = "ada-4711"
    name_id_format: str = PERSISTENT
    issuer: str = ENTITY_ID
    response_issuer: str | None = ENTITY_ID
    audience: str | None = AUDIENCE
    recipient: str | None = CONSUMER_URL
    destination: str | None = CONSUMER_URL
    request: str | None = REQUEST
    confirmed_request: str | None = REQUEST
    status: str = "urn:oasis:names:tc:SAML:2.0:status:Success"
    method: str = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
    issued_at_s: float = NOW_S
    authenticated_at_s: float = NOW_S - 100
    begins_at_s: float = NOW_S - 5
    ends_at_s: float = NOW_S + 300
    confirmation_ends_at_s: float | None = NOW_S + 300
    session_index: str | None = "session-1"
    session_ends_at_s: float | None = NOW_S + 20_000
    identifier: str = "_assertion-1"
    condition: str = ""
    context: str = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
    attributes: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {"groups": ("g-1", "g-2"), "mail": ("ada@example.org",)}
    )


class Asserter:
    """``sign`` of a response: ``assertion``, ``response``, ``both`` or nothing."""

    def __init__(self, key: Key | None = None) -> None:
        self.key, self.certificate = new_pair(key)

    def metadata(self, *extra: x509.Certificate, binding: str = REDIRECT_BINDING, head: str = "") -> bytes:
        keys = "".join(_key_descriptor(certificate) for certificate in (self.certificate, *extra))
        return f"""<?xml version="1.0"?>
            <!-- as providers have it -->
            <md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{ENTITY_ID}" {head}>
            <md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">{keys}
            <md:SingleLogoutService Binding="{REDIRECT_BINDING}" Location="https://idp.example/slo"/>
            <md:SingleSignOnService Binding="{binding}" Location="https://idp.example/sso"/>
            </md:IDPSSODescriptor></md:EntityDescriptor>""".encode()

    def respond(
        self, said: Said | None = None, sign: str = "assertion", algorithm: str = "rsa-sha256", **changes: object
    ) -> bytes:
        """A response in XML."""
        root = etree.fromstring(response_xml(replace(said or Said(), **changes)))  # type: ignore[arg-type]
        if sign in ("assertion", "both"):
            root = self.sign(root, "_assertion-1" if said is None and "identifier" not in changes else None, algorithm)
        if sign in ("response", "both"):
            root = self.sign(root, "_response-1", algorithm)
        return etree.tostring(root)

    def sign(self, root: Element, identifier: str | None = None, algorithm: str = "rsa-sha256") -> Element:
        """Sign the element with this ID (the assertion unless it is given), behind its issuer."""
        if identifier is None:
            identifier = next(root.iter(saml("Assertion"))).get("ID")
        element = next(each for each in root.iter() if each.get("ID") == identifier)
        element.insert(1, sign_element(element, algorithm, self.raw_signature, self.certificate))
        return root

    def raw_signature(self, octets: bytes, algorithm: str) -> bytes:
        """As XML Signature has it: of ECDSA, both numbers in full length."""
        digest = hashes.SHA1() if algorithm.endswith("sha1") else hashes.SHA256()
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(octets, padding.PKCS1v15(), digest)
        r, s = decode_dss_signature(self.key.sign(octets, ec.ECDSA(digest)))
        return r.to_bytes(self.key.key_size // 8) + s.to_bytes(self.key.key_size // 8)


def sign_element(
    element: Element, algorithm: str, raw: Callable[[bytes, str], bytes], certificate: x509.Certificate
) -> Element:
    """A signature over an element, by its ID, as Okta and Shibboleth make them: with InclusiveNamespaces."""
    sha1 = algorithm.endswith("sha1")
    digest = (hashlib.sha1 if sha1 else hashlib.sha256)(canonical(element)).digest()
    method = ALGORITHMS[algorithm]
    digest_method = SIGNATURE + "sha1" if sha1 else "http://www.w3.org/2001/04/xmlenc#sha256"
    signature = etree.fromstring(f"""<ds:Signature xmlns:ds="{SIGNATURE}"><ds:SignedInfo>
<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"/><ds:SignatureMethod Algorithm="{method}"/>
<ds:Reference URI="#{element.get("ID")}"><ds:Transforms><ds:Transform Algorithm="{ENVELOPED}"/>
<ds:Transform Algorithm="{EXCLUSIVE}"><ec:InclusiveNamespaces xmlns:ec="{EXCLUSIVE}" PrefixList="xs"/></ds:Transform>
</ds:Transforms><ds:DigestMethod Algorithm="{digest_method}"/>
<ds:DigestValue>{base64.b64encode(digest).decode()}</ds:DigestValue></ds:Reference></ds:SignedInfo>
<ds:SignatureValue/><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{encoded(certificate)}</ds:X509Certificate>
</ds:X509Data></ds:KeyInfo></ds:Signature>""")
    signed_info = etree.tostring(signature[0], method="c14n", exclusive=True, with_comments=False)
    signature[1].text = base64.b64encode(raw(signed_info, algorithm)).decode()
    return signature


def canonical(element: Element) -> bytes:
    """Exclusive canonical XML that keeps the namespace ``xs``, which only attribute values use."""
    alone = etree.fromstring(etree.tostring(element, with_tail=False))
    return etree.tostring(alone, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=["xs"])


def encoded(certificate: x509.Certificate) -> str:
    return base64.encodebytes(certificate.public_bytes(Encoding.DER)).decode()


def response_xml(said: Said) -> bytes:
    """An unsigned response."""
    attributes = "".join(
        f'<saml:Attribute Name="{name}">'
        + "".join(f'<saml:AttributeValue xsi:type="xs:string">{value}</saml:AttributeValue>' for value in values)
        + "</saml:Attribute>"
        for name, values in said.attributes.items()
    )
    audience = "" if said.audience is None else f"<saml:Audience>{said.audience}</saml:Audience>"
    issuer = "" if said.response_issuer is None else f"<saml:Issuer>{said.response_issuer}</saml:Issuer>"
    confirmation = _attribute("Recipient", said.recipient) + _attribute("InResponseTo", said.confirmed_request)
    session = _attribute("SessionIndex", said.session_index) + _time("SessionNotOnOrAfter", said.session_ends_at_s)
    return f"""<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"
 xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:xs="http://www.w3.org/2001/XMLSchema"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ID="_response-1" Version="2.0"
 IssueInstant="{at(said.issued_at_s)}"{_attribute("Destination", said.destination)}
{_attribute("InResponseTo", said.request)}>{issuer}
<samlp:Status><samlp:StatusCode Value="{said.status}"/></samlp:Status>
<saml:Assertion ID="{said.identifier}"
 Version="2.0" IssueInstant="{at(said.issued_at_s)}"><saml:Issuer>{said.issuer}</saml:Issuer><saml:Subject><saml:NameID
 Format="{said.name_id_format}">{said.name_id}</saml:NameID><saml:SubjectConfirmation
 Method="{said.method}"><saml:SubjectConfirmationData{confirmation}{_time("NotOnOrAfter", said.confirmation_ends_at_s)}
/></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="{at(said.begins_at_s)}"
 NotOnOrAfter="{at(said.ends_at_s)}"><saml:AudienceRestriction>{audience}</saml:AudienceRestriction>{said.condition}
</saml:Conditions><saml:AuthnStatement AuthnInstant="{at(said.authenticated_at_s)}"{session}><saml:AuthnContext
><saml:AuthnContextClassRef>{said.context}</saml:AuthnContextClassRef
></saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>{attributes}</saml:AttributeStatement
></saml:Assertion></samlp:Response>""".encode()


def _attribute(name: str, value: str | None) -> str:
    return "" if value is None else f' {name}="{value}"'


def _time(name: str, time_s: float | None) -> str:
    return "" if time_s is None else _attribute(name, at(time_s))


def _key_descriptor(certificate: x509.Certificate) -> str:
    return f"""<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data>
        <ds:X509Certificate>{encoded(certificate)}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"""
