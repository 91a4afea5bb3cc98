"""Takes content codings off a body (RFC 9110 section 8.4) in bounded steps: gzip, deflate, br, zstd and identity.

Output comes in pieces of bounded size. What expands too much, is cut off or has something behind its end is refused.
Nothing here knows what the decoded bytes mean.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Protocol

import brotli
import zstandard

from interlock.protocols.http.bodies.refusal import BodyRefused, Malformed

MAX_CODINGS: Final = 3
MAX_RATIO: Final = 200
"""How many times longer than what came a decoded body may be, beyond ``FREE_BYTES``."""
FREE_BYTES: Final = 1 << 20
PIECE_BYTES: Final = 64 << 10
_STEP_BYTES: Final = 16 << 10
"""So much is decoded at a time: what a step leaves over is copied for the next one."""
_MAX_WINDOW_BYTES: Final = 8 << 20
"""RFC 9659 section 3."""
_ZSTD_STEP_BYTES: Final = 256
"""One call cannot be told how much to give, and 4 bytes can stand for 128 KiB (RFC 8878 section 3.1.1.2.2)."""


class Decoder(Protocol):
    """Takes one coding off."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces; they must all be taken. Raises ``Malformed``."""

    def finish(self) -> None:
        """Nothing follows. Raises ``Malformed`` when something should."""


class GzipDecoder:
    """One or more members (RFC 1952)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._within = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            self._within = True
            yield _inflated(self._member, data, "gzip")
            self._within = not self._member.eof
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        while self._within and not self._member.eof:
            piece = _inflated(self._member, b"", "gzip")
            if not piece:
                return
            yield piece

    def finish(self) -> None:
        if self._within:
            raise Malformed("the gzip data is cut off")


class DeflateDecoder:
    """Data in the zlib format (RFC 1950), as it should be, or bare (RFC 1951), as some servers send it."""

    def __init__(self) -> None:
        self._start = b""
        self._stream: "zlib._Decompress | None" = None  # noqa: UP037 - it is known to type checkers only

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._stream is None:
            self._start += data
            if len(self._start) < 2:
                return
            data = self._start
            has_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
        while data:
            if self._stream.eof:
                raise Malformed("something follows the deflate data")
            yield _inflated(self._stream, data, "deflate")
            data = self._stream.unused_data or self._stream.unconsumed_tail
        while not self._stream.eof:
            piece = _inflated(self._stream, b"", "deflate")
            if not piece:
                return
            yield piece

    def finish(self) -> None:
        if self._start and (self._stream is None or not self._stream.eof):
            raise Malformed("the deflate data is cut off")


class BrotliDecoder:
    """One stream (RFC 7932)."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self._began = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._began |= bool(data)
        if not data:
            return
        if self._stream.is_finished():
            raise Malformed("something follows the br data")
        piece = self._process(data)
        yield piece
        while piece and not self._stream.is_finished() and not self._stream.can_accept_more_data():
            piece = self._process(b"")
            yield piece

    def _process(self, data: bytes) -> bytes:
        try:
            piece: bytes = self._stream.process(data, output_buffer_limit=PIECE_BYTES)
        except brotli.error:
            raise Malformed("the br data is broken, or something follows it") from None
        return piece

    def finish(self) -> None:
        if self._began and not self._stream.is_finished():
            raise Malformed("the br data is cut off")


class ZstdDecoder:
    """One or more frames (RFC 8878)."""

    def __init__(self) -> None:
        self._frame = _zstd_frame()
        self._within = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_STEP_BYTES):
            step = data[start : start + _ZSTD_STEP_BYTES]
            while step:
                if self._frame.eof:
                    self._frame = _zstd_frame()
                self._within = True
                try:
                    yield self._frame.decompress(step)
                except zstandard.ZstdError:
                    raise Malformed("the zstd data is broken, needs too much memory, or something follows it") from None
                self._within = not self._frame.eof
                step = self._frame.unused_data

    def finish(self) -> None:
        if self._within:
            raise Malformed("the zstd data is cut off")


DECODERS: Final[Mapping[bytes, Callable[[], Decoder]]] = {
    b"gzip": GzipDecoder,
    b"x-gzip": GzipDecoder,
    b"deflate": DeflateDecoder,
    b"br": BrotliDecoder,
    b"zstd": ZstdDecoder,
}


class Decoding:
    """All codings of one body taken off, with bounds on what comes out."""

    def __init__(self, decoders: list[Decoder], max_bytes: int) -> None:
        self._decoders = decoders
        self._max_bytes = max_bytes
        self._came = 0
        self._gave = [0] * len(decoders)
        self._total = 0

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Decoded pieces; they must all be taken. Raises ``BodyRefused``."""
        return self._decoded(data) if self._decoders else (self._counted(data),)

    def _decoded(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _STEP_BYTES):
            step = data[start : start + _STEP_BYTES]
            self._came += len(step)
            yield from self._through(0, step)

    def finish(self) -> None:
        """Nothing follows. Raises ``Malformed`` when something should."""
        for decoder in self._decoders:
            decoder.finish()

    def _counted(self, data: bytes) -> bytes:
        self._total += len(data)
        if self._total > self._max_bytes:
            raise BodyRefused(f"it is longer than {self._max_bytes} bytes when it is decoded")
        return data

    def _through(self, layer: int, data: bytes) -> Iterator[bytes]:
        if layer == len(self._decoders):
            yield self._counted(data)
            return
        for piece in self._decoders[layer].feed(data):
            self._gave[layer] += len(piece)
            if self._gave[layer] > max(FREE_BYTES, self._came * MAX_RATIO):
                raise BodyRefused(f"it expands to more than {MAX_RATIO} times its length")
            if piece:
                yield from self._through(layer + 1, piece)


def open_decoding(codings: list[bytes], max_bytes: int) -> Decoding | str:
    """For the codings of a body, in the order in which they were put on. Or why they cannot be taken off."""
    names = [coding for coding in codings if coding not in (b"", b"identity")]
    if len(names) > MAX_CODINGS:
        return f"it has more than {MAX_CODINGS} content codings"
    unknown = next((name for name in names if name not in DECODERS), None)
    if unknown is not None:
        return f"its content coding is not one of {', '.join(sorted(name.decode() for name in DECODERS))}"
    return Decoding([DECODERS[name]() for name in reversed(names)], max_bytes)


def _inflated(stream: "zlib._Decompress", data: bytes, coding: str) -> bytes:
    try:
        return stream.decompress(data, PIECE_BYTES)
    except zlib.error:
        raise Malformed(f"the {coding} data is broken, or something follows it") from None


def _zstd_frame() -> "zstandard.ZstdDecompressionObj":  # known to type checkers only
    return zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES).decompressobj(write_size=PIECE_BYTES)
