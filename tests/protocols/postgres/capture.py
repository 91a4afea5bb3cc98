"""Makes the files in ``captures``: what real clients and a real server say to each other once the client is logged in.

Run with ``python -m tests.protocols.postgres.capture`` when clients change. A capture is a list of steps, each a side
and its bytes in the order in which they passed.
"""

import asyncio
import contextlib
import select
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import asyncpg
import msgspec
import psycopg

from tests.servers import sample
from tests.servers.endpoint import Endpoint
from tests.servers.postgres import PostgresServer, client_program

DIRECTORY = Path(__file__).parent / "captures"
Steps = list[tuple[str, bytes]]


def relay_and_record(target_port: int) -> tuple[int, threading.Thread, Steps]:
    """Pass one connection on, and keep what passes behind the first ReadyForQuery."""
    listener = socket.create_server(("127.0.0.1", 0))
    steps: Steps = []

    def serve() -> None:
        client, _ = listener.accept()
        listener.close()
        target = socket.create_connection(("127.0.0.1", target_port))
        ready = False
        names = {client: "client", target: "target"}
        with client, target:
            while True:
                for source in select.select([client, target], [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    if ready:
                        steps.append((names[source], data))
                    ready = ready or (source is target and data.endswith(b"Z\0\0\0\5I"))
                    (target if source is client else client).sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    return listener.getsockname()[1], thread, steps


def with_psql(endpoint: Endpoint) -> None:
    script = "\\d\nSELECT 1; SELECT 2;\nSELEC;\nBEGIN;\n\\copy orders(note) FROM STDIN\none\n\\.\nROLLBACK;\n"
    environment = endpoint.environment() | {"PATH": "/usr/bin:/bin"}
    command = [str(client_program("psql")), "-X", "-q"]
    subprocess.run(command, env=environment, input=script, text=True, capture_output=True, check=True)


def with_psycopg(endpoint: Endpoint) -> None:
    with psycopg.connect(**endpoint.parameters(), autocommit=True) as connection:
        connection.execute("SELECT id, name FROM customers WHERE id < %s", [4], prepare=True)
        with connection.pipeline(), connection.cursor() as cursor:
            cursor.execute("SELECT %s::int", [1])
            with contextlib.suppress(psycopg.errors.DivisionByZero):
                cursor.execute("SELECT 1 / %s", [0])
                cursor.execute("SELECT 2")
                cursor.fetchall()
        with connection.transaction(), connection.cursor(name="held") as named:
            named.execute("SELECT id FROM orders ORDER BY id")
            named.fetchmany(3)
        with connection.cursor() as cursor, cursor.copy("COPY orders (customer_id, total) FROM STDIN") as copy:
            copy.write_row((1, 2))
        with connection.cursor() as cursor, cursor.copy("COPY (SELECT id FROM orders LIMIT 5) TO STDOUT") as copy:
            list(copy)


def with_asyncpg(endpoint: Endpoint) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(
            host=endpoint.host,
            port=endpoint.port,
            user=endpoint.user,
            password=endpoint.password,
            database=endpoint.database,
            ssl=False,
        )
        await connection.fetch("SELECT id, name FROM customers WHERE id < $1", 4)
        with contextlib.suppress(asyncpg.PostgresError):
            await connection.fetch("SELEC")
        await connection.executemany("INSERT INTO orders (customer_id, total) VALUES ($1, $2)", [(1, 1), (2, 2)])
        async with connection.transaction():
            async for _ in connection.cursor("SELECT id FROM orders LIMIT 25", prefetch=10):
                pass
        await connection.copy_records_to_table("orders", records=[(1, 3)], columns=["customer_id", "total"])
        await connection.reset()
        await connection.close()

    asyncio.run(run())


CLIENTS: dict[str, Callable[[Endpoint], None]] = {
    "psql": with_psql,
    "psycopg": with_psycopg,
    "asyncpg": with_asyncpg,
}


def main() -> None:
    with PostgresServer() as server:
        sample.fill(server)
        for name, use in CLIENTS.items():
            port, thread, steps = relay_and_record(server.port)
            endpoint = sample.endpoint(server)
            use(Endpoint("127.0.0.1", port, endpoint.user, endpoint.password, endpoint.database))
            thread.join()
            (DIRECTORY / f"{name}.json").write_bytes(msgspec.json.encode(steps))


if __name__ == "__main__":
    main()
