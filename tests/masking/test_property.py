"""Random queries over random schemas: what a client receives never depends on what is masked."""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from tests.masking.markers import Markers
from tests.masking.playing import comparable
from tests.masking.random_queries import QueryWriter
from tests.masking.random_schema import RandomSchema, random_schema
from tests.masking.servers import open_directly, run_gateway
from tests.masking.session import Answer, RecordingSession, Way
from tests.masking.world import ROLE
from tests.servers.postgres import PostgresServer

SEEDS = [int(seed) for seed in os.environ.get("MASKING_SEEDS", "1,2,3").split(",")]
_QUERIES = int(os.environ.get("MASKING_QUERIES", "250"))
_WAYS = (Way.SIMPLE, Way.SIMPLE, Way.EXTENDED, Way.BINARY, Way.PREPARED, Way.PORTAL)
_SEARCHED_BYTES = 10_000
_FILLINGS = ("a", "b")


@dataclass
class Tally:
    """What came of the queries: how many tell secrets directly, how many the gateway answered with rows."""

    telling: int = 0
    answered: int = 0


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer(hba_lines=[f"host all {ROLE} 127.0.0.1/32 trust"], settings={"jit": "off"}) as running:
        running.execute(f"CREATE ROLE {ROLE} SUPERUSER LOGIN PASSWORD '{ROLE}'")
        yield running


@pytest.mark.parametrize("seed", SEEDS)
def test_answers_do_not_depend_on_what_is_masked(seed: int, server: PostgresServer) -> None:
    dice = random.Random(seed)
    schema = random_schema(dice)
    databases = tuple(f"random_{seed}_{filling}" for filling in _FILLINGS)
    for database, filling in zip(databases, _FILLINGS, strict=True):
        _build(server, schema, database, filling)
    writer = QueryWriter(dice, schema)
    statements = [(writer.statement(), dice.choice(_WAYS)) for _ in range(_QUERIES)]
    markers = [Markers(schema.markers(filling)) for filling in _FILLINGS]
    tally, problems = Tally(), []
    with run_gateway(server, databases=databases, secrets=schema.secrets()) as masked:
        direct = [open_directly(server, database) for database in databases]
        sessions = [masked.open(database) for database in databases]
        for statement, way in statements:
            tally.telling += _tells(statement, way, direct)
            answers = [session.send(statement, way) for session in sessions]
            tally.answered += not answers[0].errors
            problems += [f"{way.value}: {statement}\n    {problem}" for problem in _problems(answers, markers)]
        for session in direct + sessions:
            session.close()
    assert not problems, f"seed {seed}:\n" + "\n".join(problems[:20])
    assert tally.telling > _QUERIES / 6, f"seed {seed}: only {tally.telling} of {_QUERIES} queries tell anything"
    assert tally.answered > _QUERIES / 3, f"seed {seed}: only {tally.answered} of {_QUERIES} queries were answered"


def _build(server: PostgresServer, schema: RandomSchema, database: str, filling: str) -> None:
    server.execute(f"CREATE DATABASE {database} OWNER {ROLE}")
    with psycopg.connect(**server.endpoint(database=database).parameters(), autocommit=True) as connection:
        connection.execute("; ".join(schema.statements(filling)).encode())


def _tells(statement: str, way: Way, sessions: list[RecordingSession]) -> bool:
    first, second = (comparable([session.send(statement, way)]) for session in sessions)
    return first != second


def _problems(answers: list[Answer], markers: list[Markers]) -> Iterator[str]:
    for answer, planted in zip(answers, markers, strict=True):
        output = answer.output + b"\n" + answer.joined_cells
        if found := planted.found_in(output[:_SEARCHED_BYTES]):
            yield f"{found} comes out"
    first, second = (comparable([answer]) for answer in answers)
    if first != second:
        differing = (pair for pair in zip(first, second, strict=False) if pair[0] != pair[1])
        yield f"the answers differ: {next(differing, '')}"
