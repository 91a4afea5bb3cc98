"""Ids and tags of resources."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.operation import Access, ResourceKind
from interlock.services.policy.resources import (
    Resource,
    UnresolvedName,
    entities,
    escape,
    id_problem,
    resolve,
    unescape,
)
from interlock.services.policy.tags import TagRules

USERS = resolve(Access("select", ResourceKind.TABLE, ("public", "users")), "prod-pg", "app")


@given(st.lists(st.text(min_size=1), min_size=2, max_size=4), st.lists(st.text(min_size=1), min_size=2, max_size=4))
def test_ids_are_unique(one: list[str], other: list[str]) -> None:
    ids = ["/".join(map(escape, names)) for names in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)


def test_ids_of_detectors() -> None:
    assert id_problem("Detector", "email") is None
    assert "credit-card" in (id_problem("Detector", "pg/app/email") or "")


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


@pytest.mark.parametrize(
    ("kind", "entity_id"),
    [
        ("Endpoint", "crm/volumes.v2"),
        ("Field", "crm/email"),
        ("Field", "crm/%2Fcustomer%2F*%2Femail"),
        ("Field", "crm/*"),
        ("Field", "crm/50%25"),
        ("GraphqlField", "shop/Query.__schema"),
        ("Host", "internet/pypi.org"),
        ("Host", "internet/2001:db8::1"),
        ("Tool", "crm-mcp/Look Up!"),
        ("Model", "openai/ft:gpt-5%2Facme"),
        ("HostedTool", "openai/mcp:mcp.example.org"),
    ],
)
def test_ids_over_http(kind: str, entity_id: str) -> None:
    assert id_problem(kind, entity_id) is None


@given(st.text())
def test_escaping_loses_nothing(name: str) -> None:
    assert unescape(escape(name)) == name


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        (("/", "srv", "data"), ["web/srv/data", "web/srv", "web/", "web"]),
        (("/",), ["web/", "web"]),
        (("~", "notes"), ["web/~/notes", "web/~", "web/", "web"]),
        (("~ada",), ["web/~ada", "web/", "web"]),
        (("/", "~", "what?", "50%"), ["web/%7E/what%3F/50%25", "web/%7E/what%3F", "web/%7E", "web/", "web"]),
        (("/", "srv", ""), ["web/srv/?", "web/srv", "web/", "web"]),
        (("/", ""), ["web/?", "web/", "web"]),
    ],
)
def test_a_file_is_in_every_directory_above_it(path: tuple[str, ...], ids: list[str]) -> None:
    resource: Resource | None = resolve(Access("file-read", ResourceKind.FILE, path), "web", "deploy")
    found = []
    while resource is not None:
        found.append(resource.id)
        assert id_problem(resource.type, resource.id) is None
        resource = resource.parent
    assert found == ids


@pytest.mark.parametrize("path", [(), ("/", "", "x"), ("", "x")])
def test_a_file_that_is_none(path: tuple[str, ...]) -> None:
    with pytest.raises(UnresolvedName):
        resolve(Access("file-read", ResourceKind.FILE, path), "web", "deploy")


@pytest.mark.parametrize(
    "bad", ["web", "web/srv/", "web//srv", "web/srv/../x", "web/.", "web/a?", "web/?/x", "web/~+/x", "web/50%", "/srv"]
)
def test_ids_that_no_file_has(bad: str) -> None:
    problem = id_problem("File", bad)
    assert problem is not None
    assert bad in problem
