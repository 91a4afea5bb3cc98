"""What goes to one peer of a WebSocket connection: messages and control frames as bytes."""

from typing import Final

from interlock.protocols.http.websocket.deflate import deflated
from interlock.protocols.http.websocket.frames import MaskingKeys, frame
from interlock.protocols.http.websocket.values import Deflate, Kind

_CONTINUATION: Final = 0
_WORTH_COMPRESSING_BYTES: Final = 512
"""Making a compressor takes longer than sending so much."""


class MessageWriter:
    """Frames for one peer; with ``keys``, as a client masks them. Compresses what came compressed and is not short."""

    def __init__(self, keys: MaskingKeys | None, deflate: Deflate | None) -> None:
        self._keys = keys
        self._deflate = deflate
        self._within = False

    def message(self, kind: Kind, data: bytes, *, compressed: bool) -> bytes:
        """A whole message."""
        if compressed and self._deflate is not None and len(data) >= _WORTH_COMPRESSING_BYTES:
            return frame(kind, deflated(data, self._deflate.window_bits), self._key(), compressed=True)
        return frame(kind, data, self._key())

    def part(self, kind: Kind, data: bytes, *, final: bool) -> bytes:
        """A part of a message, in its order."""
        opcode = _CONTINUATION if self._within else int(kind)
        self._within = not final
        return frame(opcode, data, self._key(), final=final)

    def control(self, kind: Kind, payload: bytes) -> bytes:
        """A control frame; it may stand between the parts of a message."""
        return frame(kind, payload, self._key())

    def _key(self) -> bytes:
        return b"" if self._keys is None else self._keys.next()
