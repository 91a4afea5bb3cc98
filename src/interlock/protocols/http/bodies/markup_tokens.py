"""Takes XML (W3C, 1.0) and HTML (Living Standard, "Parsing") apart into tags, texts and the rest, strictly.

Two readers must not see two documents in the same bytes. So what is not well-formed XML is refused, and of HTML what
browsers repair in ways that depend on where it stands: quotes in odd places of a tag, tags that are cut off. No entity
is ever expanded but those of single characters, and a document type with declarations in it is refused.
"""

import enum
import html
import re
from typing import Final

import msgspec

from interlock.protocols.http.bodies.refusal import Malformed

MAX_TOKEN_BYTES: Final = 1 << 20

_NAME: Final = rb"[A-Za-z_:\x80-\xff][-A-Za-z0-9_:.\x80-\xff]*"
_TAG: Final = re.compile(rb"<(/?)(%b)([^<>\"']*(?:(?:\"[^\"]*\"|'[^']*')[^<>\"']*)*)>" % _NAME)
_XML_ATTRIBUTE: Final = re.compile(rb"\s+(%b)\s*=\s*(\"[^\"<]*\"|'[^'<]*')" % _NAME)
_HTML_ATTRIBUTE: Final = re.compile(rb"[\s/]+([^\s=/>\"'<]+)(?:\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s\"'=<>`]+))?")
_END_OF_TAG: Final = re.compile(rb"\s*/?\s*")
_HTML_DOCTYPE: Final = re.compile(rb"(?i:<!doctype)\s[^\[<>]*>")
_REFERENCE: Final = re.compile(r"&(?:#(?:[0-9]{1,7}|[xX][0-9A-Fa-f]{1,6})|lt|gt|amp|quot|apos);")
_RAW: Final = frozenset((b"script", b"style", b"textarea", b"title", b"iframe"))
"""Elements of HTML in which there are no tags, at least for some readers."""
_REFUSED: Final = frozenset((b"xmp", b"noembed", b"noframes", b"plaintext"))
_FOREIGN: Final = frozenset((b"svg", b"math"))
_TAG_LIKE: Final = re.compile(rb"<[A-Za-z/!?]")
_LONG_BYTES: Final = 4 << 10


class Kind(enum.Enum):
    """What a token is. In ``RAW`` texts, scripts for instance, there are no references to characters.

    ``OTHER`` is a declaration or a processing instruction.
    """

    TEXT = 1
    RAW = 7
    START = 2
    END = 3
    CDATA = 4
    COMMENT = 5
    OTHER = 6


class Token(msgspec.Struct, frozen=True):
    """A part of a document as it is written. ``attributes`` have their values as they are written, in quotes or not."""

    kind: Kind
    written: bytes
    name: bytes = b""
    attributes: tuple[tuple[bytes, bytes], ...] = ()
    closed: bool = False
    """A start tag that ends its element at once."""


class MarkupTokens:
    """One document. Call ``feed`` with what comes, then ``next`` until it is None."""

    def __init__(self, is_html: bool) -> None:
        self._is_html = is_html
        self._held = b""
        self._position = 0
        self._coming: list[bytes] = []
        self._coming_bytes = 0
        self._raw = b""
        """The element whose content has no tags."""
        self._ended = False
        self._foreign = 0
        """SVG and MathML elements that are open, in which scripts and styles may have tags."""
        self._wanted = 0

    def feed(self, data: bytes) -> None:
        """More of the document, in whole characters. Raises ``Malformed``."""
        if b"\0" in data:
            raise Malformed("it has a NUL character")
        self._coming.append(data)
        self._coming_bytes += len(data)

    def _is_ready(self) -> bool:
        """Whether so much has come that it is worth looking at what is held once more."""
        if self._coming_bytes == 0 or (self._coming_bytes < self._wanted and not self._ended):
            return False
        self._coming[:0] = [self._held[self._position :]]
        self._held = b"".join(self._coming)
        self._coming, self._coming_bytes, self._position = [], 0, 0
        return True

    def finish(self) -> None:
        """Nothing follows: ``next`` gives the rest."""
        self._ended = True

    def next(self) -> Token | None:
        """The next token; None when more is needed. Raises ``Malformed``."""
        token = self._next()
        if token is None and self._is_ready():
            token = self._next()
        if token is None:
            held = len(self._held) - self._position
            if held > MAX_TOKEN_BYTES:
                raise Malformed(f"it has a tag or a text of more than {MAX_TOKEN_BYTES} bytes")
            self._wanted = held // 16 if held > _LONG_BYTES else 0
        return token

    def _next(self) -> Token | None:
        if self._position == len(self._held):
            return None
        if self._raw:
            return self._raw_text()
        if self._held[self._position] != 0x3C:
            return self._text(self._held.find(b"<", self._position))
        return self._markup()

    def _take(self, kind: Kind, end: int) -> Token:
        token = Token(kind, self._held[self._position : end])
        self._position = end
        return token

    def _text(self, end: int) -> Token | None:
        if end < 0:
            return self._take(Kind.TEXT, len(self._held)) if self._ended else None
        return self._take(Kind.TEXT, end)

    def _raw_text(self) -> Token | None:
        end = re.compile(rb"(?i:</%b)[\s/>]" % re.escape(self._raw)).search(self._held, self._position)
        if end is None:
            return self._no_more()
        scripted = self._raw == b"script" and not self._foreign
        if not scripted and _TAG_LIKE.search(self._held, self._position, end.start()):
            raise Malformed(f"it has something like a tag in an element {self._raw.decode()}")
        kind = Kind.TEXT if self._raw in (b"textarea", b"title") else Kind.RAW
        self._raw = b""
        return self._take(kind, end.start()) if end.start() > self._position else self._markup()

    def _markup(self) -> Token | None:
        for opening, closing, kind in self._sections():
            if self._held.startswith(opening, self._position):
                end = self._held.find(closing, self._position + len(opening))
                if end < 0:
                    return self._no_more()
                return self._section(kind, end + len(closing))
        rest = self._held[self._position : self._position + 9]
        if not self._ended and any(opening.startswith(rest) for opening, _, _ in self._sections()):
            return None
        if rest[:2] == b"<!":
            return self._declaration()
        return self._tag()

    def _sections(self) -> tuple[tuple[bytes, bytes, Kind], ...]:
        instruction = (b"<?", b">" if self._is_html else b"?>", Kind.OTHER)
        if self._is_html:
            return (b"<!--", b"-->", Kind.COMMENT), instruction
        return (b"<!--", b"-->", Kind.COMMENT), (b"<![CDATA[", b"]]>", Kind.CDATA), instruction

    def _section(self, kind: Kind, end: int) -> Token:
        token = self._take(kind, end)
        inner = token.written[4:-3] if kind is Kind.COMMENT else b""
        # Browsers end a comment at these, too.
        if inner.startswith((b">", b"->")) or b"--!>" in inner or (b"--" in inner and not self._is_html):
            raise Malformed("it has a malformed comment")
        return token

    def _declaration(self) -> Token | None:
        if not self._is_html:
            raise Malformed("it has a document type, which could declare entities")
        found = _HTML_DOCTYPE.match(self._held, self._position)
        if found is not None:
            return self._take(Kind.OTHER, found.end())
        if b">" in self._held[self._position :] or self._ended:
            raise Malformed("it has a declaration that is none of HTML")
        return None

    def _no_more(self) -> Token | None:
        """None, to ask for more. Raises ``Malformed`` when there is none."""
        if self._ended:
            raise Malformed("the markup is cut off")
        return None

    def _tag(self) -> Token | None:
        found = _TAG.match(self._held, self._position)
        if found is None:
            return self._no_tag()
        written, name = found[0], found[2].lower() if self._is_html else found[2]
        self._position = found.end()
        if found[1]:
            if found[3].strip():
                raise Malformed("it has an end tag with something in it")
            self._foreign -= name in _FOREIGN and self._foreign > 0
            return Token(Kind.END, written, name)
        attributes, closed = self._attributes(found[3])
        if self._is_html:
            self._begin(name, closed)
        return Token(Kind.START, written, name, attributes, closed)

    def _begin(self, name: bytes, closed: bool) -> None:
        if name in _REFUSED:
            raise Malformed(f"it has an element {name.decode()}, which is read in several ways")
        self._foreign += name in _FOREIGN and not closed
        if name in _RAW and not (closed and self._foreign):
            self._raw = name

    def _no_tag(self) -> Token | None:
        """A tag that is not whole yet, or in HTML a sign that begins none."""
        following = self._held[self._position + 1 : self._position + 3]
        if self._is_html and following and not re.match(rb"/?[A-Za-z_:\x80-\xff]|/\Z", following):
            if following[:1] == b"/":
                raise Malformed("it has an end tag without a name")
            return self._text(self._held.find(b"<", self._position + 1))
        if b"<" in self._held[self._position + 1 :] and b'"' not in self._held and b"'" not in self._held:
            raise Malformed("it has a tag in a tag")
        return self._no_more()

    def _attributes(self, written: bytes) -> tuple[tuple[tuple[bytes, bytes], ...], bool]:
        pattern = _HTML_ATTRIBUTE if self._is_html else _XML_ATTRIBUTE
        attributes: list[tuple[bytes, bytes]] = []
        position = 0
        while found := pattern.match(written, position):
            attributes.append((found[1], found[2] or b""))
            position = found.end()
        end = _END_OF_TAG.fullmatch(written, position)
        names = {name.lower() if self._is_html else name for name, _ in attributes}
        # Where scripts run, there are no tags in noscript: its end in a value would be an end, too.
        if end is None or len(names) < len(attributes) or b"</noscript" in written.lower():
            raise Malformed("it has a malformed tag")
        return tuple(attributes), b"/" in end[0]


def unescaped(written: bytes, is_html: bool) -> str:
    """What a text or the value of an attribute says. Raises ``Malformed`` for an entity that XML does not have."""
    text = written.decode(errors="surrogatepass")
    if "&" not in text:
        return text
    if is_html:
        return html.unescape(text)
    if "&" in _REFERENCE.sub("", text):
        raise Malformed("it has a reference to an entity that it does not declare")
    return _REFERENCE.sub(lambda found: html.unescape(found[0]), text)


def escaped(text: str) -> bytes:
    """A text as it is written in markup, also between quotes of either kind."""
    return html.escape(text).encode(errors="surrogatepass")
