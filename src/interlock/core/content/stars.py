"""Stars in the place of what must not be seen, where nothing may move: byte by byte."""

_KEPT = b"\t\n\r"
_STARS = bytes(byte if byte in _KEPT else ord("*") for byte in range(256))


def stars(text: bytes) -> bytes:
    """A star for each byte, but for tabs and the ends of lines."""
    return text.translate(_STARS)
