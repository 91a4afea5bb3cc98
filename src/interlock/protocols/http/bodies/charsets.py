"""Turns a body's characters into UTF-8 as they come, strictly: an invalid sequence is refused, never replaced.

A byte order mark is taken off. It must agree with the charset that is declared. What could be read in two ways, such as
UTF-7, is not among the charsets.
"""

import codecs
import re
from collections.abc import Mapping
from typing import Final

from interlock.protocols.http.bodies.refusal import Malformed

_XML_DECLARATION: Final = b"<?xml"
_MAX_DECLARATION_BYTES: Final = 256
_XML_ENCODING: Final = re.compile(rb"<\?xml\s[^>]*?\sencoding\s*=\s*[\"']([A-Za-z0-9._:-]+)[\"']")
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARK_BEGINNINGS: Final = frozenset((b"", *(mark[:1] for mark, _ in _MARKS)))

CHARSETS: Final[Mapping[str, str]] = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "ansi_x3.4-1968": "ascii",
    "iso-8859-1": "latin-1",
    "iso8859-1": "latin-1",
    "iso_8859-1": "latin-1",
    "latin1": "latin-1",
    "latin-1": "latin-1",
    "l1": "latin-1",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "utf-32": "utf-32",
    "utf-32le": "utf-32-le",
    "utf-32be": "utf-32-be",
}
"""By the name in ``charset``, in small letters, those that can be read (IANA, Character Sets)."""


class Characters:
    """The characters of one body. ``charset`` is one of ``CHARSETS``; without one it is UTF-8 or what a mark says.

    ``utf-16`` and ``utf-32`` are big endian where there is no mark (RFC 2781 section 4.3). With ``is_xml``, what an XML
    declaration says comes last (RFC 7303 section 3).
    """

    def __init__(self, charset: str = "", is_xml: bool = False) -> None:
        self._declared = CHARSETS[charset] if charset else ""
        self._is_xml = is_xml and not charset
        self._start: bytes | None = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._is_utf8 = False

    def feed(self, data: bytes) -> bytes:
        """Whole characters in UTF-8. Raises ``Malformed``."""
        if self._start is not None:
            self._start += data
            if self._start[:1] not in _MARK_BEGINNINGS and not self._is_xml:
                return self._read(self._began(), False)
            if any(len(self._start) < len(mark) and mark.startswith(self._start) for mark, _ in _MARKS):
                return b""
            if self._is_xml and _may_declare(self._start):
                return b""
            data = self._began()
        return self._read(data, False)

    def finish(self) -> bytes:
        """What was held. Raises ``Malformed``."""
        data = self._began() if self._start is not None else b""
        return self._read(data, True)

    def _began(self) -> bytes:
        """Chooses the charset, and gives what is behind the mark."""
        start, self._start = self._start or b"", None
        mark, marked = _mark_of(start)
        if mark and self._declared and not marked.startswith(self._declared):
            raise Malformed("its byte order mark is not that of the charset that it declares")
        charset = marked or self._declared or (_declared_by_xml(start) if self._is_xml else "utf-8")
        if charset in ("utf-16", "utf-32"):
            charset += "-be"
        self._is_utf8 = charset in ("utf-8", "ascii")
        self._decoder = codecs.getincrementaldecoder(charset)("strict")
        return start[len(mark) :]

    def _read(self, data: bytes, final: bool) -> bytes:
        decoder = self._decoder
        if decoder is None:
            raise Malformed("no character of it was read")
        if not final and self._is_utf8 and data.isascii() and decoder.getstate() == (b"", 0):
            return data
        try:
            return decoder.decode(data, final).encode()
        except UnicodeError:
            raise Malformed("it has bytes that are no characters of its charset") from None


def _mark_of(start: bytes) -> tuple[bytes, str]:
    """The mark that this begins with, and the charset that has it; both empty for none."""
    if start[:1] in _MARK_BEGINNINGS:
        for mark, name in _MARKS:
            if start.startswith(mark):
                return mark, name
    return b"", ""


def _may_declare(start: bytes) -> bool:
    """Whether this may be the beginning of an XML declaration that does not end yet."""
    begun = start.startswith(_XML_DECLARATION[: len(start)])
    return begun and b">" not in start and len(start) < _MAX_DECLARATION_BYTES


def _declared_by_xml(start: bytes) -> str:
    """The charset of a document that begins so. Raises ``Malformed`` for one that cannot be read."""
    declared = _XML_ENCODING.match(start)
    if declared is None:
        return "utf-8"
    charset = CHARSETS.get(declared[1].decode().lower(), "")
    if not charset or charset.startswith(("utf-16", "utf-32")):
        raise Malformed("its XML declaration has an encoding that it does not have, or that cannot be read")
    return charset
