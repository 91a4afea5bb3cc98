"""What policy can read of the body of a request: that of JSON and forms, in whatever coding they come.

What is declared to be one of them and is not is rejected. What may be one without being declared so is read as one if
it is; some servers read JSON whatever it is called.
"""

import re
from typing import Final

from interlock.protocols.http.bodies.codings import Decoding, open_decoding
from interlock.protocols.http.bodies.media_types import MediaType, media_type
from interlock.protocols.http.bodies.refusal import BodyRefused, Malformed
from interlock.protocols.http.dialects.base import Request
from interlock.protocols.http.dialects.form_facts import form_facts, multipart_facts
from interlock.protocols.http.dialects.json_facts import (
    NO_BODY,
    BodyFacts,
    BodyRejected,
    BodyUnread,
    json_facts,
)
from interlock.protocols.http.wire.messages import Headers

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
UNDECLARED: Final = ("", "text/plain", "application/octet-stream")
"""Types that declare nothing in particular."""
MAX_READ_BYTES: Final = 1 << 20
"""Longer bodies are not read for policy, so that nobody can keep everybody waiting."""

_JSON: Final = re.compile(r"(application|text)/(json|[a-z0-9!#$&^_.-]+\+json)")
_UTF_8: Final = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})
_NOT_HELD: Final = "The body is longer than what is read before a decision."
_PERHAPS: Final = "The body is not declared to be JSON, and some servers may take it for that."


def is_json(content_type: str) -> bool:
    """Whether a media type, in lower case, is one of JSON (RFC 6839, 3.1)."""
    return _JSON.fullmatch(content_type) is not None


def header(headers: Headers, name: bytes) -> bytes:
    """The first value of a header, empty without it."""
    return next((value for known, value in headers if known == name), b"")


def fields_of_body(request: Request) -> Headers:
    """The fields of the head that say how a body is to be read, none without one."""
    if not request.has_body:
        return ()
    return tuple([field for field in request.headers if field[0] in (b"content-type", b"content-encoding")])


def body_facts(request: Request) -> BodyFacts:
    """What policy can read of the body. One that is too much to be read is ``unread``. Raises ``BodyRejected``."""
    kind = request.content_type
    declared = is_json(kind) or kind in (FORM, MULTIPART)
    if not declared and kind not in UNDECLARED:
        return NO_BODY
    if request.body is None:
        return BodyFacts(unread=_NOT_HELD) if request.has_body else NO_BODY
    try:
        return _declared_facts(request) if declared else _facts_if_json(request)
    except BodyUnread as unread:
        return BodyFacts(unread=str(unread))


def decoded_body(request: Request, max_bytes: int = MAX_READ_BYTES) -> bytes | None:
    """The body that is held, without its content codings. Raises ``BodyRejected``, ``BodyUnread`` for a long one."""
    body = request.body
    if body is not None and len(body) > max_bytes:
        raise BodyUnread(f"The body is longer than {max_bytes} bytes.")
    codings = [value for name, value in request.headers if name == b"content-encoding"]
    if not body or not codings:
        return body
    names = [name.strip() for name in b",".join(codings).lower().split(b",")]
    decoding = open_decoding(names, max_bytes)
    if not isinstance(decoding, Decoding):
        raise BodyRejected(f"The body cannot be decoded: {decoding}.")
    try:
        decoded = b"".join(decoding.feed(body))
        decoding.finish()
    except Malformed as malformed:
        raise BodyRejected(f"The body cannot be decoded: {malformed}.") from None
    except BodyRefused as refused:
        raise BodyUnread(f"The body is not read: {refused}.") from None
    return decoded


def _declared_facts(request: Request) -> BodyFacts:
    declared = header(request.headers, b"content-type")
    require_utf_8(request)
    body = decoded_body(request)
    if request.content_type == MULTIPART:
        return multipart_facts(body or b"", declared)
    if request.content_type == FORM:
        return form_facts(body or b"")
    return json_facts(body) if body else NO_BODY


def require_utf_8(request: Request) -> None:
    """Raise ``BodyRejected`` for what a server that goes by the declared charset reads in another way."""
    kind = media_type([value for name, value in request.headers if name == b"content-type"])
    if not isinstance(kind, MediaType):
        raise BodyRejected(f"The body cannot be read: {kind}.")
    if kind.parameter("charset").lower() not in _UTF_8:
        raise BodyRejected("The body is in a charset other than UTF-8; send UTF-8.")


def _facts_if_json(request: Request) -> BodyFacts:
    """The facts of JSON, none for what is something else."""
    try:
        body = decoded_body(request) or b""
        if body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] not in (b"{", b"["):
            return NO_BODY
        return json_facts(body)
    except BodyUnread:
        raise
    except BodyRejected:
        return BodyFacts(unread=_PERHAPS)
