"""Ids and tags of resources."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.operation import Access, ResourceKind
from interlock.services.policy.resources import (
    COLUMN,
    Resource,
    TagRules,
    entities,
    escape,
    id_problem,
    resolve,
    tag_depths,
    tag_problems,
)

USERS = resolve(Access("select", ResourceKind.TABLE, ("public", "users")), "prod-pg", "app")


@given(st.lists(st.text(min_size=1), min_size=2, max_size=4), st.lists(st.text(min_size=1), min_size=2, max_size=4))
def test_ids_are_unique(one: list[str], other: list[str]) -> None:
    ids = ["/".join(map(escape, names)) for names in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)


@pytest.mark.parametrize(
    ("pattern", "tagged"),
    [
        ("prod-pg/app/public/users", True),
        ("prod-*/*/public/user*", True),
        ("public.users", True),
        ("public.*", True),
        ("*.users", True),
        ("Public.users", False),
        ("public.user", False),
        ("prod-pg/app/*", False),
        ("public.users.email", False),
        ("public.use.s.x", None),
        ("prod-pg/app/public/u?ers", False),
        ("prod-pg/app/public/.*", False),
    ],
)
def test_patterns_of_tables(pattern: str, tagged: bool | None) -> None:
    problems = tag_problems({pattern: ["pii"]})
    assert bool(problems) is (tagged is None)
    if not problems:
        assert TagRules({pattern: ["pii"]}).of(USERS) == ({"pii"} if tagged else set())


@pytest.mark.parametrize(
    ("pattern", "tagged"),
    [
        ("prod-pg/app/public/users/e%2Fmail", True),
        ("prod-*/*/public/*/e*", True),
        ("public.users.e%2Fmail", True),
        ("*.*.e*", True),
        ("public.users.*", True),
        ("public.users.e/mail", False),
        ("public.users.email", False),
        ("public.users", False),
        ("public.*", False),
        ("prod-pg/app/*/*", False),
    ],
)
def test_patterns_of_columns(pattern: str, tagged: bool) -> None:
    column = Resource((*USERS.components, escape("e/mail")), COLUMN)
    rules = TagRules({pattern: ["pii"]})
    assert rules.of(column) == ({"pii"} if tagged else set())
    if tagged:
        assert rules.of(USERS) == set()


def test_depths_of_tags() -> None:
    tags = {"a": ["x", "y"], "a/b/c/d/e": ["x", "z"], "s.t": ["z"], "s.t.c": ["w"]}
    assert tag_depths(tags) == {"x": 1, "y": 1, "z": 4, "w": 5}


def test_ids_of_detectors() -> None:
    assert id_problem("Detector", "email") is None
    assert "credit-card" in (id_problem("Detector", "pg/app/email") or "")


def test_a_star_does_not_cross_components() -> None:
    slashed = resolve(Access("select", ResourceKind.TABLE, ("public", "a/b")), "prod-pg", "app")
    assert TagRules({"prod-pg/app/public/*": ["t"]}).of(slashed) == {"t"}
    assert TagRules({"prod-pg/*/a": ["t"]}).of(slashed) == set()


@pytest.mark.parametrize("pattern", ["", "a//b", "/a", "a/", "a/b/c/d/e/f", "a.b.c.d", "public.users.", ".users"])
def test_refused_patterns(pattern: str) -> None:
    (problem,) = tag_problems({pattern: ["pii"]})
    assert repr(pattern) in problem


@pytest.mark.parametrize("names", ["pii", [""], [1], None])
def test_refused_names(names: object) -> None:
    assert tag_problems({"a": names})  # type: ignore[dict-item]


def test_functions_roles_and_files_have_no_tags_of_their_own() -> None:
    function = Resource(("pg", "app", "public", "f"), ("Connection", "Database", "Schema", "Function"))
    role = Resource(("pg", "app"), ("Connection", "Role"))
    rules = TagRules({"pg/app/public/f": ["t"], "pg/app": ["t"], "pg": ["c"]})
    assert rules.of(function) == rules.of(role) == set()


def test_entities_are_listed_once_with_all_they_are_in() -> None:
    orders = resolve(Access("select", ResourceKind.TABLE, ("public", "orders")), "prod-pg", "app")
    found = entities([USERS, orders, USERS], TagRules({"prod-pg": ["prod"]}))
    assert [entity["uid"]["id"] for entity in found] == [
        "prod-pg/app/public/users",
        "prod-pg/app/public",
        "prod-pg/app",
        "prod-pg",
        "prod-pg/app/public/orders",
    ]
    assert found[0]["parents"] == [{"type": "Schema", "id": "prod-pg/app/public"}]
    assert found[3]["parents"] == [{"type": "Tag", "id": "prod"}]
