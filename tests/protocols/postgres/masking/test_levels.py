"""What can be named at a place, and which masked columns a reference means: one, none, or several that it may mean."""

import pytest

from interlock.protocols.postgres.masking.levels import (
    CommonTables,
    Item,
    Level,
    definite,
    may_mean,
    visible_fields,
)
from tests.protocols.postgres.masking.shop import INDEX, ORDERS, RELATIONS, SECRETS, USERS, forwarded

USER_COLUMNS = ("id", "name", "email", "salary")


def users(alias: str = "", names: tuple[str, ...] = USER_COLUMNS, target: bool = False) -> Item:
    fields = visible_fields(INDEX, USERS, names)
    schema = "" if alias else "public"
    return Item(alias or "users", names, fields, schema=schema, relation=USERS, target=target)


def other(name: str, *columns: str) -> Item:
    return Item(name, columns or None)


def level(*items: Item, parent: Level | None = None) -> Level:
    made = Level(parent)
    made.items += items
    return made


def meant(at: Level, *names: str) -> set[tuple[str, str]]:
    return {(item.qualifier, column) for item, columns in may_mean(at, list(names)) for column in columns}


def certain(at: Level, *names: str) -> str | None:
    found = definite(at, list(names))
    return None if found is None else f"{found[0].qualifier}.{found[1].column.name}"


def test_fields_are_called_as_the_place_calls_them() -> None:
    fields = visible_fields(INDEX, USERS, ("a", "b", "c", "salary"))
    assert {name: field.column.name for name, field in fields.items()} == {"c": "email", "salary": "salary"}
    assert visible_fields(INDEX, ORDERS, ("a", "b", "c", "d")) == {}


@pytest.mark.parametrize("names", [("email",), ("users", "email"), ("public", "users", "email")])
def test_the_only_one(names: tuple[str, ...]) -> None:
    at = level(users(), other("orders", "id", "note"))
    assert meant(at, *names) == {("users", "email")}
    assert certain(at, *names) == "users.email"


@pytest.mark.parametrize("names", [("name",), ("note",), ("orders", "note"), ("orders", "email"), ("users", "id")])
def test_none(names: tuple[str, ...]) -> None:
    at = level(users(), other("orders", "id", "note"))
    assert certain(at, *names) is None
    assert meant(at, *names) == set()


def test_a_relation_of_another_schema_is_not_the_one_here() -> None:
    """The server finds no such relation; should it be a column of composite type, it counts for all of it."""
    at = level(users())
    assert certain(at, "hr", "users", "email") is None
    assert meant(at, "hr", "users", "email") == {("users", "email"), ("users", "salary")}


def test_an_alias_hides_the_name() -> None:
    at = level(users("u"))
    assert certain(at, "u", "email") == "u.email"
    assert certain(at, "users", "email") is None
    assert certain(at, "public", "u", "email") is None
    assert meant(at, "users", "email") == set()


def test_a_star_means_everything() -> None:
    at = level(users("u"), users("v"), other("o", "id"))
    assert meant(at, "u", "*") == {("u", "email"), ("u", "salary")}
    assert meant(at, "*") == {(name, column) for name in "uv" for column in ("email", "salary")}
    assert meant(at, "o", "*") == set()


def test_the_whole_row_by_the_items_name() -> None:
    at = level(users("u"))
    assert meant(at, "u") == {("u", "email"), ("u", "salary")}
    assert certain(at, "u") is None


def test_a_column_goes_before_the_row_of_that_name() -> None:
    at = level(users("u"), other("o", "u"))
    assert meant(at, "u") == set()


def test_a_field_of_what_could_be_a_composite_column() -> None:
    """``email.x``: no item is called so, so it may be a column."""
    assert meant(level(users()), "email", "x") == {("users", "email")}
    assert meant(level(users("u")), "u", "email", "x") == {("u", "email")}
    assert certain(level(users()), "email", "x") is None


def test_two_items_that_have_the_column() -> None:
    at = level(users("u"), users("v"))
    assert meant(at, "email") == {("u", "email"), ("v", "email")}
    assert certain(at, "email") is None
    assert certain(at, "v", "email") == "v.email"


def test_an_item_whose_columns_are_not_known_takes_the_certainty() -> None:
    at = level(users(), other("f"))
    assert certain(at, "email") is None
    assert meant(at, "email") == {("users", "email")}
    assert certain(at, "users", "email") == "users.email"


def test_a_column_of_the_level_around() -> None:
    outer = level(users())
    inner = level(other("orders", "id", "note"), parent=outer)
    assert certain(inner, "email") == "users.email"
    assert certain(level(other("x", "email"), parent=outer), "email") is None
    assert meant(level(other("x", "email"), parent=outer), "email") == set()
    assert meant(level(other("f"), parent=outer), "email") == {("users", "email")}
    assert certain(level(other("f"), parent=outer), "email") is None


def test_an_inner_item_of_the_name_hides_the_outer_one() -> None:
    inner = level(other("users", "id"), parent=level(users()))
    assert meant(inner, "users", "email") == set()
    assert certain(inner, "users", "email") is None


def test_items_that_take_a_qualified_name_only() -> None:
    old = Item("old", USER_COLUMNS, visible_fields(INDEX, USERS, USER_COLUMNS), relation=USERS, only_qualified=True)
    at = level(users(target=True), old)
    assert certain(at, "email") == "users.email"
    assert certain(at, "old", "email") == "old.email"
    assert meant(at, "email") == {("users", "email")}


def test_a_joins_alias_has_the_fields_but_no_relation_behind_them() -> None:
    alias = Item("j", None, visible_fields(INDEX, USERS, USER_COLUMNS))
    assert meant(level(alias), "j", "email") == {("j", "email")}
    assert certain(level(alias), "j", "email") is None


def test_a_name_of_too_many_parts_means_nothing_for_certain() -> None:
    assert definite(level(users()), ["shop", "public", "users", "email"]) is None


# ---------------------------------------------------------------- common tables


def test_common_tables_are_visible_behind_their_place() -> None:
    whole = CommonTables(["a", "b", "c"], [("x",), None, ("z",)], 3, None)
    assert whole.find("a") == (("x",),)
    assert whole.find("b") == (None,)
    assert whole.before(2).find("b") == (None,)
    assert whole.before(1).find("b") is None
    assert whole.before(0).find("a") is None


def test_common_tables_hide_outer_ones_from_their_place_on() -> None:
    outer = CommonTables(["a"], [("outer",)], 1, None)
    inner = CommonTables(["b", "a"], [("x",), ("inner",)], 2, outer)
    assert inner.find("a") == (("inner",),)
    assert inner.before(1).find("a") == (("outer",),)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("WITH users AS (SELECT * FROM users) SELECT * FROM users", True),
        ("WITH RECURSIVE users AS (SELECT 1 UNION SELECT * FROM users) SELECT * FROM users", False),
        ("WITH a AS (SELECT * FROM users), users AS (SELECT 1) SELECT * FROM a", True),
        ("WITH users AS (SELECT 1), a AS (SELECT * FROM users) SELECT * FROM a", False),
        ("SELECT * FROM (WITH users AS (SELECT 1) SELECT * FROM users) s, users", True),
        ("SELECT * FROM (WITH users AS (SELECT 1) SELECT * FROM users) s", False),
        ("WITH users AS (SELECT 1) SELECT (SELECT count(*) FROM users)", False),
        ("WITH users AS (SELECT 1) SELECT * FROM public.users", True),
        ("WITH users AS (SELECT 1) UPDATE orders SET note = 'x' FROM users", False),
        ("WITH users AS (SELECT 1) (SELECT * FROM users UNION SELECT * FROM users)", False),
        ("(WITH users AS (SELECT 1) SELECT * FROM users) UNION SELECT id FROM users", True),
    ],
)
def test_a_common_table_is_taken_for_the_relation_only_where_it_is_visible(text: str, masked: bool) -> None:
    assert ('"public"."users"' in forwarded(text)) is masked


def test_relations_of_the_shop_are_all_known() -> None:
    assert INDEX.relation("public", "secrets") is SECRETS
    assert len(RELATIONS) == len(INDEX.by_oid)
