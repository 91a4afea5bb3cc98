"""Sudden and orderly ends of the gateway: nothing that reached the target is missing from the record."""

import itertools
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg
import pytest

from interlock.adapters.ledger.segments import list_segments
from interlock.core.ledger import (
    GatewayStarted,
    GatewayStopped,
    LedgerRecovered,
    OperationDecided,
    SessionClosed,
    SessionOpened,
)
from tests.clients.scratch import sleep_statement, wait_until_sleeping
from tests.e2e.ledger_files import digest, records_of, wait_for
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer

_CLIENTS = 4
_ROUNDS = 4
NO_PARAMETERS = b"\0\0\0\0\0\1\0\1"
"""What the second half of a Bind message says when there are none and the answer is wanted in binary."""
_markers = itertools.count(1)


@pytest.fixture
def written(postgres: PostgresServer) -> Iterator[Callable[[], set[str]]]:
    """A table for the writers, and what is in it."""
    postgres.execute(
        "CREATE TABLE written (marker text PRIMARY KEY); ALTER TABLE written OWNER TO app", database="shop"
    )
    yield lambda: {row[0] for row in postgres.execute("SELECT marker FROM written", database="shop")}
    postgres.execute("DROP TABLE written", database="shop")


class Load:
    """Clients that write rows, each with a marker of its own, until the gateway is gone."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._parameters = endpoint.parameters()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(_CLIENTS)]
        self.acknowledged = 0
        for thread in self._threads:
            thread.start()

    def wait_for_rows(self, count: int) -> None:
        wait_for(lambda: self.acknowledged >= count, f"{count} rows")

    def join(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        extended = number % 2 == 0
        with suppress(psycopg.OperationalError), psycopg.connect(**self._parameters, autocommit=True) as connection:
            while not self._stop.is_set():
                text = f"INSERT INTO written VALUES ('{number}-{next(_markers)}')"
                if extended:
                    connection.execute(text.encode(), [], prepare=False, binary=True)
                else:
                    connection.execute(text.encode())
                self.acknowledged += 1


def inserted(text: str) -> str:
    return text.partition("'")[2].rpartition("'")[0]


@pytest.mark.parametrize("durability", ["standard", "strict"])
def test_every_statement_that_reached_the_target_is_on_record(
    target: Endpoint, postgres: PostgresServer, written: Callable[[], set[str]], durability: str
) -> None:
    """SIGKILL under load, several times on the same data. Every restart recovers by itself."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    mark = postgres.log_position()
    with GatewayServer(target, GatewayOptions(durability=durability)) as gateway:
        for round_number in range(_ROUNDS):
            load = Load(gateway.endpoint())
            try:
                load.wait_for_rows(chance.randrange(1, 400))
                gateway.kill()
            finally:
                load.join()
            gateway.start()
            assert len(records_of(gateway, LedgerRecovered)) == round_number + 1
        assert_recovered(gateway)
        gateway.stop()
        known = {record.digest for record in records_of(gateway, OperationDecided) if record.decision == "allowed"}
        reached = [s.text for s in postgres.logged_statements(mark) if "INSERT INTO written" in s.text]
        assert len(reached) > _ROUNDS
        unknown = [text for text in reached if not known & {digest(text), digest(text, NO_PARAMETERS)}]
        assert unknown == [], f"seed {seed}"
        in_table = written()
        assert in_table <= {inserted(text) for text in reached}
        assert verified(gateway)


def assert_recovered(gateway: GatewayServer) -> None:
    """Every session that was open at a crash has an end on record."""
    opened = {record.session for record in records_of(gateway, SessionOpened)}
    closed = [record.session for record in records_of(gateway, SessionClosed)]
    assert opened == set(closed)
    assert len(closed) == len(set(closed))
    assert "interrupted" in {record.status for record in records_of(gateway, SessionClosed)}
    assert len(records_of(gateway, GatewayStarted)) == _ROUNDS + 1
    assert records_of(gateway, GatewayStopped) == []


def verified(gateway: GatewayServer) -> bool:
    result = gateway.command("audit", "verify", str(gateway.data_dir), check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return True


@pytest.mark.parametrize("lost_bytes", [1, 7, 64, 300])
def test_power_cut(target: Endpoint, written: Callable[[], set[str]], lost_bytes: int) -> None:
    """The end of the last segment never reached the disk: the next start cuts it at a whole entry and says so."""
    with GatewayServer(target) as gateway:
        with psycopg.connect(**gateway.endpoint().parameters(), autocommit=True) as connection:
            for number in range(20):
                connection.execute(f"INSERT INTO written VALUES ('cut-{number}')".encode())
            gateway.kill()
        (segment,) = list_segments(gateway.data_dir / "ledger" / "segments")
        os.truncate(segment, segment.stat().st_size - lost_bytes)
        gateway.start()
        (recovered,) = records_of(gateway, LedgerRecovered)
        assert recovered.cut_bytes > 0
        assert [record.status for record in records_of(gateway, SessionClosed)] == ["interrupted"]
        with psycopg.connect(**gateway.endpoint().parameters()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        gateway.stop()
        assert verified(gateway)


def test_orderly_end(target: Endpoint) -> None:
    """SIGTERM: no new sessions, the open ones are told, everything is on record, exit status 0."""
    with GatewayServer(target) as gateway:
        connection = psycopg.connect(**gateway.endpoint().parameters(), autocommit=True)
        busy = threading.Thread(target=sleep_until_ended, args=(gateway.endpoint(),))
        busy.start()
        wait_until_sleeping(target, "orderly-end")
        connection.execute("SELECT 1")
        assert gateway.stop() == 0
        busy.join()
        with pytest.raises(psycopg.errors.AdminShutdown, match="the gateway is shutting down"):
            connection.execute("SELECT 1")
        connection.close()
        ends = {(record.status, record.reason) for record in records_of(gateway, SessionClosed)}
        assert ends == {("killed", "the gateway is shutting down")}
        assert len(records_of(gateway, SessionClosed)) == len(records_of(gateway, SessionOpened)) == 2
        assert len(records_of(gateway, GatewayStopped)) == 1
        assert verified(gateway)
        gateway.start()
        assert records_of(gateway, LedgerRecovered) == []


def test_ended_sessions_are_cancelled_at_the_target(target: Endpoint, postgres: PostgresServer) -> None:
    """When the gateway is gone, nothing that it was asked to end still runs there."""
    with GatewayServer(target) as gateway:
        busy = threading.Thread(target=sleep_until_ended, args=(gateway.endpoint(),))
        busy.start()
        wait_until_sleeping(target, "orderly-end")
        assert gateway.stop() == 0
        busy.join()
        running = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%orderly-end%'"
        wait_for(lambda: postgres.execute(running)[0][0] == 0, "the statement to be cancelled")


def sleep_until_ended(endpoint: Endpoint) -> None:
    with psycopg.connect(**endpoint.parameters()) as connection, pytest.raises(psycopg.OperationalError):
        connection.execute(sleep_statement("orderly-end").encode())


def test_sessions_may_finish_while_the_gateway_drains(target: Endpoint) -> None:
    """A session that ends by itself within the time for it is not killed; new ones find no listener."""
    with GatewayServer(target) as gateway:
        gateway.stop()
        text = gateway.config_file.read_text().replace("drain_timeout_s = 1.0", "drain_timeout_s = 60.0")
        gateway.config_file.write_text(text)
        gateway.start()
        parameters = gateway.endpoint().parameters()
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute("SELECT 1")
            os.kill(gateway.pid, signal.SIGTERM)
            gateway.wait_for_log("shutting down")
            wait_for(lambda: is_refused(parameters), "the listener to close")
            assert connection.execute("SELECT 2").fetchone() == (2,)
        assert gateway.stop() == 0
        first = records_of(gateway, SessionOpened)[0].session  # another may have come just before the listener closed
        ends = {record.session: record.status for record in records_of(gateway, SessionClosed)}
        assert ends[first] == "closed"


def is_refused(parameters: dict[str, object]) -> bool:
    try:
        psycopg.connect(**parameters).close()  # type: ignore[arg-type]
    except psycopg.OperationalError:
        return True
    return False
