"""Opens the gateway's own connections to PostgreSQL targets: for reading catalogues, sampling and granting.

They never carry a client's statement. Nothing that a target says is repeated in an error but its SQLSTATE: before the
login has succeeded nobody knows who says it.
"""

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final

import asyncpg

from interlock.core.errors import AdministrationRefused, CatalogueUnavailable, InterlockError
from interlock.core.settings import ConnectionSettings, TlsMode
from interlock.services.ports import CredentialVault, TargetCredential
from interlock.services.state import ConnectionStore

CONNECT_TIMEOUT_S: Final = 15.0
STATEMENT_TIMEOUT_S: Final = 30.0
_GRACE_S: Final = 2.0
_OLDEST_MAJOR: Final = 13

TlsContext = Callable[[ConnectionSettings, TargetCredential], ssl.SSLContext]


class PostgresConnections:
    """Opens one connection for one purpose at a time. ``tls_context`` makes the context that the settings ask for."""

    def __init__(
        self,
        connections: ConnectionStore,
        vault: CredentialVault,
        tls_context: TlsContext,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        statement_timeout_s: float = STATEMENT_TIMEOUT_S,
    ) -> None:
        self._connections = connections
        self._vault = vault
        self._tls_context = tls_context
        self._connect_timeout_s = connect_timeout_s
        self._statement_timeout_s = statement_timeout_s

    @contextlib.asynccontextmanager
    async def transaction(
        self, connection: str, database: str, application: str, *, read_only: bool = True
    ) -> AsyncIterator[asyncpg.Connection]:
        """A transaction on a new connection, committed at the end, in which only pg_catalog is searched for names.

        It is repeatable-read, and read-only unless asked otherwise. Raises CatalogueUnavailable for whatever goes
        wrong with the target, also in the body, and lets the body raise AdministrationRefused.
        """
        place = f"database {database!r} of connection {connection!r}"
        try:
            async with self._open(connection, database, application) as opened:
                await self._begin(opened, "READ ONLY" if read_only else "READ WRITE")
                yield opened
                await opened.execute("COMMIT")
        except (CatalogueUnavailable, AdministrationRefused):
            raise
        except InterlockError as error:
            raise CatalogueUnavailable(f"{place} cannot be used: {error}") from None
        except Exception as error:  # noqa: BLE001 - a target can make its driver fail in any way
            raise CatalogueUnavailable(f"{place} cannot be used: {_describe(error)}") from None

    @contextlib.asynccontextmanager
    async def _open(self, connection: str, database: str, application: str) -> AsyncIterator[asyncpg.Connection]:
        settings = self._settings(connection)
        credential = await self._vault.reveal(connection)
        opened = await asyncpg.connect(
            host=settings.host,
            port=settings.port,
            user=credential.user,
            password=credential.password or "",  # None would look for one in the environment
            database=database,
            ssl=False if settings.tls is TlsMode.DISABLE else self._tls_context(settings, credential),
            direct_tls=False,
            target_session_attrs="any",
            timeout=self._connect_timeout_s,
            command_timeout=self._statement_timeout_s + _GRACE_S,
            statement_cache_size=0,  # poolers between gateway and target may not keep prepared statements
            server_settings={"application_name": application},
        )
        try:
            _check_version(opened.get_server_version().major)
            yield opened
            with contextlib.suppress(TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await opened.close(timeout=_GRACE_S)
        finally:
            opened.terminate()  # no goodbye after an error: a target that stalls must not hold the gateway

    async def _begin(self, opened: asyncpg.Connection, mode: str) -> None:
        """Names are searched in pg_catalog first: behind a pooler somebody's temporary relations may be left over."""
        timeout_ms = int(self._statement_timeout_s * 1000)
        await opened.execute(
            f"BEGIN ISOLATION LEVEL REPEATABLE READ, {mode}; SET LOCAL search_path = pg_catalog, pg_temp; "
            f"SET LOCAL statement_timeout = {timeout_ms}; SET LOCAL jit = off"
        )

    def _settings(self, connection: str) -> ConnectionSettings:
        settings = self._connections.find(connection)
        if settings is None:
            raise CatalogueUnavailable(f"there is no connection {connection!r}")
        return settings


def _check_version(major: int) -> None:
    if major < _OLDEST_MAJOR:
        raise CatalogueUnavailable(f"the target is PostgreSQL {major}; its catalogue is read from {_OLDEST_MAJOR} on")


def _describe(error: Exception) -> str:
    """An error without what the target said."""
    if isinstance(error, asyncpg.PostgresError):
        return f"the target answered with {type(error).__name__} ({error.sqlstate})"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be reached: {error.strerror}"
    return f"{type(error).__name__}"
