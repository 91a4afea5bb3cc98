"""Masks in one stream of output. So far it looks for nothing."""

from interlock.core.masking import Masking


class OutputMask:
    """Takes output as it comes and gives what may be shown."""

    def __init__(self, masking: Masking | None, terminal: bool) -> None:
        self.found: dict[str, int] = {}
        self.masked_values = 0
        self.held = False

    def feed(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""

    def finish(self) -> bytes:
        return b""
