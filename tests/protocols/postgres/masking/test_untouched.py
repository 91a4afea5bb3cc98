"""What takes the short way is what ``rewrite`` would give back as it is: for random statements and one by one."""

import random

import msgspec
import pytest

from interlock.core.catalogue import Operator, Relation, RelationKind, Routine, TypeCode
from interlock.core.masking import Masking
from interlock.protocols.postgres.masking import MaskingIndex, Rewriting
from interlock.protocols.postgres.masking.names import Surroundings
from interlock.protocols.postgres.masking.untouched import passes
from interlock.protocols.postgres.masks import SessionMasks
from interlock.protocols.postgres.scope import SchemaScope
from interlock.protocols.postgres.statements import interpret
from tests.protocols.postgres.masking.shop import INDEX, MASKS, PATH, RELATIONS, index, masking, rewritten, table
from tests.protocols.postgres.masking.statements import random_statement

SEEDS = 4_000

PASSING = """
SELECT total FROM orders WHERE id = 5
SELECT o.total, lower(o.note) FROM public.orders o WHERE o.id = 5 ORDER BY o.total
SELECT * FROM orders
SELECT count(*), pg_catalog.upper('x') FROM orders GROUP BY user_id
SELECT "o"."total" FROM "orders" AS "o"
INSERT INTO orders (id, total) VALUES (1, 2) RETURNING *
UPDATE orders SET total = total + 1 WHERE id = 5
DELETE FROM orders WHERE id = 5
DELETE FROM orders
WITH o AS (SELECT id FROM orders) SELECT o.id FROM o
SELECT 1
SELECT id FROM orders FOR UPDATE
""".strip().splitlines()

READ = """
SELECT name FROM users
SELECT total FROM orders, users
SELECT (SELECT max(id) FROM secrets) FROM orders
DELETE FROM orders USING users WHERE user_id = 1
SELECT total FROM nowhere
SELECT missing FROM orders
SELECT upper(o.missing) FROM orders o
SELECT total FROM orders WHERE missing = 1
UPDATE orders SET missing = 1
SELECT nowhere(total) FROM orders
SELECT "lower"(note) FROM orders
SELECT U&"total" FROM orders
SELECT total AS _interlock_1 FROM orders
SELECT total FROM orders; SELECT 1
SELECT * INTO mine FROM orders
SELECT relname FROM pg_class
SELECT query_to_xml('SELECT 1', true, true, '')
SELECT nextval('orders_id_seq')
SELECT set_config('search_path', 'hr', false)
PREPARE p AS SELECT total FROM orders
EXPLAIN SELECT total FROM orders
COPY orders TO STDOUT
CREATE TABLE mine AS SELECT total FROM orders
MERGE INTO orders USING orders o ON true WHEN MATCHED THEN DO NOTHING
SELECT 'é' FROM orders
SELECT total FROM orders TABLESAMPLE nobody_knows (1)
SELECT total FROM
""".strip().splitlines()


def takes_short_way(text: str, within: MaskingIndex = INDEX, around: Surroundings = PATH) -> bool:
    data = text.encode()
    return passes(data, interpret(data), within, around)


@pytest.mark.parametrize("text", PASSING)
def test_passing(text: str) -> None:
    assert takes_short_way(text)
    assert rewritten(text) == Rewriting(text.encode())


@pytest.mark.parametrize("text", READ)
def test_what_is_read(text: str) -> None:
    assert not takes_short_way(text)


def test_random_statements_that_pass_would_not_be_changed() -> None:
    texts = [random_statement(random.Random(seed)) for seed in range(SEEDS)]
    passing = [text for text in texts if takes_short_way(text)]
    assert len(passing) > SEEDS // 50
    for text in passing:
        # A star of what is not in FROM is for the target to miss.
        found = msgspec.structs.replace(rewritten(text), looks_first=False)
        # An alias list, or a query, can hide that a column is not there.
        hidden = found.unknown and ("AS x (a, b)" in text or "WITH" in text)
        assert found == Rewriting(text.encode(), unknown=hidden), text


@pytest.mark.parametrize(
    ("text", "around"),
    [
        ("SELECT total FROM orders", Surroundings(("public",), own=frozenset({("pg_temp", "orders")}))),
        ("SELECT total FROM orders", Surroundings(("hr",))),
        ("SELECT id FROM users", Surroundings(("hr",))),
        ("SELECT x FROM mine", Surroundings(("public",), own=frozenset({("", "mine")}))),
    ],
)
def test_names_that_mean_something_else(text: str, around: Surroundings) -> None:
    assert not takes_short_way(text, around=around)


UNSAFE = Routine(100, "public", "peek", "f", "plpgsql", arguments=1)


def with_code(**more: object) -> MaskingIndex:
    return index(MASKS, routines=[UNSAFE], **more)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT peek(total) FROM orders",
        "SELECT orders.peek FROM orders",
        "SELECT (orders).PEEK FROM orders",
        'SELECT "peek" FROM orders',
    ],
)
def test_code_of_the_database_is_read(text: str) -> None:
    assert not takes_short_way(text, with_code())


def test_other_statements_pass_beside_code_of_the_database() -> None:
    assert takes_short_way("SELECT total FROM orders", with_code())


@pytest.mark.parametrize(
    "more",
    [
        {"operators": [Operator("public", "=", 100)]},
        {"type_code": [TypeCode("public", "odd", 100)]},
    ],
)
def test_operators_and_types_that_run_code_have_everything_read(more: dict[str, object]) -> None:
    assert not takes_short_way("SELECT total FROM orders", with_code(**more))


@pytest.mark.parametrize(
    "relation",
    [
        table(9, "odd", "id int4", kind=RelationKind.VIEW, rewrites=True),
        table(9, "odd", "id int4", runs_code=True),
    ],
)
def test_relations_that_run_code_are_read(relation: Relation) -> None:
    within = MaskingIndex(masking(relations=[*RELATIONS, relation]))
    assert not takes_short_way("UPDATE odd SET id = 1 WHERE id = 2", within)


def test_a_session_takes_the_short_way() -> None:
    on: Masking = masking()
    masks = SessionMasks(SchemaScope(("public",), "app"), on)
    for number in range(3):
        text = f"SELECT total FROM orders WHERE id = {number}".encode()
        assert masks.rewrite(text, interpret(text)) == Rewriting(text)
