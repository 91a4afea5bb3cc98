"""Which element of a document a provider's key has signed (XML Signature, as far as SAML core 5.4 uses it).

A signature counts only where SAML has it: a child of the element that it signs, as a whole, by its ID. What is
handed out is parsed from the bytes that were signed, never a part of the document that was sent. Keys come from the
provider's metadata only; what the signature itself says of keys is not looked at.
"""

import binascii
import logging
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import Certificate
from lxml import etree
from lxml.etree import _Element as Element
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from interlock.adapters.identity.saml.names import ds

ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
_CANONICAL: Final = frozenset({EXCLUSIVE, f"{EXCLUSIVE}WithComments"})
_METHODS: Final = frozenset(
    {
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.SHA256_RSA_MGF1,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    }
)
_DIGESTS: Final = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})
_ALGORITHMS: Final = frozenset(method.value for method in _METHODS)

# It would write what it canonicalizes into a log for debugging: assertions.
logging.getLogger("signxml").setLevel(logging.WARNING)


class NotSigned(ValueError):
    """The signature is missing, does not hold, or is of a form that is not accepted."""


def signed_element(root: Element, path: str, certificates: Sequence[Certificate]) -> Element:
    """The element at ``path`` below the root (empty: the root), as one of the certificates' keys has signed it.

    Raises NotSigned.
    """
    element = root if not path else root.find(path)
    if element is None:
        raise NotSigned("the element is not there")
    _check_form(element)
    reason = "no certificate of the provider to verify with"
    for certificate in certificates:
        try:
            return _verify(root, element, path, certificate)
        except NotSigned as failure:
            reason = str(failure)
    raise NotSigned(reason)


def _check_form(element: Element) -> None:
    """The one signature of an element signs that element, and in the one way that is accepted."""
    identifier = element.get("ID")
    signatures = element.findall(ds("Signature"))
    if len(signatures) != 1 or not identifier:
        raise NotSigned("not exactly one signature, or nothing to refer to")
    references = list(signatures[0].iter(ds("Reference")))
    if len(references) != 1 or references[0].get("URI") != f"#{identifier}":
        raise NotSigned("the signature is not over the element that it is in")
    if next(signatures[0].iter(ds("Object"), ds("Manifest")), None) is not None:
        raise NotSigned("the signature brings content of its own")
    _check_algorithms(signatures[0])


def _check_algorithms(signature: Element) -> None:
    method = signature.find(f"{ds('SignedInfo')}/{ds('SignatureMethod')}")
    if method is None or method.get("Algorithm") not in _ALGORITHMS:
        raise NotSigned("the signature's algorithm is not accepted")
    canonical = signature.find(f"{ds('SignedInfo')}/{ds('CanonicalizationMethod')}")
    if canonical is None or canonical.get("Algorithm") not in _CANONICAL:
        raise NotSigned("the signature's canonicalization is not accepted")
    transforms = [transform.get("Algorithm") for transform in signature.iter(ds("Transform"))]
    if len(transforms) != 2 or transforms[0] != ENVELOPED or transforms[1] not in _CANONICAL:
        raise NotSigned("the signature's transforms are not accepted")


def _verify(root: Element, element: Element, path: str, certificate: Certificate) -> Element:
    configuration = SignatureConfiguration(
        location=f"./{path}/" if path else "./",
        signature_methods=_METHODS,
        digest_algorithms=_DIGESTS,
        ignore_ambiguous_key_info=True,
        # Metadata vouches for the key, not the certificate's dates (SAML metadata interoperability profile 2.6.1).
        verification_time=certificate.not_valid_before_utc,
    )
    try:
        result = XMLVerifier().verify(root, x509_cert=certificate, id_attribute="ID", expect_config=configuration)
    except (SignXMLException, etree.LxmlError, UnsupportedAlgorithm, binascii.Error) as error:
        raise NotSigned(f"the signature does not hold ({type(error).__name__})") from None
    except (ValueError, TypeError, AttributeError, KeyError, AssertionError) as error:
        raise NotSigned(f"the signature cannot be read ({type(error).__name__})") from None
    if isinstance(result, list) or result.signed_xml is None:
        raise NotSigned("the signature covers something else")
    signed = result.signed_xml
    if signed.tag != element.tag or signed.get("ID") != element.get("ID"):
        raise NotSigned("the signature covers something else")
    return signed
