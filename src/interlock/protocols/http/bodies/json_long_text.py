"""A text in a JSON document that is too long to be held, looked at piece by piece.

It is masked as a document when its first piece may be one, and then has to be one, and as a text otherwise. What goes
on says the same as before but may be written with other escapes.
"""

from interlock.protocols.http.bodies.json_texts import read_text, written_piece
from interlock.protocols.http.bodies.masker import Masker
from interlock.protocols.http.bodies.refusal import Malformed


class LongText:
    """One text. Pieces are given and come back as they are written between the quotes."""

    def __init__(self, as_text: Masker, as_document: Masker | None) -> None:
        self._masker = as_text if as_document is None else as_document
        self._otherwise = as_text if as_document is not None else None

    def feed(self, piece: bytes) -> bytes:
        """What may go on now. Raises ``BodyRefused``."""
        data = read_text(b'"%b"' % piece).encode(errors="surrogatepass")
        try:
            masked = self._masker.feed(data)
        except Malformed:
            if self._otherwise is None:
                raise
            self._masker = self._otherwise
            masked = self._masker.feed(data)
        self._otherwise = None
        return written_piece(masked.decode(errors="surrogatepass"))

    def finish(self) -> bytes:
        """The rest. Raises ``BodyRefused``."""
        return written_piece(self._masker.finish().decode(errors="surrogatepass"))
