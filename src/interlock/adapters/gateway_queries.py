"""Runs statements of agents as an ordinary client of the gateway's own PostgreSQL listener.

The caller's token is the password. Nothing in here decides, masks or records: the listener does, as for everybody.
"""

import datetime
import re
import ssl
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import asyncpg

from interlock.services.self_service.queries import HeldNotice, QueryFailed, QueryResult, Statement

CONNECT_TIMEOUT_S: Final = 20.0
MAX_RESULT_CHARACTERS: Final = 1 << 20
"""Text in one result; the rows beyond are left out."""
_REQUEST: Final = re.compile(r"Request ([0-9a-z]+)\.")


class GatewayQueries:
    """Implements ``services.self_service.queries.QueryRunner``."""

    def __init__(self, host: str, port: int, certificate: str) -> None:
        """``certificate`` is the listener's own, in PEM: nothing else is spoken to."""
        self._host = host
        self._port = port
        self._tls = ssl.create_default_context(cadata=certificate)
        self._tls.check_hostname = False  # It is this very certificate, whatever names are in it.
        self._tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN

    async def run(self, statement: Statement, held: Callable[[HeldNotice], None]) -> QueryResult:
        """See ``QueryRunner``. Raises ``QueryFailed``."""
        try:
            connection = await self._connect(statement)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise QueryFailed(_words(error)) from None
        try:
            connection.add_log_listener(lambda _, notice: _tell(notice, held))
            return await _fetch(connection, statement)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise QueryFailed(_words(error)) from None
        finally:
            connection.terminate()

    async def _connect(self, statement: Statement) -> Any:
        target = f"{statement.connection}/{statement.database}" if statement.database else statement.connection
        return await asyncpg.connect(
            host=self._host,
            port=self._port,
            user="token",
            password=statement.token,
            database=target,
            ssl=self._tls,
            timeout=CONNECT_TIMEOUT_S,
            statement_cache_size=0,
            server_settings={"application_name": statement.application[:63]},
        )


async def _fetch(connection: Any, statement: Statement) -> QueryResult:
    """The first rows of the statement's answer, in a transaction of its own."""
    async with connection.transaction():
        prepared = await connection.prepare(statement.sql)
        cursor = await prepared.cursor()
        rows = await cursor.fetch(statement.max_rows + 1)
        columns = tuple(attribute.name for attribute in prepared.get_attributes())
        status = prepared.get_statusmsg() or ""
    kept = _within(rows[: statement.max_rows])
    return QueryResult(columns, kept, status, more=len(kept) < len(rows))


def _within(rows: list[Any]) -> tuple[tuple[object, ...], ...]:
    kept, room = [], MAX_RESULT_CHARACTERS
    for row in rows:
        values = tuple(_plain(value) for value in row)
        room -= len(str(values))
        if room < 0:
            break
        kept.append(values)
    return tuple(kept)


def _plain(value: object) -> object:
    """A value as JSON has it; what JSON does not have is text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) and value.is_finite() else str(value)


def _tell(notice: Any, held: Callable[[HeldNotice], None]) -> None:
    found = _REQUEST.search(notice.message or "")
    if found is not None:
        held(HeldNotice(found[1], " ".join(filter(None, (notice.message, notice.hint)))))


def _words(error: Exception) -> str:
    """What the gateway or the target said, with its hint."""
    if isinstance(error, asyncpg.PostgresError):
        return " ".join(filter(None, (str(error.args[0]) if error.args else "", error.hint)))
    return "the gateway did not answer in time" if isinstance(error, TimeoutError) else type(error).__name__
