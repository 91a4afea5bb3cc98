"""What holds for the requests of one session. The module is plain typed Python that mypyc compiles."""

from typing import Final

from interlock.core.masking import Masking
from interlock.core.settings import ConnectionSettings
from interlock.protocols.http.dialects.base import Dialect


class Terms:
    """The target's settings, how its requests are read, and what is masked for the caller now."""

    def __init__(self, settings: ConnectionSettings, dialect: Dialect, masking: Masking | None) -> None:
        self.settings: Final = settings
        self.dialect: Final = dialect
        self.masking = masking
