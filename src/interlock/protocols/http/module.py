"""HTTP as a protocol of this gateway (see ``protocols.base.ProtocolModule``)."""

from typing import Final

from interlock.core.catalogue import Catalogue
from interlock.core.operation import Meaning
from interlock.core.settings import ConnectionSettings, HttpTarget, PlainHttp, Settings
from interlock.protocols.base import ProtocolSession, Transcript
from interlock.protocols.http.dialects.base import Dialect
from interlock.protocols.http.dialects.registry import new_dialect
from interlock.protocols.http.limits import HttpLimits
from interlock.protocols.http.session import HttpSession
from interlock.protocols.http.transcript import HttpTranscriber
from interlock.protocols.http.values import Mode
from interlock.protocols.http.written import meaning_of_written

ENTROPY_BYTES: Final = 32
_BODY_TIMES: Final = 6
"""A body may take so many times as long as a head."""


class Dialects:
    """The dialect of each connection, shared by all of its clients for as long as its settings stay the same."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[HttpTarget, Dialect]] = {}

    def find(self, connection: str, settings: ConnectionSettings) -> Dialect:
        """Raises ``ValueError`` for settings that contradict one another."""
        known = self._known.get(connection)
        if known is None or known[0] != settings.http:
            known = self._known[connection] = (settings.http, new_dialect(settings.http))
        return known[1]


class HttpModule:
    """Implements ``ByteProtocolModule``."""

    name = "http"
    entropy_bytes = ENTROPY_BYTES

    def __init__(self) -> None:
        self._dialects = Dialects()

    def new_session(self, settings: Settings, entropy: bytes) -> ProtocolSession:
        return self.new_session_in(Mode.REVERSE, settings, entropy)

    def new_session_in(self, mode: Mode, settings: Settings, entropy: bytes) -> ProtocolSession:
        """A session on the reverse listener, or on the forward proxy."""
        plain = settings.http.plain if mode is Mode.REVERSE else settings.proxy.plain
        return HttpSession(mode, _limits(settings, plain), self._dialects.find, entropy)

    def interpret(self, text: str, connection: ConnectionSettings | None) -> Meaning:
        return meaning_of_written(text, connection.http if connection is not None else HttpTarget())

    def trace(self, catalogue: Catalogue) -> Catalogue:
        return catalogue

    def new_transcript(self) -> Transcript:
        return HttpTranscriber()


def _limits(settings: Settings, plain: PlainHttp) -> HttpLimits:
    http, development = settings.http, settings.development.issuer
    issuers = tuple(issuer.url for issuer in settings.issuers)
    return HttpLimits(
        plain,
        http.max_head_bytes,
        http.head_timeout_s,
        http.head_timeout_s * _BODY_TIMES,
        http.idle_timeout_s,
        http.public_url,
        issuers if development is None else (*issuers, f"http://{development}"),
    )
