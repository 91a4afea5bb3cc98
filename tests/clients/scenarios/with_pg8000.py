"""pg8000: a driver in Python with its own mixture of Flush and Sync."""

import contextlib
import io
import ssl
from collections.abc import Iterator
from typing import Any

import pg8000.dbapi
import pg8000.native

from tests.clients.scratch import Scenario, fresh_schema
from tests.servers.endpoint import Endpoint


def arguments(endpoint: Endpoint) -> dict[str, Any]:
    tls: ssl.SSLContext | bool = endpoint.sslmode != "disable"
    if endpoint.sslrootcert is not None:
        tls = ssl.create_default_context(cafile=endpoint.sslrootcert)
    return {
        "host": endpoint.host,
        "port": endpoint.port,
        "user": endpoint.user,
        "password": endpoint.password,
        "database": endpoint.database,
        "ssl_context": tls,
    }


@contextlib.contextmanager
def native(endpoint: Endpoint) -> Iterator[Any]:
    connection = pg8000.native.Connection(**arguments(endpoint))
    try:
        yield connection
    finally:
        connection.close()


def error_of(connection: Any, statement: str, **values: object) -> object:
    try:
        connection.run(statement, **values)
    except pg8000.native.DatabaseError as error:
        return error.args
    return None


def types(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    with native(endpoint) as connection:
        rows = connection.run("SELECT * FROM scratch.items ORDER BY id")
        names = [column["name"] for column in connection.columns]
        values = connection.run(
            "SELECT CAST(:a AS int), CAST(:b AS text), CAST(:c AS bytea), CAST(:d AS text[])",
            a=1,
            b="zwei",
            c=b"\x00\xff",
            d=["x", None],
        )
        return names, repr(rows), values


def prepared_and_errors(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    with native(endpoint) as connection:
        statement = connection.prepare("SELECT label FROM scratch.items WHERE id = :id")
        found = [statement.run(id=n) for n in range(1, 8)]
        statement.close()
        found += [error_of(connection, text) for text in ("SELECT 1/0", "SELEC", "SELECT nothing")]
        found.append(error_of(connection, "INSERT INTO scratch.parts VALUES (:id, 1, 'twice')", id=1))
        connection.run("BEGIN")
        found.append(error_of(connection, "SELECT CAST(:a AS int) / 0", a=1))
        found.append(error_of(connection, "SELECT 1"))
        connection.run("ROLLBACK")
        found.append(connection.run("SELECT scratch.complain('why')"))
        notices = [(notice[b"S"], notice[b"M"]) for notice in connection.notices]
        return found, notices


def copies_and_transactions(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    connection = pg8000.dbapi.connect(**arguments(endpoint))
    try:
        cursor = connection.cursor()
        source = io.BytesIO(b"".join(b"%d,1,note\n" % (100 + n) for n in range(1000)))
        cursor.execute("COPY scratch.parts FROM STDIN (FORMAT csv)", stream=source)
        connection.commit()
        output = io.BytesIO()
        cursor.execute("COPY (SELECT * FROM scratch.parts ORDER BY id) TO STDOUT", stream=output)
        cursor.execute("DELETE FROM scratch.parts WHERE id > %s RETURNING id", (1000,))
        deleted = list(cursor.fetchall())
        connection.rollback()
        cursor.execute("SELECT count(*) FROM scratch.parts")
        return output.getvalue(), deleted, list(cursor.fetchone())
    finally:
        connection.close()


def notifications(endpoint: Endpoint) -> object:
    with native(endpoint) as connection:
        connection.run("LISTEN news")
        connection.run("NOTIFY news, 'hello'")
        connection.run("SELECT 1")
        return [(channel, payload) for _, channel, payload in connection.notifications]


SCENARIOS: tuple[Scenario, ...] = (types, prepared_and_errors, copies_and_transactions, notifications)
