"""What an attacker makes of a genuine response, to be taken for ``EVIL``: response in, response out.

XSW1 to XSW8 are the signature wrapping attacks of Somorovsky and others, "On Breaking SAML: Be Whoever You Want to Be"
(USENIX Security 2012), as SAML Raider numbers them; the first two wrap a signed response, the
others a signed assertion.
"""

import copy
import hashlib
import hmac
from collections.abc import Callable
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree
from lxml.etree import _Element as Element

from interlock.adapters.identity.saml.names import ds, saml, samlp
from tests.adapters.identity.saml.asserter import Asserter, sign_element

EVIL = "admin-1"
ATTACKER = Asserter()


class Forgery(NamedTuple):
    """``signed`` is what the genuine response has signed; ``reason`` is a part of what the ledger says."""

    forge: Callable[[bytes], bytes]
    reason: str
    signed: str = "assertion"


def _assertion(root: Element) -> Element:
    return _found(root.find(saml("Assertion")))


def _found(element: Element | None) -> Element:
    assert element is not None
    return element


def _signature(parent: Element) -> Element:
    return _found(parent.find(ds("Signature")))


def _without_signature(element: Element) -> Element:
    bare = copy.deepcopy(element)
    bare.remove(_signature(bare))
    return bare


def _evil(element: Element) -> Element:
    """A copy that names somebody else, with IDs of its own and without a signature."""
    evil = copy.deepcopy(element)
    for number, each in enumerate(evil.iter(samlp("Response"), saml("Assertion"))):
        each.set("ID", f"_evil{number}")
    for signature in list(evil.iter(ds("Signature"))):
        _found(signature.getparent()).remove(signature)
    next(evil.iter(saml("NameID"))).text = EVIL
    return evil


def on_tree(change: Callable[[Element], Element]) -> Callable[[bytes], bytes]:
    return lambda content: etree.tostring(change(etree.fromstring(content)))


def xsw1(root: Element) -> Element:
    """The signed response in the signature of an evil one."""
    evil = _evil(root)
    signature = copy.deepcopy(_signature(root))
    signature.append(_without_signature(root))
    evil.insert(1, signature)
    return evil


def xsw2(root: Element) -> Element:
    """The signed response before a signature that is beside it."""
    evil = _evil(root)
    evil.insert(1, copy.deepcopy(_signature(root)))
    evil.insert(1, _without_signature(root))
    return evil


def xsw3(root: Element) -> Element:
    """An evil assertion before the signed one."""
    root.insert(list(root).index(_assertion(root)), _evil(_assertion(root)))
    return root


def xsw4(root: Element) -> Element:
    """The signed assertion in an evil one."""
    genuine = _assertion(root)
    evil = _evil(genuine)
    root.replace(genuine, evil)
    evil.append(genuine)
    return root


def xsw5(root: Element) -> Element:
    """An evil assertion with the signature, and the signed one without it at the end."""
    genuine = _assertion(root)
    evil = _evil(genuine)
    evil.insert(1, copy.deepcopy(_signature(genuine)))
    root.replace(genuine, evil)
    root.append(_without_signature(genuine))
    return root


def xsw6(root: Element) -> Element:
    """The signed assertion in the signature of an evil one."""
    genuine = _assertion(root)
    evil = _evil(genuine)
    signature = copy.deepcopy(_signature(genuine))
    signature.append(_without_signature(genuine))
    evil.insert(1, signature)
    root.replace(genuine, evil)
    return root


def xsw7(root: Element) -> Element:
    """An evil assertion with the ID of the signed one, in an extension."""
    evil = _evil(_assertion(root))
    evil.set("ID", _assertion(root).get("ID", ""))
    extensions = etree.Element(samlp("Extensions"))
    extensions.append(evil)
    root.insert(0, extensions)
    return root


def xsw8(root: Element) -> Element:
    """The signed assertion in an object of the signature of an evil one."""
    genuine = _assertion(root)
    evil = _evil(genuine)
    signature = copy.deepcopy(_signature(genuine))
    etree.SubElement(signature, ds("Object")).append(_without_signature(genuine))
    evil.insert(1, signature)
    root.replace(genuine, evil)
    return root


def tampered(root: Element) -> Element:
    next(root.iter(saml("NameID"))).text = EVIL
    return root


def another_group(root: Element) -> Element:
    next(root.iter(saml("AttributeValue"))).text = "administrators"
    return root


def comment_in_name_id(content: bytes) -> bytes:
    """Canonical XML has no comments, so that the signature holds; a careless reader reads half of the text."""
    return content.replace(b"-4711</saml:NameID>", b"<!-- -->-4711</saml:NameID>").replace(b"-4711<", b"<!---->-4711<")


def without_signature(root: Element) -> Element:
    for signature in list(root.iter(ds("Signature"))):
        _found(signature.getparent()).remove(signature)
    return tampered(root)


def foreign_key(root: Element) -> Element:
    return ATTACKER.sign(without_signature(root))


def foreign_key_with_genuine_certificate(root: Element) -> Element:
    certificate = copy.deepcopy(next(root.iter(ds("X509Certificate"))))
    forged = foreign_key(root)
    old = next(forged.iter(ds("X509Certificate")))
    _found(old.getparent()).replace(old, certificate)
    return forged


def doctype(content: bytes) -> bytes:
    declared = f'<!DOCTYPE r [<!ENTITY who "{EVIL}">]>'.encode()
    root = etree.fromstring(content)
    name_id = next(root.iter(saml("NameID")))
    name_id.text = "WHO"
    return declared + etree.tostring(root).replace(b"WHO", b"&who;")


def hmac_with_the_certificate(content: bytes, genuine: Asserter) -> bytes:
    """The algorithm switched to one whose key everybody knows: the provider's public key."""
    return _with_hmac(content, genuine.certificate.public_bytes(Encoding.PEM), genuine)


def hmac_with_the_public_key(content: bytes, genuine: Asserter) -> bytes:
    key = genuine.certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return _with_hmac(content, key, genuine)


def _with_hmac(content: bytes, key: bytes, genuine: Asserter) -> bytes:
    root = without_signature(etree.fromstring(content))
    assertion = _assertion(root)

    def sign(octets: bytes, _: str) -> bytes:
        return hmac.digest(key, octets, hashlib.sha256)

    assertion.insert(1, sign_element(assertion, "hmac-sha256", sign, genuine.certificate))
    return etree.tostring(root)


def stray_assertion(root: Element) -> Element:
    root.append(_evil(_assertion(root)))
    return root


def same_id_twice(root: Element) -> Element:
    etree.SubElement(root, samlp("Extensions")).set("Id", _assertion(root).get("ID", ""))
    return root


def encrypted_assertion(root: Element) -> Element:
    etree.SubElement(root, saml("EncryptedAssertion"))
    return root


def other_reference(root: Element) -> Element:
    next(root.iter(ds("Reference"))).set("URI", "")
    return root


def second_reference(root: Element) -> Element:
    reference = next(root.iter(ds("Reference")))
    reference.addnext(copy.deepcopy(reference))
    return root


def other_transform(root: Element) -> Element:
    next(root.iter(ds("Transform"))).set("Algorithm", "http://www.w3.org/TR/1999/REC-xpath-19991116")
    return root


def signature_elsewhere(root: Element) -> Element:
    """The assertion's signature under the response."""
    root.insert(1, _signature(_assertion(root)))
    return root


def signature_twice(root: Element) -> Element:
    signature = _signature(_assertion(root))
    signature.addnext(copy.deepcopy(signature))
    return root


def nested_name_id(root: Element) -> Element:
    etree.SubElement(next(root.iter(saml("NameID"))), "x").tail = EVIL
    return root


def many_attributes(root: Element) -> Element:
    root.attrib.update({f"a{number}": "" for number in range(64)})
    return root


FORGERIES: dict[str, Forgery] = {
    "xsw1": Forgery(on_tree(xsw1), "not exactly one assertion", "response"),
    "xsw2": Forgery(on_tree(xsw2), "not exactly one assertion", "response"),
    "xsw3": Forgery(on_tree(xsw3), "not exactly one assertion"),
    "xsw4": Forgery(on_tree(xsw4), "not exactly one assertion"),
    "xsw5": Forgery(on_tree(xsw5), "not exactly one assertion"),
    "xsw6": Forgery(on_tree(xsw6), "not exactly one assertion"),
    "xsw7": Forgery(on_tree(xsw7), "gives an ID twice"),
    "xsw8": Forgery(on_tree(xsw8), "not exactly one assertion"),
    "tampered": Forgery(on_tree(tampered), "does not hold (InvalidDigest)"),
    "tampered in a signed response": Forgery(on_tree(tampered), "does not hold (InvalidDigest)", "response"),
    "tampered, both signed": Forgery(on_tree(tampered), "does not hold (InvalidDigest)", "both"),
    "another group": Forgery(on_tree(another_group), "does not hold (InvalidDigest)"),
    "comment in the NameID": Forgery(comment_in_name_id, "has a comment"),
    "without signature": Forgery(on_tree(without_signature), "no signature over the assertion"),
    "foreign key": Forgery(on_tree(foreign_key), "does not hold (InvalidSignature)"),
    "foreign key, genuine certificate": Forgery(
        on_tree(foreign_key_with_genuine_certificate), "does not hold (InvalidSignature)"
    ),
    "doctype": Forgery(doctype, "has a DOCTYPE"),
    "stray assertion": Forgery(on_tree(stray_assertion), "not exactly one assertion"),
    "same ID twice": Forgery(on_tree(same_id_twice), "gives an ID twice"),
    "encrypted assertion": Forgery(on_tree(encrypted_assertion), "is encrypted, which is not supported"),
    "reference to the document": Forgery(on_tree(other_reference), "not over the element that it is in"),
    "second reference": Forgery(on_tree(second_reference), "not over the element that it is in"),
    "other transform": Forgery(on_tree(other_transform), "transforms are not accepted"),
    "signature elsewhere": Forgery(on_tree(signature_elsewhere), "not over the element that it is in"),
    "signature twice": Forgery(on_tree(signature_twice), "not exactly one signature"),
    "element in the NameID": Forgery(on_tree(nested_name_id), "does not hold (InvalidDigest)"),
    "processing instruction": Forgery(lambda content: content + b"<?x?>", "a processing instruction"),
    "another encoding": Forgery(lambda content: content.decode().encode("utf-16"), "not UTF-8"),
    "not XML": Forgery(lambda content: content[:-5], "not well-formed"),
    "too large": Forgery(lambda content: content + b" " * (256 << 10), "larger than"),
    "nested deeply": Forgery(
        lambda content: content.replace(b"<samlp:Status>", b"<x>" * 40 + b"</x>" * 40 + b"<samlp:Status>", 1),
        "nested more",
    ),
    "too many elements": Forgery(
        lambda content: content.replace(b"<samlp:Status>", b"<x/>" * 5000 + b"<samlp:Status>", 1), "more than 4000"
    ),
    "too many attributes": Forgery(on_tree(many_attributes), "an element with more than 64 attributes"),
    "too many namespaces": Forgery(
        lambda content: content.replace(b"<samlp:Status>", b'<x xmlns="y"/>' * 500 + b"<samlp:Status>", 1), "namespaces"
    ),
}
