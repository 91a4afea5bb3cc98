import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.http.dialects.graphql_documents import (
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_SELECTIONS,
    DocumentUnread,
    GraphqlOperation,
    names_of,
    read_operation,
)


def _read(text: str, name: str | None = None) -> GraphqlOperation:
    return read_operation(text, name)


def test_fields_by_their_real_names() -> None:
    operation = _read("query Q($id: ID!) { me: user(id: $id) { mail: email, name } orders { total } }")
    assert (operation.kind, operation.roots) == ("query", ("user", "orders"))
    assert operation.fields == ("email", "name", "orders", "total", "user")
    assert {field.name: "/".join(field.path) for field in operation.answer if field.moved} == {
        "me": "user",
        "mail": "user/email",
        "name": "user/name",
    }
    assert names_of([operation]) == ("Query.orders", "Query.user", "email", "name", "orders", "total", "user")


@pytest.mark.parametrize(
    "text",
    [
        "mutation { volumeDelete(id: 1) }",
        "mutation { harmless: volumeDelete(id: 1) }",
        "mutation { ...A } fragment A on Mutation { ... on Mutation { ...B } } fragment B on M { x: volumeDelete }",
        "mutation { ... { volumeDelete @include(if: false) } }",
        "# query { user }\nmutation M { volumeDelete }",
        "mutation{volumeDelete,,,}",
        "\ufeffmutation { volumeDelete }",
    ],
)
def test_a_mutation_is_seen_however_it_is_written(text: str) -> None:
    operation = _read(text)
    assert (operation.kind, operation.roots) == ("mutation", ("volumeDelete",))


def test_the_named_operation_is_read() -> None:
    text = "query A { user } mutation B { volumeDelete } "
    assert (_read(text, "A").roots, _read(text, "B").roots) == (("user",), ("volumeDelete",))


def test_a_fragment_in_two_places_counts_in_both() -> None:
    operation = _read("{ user { ...F } boss: user { friend { ...F } } } fragment F on User { email }")
    assert {field.path for field in operation.answer if field.name == "email"} == {
        ("user", "email"),
        ("user", "friend", "email"),
    }


@pytest.mark.parametrize("text", ["{ a { b @defer } }", "{ a { ... @defer { b } } }", "{ a @stream(initialCount: 1) }"])
def test_answers_in_pieces_are_told(text: str) -> None:
    assert _read(text).incremental
    assert not _read("{ a { b } }").incremental


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("", None, "does not parse"),
        ("{", None, "does not parse"),
        ("{ user } }", None, "does not parse"),
        ("mutatoin { volumeDelete }", None, "does not parse"),
        ("query A { a } query B { b }", None, "not exactly one operation"),
        ("query A { a } query B { b }", "", "not exactly one operation"),
        ("query A { a } query B { b }", "C", "does not name exactly one"),
        ("query A { a } mutation A { b }", "A", "does not name exactly one"),
        ("query A { a }", "B", "does not name exactly one"),
        ("{ a }", "B", "does not name exactly one"),
        ("type Query { a: Int }", None, "definitions that are not"),
        ("{ a } type Query { a: Int }", None, "definitions that are not"),
        ("fragment F on Query { a }", None, "not exactly one operation"),
        ("{ ...F }", None, "does not have"),
        ("{ ...F } fragment F on Query { ...F }", None, "contains itself"),
        ("{ ...F } fragment F on Q { a { ...G } } fragment G on Q { ...F }", None, "contains itself"),
        ("{ ...F } fragment F on Q { a } fragment F on Q { b }", None, "two fragments"),
        ("{ }", None, "nothing"),
        ("{ user } #\u2028 mutation { volumeDelete }", None, "U\\+2028"),
        ("{ user } #\x0b mutation { volumeDelete }", None, "U\\+000B"),
        ('{ user(name: "\ud800") }', None, "U\\+D800"),
        ("{ a" * (MAX_DEPTH + 1) + " }" * (MAX_DEPTH + 1), None, "nested"),
        ("{ a" * 20_000 + " }" * 20_000, None, "GraphQL document"),
        ("#" * (MAX_LENGTH + 1), None, "characters"),
        ("#\n" * 20_000 + "{ a }", None, "does not parse"),
        ("{ " + " ".join(f"a{n}: a" for n in range(MAX_SELECTIONS + 1)) + " }", None, "GraphQL document"),
    ],
)
def test_what_is_not_known_is_said_to_be_so(text: str, name: str | None, why: str) -> None:
    with pytest.raises(DocumentUnread, match=why):
        read_operation(text, name)


def test_fragments_that_multiply_are_bounded() -> None:
    doubling = "".join(f"fragment F{n} on Q {{ ...F{n + 1} ...F{n + 1} }} " for n in range(30))
    with pytest.raises(DocumentUnread, match="more than"):
        _read("{ ...F0 } " + doubling + "fragment F30 on Q { a }")


_TOKENS = [
    "{",
    "}",
    "query",
    "mutation",
    "subscription",
    "fragment",
    "F",
    "on",
    "...",
    "a",
    "b",
    ":",
    "(",
    ")",
    "$x",
    "@defer",
]


@given(st.lists(st.sampled_from(_TOKENS), max_size=30).map(" ".join), st.sampled_from([None, "a", "F"]))
def test_any_text_is_read_or_said_to_be_unread(text: str, name: str | None) -> None:
    with contextlib.suppress(DocumentUnread):
        operation = read_operation(text, name)
        assert operation.roots
        assert set(operation.roots) <= set(operation.fields)


_names = st.sampled_from(["a", "b", "c"])
_selection = st.recursive(
    st.tuples(st.none() | _names, _names, st.just(())),
    lambda inner: st.tuples(st.none() | _names, _names, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    max_leaves=8,
)
_Selection = tuple[str | None, str, tuple["_Selection", ...]]


def _written(selections: tuple[_Selection, ...]) -> str:
    fields = (
        f"{f'{alias}: ' if alias else ''}{name} {_written(below) if below else ''}" for alias, name, below in selections
    )
    return "{ " + " ".join(fields) + " }"


def _paths(selections: tuple[_Selection, ...], path: tuple[str, ...] = ()) -> set[tuple[str, tuple[str, ...]]]:
    found: set[tuple[str, tuple[str, ...]]] = set()
    for alias, name, below in selections:
        found |= {(alias or name, (*path, name))} | _paths(below, (*path, name))
    return found


@given(st.lists(_selection, min_size=1, max_size=4).map(tuple))
def test_every_field_is_found_under_its_name_in_the_answer(selections: tuple[_Selection, ...]) -> None:
    operation = _read(_written(selections))
    assert {(field.name, field.path) for field in operation.answer} == _paths(selections)
