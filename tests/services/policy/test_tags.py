"""Which resources a pattern gives tags to."""

import pytest

from interlock.core.operation import Access, ResourceKind
from interlock.services.policy.resources import COLUMN, FIELD, Resource, escape, resolve
from interlock.services.policy.tags import TAGGED, TagRules, joined, tag_problems, tag_types

USERS = resolve(Access("select", ResourceKind.TABLE, ("public", "users")), "prod-pg", "app")


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


def test_types_of_tags() -> None:
    tags = {"a": ["x", "y"], "a/b/c/d/e": ["x", "z"], "s.t": ["z"], "s.t.c": ["w"], "Field::a/b": ["z"]}
    assert tag_types(tags) == {
        "x": {"Connection", "Column"},
        "y": {"Connection"},
        "z": {"Column", "Table", "Field"},
        "w": {"Column"},
    }


@pytest.mark.parametrize("kind", [kind for kind in TAGGED if kind not in (*COLUMN, "Field")])
def test_a_type_in_front(kind: str) -> None:
    types = ("Connection", kind)
    rules = TagRules({f"{kind}::crm-*/v*": ["t"], "crm-1/v1": ["untyped"]})
    assert rules.of(Resource(("crm-1", "v1"), types)) == {"t"}
    assert rules.of(Resource(("crm-1", "w1"), types)) == set()
    assert rules.of(Resource(("crm-1", "v1"), ("Connection", "Database"))) == {"untyped"}


def test_a_type_that_could_be_left_away() -> None:
    assert TagRules({"Table::prod-*/*/public/users": ["t"]}).of(USERS) == {"t"}


def test_a_star_in_a_field_belongs_to_its_selector() -> None:
    rules = TagRules({"Field::crm-*/%2Fa%2F*": ["t"], "Field::crm-1/mail*": ["u"], "Field::crm-2/x": []})
    assert rules.of(Resource(("crm-1", "%2Fa%2F*"), FIELD)) == {"t"}
    assert rules.of(Resource(("crm-1", "%2Fa%2Fb"), FIELD)) == set()
    assert rules.of(Resource(("crm-1", "mailbox"), FIELD)) == set()
    assert rules.fields("crm-1") == {"%2Fa%2F*", "mail*"}
    assert rules.fields("crm-2") == {"%2Fa%2F*", "x"}
    assert rules.fields("other") == set()


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("Tool::crm", "must be Tool::connection/tool"),
        ("Table::public.users", "must be Table::connection/database/schema/table"),
        ("Role::pg/admin", "none of the types"),
        ("Field::crm/50%", "%25"),
        ("Field::crm/", "empty"),
        ("Endpoint::crm/a/b", "must be Endpoint::connection/endpoint"),
    ],
)
def test_refused_types(pattern: str, said: str) -> None:
    (problem,) = tag_problems({pattern: ["pii"]})
    assert said in problem


def test_joined_patterns_give_the_tags_of_both() -> None:
    both = joined({"a": ["x"], "b": ["y"]}, {"b": ["z"], "c": []})
    assert both == {"a": ["x"], "b": ("y", "z"), "c": []}
