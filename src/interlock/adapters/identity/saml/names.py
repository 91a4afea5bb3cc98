"""The namespaces and identifiers of SAML 2.0, and names in them as lxml has them."""

from typing import Final

ASSERTION: Final = "urn:oasis:names:tc:SAML:2.0:assertion"
PROTOCOL: Final = "urn:oasis:names:tc:SAML:2.0:protocol"
METADATA: Final = "urn:oasis:names:tc:SAML:2.0:metadata"
SIGNATURE: Final = "http://www.w3.org/2000/09/xmldsig#"

REDIRECT_BINDING: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
POST_BINDING: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
SUCCESS: Final = "urn:oasis:names:tc:SAML:2.0:status:Success"
BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
RSA_SHA256: Final = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"


def saml(name: str) -> str:
    """``{assertion namespace}name``."""
    return f"{{{ASSERTION}}}{name}"


def samlp(name: str) -> str:
    """``{protocol namespace}name``."""
    return f"{{{PROTOCOL}}}{name}"


def md(name: str) -> str:
    """``{metadata namespace}name``."""
    return f"{{{METADATA}}}{name}"


def ds(name: str) -> str:
    """``{XML signature namespace}name``."""
    return f"{{{SIGNATURE}}}{name}"
