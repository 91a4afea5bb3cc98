"""PostgreSQL as a protocol of this gateway (see ``protocols.base.ProtocolModule``)."""

from interlock.core.catalogue import Catalogue
from interlock.core.operation import Meaning
from interlock.core.settings import ConnectionSettings, PlainConnections, Settings
from interlock.protocols.base import ProtocolSession
from interlock.protocols.postgres.client_login import PlainText
from interlock.protocols.postgres.masking.lineage import trace
from interlock.protocols.postgres.scope import resolve
from interlock.protocols.postgres.session import ENTROPY_BYTES, PostgresLimits, PostgresSession
from interlock.protocols.postgres.statements import interpret
from interlock.protocols.postgres.transcript import PostgresTranscriber

_SEARCH_PATH = ("public",)
_PLAIN = {PlainConnections.REFUSE: PlainText.REFUSE, PlainConnections.SCRAM_ONLY: PlainText.SCRAM_ONLY}


class PostgresModule:
    """Implements ``ByteProtocolModule``."""

    name = "postgres"
    entropy_bytes = ENTROPY_BYTES

    def new_session(self, settings: Settings, entropy: bytes) -> ProtocolSession:
        options = settings.postgres
        limits = PostgresLimits(_PLAIN[options.plain], options.max_statement_bytes)
        return PostgresSession(limits, entropy)

    def interpret(self, text: str, connection: ConnectionSettings | None) -> Meaning:
        search_path = connection.search_path if connection is not None else _SEARCH_PATH
        return resolve(interpret(text.encode()).meaning, search_path)

    def trace(self, catalogue: Catalogue) -> Catalogue:
        return trace(catalogue)

    def new_transcript(self) -> PostgresTranscriber:
        return PostgresTranscriber()
