"""How SAML messages travel in a browser (SAML bindings 3.4 and 3.5): compressed in a URL, or in a posted form.

What comes in is bounded before it is unpacked, and once more while it is.
"""

import base64
import binascii
import zlib
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from lxml import etree
from lxml.etree import _Element as Element
from signxml.algorithms import CanonicalizationMethod
from signxml.signer import XMLSigner

from interlock.adapters.identity.saml.document import MESSAGE, Malformed
from interlock.adapters.identity.saml.names import RSA_SHA256
from interlock.adapters.identity.saml.own_keys import OwnKeys

_RAW_DEFLATE: Final = -15
_EXCLUSIVE: Final = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0


def redirect_url(url: str, name: str, message: Element, relay_state: str | None, sign: Callable[[bytes], bytes]) -> str:
    """The URL that carries a message, with a detached signature. ``name`` is ``SAMLRequest`` or ``SAMLResponse``."""
    packer = zlib.compressobj(wbits=_RAW_DEFLATE)
    packed = packer.compress(etree.tostring(message)) + packer.flush()
    fields = [(name, base64.b64encode(packed).decode())]
    if relay_state:
        fields.append(("RelayState", relay_state))
    fields.append(("SigAlg", RSA_SHA256))
    query = "&".join(f"{field}={quote(value, safe='')}" for field, value in fields)
    signature = quote(base64.b64encode(sign(query.encode())).decode(), safe="")
    return f"{url}{'&' if '?' in url else '?'}{query}&Signature={signature}"


def posted_message(message: Element, keys: OwnKeys) -> str:
    """The form field that carries a message, signed by its ID."""
    signer = XMLSigner(c14n_algorithm=_EXCLUSIVE)
    signed = signer.sign(
        message, key=keys.key, cert=[keys.certificate], reference_uri=message.get("ID"), id_attribute="ID"
    )
    return base64.b64encode(etree.tostring(signed)).decode()


def unpack_posted(field: str) -> bytes:
    """The message in a form field. Raises Malformed."""
    text = field.translate(_NO_SPACE)
    if len(text) > MESSAGE.max_bytes * 4 // 3 + 4:
        raise Malformed(f"larger than {MESSAGE.max_bytes} bytes")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("not base64") from None


def unpack_redirected(field: str) -> bytes:
    """The message in a URL's parameter. Raises Malformed."""
    unpacker = zlib.decompressobj(wbits=_RAW_DEFLATE)
    try:
        content = unpacker.decompress(unpack_posted(field), MESSAGE.max_bytes + 1)
    except zlib.error:
        raise Malformed("not compressed as it should be") from None
    if len(content) > MESSAGE.max_bytes:
        raise Malformed(f"larger than {MESSAGE.max_bytes} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise Malformed("cut short, or followed by something else")
    return content


_NO_SPACE: Final = dict.fromkeys(map(ord, " \t\r\n"))
