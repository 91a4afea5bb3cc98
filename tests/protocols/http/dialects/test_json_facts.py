import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.http.dialects.json_facts import (
    MAX_FIELDS,
    MAX_VALUE_LENGTH,
    MAX_VALUES,
    BodyRejected,
    BodyUnread,
    json_facts,
)


def test_fields_and_values() -> None:
    body = b'{"a": {"b": [1, {"c": "x"}], "d/e": true}, "f=g": null, "h~": []}'
    facts = json_facts(body)
    assert facts.fields == ("/a", "/a/b", "/a/b/*", "/a/b/*/c", "/a/d~1e", "/f~2g", "/h~0")
    assert facts.values == ("/a/b/*/c=x", "/a/b/*=1", "/a/d~1e=true", "/f~2g=null")


def test_a_key_cannot_look_like_a_value() -> None:
    assert json_facts(b'{"mode=safe": "x"}').values != json_facts(b'{"mode": "safe=x"}').values


@pytest.mark.parametrize("number", [b"100", b"1e2", b"100.0", b"1.00E+2", b"10000e-2"])
def test_numbers_have_one_spelling(number: bytes) -> None:
    assert json_facts(b'{"n":' + number + b"}").values == ("/n=100",)


@pytest.mark.parametrize("number", [b"0", b"-0", b"0.0", b"-0e9", b"0e999999999"])
def test_zero_has_one_spelling(number: bytes) -> None:
    assert json_facts(b"[" + number + b"]").values == ("/*=0",)


def test_numbers_keep_all_their_digits() -> None:
    digits = "1234567890" * 10
    assert json_facts(f"[{digits}, {digits}.25]".encode()).values == (f"/*={digits}", f"/*={digits}.25")


@pytest.mark.parametrize("number", [b"1e999999999", b"1e-999999999", b"9" * 5000])
def test_numbers_beyond_measure_take_no_time(number: bytes) -> None:
    json_facts(b"[" + number + b"]")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b"{'a': 1}", "not valid JSON"),
        (b'{"a": 1,}', "not valid JSON"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"a": "\n"}', "not valid JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "not valid JSON"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": 1, "\\u0061": 2}', "twice"),
        (b'[{"b": {"a": 1, "a": 1}}]', "twice"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udc00": 1}', "surrogate"),
    ],
)
def test_what_servers_could_read_differently_is_rejected(body: bytes, why: str) -> None:
    with pytest.raises(BodyRejected, match=why):
        json_facts(body)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100 + b"]" * 100,
        b"[" * 200_000 + b"]" * 200_000,
        json.dumps({f"k{n}": 1 for n in range(MAX_FIELDS + 1)}).encode(),
        json.dumps(list(range(MAX_VALUES + 1))).encode(),
        json.dumps({"k" * 600: 1}).encode(),
        b'[{"mode": "safe", "MODE": "delete"}]',
        json.dumps([[1]] * 30_000).encode(),
    ],
)
def test_what_is_too_much_is_said_to_be_so(body: bytes) -> None:
    with pytest.raises(BodyUnread):
        json_facts(body)


def test_many_alike_rows_are_few_facts() -> None:
    assert json_facts(json.dumps([{"id": 1, "ok": True}] * 10_000).encode()).fields == ("/*", "/*/id", "/*/ok")


def test_long_values_have_their_field_only() -> None:
    facts = json_facts(json.dumps({"a": "x" * (MAX_VALUE_LENGTH + 1)}).encode())
    assert (facts.fields, facts.values) == (("/a",), ())


_scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(-1e12, 1e12).map(lambda number: round(number, 6)),
    st.text(max_size=20),
)
_document = st.recursive(
    _scalar,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
)


def _walk(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        below = [(f"{path}/{k.replace('~', '~0').replace('/', '~1').replace('=', '~2')}", v) for k, v in value.items()]
    elif isinstance(value, list):
        below = [(f"{path}/*", element) for element in value]
    else:
        below = []
    return [(path, value), *(step for inner, v in below for step in _walk(v, inner))]


@given(_document)
def test_every_field_and_every_plain_value_is_there_and_nothing_else(document: Any) -> None:
    facts = json_facts(json.dumps(document).encode())
    steps = _walk(document)
    assert set(facts.fields) == {path for path, _ in steps if path}
    plain = [(path, value) for path, value in steps if not isinstance(value, dict | list)]
    assert {line.partition("=")[0] for line in facts.values} == {path for path, _ in plain}
    for path, value in plain:
        if isinstance(value, str):
            assert f"{path}={value}" in facts.values
        elif isinstance(value, float):
            texts = [line.partition("=")[2] for line in facts.values if line.partition("=")[0] == path]
            assert any(_is_number(text) and math.isclose(float(text), value) for text in texts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@given(_document)
def test_spelling_makes_no_difference(document: Any) -> None:
    plain, ascii_only = json.dumps(document, ensure_ascii=False), json.dumps(document, indent=3, ensure_ascii=True)
    assert json_facts(plain.encode()) == json_facts(ascii_only.encode())


@given(st.binary(max_size=200))
def test_bytes_are_read_or_rejected(body: bytes) -> None:
    with contextlib.suppress(BodyRejected):
        json_facts(body)
