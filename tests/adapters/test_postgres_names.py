"""Names in SQL text."""

import pytest

from interlock.adapters.postgres_names import quoted
from tests.servers.postgres import PostgresServer

ODD = ['a"b', "x; DROP TABLE y", "\x1b[2J", 'back\\slash\n"', "ü\u202e", "C.d"]


def test_names_are_qualified() -> None:
    assert quoted("a", 'B"c') == '"a"."B""c"'


@pytest.mark.parametrize("name", ODD)
def test_odd_names_stand_for_themselves(name: str, postgres: PostgresServer) -> None:
    text = quoted(name)
    assert text.isprintable()
    ((found,),) = postgres.execute(
        f"CREATE TEMPORARY TABLE {text} (); SELECT relname FROM pg_class ORDER BY oid DESC LIMIT 1"
    )
    assert found == name
