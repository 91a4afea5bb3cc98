"""What one peer of a WebSocket connection sends, as parts of messages: inflated, and text checked to be UTF-8."""

import codecs
import zlib
from typing import Final

from interlock.protocols.http.websocket.deflate import Inflater
from interlock.protocols.http.websocket.frames import FrameReader
from interlock.protocols.http.websocket.values import Control, Deflate, Fault, Kind, Part, Piece

BAD_DATA: Final = 1007
_NOT_UTF8: Final = "a text message is not UTF-8"
_new_decoder: Final = codecs.getincrementaldecoder("utf-8")


class MessageReader:
    """Reads one peer. ``masked`` as in ``FrameReader``. No part is longer than what was fed or ``MAX_OUTPUT_BYTES``."""

    def __init__(self, *, masked: bool, deflate: Deflate | None) -> None:
        self._frames = FrameReader(masked=masked, compressed=deflate is not None)
        self._inflater = Inflater(takeover=deflate is not None and deflate.takeover)
        self._inflating: Piece | None = None
        self._decoder = _new_decoder()
        self._fault: Fault | None = None

    @property
    def buffered_bytes(self) -> int:
        """How much was fed and not read."""
        return self._frames.buffered_bytes

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._frames.feed(data)

    def next(self) -> Part | Control | Fault | None:
        """What comes next; None when more bytes are needed. A ``Fault`` is the last there is, and comes again."""
        if self._fault is None:
            found = self._next()
            if type(found) is not Fault:
                return found
            self._fault = found
        return self._fault

    def _next(self) -> Part | Control | Fault | None:
        while True:
            if self._inflating is not None:
                found = self._inflate(self._inflating)
                if found is not None:
                    return found
            piece = self._frames.next()
            if type(piece) is not Piece:
                return piece  # type: ignore[return-value] # what is left of the union
            if not piece.compressed:
                return self._checked(piece.kind, piece.data, False, piece.final)
            self._inflater.feed(piece.data, final=piece.final)
            self._inflating = piece

    def _inflate(self, piece: Piece) -> Part | Fault | None:
        try:
            data = self._inflater.take()
        except zlib.error:
            return Fault(BAD_DATA, "a message is not compressed as it says")
        if data:
            return self._checked(piece.kind, data, True, False)
        self._inflating = None
        if not piece.final:
            return None
        self._inflater.end()
        return self._checked(piece.kind, b"", True, True)

    def _checked(self, kind: Kind, data: bytes, compressed: bool, final: bool) -> Part | Fault:
        if kind is Kind.TEXT:
            try:
                self._decoder.decode(data, final)
            except UnicodeDecodeError:
                return Fault(BAD_DATA, _NOT_UTF8)
        return Part(kind, data, compressed, final)
