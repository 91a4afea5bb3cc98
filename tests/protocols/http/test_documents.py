import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.http.documents import closed, csv_fields, json_fields, pretty


def test_values_with_their_paths() -> None:
    text = '{"a": [1, {"b/c": "x"}], "d": null, "e": true, "n": 1.50, "empty": {}}'
    assert json_fields(text) == (("/a/*", "1"), ("/a/*/b~1c", "x"), ("/d", None), ("/e", "true"), ("/n", "1.50"))


def test_a_key_that_is_there_twice_has_both_values() -> None:
    assert json_fields('{"a": 1, "a": 2}') == (("/a", "1"), ("/a", "2"))


@pytest.mark.parametrize("text", ["", "hello", "{'a': 1}", "]", "[" * 100_000])
def test_what_is_no_json_has_no_values(text: str) -> None:
    assert json_fields(text) == ()


def test_of_a_cut_document_the_values_in_front_of_the_cut_are_told() -> None:
    text = '{"users": [{"email": "a@b.example", "tags": ["x"]}, {"email": "c@d.exam'
    assert json_fields(text) == (("/users/*/email", "a@b.example"), ("/users/*/tags/*", "x"))


_document = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@given(_document, st.data())
def test_a_cut_makes_nothing_up(document: Any, data: st.DataObject) -> None:
    text = json.dumps(document)
    whole = json_fields(text)
    cut = text[: data.draw(st.integers(0, len(text)))]
    if isinstance(document, dict | list):
        assert set(json_fields(cut)) <= set(whole)
        assert len(closed(cut)) <= len(text) or json.loads(closed(cut)) is not None


def test_pretty_keeps_numbers_keys_and_their_order() -> None:
    assert (
        pretty('{"b":1.0,"a":1e2,"a":12345678901234567890}')
        == '{\n  "b": 1.0,\n  "a": 1e2,\n  "a": 12345678901234567890\n}'
    )
    assert pretty("{") is None


def test_cells_have_the_names_of_their_columns() -> None:
    assert csv_fields('id,e/mail\n1,"a@b, c"\n2,x,extra\n') == (
        ("/id", "1"),
        ("/e~1mail", "a@b, c"),
        ("/id", "2"),
        ("/e~1mail", "x"),
    )
    assert csv_fields("") == ()
