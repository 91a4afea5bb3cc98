"""What masks one format."""

from typing import Protocol


class Masker(Protocol):
    """Masks one body or text. The input is UTF-8 without half characters."""

    def feed(self, data: bytes) -> bytes:
        """What may go on now. Raises ``BodyRefused``; the object must not be used after that."""

    def finish(self) -> bytes:
        """What was held, now that nothing follows. Raises ``BodyRefused``."""
