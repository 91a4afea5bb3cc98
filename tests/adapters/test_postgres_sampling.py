"""Samples of real tables."""

import contextlib
from collections.abc import Iterator, Sequence

import pytest

from interlock.adapters import postgres_sampling
from interlock.adapters.postgres_catalogue import PostgresCatalogueReader
from interlock.adapters.postgres_sampling import PostgresSampler
from interlock.core.catalogue import Relation
from interlock.core.detection import find_classes
from interlock.core.errors import CatalogueUnavailable
from interlock.services.discovery import Discovery
from tests.adapters.target_parts import OneTarget, target_connections
from tests.clocks import ManualClock
from tests.servers.postgres import PostgresServer

DATABASE = "samples"
SCHEMA = r"""
CREATE TABLE "Odd ""T" (id integer, "e Mail" text, data jsonb, bytes bytea, list text[], number numeric);
INSERT INTO "Odd ""T" SELECT n, 'customer' || n || '@example.org', jsonb_build_object('k', 'customer@example.org'),
    'customer@example.org'::bytea, ARRAY['customer@example.org'], 4111111111111111 FROM generate_series(1, 150) n;
INSERT INTO "Odd ""T" VALUES (0, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE large (id integer, filler text);
INSERT INTO large SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n;
ANALYZE large;
CREATE TABLE long (text text);
INSERT INTO long VALUES (repeat('ü', 10000));
CREATE TABLE whole (at integer, email text) PARTITION BY RANGE (at);
CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (10);
INSERT INTO whole VALUES (1, 'customer@example.org');
CREATE MATERIALIZED VIEW copied AS SELECT email FROM whole;
"""


@pytest.fixture(scope="module")
def server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    postgres.execute(f"CREATE DATABASE {DATABASE}")
    postgres.execute(SCHEMA, database=DATABASE)
    yield postgres
    postgres.execute(f"DROP DATABASE {DATABASE}")


@pytest.fixture
def target(server: PostgresServer) -> OneTarget:
    return OneTarget(server.endpoint(database=DATABASE))


async def find_relation(target: OneTarget, name: str) -> Relation:
    catalogue = await PostgresCatalogueReader(target_connections(target)).read("shop", DATABASE)
    return next(relation for relation in catalogue.relations if relation.name == name)


async def sample(
    target: OneTarget, name: str, columns: Sequence[str], rows: int
) -> list[list[tuple[bytes | None, ...]]]:
    relation = await find_relation(target, name)
    sampler = PostgresSampler(target_connections(target))
    async with contextlib.aclosing(sampler.sample("shop", DATABASE, relation, columns, rows)) as batches:
        return [batch async for batch in batches]


async def test_values_come_as_text_in_batches(target: OneTarget) -> None:
    batches = await sample(target, 'Odd "T', ["e Mail", "data", "number"], 1000)
    assert [len(batch) for batch in batches] == [100, 51]
    assert batches[0][0] == (b"customer1@example.org", b'{"k": "customer@example.org"}', b"4111111111111111")
    assert batches[1][-1] == (None, None, None)


async def test_no_more_rows_than_asked_for(target: OneTarget) -> None:
    assert [len(batch) for batch in await sample(target, 'Odd "T', ["e Mail"], 7)] == [7]


async def test_a_large_table_is_sampled_all_over(target: OneTarget) -> None:
    (batch,) = await sample(target, "large", ["id"], 100)
    assert 0 < len(batch) <= 100
    assert [int(value or 0) for (value,) in batch] != list(range(1, len(batch) + 1))


async def test_long_values_are_cut(target: OneTarget) -> None:
    ((row,),) = await sample(target, "long", ["text"], 1)
    assert row == ("ü".encode() * postgres_sampling.MAX_VALUE_CHARACTERS,)


async def test_a_table_that_may_not_be_read(server: PostgresServer, target: OneTarget) -> None:
    relation = await find_relation(target, "long")
    powerless = OneTarget(server.endpoint("reader", "reader-password", DATABASE))
    sampler = PostgresSampler(target_connections(powerless))
    with pytest.raises(CatalogueUnavailable, match="42501"):
        async for _ in sampler.sample("shop", DATABASE, relation, ["text"], 1):
            pass


async def test_a_scan_of_a_real_database(target: OneTarget) -> None:
    connections = target_connections(target)
    discovery = Discovery(
        PostgresCatalogueReader(connections), PostgresSampler(connections), find_classes, ManualClock()
    )
    report = await discovery.scan("shop", DATABASE, 1000)
    found = {(one.column.table, one.column.column, one.reason) for one in report.proposals if one.by_content}
    assert found == {
        ('Odd "T', "e Mail", "email"),
        ('Odd "T', "data", "email"),
        ('Odd "T', "bytes", "email"),
        ('Odd "T', "list", "email"),
        ('Odd "T', "number", "credit-card"),
        ("whole", "email", "email"),
        ("copied", "email", "email"),
    }
    assert report.not_sampled == ()
    assert "customer" not in repr(report)
