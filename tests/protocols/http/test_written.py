"""Requests as people write them: what they mean, and what is said of those that mean nothing."""

import pytest

from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings.http import EndpointSettings, HttpApi, HttpTarget
from interlock.protocols.http.written import meaning_of_written

CRM = HttpTarget(endpoints={"users": EndpointSettings("/users/{id}"), "notes": EndpointSettings("/notes/**")})


def facts(meaning: Meaning) -> dict[str, object]:
    part = meaning.facts["http"]
    assert isinstance(part, dict)
    return part


def test_a_line_is_enough() -> None:
    meaning = meaning_of_written("GET /users/7?full=1", CRM)
    assert meaning.accesses == (Access("http-get", ResourceKind.ENDPOINT, ("users",)),)
    assert facts(meaning)["path"] == "/users/7"
    assert facts(meaning)["query"] == ("full",)
    assert meaning.refusal is None


def test_without_an_endpoint_it_is_about_the_connection() -> None:
    assert meaning_of_written("DELETE /other", CRM).accesses == (Access("http-delete", ResourceKind.CONNECTION),)


def test_a_body_is_json_unless_it_says_something_else() -> None:
    as_json = facts(meaning_of_written('POST /users/7\n\n{"a": {"b": 1}}\n', CRM))
    assert as_json["content_type"] == "application/json"
    assert "/a/b=1" in as_json["body"]  # type: ignore[operator]
    as_form = meaning_of_written("POST /users/7\nContent-Type: application/x-www-form-urlencoded\n\na=1&b=2", CRM)
    assert "/a=1" in facts(as_form)["body"]  # type: ignore[operator]


def test_windows_line_ends_and_blank_lines_around() -> None:
    assert facts(meaning_of_written('\nPOST /x\r\nHost: CRM.example\r\n\r\n{"a": 1}\r\n\n', CRM))["fields"] == ("/a",)


def test_a_host() -> None:
    assert facts(meaning_of_written("GET /x\nHost: CRM.Example:8080", CRM))["host"] == "crm.example:8080"
    assert facts(meaning_of_written("GET /x", CRM))["host"] == ""


def test_a_tunnel() -> None:
    meaning = meaning_of_written("CONNECT PyPI.org:443", CRM)
    assert meaning.accesses == (Access("http-tunnel", ResourceKind.HOST, ("pypi.org",)),)
    assert facts(meaning) == {"method": "CONNECT", "host": "pypi.org"}
    assert facts(meaning_of_written("CONNECT pypi.org:22", CRM))["host"] == "pypi.org:22"


def test_graphql() -> None:
    shop = HttpTarget(api=HttpApi.GRAPHQL)
    meaning = meaning_of_written('POST /graphql\n\n{"query": "mutation { volumeDelete(id: 1) { id } }"}', shop)
    assert Access("graphql-mutation", ResourceKind.GRAPHQL_FIELD, ("Mutation.volumeDelete",)) in meaning.accesses


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GET",
        "SELECT * FROM users",
        "GET users",
        "GET /a/../b",
        "GET /a HTTP/1.1",
        "GET /a\nno colon",
        "GET /a\nContent-Length: 5\n\nabcde",
        "GET /a\nTransfer-Encoding: chunked\n\nabcde",
        "GET /a\nHost: a b",
        "CONNECT nowhere",
        "GET http://elsewhere/a",
        "GET /\u00fc\ud800",
    ],
)
def test_what_cannot_be_read_is_unclassified(text: str) -> None:
    meaning = meaning_of_written(text, CRM)
    assert meaning.accesses == (Access("unclassified", ResourceKind.CONNECTION),)
    assert meaning.facts["error"]
    assert meaning.noun == "request"
