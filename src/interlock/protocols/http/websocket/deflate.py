"""Compression of messages (RFC 7692, 7.2), with a bound on what comes out at a time."""

import zlib
from typing import Final

MAX_OUTPUT_BYTES: Final = 1 << 16
_TAIL: Final = b"\x00\x00\xff\xff"
_EMPTY: Final = b"\x00" + _TAIL
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
        self._behind: bytes | None = None
        """What came behind a final block, None before there is one."""

    def feed(self, data: bytes, *, final: bool) -> None:
        """Take a piece of a message, after all that came before was taken."""
        self._waiting = data + _TAIL if final else data

    def take(self) -> bytes:
        """The next part, nothing when more has to be fed. Raises ``zlib.error`` for what is not deflated."""
        while (self._waiting or self._more) and not self._is_behind():
            part = self._stream.decompress(self._waiting, MAX_OUTPUT_BYTES)
            self._waiting = self._stream.unconsumed_tail
            self._more = len(part) == MAX_OUTPUT_BYTES
            if self._stream.eof:
                self._behind, self._waiting, self._more = b"", self._stream.unused_data, False
            if part:
                return part
        return b""

    def end(self) -> None:
        """The message is over and all of it was taken."""
        if self._behind is not None or not self._takeover:
            self._stream = zlib.decompressobj(_RAW)
            self._behind = None

    def _is_behind(self) -> bool:
        """Whether a final block has come. An empty one is all that may follow (RFC 7692, 7.2.3.4)."""
        if self._behind is None:
            return False
        self._behind += self._waiting
        self._waiting = b""
        if not _EMPTY.startswith(self._behind) and not _TAIL.startswith(self._behind):
            raise zlib.error("something follows a final block")
        return True


def deflated(message: bytes, window_bits: int) -> bytes:
    """A whole message, compressed so that it refers to no other."""
    stream = zlib.compressobj(wbits=-window_bits)
    return (stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]
