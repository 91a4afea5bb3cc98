"""Masks ``multipart/form-data`` (RFC 7578): text fields by their names, and other parts as bodies.

A part that cannot be inspected, such as a picture, makes the body one that cannot be. Parts are held until they end.
"""

import re
from collections.abc import Callable
from typing import Final

from interlock.core.content.tally import Tally
from interlock.protocols.http.bodies.charsets import CHARSETS, Characters
from interlock.protocols.http.bodies.masker import Masker
from interlock.protocols.http.bodies.media_types import MediaType, media_type
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import BodyRefused, Malformed
from interlock.protocols.http.bodies.texts import masked_field

MAX_PART_BYTES: Final = 8 << 20
MAX_HEAD_BYTES: Final = 16 << 10
MAX_BOUNDARY: Final = 70
"""RFC 2046 section 5.1.1."""
_HEAD_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*)\r\n")
_NAME: Final = re.compile(rb';[ \t]*(name|filename)="([^"\r\n]*)"')
_PARAMETERS: Final = re.compile(rb'form-data(?:[ \t]*;[ \t]*(?:name|filename)="[^"\\\r\n]*")+[ \t]*', re.IGNORECASE)
_HEAD_FIELDS: Final = (b"content-disposition", b"content-type")

Opener = Callable[[MediaType, Plan, Tally], Masker | str]


class MultipartMasker:
    """One form. ``open_masker`` gives the masker for a part that says what type it is."""

    def __init__(self, plan: Plan, tally: Tally, boundary: str, open_masker: Opener) -> None:
        self._plan = plan
        self._tally = tally
        self._open_masker = open_masker
        self._delimiter = b"\r\n--" + boundary.encode("latin-1")
        self._held = bytearray(b"\r\n")
        """With the line end that the first delimiter may lack."""
        self._searched = 0
        self._begun = False
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        """The parts that are whole by now. Raises ``BodyRefused``."""
        self._held += data
        out: list[bytes] = []
        while not self._ended and (at := self._held.find(self._delimiter, self._searched)) >= 0:
            behind = at + len(self._delimiter)
            if len(self._held) < behind + 2:
                break
            out.append(self._delimited(at, behind))
        self._searched = max(0, len(self._held) - len(self._delimiter) - 2)
        if len(self._held) > MAX_PART_BYTES:
            raise BodyRefused(f"it has a part of more than {MAX_PART_BYTES} bytes")
        return b"".join(out)

    def finish(self) -> bytes:
        """What is behind the last part, which is nothing. Raises ``Malformed``."""
        if self._held.strip() or (self._begun and not self._ended):
            raise Malformed("the form is cut off, or something follows it")
        return b""

    def _delimited(self, at: int, behind: int) -> bytes:
        """The part in front of a delimiter, and the delimiter."""
        part = bytes(self._held[:at])
        line_end = bytes(self._held[behind : behind + 2])
        if line_end not in (b"\r\n", b"--"):
            raise Malformed("it has a boundary that is not at the end of a line")
        self._ended = line_end == b"--"
        if not self._begun and part:
            raise Malformed("something is in front of the first part")
        masked = self._part(part) if self._begun else b""
        delimiter = self._delimiter if self._begun else self._delimiter[2:]
        self._begun = True
        del self._held[: behind + (2 if self._ended else 0)]
        self._searched = 0
        return masked + delimiter + (b"--\r\n" if self._ended else b"")

    def _part(self, part: bytes) -> bytes:
        """A part from the line end behind its delimiter on."""
        head, blank, body = part.partition(b"\r\n\r\n")
        if not blank or len(head) > MAX_HEAD_BYTES:
            raise Malformed("it has a part without a head")
        fields = _head_fields(head[2:] + b"\r\n")
        disposition = fields.get(b"content-disposition", b"")
        parameters = _NAME.findall(disposition)
        names = dict(parameters)
        if not _PARAMETERS.fullmatch(disposition) or b"name" not in names or len(names) < len(parameters):
            raise Malformed("it has a part without a name, or with a malformed one")
        name = _text(names[b"name"])
        declared = media_type([fields[b"content-type"]] if b"content-type" in fields else [])
        if isinstance(declared, str):
            raise Malformed(declared)
        lines = [b'content-disposition: form-data; name="%b"' % self._clean(names[b"name"])]
        if b"filename" in names:
            lines[0] += b'; filename="%b"' % self._clean(names[b"filename"])
        if declared.name:
            lines.append(b"content-type: %b; charset=utf-8" % declared.name.encode("latin-1"))
        return b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + self._body(name, declared, body)

    def _body(self, name: str, declared: MediaType, body: bytes) -> bytes:
        charset = declared.parameter("charset").lower()
        if charset and charset not in CHARSETS:
            raise BodyRefused("it has a part in a charset that cannot be inspected")
        characters = Characters(charset)
        text = characters.feed(body) + characters.finish()
        if b"\0" in text:
            raise Malformed("it has a NUL character")
        place = self._plan.fields.root.member(name.encode())
        if declared.name in ("", "text/plain") or place.mask is not None:
            masked = masked_field(text.decode(), self._plan, self._tally, place, name).encode()
        else:
            masker = self._open_masker(declared, self._plan, self._tally)
            if isinstance(masker, str):
                raise BodyRefused(f"a part of it cannot be inspected: {masker}")
            masked = masker.feed(text) + masker.finish()
        if self._delimiter in b"\r\n" + masked:
            raise Malformed("it has its boundary in a part")
        return masked

    def _clean(self, name: bytes) -> bytes:
        return self._plan.clean(_text(name).encode(), self._tally)


def boundary_of(declared: MediaType) -> str | None:
    """The boundary that a type declares; None when it declares none, or one that is not permitted."""
    boundary = declared.parameter("boundary")
    permitted = boundary and boundary.isascii() and boundary.isprintable() and not boundary.endswith(" ")
    return boundary if permitted and len(boundary) <= MAX_BOUNDARY else None


def _head_fields(head: bytes) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    position = 0
    while line := _HEAD_LINE.match(head, position):
        name = line[1].lower()
        if name in fields or name not in (*_HEAD_FIELDS, b"content-length"):
            raise Malformed("it has a part with a field in its head that is not permitted there")
        fields[name] = line[2].strip(b" \t")
        position = line.end()
    if position < len(head):
        raise Malformed("it has a part with a malformed head")
    return fields


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise Malformed("it has a part with a name that is not UTF-8") from None
