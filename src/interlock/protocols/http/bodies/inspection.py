"""Inspects one HTTP body as it streams by: takes codings off, turns characters into UTF-8, masks what the format has.

What comes out has no content coding and is UTF-8; ``inspected_headers`` says so truthfully. Nothing goes out that was
not looked at, and nothing is held without a bound. The names of header fields are in small letters.
"""

import re
from typing import Final

from interlock.core.content.tally import Tally
from interlock.core.masking import Masking
from interlock.protocols.http.bodies.charsets import CHARSETS, Characters
from interlock.protocols.http.bodies.codings import Decoding, open_decoding
from interlock.protocols.http.bodies.formats import is_xml, open_masker
from interlock.protocols.http.bodies.masker import Masker
from interlock.protocols.http.bodies.media_types import TCHARS, MediaType, media_type
from interlock.protocols.http.bodies.plan import plan_for

Headers = tuple[tuple[bytes, bytes], ...]

_TOKENS: Final = re.compile(TCHARS)
_UNTRUE: Final = frozenset(
    b"content-encoding content-length content-md5 content-digest repr-digest digest want-digest etag last-modified"
    b" accept-ranges content-range content-type".split()
)
"""Header fields that tell of the body as it was, or would let a client ask for parts of it."""


class Inspection:
    """One body under inspection. Make it with ``open_inspection``.

    ``media_type`` is the type that it has now. ``feed`` and ``finish`` raise ``BodyRefused``; then the rest must be
    withheld, and the object must not be used again.
    """

    def __init__(
        self, decoding: Decoding, characters: Characters, masker: Masker, tally: Tally, now: MediaType
    ) -> None:
        self._decoding = decoding
        self._characters = characters
        self._masker = masker
        self._tally = tally
        self.media_type = now

    @property
    def masked_values(self) -> int:
        """How many values were replaced so far."""
        return self._tally.masked_values

    @property
    def found(self) -> tuple[tuple[str, int], ...]:
        """What content detection has found so far, by class."""
        return tuple(sorted(self._tally.found.items()))

    def feed(self, data: bytes) -> bytes:
        """What may go on now, for some bytes of the body in any cut."""
        pieces = self._decoding.feed(data)
        return b"".join([self._masker.feed(self._characters.feed(piece)) for piece in pieces])

    def finish(self) -> bytes:
        """What was held, now that nothing follows."""
        self._decoding.finish()
        return self._masker.feed(self._characters.finish()) + self._masker.finish()


def open_inspection(headers: Headers, masking: Masking, max_bytes: int) -> Inspection | str:
    """For the body of a message with these header fields: of at most ``max_bytes``, decoded. Or why it cannot be done.

    The reason is a sentence without a full stop that shows nothing of the body.
    """
    if any(name == b"content-range" for name, _ in headers):
        return "it is only a part of a body, in which names and values may be cut"
    decoding = open_decoding(_listed(headers, b"content-encoding"), max_bytes)
    if isinstance(decoding, str):
        return decoding
    declared = media_type([value for name, value in headers if name == b"content-type"])
    if isinstance(declared, str):
        return declared
    charset = declared.parameter("charset").strip().lower()
    if charset and charset not in CHARSETS:
        return "its charset is none that can be inspected; UTF-8 is"
    tally = Tally()
    masker = open_masker(declared, plan_for(masking), tally)
    if isinstance(masker, str):
        return masker
    return Inspection(decoding, Characters(charset, is_xml(declared)), masker, tally, declared)


def inspected_headers(headers: Headers, inspection: Inspection) -> Headers:
    """The header fields that are true of what comes out of ``inspection``. The length is not among them."""
    kept = tuple((name, value) for name, value in headers if name not in _UNTRUE)
    now = inspection.media_type
    if not now.name:
        return kept
    others = b"".join(_parameter(name, value) for name, value in now.parameters if name != "charset")
    charset = b"; charset=utf-8" if now.name.startswith("text/") or now.parameter("charset") else b""
    return (*kept, (b"content-type", now.name.encode("latin-1") + others + charset))


def _parameter(name: str, value: str) -> bytes:
    if not _TOKENS.fullmatch(value):
        value = '"{}"'.format(value.replace("\\", "\\\\").replace('"', '\\"'))
    return f"; {name}={value}".encode("latin-1")


def _listed(headers: Headers, wanted: bytes) -> list[bytes]:
    """The members of a list that header fields have together (RFC 9110 section 5.6.1), in small letters."""
    values = (value for name, value in headers if name == wanted)
    return [member.strip(b" \t").lower() for value in values for member in value.split(b",")]
