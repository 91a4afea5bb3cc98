"""A masked relation as a FROM item: what stands in its place, and which of the client's tokens it takes."""

import pytest

from interlock.core.masking import MaskKind
from interlock.protocols.postgres import grammar
from interlock.protocols.postgres.masking.edits import Tokens
from interlock.protocols.postgres.masking.levels import Item, visible_fields
from interlock.protocols.postgres.masking.sources import hidden_reference, masked_select, name_extent, range_var
from interlock.protocols.postgres.statements.nodes import Node
from tests.protocols.postgres.masking.shop import INDEX, SECRETS, USERS, forwarded, index, masks, refused, rewritten

NAMES = ("id", "name", "email", "salary")


def item() -> Item:
    return Item("users", NAMES, visible_fields(INDEX, USERS, NAMES), relation=USERS)


def test_the_readable_columns_and_masks_in_the_relations_order() -> None:
    text = masked_select(item(), "")
    assert text.startswith('SELECT "id", "name", (CASE WHEN "email" IS NULL')
    assert text.endswith('NULL::"pg_catalog"."numeric" AS "salary"')


def test_beside_the_real_relation_columns_go_by_their_numbers() -> None:
    text = masked_select(item(), "_interlock_7")
    assert text.startswith('SELECT "_interlock_7"."_interlock_c1" AS "id", "_interlock_7"."_interlock_c2" AS "name"')
    assert '"email" IS NULL' not in text
    hidden = item()
    hidden.hidden = "_interlock_7"
    assert hidden_reference(hidden, hidden.fields["email"]) == '"_interlock_7"."_interlock_c3"'


def test_what_may_not_be_revealed_is_left_out() -> None:
    secrets = Item("secrets", ("id", "token", "label"), visible_fields(INDEX, SECRETS, ("id", "token", "label")))
    secrets.relation = SECRETS
    assert masked_select(secrets, "") == 'SELECT "id", "label"'


def from_item(text: str) -> tuple[Node, Tokens]:
    data = f"SELECT FROM {text}".encode()
    (tree,) = grammar.parse(data)
    return tree["SelectStmt"]["fromClause"][0], Tokens(data)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("users", "users"),
        ("users AS u", "users"),
        ("users *", "users *"),
        ("ONLY users", "ONLY users"),
        ("ONLY (users) u", "ONLY (users)"),
        ("ONLY ( public . users )", "ONLY ( public . users )"),
        ("public.users u", "public.users"),
        ("shop.public.users", "shop.public.users"),
        ('public . "users" -- x', 'public . "users"'),
        ("U&\"\\0075sers\" UESCAPE '!' u", "U&\"\\0075sers\" UESCAPE '!'"),
        ("users TABLESAMPLE system (1)", "users"),
        ("(users JOIN orders ON true)", "users"),
    ],
)
def test_the_tokens_of_a_name(text: str, name: str) -> None:
    node, tokens = from_item(text)
    if "JoinExpr" in node:
        node = node["JoinExpr"]["larg"]
    first, behind = name_extent(range_var(node), tokens)
    assert tokens.slice(first, behind) == name


@pytest.mark.parametrize(
    ("text", "tail"),
    [
        ("SELECT 1 FROM users", 'AS "users"'),
        ("SELECT 1 FROM users u", "u"),
        ("SELECT 1 FROM users AS u", "AS u"),
        ('SELECT 1 FROM users AS "U" (a, b)', 'AS "U" (a, b)'),
        ("SELECT 1 FROM ONLY (users) AS u", "AS u"),
        ("SELECT 1 FROM users TABLESAMPLE pg_catalog.system ((1)) REPEATABLE ((2))", 'AS "users"'),
        ("SELECT 1 FROM users u TABLESAMPLE system (1)", "u"),
        ("SELECT 1 FROM users AS u (a, b, c, d) TABLESAMPLE bernoulli (1)", "AS u (a, b, c, d)"),
    ],
)
def test_the_alias_stays(text: str, tail: str) -> None:
    assert forwarded(text).endswith(f") {tail}")


@pytest.mark.parametrize("where", ["", " WHERE email = 'x'"])
def test_a_sample_is_taken_of_the_real_relation(where: str) -> None:
    text = forwarded(f"SELECT 1 FROM users u TABLESAMPLE system (1) REPEATABLE (2){where}")
    assert '"public"."users" TABLESAMPLE system (1) REPEATABLE (2)' in text
    assert text.count("TABLESAMPLE") == 1


@pytest.mark.parametrize("text", ["TABLE users", "TABLE ONLY users", "TABLE public.users", "(TABLE users) LIMIT 1"])
def test_the_short_form_of_select(text: str) -> None:
    assert "SELECT * FROM (SELECT" in forwarded(text)


def test_every_column_list_that_is_too_long_is_refused() -> None:
    assert rewritten("SELECT 1 FROM users u (a, b, c, d, e)").refusal


def test_a_relation_of_which_nothing_may_be_seen() -> None:
    within = index(masks(*NAMES, kind=MaskKind.FORBID))
    assert forwarded("SELECT count(*) FROM users", within) == (
        'SELECT count(*) FROM (SELECT FROM "public"."users") AS "users"'
    )
    assert "may not be revealed" in refused("SELECT * FROM users", within)
