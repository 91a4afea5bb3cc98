"""psycopg 3, synchronous and asynchronous: types in both formats, pipelines, cursors, COPY, notifications, cancel."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo, register_enum

from tests.clients.scratch import Scenario, fresh_schema, sleep_statement, wait_until_sleeping
from tests.servers.endpoint import Endpoint

Connection = psycopg.Connection[tuple[Any, ...]]
ITEMS = "SELECT * FROM scratch.items ORDER BY id"


def connect(endpoint: Endpoint, **options: Any) -> Connection:
    return psycopg.connect(**endpoint.parameters(), **options)


def error_of(action: Callable[[], object]) -> tuple[str | None, ...]:
    """The server's error that ``action`` causes: state, message and the fields a client may show."""
    try:
        action()
    except psycopg.Error as error:
        diagnostic = error.diag
        return (
            error.sqlstate,
            diagnostic.message_primary,
            diagnostic.message_detail,
            diagnostic.message_hint,
            diagnostic.statement_position,
            diagnostic.constraint_name,
        )
    return (None,)


def types(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    with connect(endpoint) as connection:
        place = CompositeInfo.fetch(connection, "scratch.place")
        mood = EnumInfo.fetch(connection, "scratch.mood")
        assert place is not None
        assert mood is not None
        register_composite(place, connection)
        register_enum(mood, connection)
        found = []
        for binary in (False, True):
            cursor = connection.execute(ITEMS, binary=binary)
            columns = [(column.name, column.internal_size, column.precision) for column in cursor.description or ()]
            found.append((columns, repr(cursor.fetchall())))
        return found


def parameters(endpoint: Endpoint) -> object:
    query = "SELECT %s::int, %s::text, %s::bytea, %s::jsonb, %s::text[], %s::numeric, %b::int8, %t::float8"
    values = (1, "zwei", b"\x00\xff", '{"a": 1}', ["x", None], "1.50", 7, 2.5)
    with connect(endpoint) as connection:
        found = [connection.execute(query, values, binary=binary).fetchone() for binary in (False, True)]
        found.append(connection.execute("SELECT length(%s)", ["x" * 5_000_000]).fetchone())
        return found


def transactions(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    found: list[object] = []
    with connect(endpoint) as connection:
        found.append(connection.info.transaction_status)
        connection.execute("SELECT 1")
        found.append(connection.info.transaction_status)
        found.append(error_of(lambda: connection.execute("INSERT INTO scratch.parts VALUES (1, 1, 'twice')")))
        found.append(connection.info.transaction_status)
        found.append(error_of(lambda: connection.execute("SELECT 1")))
        connection.rollback()
        with connection.transaction(), connection.transaction(force_rollback=True):
            found.append(connection.execute("DELETE FROM scratch.parts WHERE id > 10").rowcount)
        found.append(connection.execute("SELECT count(*) FROM scratch.parts").fetchone())
    return found


def errors_and_notices(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    notices: list[object] = []
    statements = ("SELECT nothing", "SELECT 1/0", "SELEC", "SELECT 'abc'::int", "SELECT * FROM nowhere", "")
    with connect(endpoint, autocommit=True) as connection:
        connection.add_notice_handler(lambda d: notices.append((d.severity, d.sqlstate, d.message_primary)))
        connection.execute("SELECT scratch.complain('why')")
        return [error_of(lambda s=s: connection.execute(s)) for s in statements], notices  # type: ignore[misc]


def prepared(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    query = "SELECT label FROM scratch.items WHERE id = %s"
    with connect(endpoint) as connection:
        found = [connection.execute(query, [number]).fetchone() for number in range(1, 12)]
        names = connection.execute("SELECT name, statement FROM pg_prepared_statements").fetchall()
        star = "SELECT * FROM scratch.parts WHERE id = %s"
        connection.execute(star, [1], prepare=True)
        connection.execute("ALTER TABLE scratch.parts ALTER note TYPE text")
        return found, names, error_of(lambda: connection.execute(star, [1]))


def many(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    with connect(endpoint) as connection, connection.cursor() as cursor:
        rows = [(1000 + n, 1, f"note {n}") for n in range(50)]
        cursor.executemany("INSERT INTO scratch.parts VALUES (%s, %s, %s) RETURNING id", rows, returning=True)
        returned = []
        while True:
            returned.append(cursor.fetchone())
            if not cursor.nextset():
                return returned, cursor.rowcount


def server_cursors(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    found: list[object] = []
    with connect(endpoint) as connection:
        for binary in (False, True):
            with connection.cursor("srv", binary=binary, scrollable=True) as cursor:
                cursor.execute(ITEMS)
                found.append(repr(cursor.fetchmany(3)))
                cursor.scroll(-2)
                found += [repr(cursor.fetchone()), repr(cursor.fetchall())]
        with connection.cursor("held", withhold=True) as cursor:
            cursor.itersize = 4
            cursor.execute("SELECT id FROM scratch.items ORDER BY id")
            connection.commit()
            found.append(list(cursor))
    return found


def streams(endpoint: Endpoint) -> object:
    with connect(endpoint) as connection, connection.cursor() as cursor:
        return sum(row[0] for row in cursor.stream("SELECT n FROM generate_series(1, 5000) n"))


def copies(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    found: list[object] = []
    with connect(endpoint) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE scratch.copied (n int8, t text, b bytea)")
        for form in ("text", "binary"):
            with cursor.copy(f"COPY scratch.copied FROM STDIN (FORMAT {form})".encode()) as copy:
                copy.set_types(["int8", "text", "bytea"])
                for n in range(2000):
                    copy.write_row((n, f"Zeile {n}\tü\\", bytes([n % 256]) * 10))
            found.append(cursor.rowcount)
            with cursor.copy(
                f"COPY (SELECT * FROM scratch.copied ORDER BY n) TO STDOUT (FORMAT {form})".encode()
            ) as copy:
                found.append(b"".join(bytes(block) for block in copy))
        found.append(error_of(lambda: _broken_copy(cursor)))
        connection.rollback()
        found.append(connection.info.transaction_status)
    return found


def _broken_copy(cursor: psycopg.Cursor[tuple[Any, ...]]) -> None:
    with cursor.copy("COPY scratch.parts FROM STDIN") as copy:
        copy.write("1\t1\tfine\nnot a number\t2\tx\n")


def abandoned_copy(endpoint: Endpoint) -> object:
    """The client gives up in the middle of COPY: CopyFail."""
    fresh_schema(endpoint)

    def give_up() -> None:
        with connection.cursor() as cursor, cursor.copy("COPY scratch.parts FROM STDIN") as copy:
            copy.write("1000\t1\tfine\n")
            raise ValueError("changed my mind")

    with connect(endpoint) as connection:
        try:
            give_up()
        except ValueError as error:
            raised = str(error)
        connection.rollback()
        return raised, connection.execute("SELECT count(*) FROM scratch.parts").fetchone()


def pipelines(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    found: list[object] = []
    with connect(endpoint, autocommit=True) as connection:
        with connection.pipeline() as pipeline:
            cursors = [connection.execute("SELECT %s::int * 2", [n]) for n in range(100)]
            pipeline.sync()
            cursors.append(connection.execute("INSERT INTO scratch.parts VALUES (500, 1, 'piped') RETURNING note"))
            found.append([cursor.fetchone() for cursor in cursors])
        found.append(error_of(lambda: _broken_pipeline(connection)))
        found.append(connection.execute("SELECT id FROM scratch.parts WHERE id > 500 ORDER BY id").fetchall())
    return found


def _broken_pipeline(connection: Connection) -> None:
    with connection.pipeline() as pipeline:
        connection.execute("INSERT INTO scratch.parts VALUES (501, 1, 'before')")
        pipeline.sync()
        connection.execute("INSERT INTO scratch.parts VALUES (502, 1, 'same group')")
        connection.execute("SELECT 1/0")
        connection.execute("INSERT INTO scratch.parts VALUES (503, 1, 'skipped')")
        pipeline.sync()
        connection.execute("INSERT INTO scratch.parts VALUES (504, 1, 'after')")


def notifications(endpoint: Endpoint) -> object:
    with connect(endpoint, autocommit=True) as listener, connect(endpoint, autocommit=True) as speaker:
        listener.execute("LISTEN news")
        for n in range(3):
            speaker.execute("SELECT pg_notify('news', %s)", [f"payload {n}"])
        received = list(listener.notifies(timeout=20, stop_after=3))
        own = [notification.pid == speaker.info.backend_pid for notification in received]
        return [(notification.channel, notification.payload) for notification in received], own


def cancels(endpoint: Endpoint) -> object:
    return [_cancel_with(endpoint, how) for how in ("cancel", "cancel_safe")]


def _cancel_with(endpoint: Endpoint, how: str) -> object:
    with connect(endpoint) as connection:

        def cancel() -> None:
            wait_until_sleeping(endpoint, f"psycopg {how}")
            getattr(connection, how)()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        error = error_of(lambda: connection.execute(sleep_statement(f"psycopg {how}").encode()))
        canceller.join()
        connection.rollback()
        return error, connection.execute("SELECT 'still here'").fetchone()


_REPORTED = (
    "server_version",
    "server_encoding",
    "client_encoding",
    "application_name",
    "is_superuser",
    "session_authorization",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
)


def connection_facts(endpoint: Endpoint) -> object:
    with connect(endpoint, application_name="facts", options="-c statement_timeout=12345") as connection:
        reported = {name: connection.info.parameter_status(name) for name in _REPORTED}
        connection.execute("SET TimeZone TO 'Asia/Tokyo'")
        shown = connection.execute("SHOW statement_timeout").fetchone()
        version = connection.info.server_version
        return reported, connection.info.parameter_status("TimeZone"), shown, version


def asynchronous(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    return asyncio.run(_asynchronous(endpoint))


async def _asynchronous(endpoint: Endpoint) -> object:
    connection = await psycopg.AsyncConnection.connect(**endpoint.parameters(), autocommit=True)
    async with connection:
        plain = await (await connection.execute(ITEMS, binary=True)).fetchall()
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT %s::text", [str(n)]) for n in range(20)]
            piped = [await cursor.fetchone() for cursor in cursors]
        async with connection.cursor() as cursor, cursor.copy("COPY scratch.items TO STDOUT (FORMAT binary)") as copy:
            copied = b"".join([bytes(block) async for block in copy])
        sleeping = asyncio.ensure_future(connection.execute(sleep_statement("psycopg async").encode()))
        await asyncio.to_thread(wait_until_sleeping, endpoint, "psycopg async")
        await connection.cancel_safe()
        try:
            await sleeping
        except psycopg.errors.QueryCanceled as error:
            cancelled = error.sqlstate
        return repr(plain), piped, copied, cancelled


def client_side_binding(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    with connect(endpoint, cursor_factory=psycopg.ClientCursor) as connection:
        table = sql.Identifier("scratch", "items")
        query = sql.SQL("SELECT id, label FROM {} WHERE label = %s AND price < %s").format(table)
        return connection.execute(query, ["item 3", 10]).fetchall()


SCENARIOS: tuple[Scenario, ...] = (
    types,
    parameters,
    transactions,
    errors_and_notices,
    prepared,
    many,
    server_cursors,
    streams,
    copies,
    abandoned_copy,
    pipelines,
    notifications,
    cancels,
    connection_facts,
    asynchronous,
    client_side_binding,
)
