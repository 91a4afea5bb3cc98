"""One answer on its way to the client: a new head, and a body that was looked into where something has to be.

What a cache or a range could be used for to get at what is masked is taken out of the head. The module is plain typed
Python that mypyc compiles where a C compiler is at hand.
"""

from typing import Final

from interlock.core.content.tally import Tally
from interlock.core.masking import Masking
from interlock.core.settings.http import Uninspectable
from interlock.protocols.http.bodies.codings import Decoding, open_decoding
from interlock.protocols.http.bodies.header_fields import masked_header
from interlock.protocols.http.bodies.inspection import Inspection, inspected_headers, open_inspection
from interlock.protocols.http.bodies.plan import plan_for
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.dialects.base import AnswerFilter, MaskingFilter
from interlock.protocols.http.echo import EchoGuard
from interlock.protocols.http.relocation import Place
from interlock.protocols.http.wire.messages import BodyKind, Headers, RequestHead, ResponseHead
from interlock.protocols.http.wire.writing import chunk, last_chunk, response_head, without_hop_by_hop

MAX_DECODED_BYTES: Final = 1 << 32
"""Of one body. It is never held as a whole: what bounds a bomb is how much it may grow while it is decoded."""
_LEFT_OUT: Final = frozenset(
    (b"content-length", b"alt-svc", b"proxy-authenticate", b"proxy-authentication-info", b"www-authenticate")
)
"""How messages are framed, ways around the gateway, and the target's questions about the gateway's own credential."""
_OF_THE_BODY: Final = frozenset(
    b"content-encoding content-md5 content-digest repr-digest digest etag last-modified accept-ranges"
    b" content-range".split()
)
_PARTIAL_CONTENT: Final = 206
_NO_STORE: Final = (b"cache-control", b"private, no-store")


def needs_inspection(masking: Masking | None) -> bool:
    """Whether bodies have to be looked into for whom this masking is."""
    return masking is not None and bool(masking.fields or masking.detectors)


class Answer:
    """The answer of one exchange. Raises ``BodyRefused`` where the body cannot be looked into.

    ``secrets`` are what the target was shown, which it may repeat.
    """

    def __init__(
        self,
        head: ResponseHead,
        looked: AnswerFilter | None,
        masking: Masking | None,
        uninspectable: Uninspectable,
        client: RequestHead,
        keeps_challenge: bool,
        secrets: tuple[bytes, ...] = (),
    ) -> None:
        self.status = head.status
        self._echo = EchoGuard(secrets) if secrets else None
        self._head = head
        self._filter = looked
        self._masks = looked if looked is not None and isinstance(looked, MaskingFilter) else None
        self._decoding: Decoding | None = None
        self._inspection: Inspection | None = None
        self._masking = masking if needs_inspection(masking) else None
        self._tally = Tally()
        """Of the head."""
        self._keeps_challenge = keeps_challenge
        self._of_head = client.method == b"HEAD"
        self.body_bytes = 0
        has_body = head.body is not BodyKind.NONE
        media = _value(head.headers, b"content-type").partition(b";")[0].strip().lower()
        if has_body and looked is not None:
            self._decode(head)
        if has_body and self._masking is not None and self._masks is None:
            self._inspection = self._inspected(head, self._masking, uninspectable)
        self.streams = media == b"text/event-stream"
        """Whether the client is to see the head before there is anything of the body."""
        hides_length = self._masking is not None and not has_body
        self.is_changed = self._inspection is not None or looked is not None or hides_length
        self._plain_length = head.length if head.body is BodyKind.LENGTH and not self.is_changed else -1
        self._chunked = has_body and self._plain_length < 0 and client.minor > 0
        self.ends_with_connection = has_body and self._plain_length < 0 and client.minor == 0

    def _decode(self, head: ResponseHead) -> None:
        """A filter sees a body without codings; those that look into it behind the filter find none either."""
        codings = [value for name, value in head.headers if name == b"content-encoding"]
        decoding = open_decoding(codings, MAX_DECODED_BYTES)
        if isinstance(decoding, str):
            raise BodyRefused(decoding)
        self._decoding = decoding

    def _inspected(self, head: ResponseHead, masking: Masking, uninspectable: Uninspectable) -> Inspection | None:
        if head.status == _PARTIAL_CONTENT:
            raise BodyRefused("it is only a part of a body, in which names and values may be cut")
        headers = head.headers if self._decoding is None else _uncoded(head.headers)
        opened = open_inspection(headers, masking, MAX_DECODED_BYTES)
        if isinstance(opened, Inspection):
            return opened
        if uninspectable is Uninspectable.REFUSE:
            raise BodyRefused(opened)
        return None

    @property
    def masked_values(self) -> int:
        looked = self._masks or self._inspection
        return self._tally.masked_values + (looked.masked_values if looked is not None else 0)

    @property
    def found(self) -> tuple[tuple[str, int], ...]:
        looked = self._masks or self._inspection
        return looked.found if looked is not None else ()

    @property
    def usage(self) -> int:
        """Tokens that the answer says it used."""
        return self._filter.usage if self._filter is not None else 0

    @property
    def filter(self) -> AnswerFilter | None:
        return self._filter

    def head(self, place: Place, keep_alive: bool) -> bytes:
        """The head for the client, who got it from there. Redirects of the target to itself stay behind the gateway."""
        kept = without_hop_by_hop(self._head.headers)
        if self._inspection is not None:
            kept = inspected_headers(kept, self._inspection)
        elif self.is_changed:
            kept = _changed(kept)
        fields = [
            (name, self._field(name, value, place))
            for name, value in kept
            if name not in _LEFT_OUT or (name == b"www-authenticate" and self._keeps_challenge)
        ]
        if self._masking is not None:
            fields = [field for field in fields if field[0] != b"cache-control"]
            fields.append(_NO_STORE)
        if self._plain_length >= 0:
            fields.append((b"content-length", b"%d" % self._plain_length))
        elif self._chunked:
            fields.append((b"transfer-encoding", b"chunked"))
        elif self.status not in (204, 304) and (length := self._bodiless_length()):
            fields.append((b"content-length", length))
        if not keep_alive or self.ends_with_connection:
            fields.append((b"connection", b"close"))
        return response_head(self.status, self._head.reason if self._masking is None else b"", fields)

    def _bodiless_length(self) -> bytes:
        """For HEAD the length that GET would have, nothing when that would be another one; 0 for an empty body."""
        if self._head.body is not BodyKind.NONE:
            return b""
        if not self._of_head:
            return b"0"
        if not self.is_changed:
            for name, value in self._head.headers:
                if name == b"content-length":
                    return value
        return b""

    def _field(self, name: bytes, value: bytes, place: Place) -> bytes:
        if name in (b"location", b"content-location"):
            value = place.relocated(value)
        elif name == b"set-cookie" and place.prefix:
            value = _kept_apart(value, place.prefix.encode("ascii"))
        if self._masking is not None:
            value = masked_header(name, value, plan_for(self._masking), self._tally)
        return value if self._echo is None else self._echo.hide(value)

    def feed(self, data: bytes) -> bytes:
        """What may be shown of the body so far, without framing."""
        if self._filter is not None:
            pieces = self._decoding.feed(data) if self._decoding is not None else (data,)
            data = b"".join([self._filter.feed(piece) for piece in pieces])
        return self.show(data)

    def show(self, data: bytes) -> bytes:
        """Mask what a filter has let through."""
        if self._inspection is not None and data:
            data = self._inspection.feed(data)
        return self._given(data)

    def _given(self, data: bytes) -> bytes:
        if self._echo is not None:
            data = self._echo.feed(data)
        self.body_bytes += len(data)
        return data

    def finish(self) -> bytes:
        """The rest of it; ``end`` frames the end."""
        if self._decoding is not None:
            self._decoding.finish()
        rest = self._filter.finish() if self._filter is not None else b""
        shown = self.show(rest)
        if self._inspection is not None:
            shown += self._given(self._inspection.finish())
        if self._echo is not None:
            held = self._echo.finish()
            self.body_bytes += len(held)
            shown += held
        return shown

    def framed(self, data: bytes) -> bytes:
        """A part of the body as it goes out."""
        return chunk(data) if self._chunked and data else data

    def end(self, trailers: Headers) -> bytes:
        """What goes out behind the body."""
        if not self._chunked:
            return b""
        if self.is_changed:
            return last_chunk(())
        kept = without_hop_by_hop(trailers)
        return last_chunk(kept if self._echo is None else [(name, self._echo.hide(value)) for name, value in kept])


def _uncoded(headers: Headers) -> Headers:
    return tuple(field for field in headers if field[0] != b"content-encoding")


def _changed(headers: Headers) -> Headers:
    """What is true of a body that a filter has changed."""
    return tuple(field for field in headers if field[0] not in _OF_THE_BODY)


def _value(headers: Headers, wanted: bytes) -> bytes:
    for name, value in headers:
        if name == wanted:
            return value
    return b""


def _kept_apart(cookie: bytes, prefix: bytes) -> bytes:
    """A cookie that clients send to this connection only, though all of them have the gateway's host name."""
    pair, *attributes = cookie.split(b";")
    kept = [pair]
    for attribute in attributes:
        name, _, value = attribute.partition(b"=")
        name, value = name.strip().lower(), value.strip()
        if name == b"path" and value.startswith(b"/"):
            kept.append(b" Path=" + prefix + value)
        elif name not in (b"domain", b"path"):
            kept.append(attribute)
    return b";".join(kept)
