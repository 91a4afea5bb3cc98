"""Compression of messages (RFC 7692, 7.2), with a bound on what comes out at a time."""

import zlib
from typing import Final

MAX_OUTPUT_BYTES: Final = 1 << 16
_TAIL: Final = b"\x00\x00\xff\xff"
_RAW: Final = -15


class Inflater:
    """Inflates the messages of one peer. ``takeover``: they may refer to earlier ones.

    ``take`` gives what was fed with ``feed`` in parts of at most ``MAX_OUTPUT_BYTES``.
    """

    def __init__(self, *, takeover: bool) -> None:
        self._takeover = takeover
        self._stream = zlib.decompressobj(_RAW)
        self._waiting = b""
        self._more = False
        self._cut = False

    def feed(self, data: bytes, *, final: bool) -> None:
        """Take a piece of a message, after all that came before was taken."""
        self._waiting = data + _TAIL if final else data

    def take(self) -> bytes:
        """The next part, nothing when more has to be fed. Raises ``zlib.error`` for what is not deflated."""
        while self._waiting or self._more:
            part = self._stream.decompress(self._waiting, MAX_OUTPUT_BYTES)
            self._waiting = self._stream.unconsumed_tail
            self._more = len(part) == MAX_OUTPUT_BYTES
            if self._stream.eof:
                self._begin_again()
            if part:
                return part
        return b""

    def end(self) -> None:
        """The message is over and all of it was taken."""
        if self._cut or not self._takeover:
            self._stream = zlib.decompressobj(_RAW)
            self._cut = False

    def _begin_again(self) -> None:
        """A final block ends a stream, not the message (RFC 7692, 7.2.3.4)."""
        self._waiting = self._stream.unused_data
        self._more = False
        self._cut = True
        self._stream = zlib.decompressobj(_RAW)


def deflated(message: bytes, window_bits: int) -> bytes:
    """A whole message, compressed so that it refers to no other."""
    stream = zlib.compressobj(wbits=-window_bits)
    return (stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]
