"""What of a client's input may be recorded. So far, all of it."""

from interlock.core.masking import Masking


class InputWatch:
    """Sees output and input of one channel."""

    def __init__(self, masking: Masking | None) -> None:
        self._masking = masking

    def output(self, data: bytes) -> None:
        """What the client is shown."""

    def input(self, data: bytes) -> bytes:
        """What may be recorded of it."""
        return data
