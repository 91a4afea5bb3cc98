"""asyncpg: pools, binary everything, its own look-up of types, portals in pieces, COPY, notifications, cancel."""

import asyncio
import io
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from tests.clients.scratch import Scenario, fresh_schema, sleep_statement, wait_until_sleeping
from tests.servers.endpoint import Endpoint

ITEMS = "SELECT * FROM scratch.items ORDER BY id"


def arguments(endpoint: Endpoint) -> dict[str, Any]:
    """The endpoint as keywords of ``asyncpg.connect`` and ``create_pool``."""
    tls: ssl.SSLContext | str = endpoint.sslmode
    if endpoint.sslrootcert is not None:
        tls = ssl.create_default_context(cafile=endpoint.sslrootcert)
    return {
        "host": endpoint.host,
        "port": endpoint.port,
        "user": endpoint.user,
        "password": endpoint.password,
        "database": endpoint.database,
        "ssl": tls,
    }


def on_connection(use: Callable[[Any, Endpoint], Awaitable[object]]) -> Scenario:
    """A scenario from a coroutine function that uses one connection."""

    async def connected(endpoint: Endpoint) -> object:
        connection = await asyncpg.connect(**arguments(endpoint))
        try:
            return await use(connection, endpoint)
        finally:
            await connection.close(timeout=10)

    def scenario(endpoint: Endpoint) -> object:
        fresh_schema(endpoint)
        return asyncio.run(connected(endpoint))

    scenario.__name__ = use.__name__
    return scenario


async def error_of(action: Awaitable[object]) -> tuple[str | None, ...]:
    try:
        await action
    except asyncpg.PostgresError as error:
        return type(error).__name__, error.sqlstate, str(error), error.as_dict().get("detail")
    return (None,)


@on_connection
async def types(connection: Any, endpoint: Endpoint) -> object:
    """Enum, composite and their arrays make asyncpg ask the catalogue."""
    rows = await connection.fetch(ITEMS)
    nested = await connection.fetchval(
        "SELECT array_agg(ROW(mood, home)::record ORDER BY id) FROM scratch.items WHERE id < 4"
    )
    arrays = await connection.fetchrow(
        "SELECT $1::scratch.mood[], $2::scratch.place, $3::int4range, $4::jsonb, $5::timestamptz::text",
        ["sad", "happy"],
        ("Main Street", 5),
        asyncpg.Range(1, 10),
        '{"a": [1, 2]}',
        None,
    )
    await connection.set_type_codec("jsonb", encoder=str, decoder=str, schema="pg_catalog")
    statement = await connection.prepare(ITEMS)
    attributes = [(a.name, a.type.name, a.type.kind, a.type.schema) for a in statement.get_attributes()]
    return repr(rows), repr(nested), repr(arrays), attributes, repr(await statement.fetch())


@on_connection
async def prepared(connection: Any, endpoint: Endpoint) -> object:
    statement = await connection.prepare("SELECT label, price FROM scratch.items WHERE id = ANY($1::int[]) ORDER BY id")
    found = [repr(await statement.fetch([n, n + 1])) for n in range(1, 15)]
    for n in range(150):  # more than asyncpg's cache of statements holds
        found.append(await connection.fetchval(f"SELECT {n} + $1::int", n))
    names = await connection.fetchval("SELECT count(*) FROM pg_prepared_statements")
    await connection.execute("ALTER TABLE scratch.parts ADD extra integer")
    return found, names, repr(await connection.fetch("SELECT * FROM scratch.parts ORDER BY id LIMIT 1"))


@on_connection
async def transactions_and_errors(connection: Any, endpoint: Endpoint) -> object:
    found: list[object] = []
    notices: list[object] = []
    connection.add_log_listener(lambda _, message: notices.append((message.severity_en, message.message)))
    for statement in ("SELECT 1/0", "SELEC", "SELECT nothing", "INSERT INTO scratch.parts VALUES (1, 1, 'twice')"):
        found.append(await error_of(connection.fetch(statement)))
        found.append(await error_of(connection.execute(statement)))
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    found.append(await error_of(connection.fetch("SELECT $1::int / 0", 1)))
    found.append(await error_of(connection.fetch("SELECT 1")))
    await transaction.rollback()
    async with connection.transaction():
        found.append(await error_of(_failing_savepoint(connection)))
        found.append(await connection.execute("DELETE FROM scratch.parts WHERE id < 3"))
    found.append(await connection.execute("SELECT scratch.complain('why'); SELECT 1; DELETE FROM scratch.parts"))
    found.append(await connection.fetch(""))
    return found, notices


async def _failing_savepoint(connection: Any) -> None:
    async with connection.transaction():
        await connection.execute("DELETE FROM scratch.parts")
        await connection.execute("SELECT 1/0")


@on_connection
async def cursors(connection: Any, endpoint: Endpoint) -> object:
    """Portals with a row limit: PortalSuspended and further Execute messages."""
    async with connection.transaction():
        counted = [row["n"] async for row in connection.cursor("SELECT n FROM generate_series(1, 500) n", prefetch=10)]
        cursor = await connection.cursor("SELECT id, label FROM scratch.items ORDER BY id")
        first = await cursor.fetch(3)
        await cursor.forward(5)
        return counted, repr(first), repr(await cursor.fetchrow()), repr(await cursor.fetch(100))


@on_connection
async def many(connection: Any, endpoint: Endpoint) -> object:
    rows = [(100 + n, 1, f"note {n}") for n in range(500)]
    await connection.executemany("INSERT INTO scratch.parts VALUES ($1, $2, $3)", rows)
    twice = [(900, 1, "fine"), (1, 1, "twice"), (901, 1, "never")]
    error = await error_of(connection.executemany("INSERT INTO scratch.parts VALUES ($1, $2, $3)", twice))
    return error, await connection.fetchval("SELECT count(*) FROM scratch.parts")


@on_connection
async def copies(connection: Any, endpoint: Endpoint) -> object:
    records = [(1000 + n, 1, f"note {n}") for n in range(5000)]
    found: list[object] = [await connection.copy_records_to_table("parts", schema_name="scratch", records=records)]
    for form in ("text", "csv", "binary"):
        output = io.BytesIO()
        query = "SELECT * FROM scratch.parts WHERE id > $1 ORDER BY id"
        found += [await connection.copy_from_query(query, 10, output=output, format=form), output.getvalue()]
    table = io.BytesIO()
    found += [await connection.copy_from_table("items", schema_name="scratch", output=table), table.getvalue()]
    source = io.BytesIO(b"9000,2,from file\n")
    found.append(await connection.copy_to_table("parts", schema_name="scratch", source=source, format="csv"))
    broken = io.BytesIO(b"no number,2,x\n")
    copy = connection.copy_to_table("parts", schema_name="scratch", source=broken, format="csv")
    found.append(await error_of(copy))
    return found


@on_connection
async def notifications(connection: Any, endpoint: Endpoint) -> object:
    received: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def receive(_: object, pid: int, channel: str, payload: str) -> None:
        received.put_nowait((channel, payload))

    await connection.add_listener("news", receive)
    speaker = await asyncpg.connect(**arguments(endpoint))
    for n in range(3):
        await speaker.execute("SELECT pg_notify('news', $1)", f"payload {n}")
    await speaker.close()
    found = [await asyncio.wait_for(received.get(), 20) for _ in range(3)]
    await connection.remove_listener("news", receive)
    return found


@on_connection
async def cancels(connection: Any, endpoint: Endpoint) -> object:
    """Once by the driver's own time-out, once by cancelling the task; the connection is good afterwards."""
    found: list[object] = []
    try:
        await connection.fetch(sleep_statement("asyncpg timeout"), timeout=0.3)
    except TimeoutError:
        found.append("timed out")
    sleeping = asyncio.ensure_future(connection.fetch(sleep_statement("asyncpg task")))
    await asyncio.to_thread(wait_until_sleeping, endpoint, "asyncpg task")
    sleeping.cancel()
    try:
        await sleeping
    except asyncio.CancelledError:
        found.append("cancelled")
    return found, await connection.fetchval("SELECT 'still here'")


def pool(endpoint: Endpoint) -> object:
    fresh_schema(endpoint)
    return asyncio.run(_pool(endpoint))


async def _pool(endpoint: Endpoint) -> object:
    """What one user of a pooled connection leaves behind is reset before the next."""
    async with asyncpg.create_pool(**arguments(endpoint), min_size=2, max_size=4) as pool:
        values = await asyncio.gather(*(pool.fetchval("SELECT $1::int * 2", n) for n in range(50)))
        async with pool.acquire() as connection:
            await connection.execute("SET TimeZone TO 'Asia/Tokyo'; LISTEN something; SELECT pg_advisory_lock(7)")
        zones = set(await asyncio.gather(*(pool.fetchval("SHOW TimeZone") for _ in range(8))))
        locks = await pool.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7")
        return values, zones, locks


SCENARIOS: tuple[Scenario, ...] = (
    types,
    prepared,
    transactions_and_errors,
    cursors,
    many,
    copies,
    notifications,
    cancels,
    pool,
)
