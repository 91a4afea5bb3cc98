"""Answers of HTTP/1.1 as those of HTTP/2: the bytes that a session writes for its client, as heads, data and an end."""

from typing import Final

import msgspec

from interlock.protocols.http.wire.messages import BadMessage, BodyData, BodyEnd, BodyKind, Headers, ResponseHead
from interlock.protocols.http.wire.responses import ResponseParser
from interlock.protocols.http.wire.writing import without_hop_by_hop


class AnswerHead(msgspec.Struct, frozen=True):
    """HEADERS to send. ``last``: nothing follows. ``interim``: another head follows."""

    fields: Headers
    last: bool
    interim: bool


class AnswerData(msgspec.Struct, frozen=True):
    """Bytes of the body."""

    data: bytes


class AnswerEnd(msgspec.Struct, frozen=True):
    """The body is over."""

    trailers: Headers


class AnswerCut(msgspec.Struct, frozen=True):
    """What was written is not a whole answer."""

    reason: str


AnswerPart = AnswerHead | AnswerData | AnswerEnd | AnswerCut
_SWITCHING: Final = 101


class AnswerReader:
    """Reads one answer after the other. ``begin`` for each request."""

    def __init__(self, max_head_bytes: int) -> None:
        self._parser = ResponseParser(max_head_bytes)

    def begin(self, method: bytes) -> None:
        """Expect the answer to a request."""
        self._parser.begin(method)

    def feed(self, data: bytes) -> list[AnswerPart]:
        """What is complete with these bytes."""
        self._parser.feed(data)
        parts: list[AnswerPart] = []
        while (found := self._parser.next()) is not None:
            parts.append(_part(found))
            if type(found) is BadMessage:
                break
        return parts

    def eof(self) -> AnswerPart | None:
        """The session has closed: what ends with that, None when nothing was due."""
        found = self._parser.eof()
        return None if found is None else _part(found)


def _part(found: ResponseHead | BodyData | BodyEnd | BadMessage) -> AnswerPart:
    if type(found) is BodyData:
        return AnswerData(found.data)
    if type(found) is BodyEnd:
        return AnswerEnd(found.trailers)
    if type(found) is BadMessage:
        return AnswerCut(found.reason)
    assert type(found) is ResponseHead
    if found.status == _SWITCHING:
        return AnswerCut("a session switched protocols within HTTP/2")
    fields = ((b":status", b"%d" % found.status), *without_hop_by_hop(found.headers))
    interim = found.status < 200
    return AnswerHead(fields, not interim and found.body is BodyKind.NONE, interim)
