"""Reads XML that a stranger sent. What two parsers could read differently is refused before one sees it.

Only UTF-8, no DOCTYPE, entities, comments, CDATA or processing instructions; bounded in size, depth, elements,
attributes and namespaces, since canonicalization costs their product; every ID given once. Nothing is fetched.
"""

import re
from typing import Final

import msgspec
from lxml import etree
from lxml.etree import _Element as Element

MAX_DEPTH: Final = 32
MAX_ELEMENT_ATTRIBUTES: Final = 64
"""Of one element: canonicalization sorts them in a time that is their square."""
_DECLARATION: Final = re.compile(
    r"""\ufeff?<\?xml\s+version\s*=\s*["']1\.0["'](\s+encoding\s*=\s*["']utf-8["'])?"""
    r"""(\s+standalone\s*=\s*["'](yes|no)["'])?\s*\?>\s*""",
    re.IGNORECASE,
)
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_MARKUP: Final = (
    ("\0", "a NUL character"),
    ("<!DOCTYPE", "a DOCTYPE"),
    ("<!ENTITY", "an entity"),
    ("<!--", "a comment"),
    ("<!", "a CDATA section or a declaration"),
    ("<?", "a processing instruction, or another encoding than UTF-8"),
)
_ID_ATTRIBUTES: Final = frozenset({"id", "assertionid", "requestid", "responseid"})


class Malformed(ValueError):
    """The document is not one that will be read. The text quotes nothing of it."""


class Limits(msgspec.Struct, frozen=True):
    """How much a document may hold, and whether comments (which are dropped) may be in it."""

    max_bytes: int
    max_elements: int
    max_attributes: int
    max_namespaces: int
    comments: bool = False


MESSAGE: Final = Limits(max_bytes=256 << 10, max_elements=4000, max_attributes=8000, max_namespaces=400)
METADATA: Final = Limits(1 << 20, max_elements=20_000, max_attributes=40_000, max_namespaces=10_000, comments=True)


def read_document(content: bytes, limits: Limits = MESSAGE) -> Element:
    """The root of a document. Raises Malformed."""
    if len(content) > limits.max_bytes:
        raise Malformed(f"larger than {limits.max_bytes} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None
    text = _DECLARATION.sub("", text, count=1) if _DECLARATION.match(text) else text.lstrip("\ufeff \t\r\n")
    _refuse_markup(text, limits)
    root = _parse(text.encode())
    _check_bounds(root, limits)
    _check_ids(root)
    return root


def _refuse_markup(text: str, limits: Limits) -> None:
    """A ``<`` that is no tag's begins markup, wherever it is: text and attributes cannot hold one."""
    if limits.comments:
        text = _COMMENT.sub("", text)
    for mark, name in _MARKUP:
        if mark in text:
            raise Malformed(f"has {name}")
    if text.count("xmlns") > limits.max_namespaces:
        raise Malformed(f"declares more than {limits.max_namespaces} namespaces")


def _parse(content: bytes) -> Element:
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
    )
    try:
        return etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Malformed("not well-formed XML") from None


def _check_bounds(root: Element, limits: Limits) -> None:
    level, depth, elements, attributes = [root], 0, 0, 0
    while level:
        depth += 1
        elements += len(level)
        counts = [len(element.attrib) for element in level]
        attributes += sum(counts)
        if max(counts) > MAX_ELEMENT_ATTRIBUTES:
            raise Malformed(f"an element with more than {MAX_ELEMENT_ATTRIBUTES} attributes")
        if depth > MAX_DEPTH:
            raise Malformed(f"nested more than {MAX_DEPTH} deep")
        if elements > limits.max_elements or attributes > limits.max_attributes:
            raise Malformed(f"more than {limits.max_elements} elements or {limits.max_attributes} attributes")
        level = [child for element in level for child in element]


def _check_ids(root: Element) -> None:
    """An ID names one element: whichever spelling of the attribute a reader goes by."""
    seen: set[str] = set()
    for element in root.iter():
        if not isinstance(element.tag, str):
            raise Malformed("has something that is no element")
        names = {str(v) for k, v in element.attrib.items() if etree.QName(k).localname.lower() in _ID_ATTRIBUTES}
        if names & seen:
            raise Malformed("gives an ID twice")
        seen |= names
