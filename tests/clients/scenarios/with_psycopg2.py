"""psycopg2: client-side interpolation in simple queries, named cursors, copy_expert, clear-text cancel."""

import contextlib
import io
import select
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2.extras import execute_values, register_composite

from tests.clients.scratch import ROWS, Scenario, fresh_schema, sleep_statement, wait_until_sleeping
from tests.servers.endpoint import Endpoint

ITEMS = "SELECT * FROM scratch.items ORDER BY id"


@contextlib.contextmanager
def connect(endpoint: Endpoint) -> Iterator[psycopg2.extensions.connection]:
    connection = psycopg2.connect(**endpoint.parameters())
    try:
        yield connection
    finally:
        connection.close()


def error_of(action: Callable[[], object]) -> tuple[str | None, ...]:
    try:
        action()
    except psycopg2.Error as error:
        return error.pgcode, error.pgerror, error.diag.message_detail
    return (None,)


def types(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    with connect(endpoint) as connection, connection.cursor() as cursor:
        register_composite("scratch.place", connection)
        cursor.execute(ITEMS)
        rows = [[bytes(v) if isinstance(v, memoryview) else v for v in row] for row in cursor.fetchall()]
        return [column.name for column in cursor.description or ()], repr(rows)


def transactions_and_errors(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    found: list[Any] = []
    with connect(endpoint) as connection, connection.cursor() as cursor:
        for statement in ("SELECT 1/0", "SELECT 1", "SELEC", "INSERT INTO scratch.parts VALUES (1, 1, 'twice')"):
            found.append(error_of(lambda s=statement: cursor.execute(s)))  # type: ignore[misc]
            found.append(connection.get_transaction_status())
        connection.rollback()
        cursor.execute("SELECT scratch.complain(%s); SELECT %s, %s", ["it's", "a\\b", 5])
        found += [cursor.fetchall(), connection.notices]
        connection.rollback()
        connection.set_session(readonly=True, isolation_level="SERIALIZABLE")
        found.append(error_of(lambda: cursor.execute("DELETE FROM scratch.parts")))
    return found


def named_cursors(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    with connect(endpoint) as connection:
        with connection.cursor("named", scrollable=True) as cursor:
            cursor.itersize = 7
            cursor.execute("SELECT id, label FROM scratch.items ORDER BY id")
            found: list[object] = [cursor.fetchmany(4)]
            cursor.scroll(-2)
            found += [cursor.fetchone(), list(cursor)]
        with connection.cursor("held", withhold=True) as cursor:
            cursor.execute("SELECT id FROM scratch.parts ORDER BY id")
            connection.commit()
            return found, cursor.fetchall()


def copies(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    found: list[object] = []
    with connect(endpoint) as connection, connection.cursor() as cursor:
        rows = "".join(f"{1000 + n},1,note {n}\n" for n in range(5000))
        cursor.copy_expert("COPY scratch.parts FROM STDIN (FORMAT csv)", io.StringIO(rows))
        found.append(cursor.rowcount)
        for form in ("text", "csv", "binary"):
            output = io.BytesIO()
            cursor.copy_expert(f"COPY (SELECT * FROM scratch.parts ORDER BY id) TO STDOUT (FORMAT {form})", output)
            found.append(output.getvalue())
        broken = io.StringIO("not a number\t1\tx\n")
        found.append(error_of(lambda: cursor.copy_expert("COPY scratch.parts FROM STDIN", broken)))
    return found


def many(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    with connect(endpoint) as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO scratch.parts VALUES (%s, 1, %s)", [(100 + n, f"n{n}") for n in range(30)])
        rows = [(200 + n, 2, None) for n in range(300)]
        returned = execute_values(
            cursor, "INSERT INTO scratch.parts VALUES %s RETURNING id", rows, page_size=100, fetch=True
        )
        cursor.execute("SELECT count(*), count(note) FROM scratch.parts")
        return returned, cursor.fetchone(), ROWS


def notifications(endpoint: Endpoint) -> object:
    with connect(endpoint) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("LISTEN news")
            with connect(endpoint) as speaker, speaker.cursor() as speaking:
                speaking.execute("NOTIFY news, 'hello'")
                speaker.commit()
            while not connection.notifies:
                assert select.select([connection], [], [], 20)[0], "no notification came"
                connection.poll()
        return [(notify.channel, notify.payload) for notify in connection.notifies]


def cancels(endpoint: Endpoint) -> object:
    with connect(endpoint) as connection, connection.cursor() as cursor:

        def cancel() -> None:
            wait_until_sleeping(endpoint, "psycopg2")
            connection.cancel()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        error = error_of(lambda: cursor.execute(sleep_statement("psycopg2")))
        canceller.join()
        connection.rollback()
        cursor.execute("SELECT 'still here'")
        return error, cursor.fetchone()


SCENARIOS: tuple[Scenario, ...] = (
    types,
    transactions_and_errors,
    named_cursors,
    copies,
    many,
    notifications,
    cancels,
)
