import contextlib
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.http.dialects.form_facts import form_facts, multipart_facts
from interlock.protocols.http.dialects.json_facts import BodyRejected

_MULTIPART = b"multipart/form-data; boundary=xyz"


def test_a_form() -> None:
    facts = form_facts(b"name=J%C3%BCrgen+K&tag=a&tag=b&&empty=&bare")
    assert facts.fields == ("/bare", "/empty", "/name", "/tag")
    assert facts.values == ("/bare=", "/empty=", "/name=Jürgen K", "/tag=a", "/tag=b")


@pytest.mark.parametrize(
    ("body", "why"), [(b"a=1;b=2", "semicolon"), (b"a=%zz", "percent"), (b"a=%", "percent"), (b"a=%ff", "UTF-8")]
)
def test_forms_that_servers_read_differently(body: bytes, why: str) -> None:
    with pytest.raises(BodyRejected, match=why):
        form_facts(body)


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=9)), max_size=9))
def test_forms_as_python_writes_them(pairs: list[tuple[str, str]]) -> None:
    facts = form_facts(urlencode(pairs).encode())
    escaped = [(name.replace("~", "~0").replace("/", "~1").replace("=", "~2"), value) for name, value in pairs]
    assert set(facts.values) == {f"/{name}={value}" for name, value in escaped}


def _part(disposition: bytes, content: bytes = b"v") -> bytes:
    return b"--xyz\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + content + b"\r\n"


def test_a_multipart_form() -> None:
    body = (
        _part(b'form-data; name="mode"', b"safe")
        + b'--xyz\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        + b"--xy\r\ncontent\r\n"
        + _part(b"form-data; name=bare")
        + b"--xyz--\r\n"
    )
    facts = multipart_facts(body, _MULTIPART)
    assert facts.fields == ("/bare", "/file", "/mode")
    assert facts.values == ("/bare=v", "/mode=safe")


def test_a_boundary_in_quotes() -> None:
    body = _part(b'form-data; name="a"') + b"--xyz--"
    assert multipart_facts(body, b'multipart/form-data; charset=utf-8; boundary="xyz"').fields == ("/a",)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (b"multipart/form-data", _part(b'form-data; name="a"') + b"--xyz--"),
        (_MULTIPART + b"; boundary=abc", _part(b'form-data; name="a"') + b"--xyz--"),
        (_MULTIPART, b""),
        (_MULTIPART, b"preamble\r\n" + _part(b'form-data; name="a"') + b"--xyz--"),
        (_MULTIPART, _part(b'form-data; name="a"')),
        (_MULTIPART, _part(b'form-data; name="a"') + b"--xyz--\r\nmore"),
        (_MULTIPART, _part(b"form-data") + b"--xyz--"),
        (_MULTIPART, _part(b'form-data; name="a"; name="b"') + b"--xyz--"),
        (_MULTIPART, _part(b'attachment; name="a"') + b"--xyz--"),
        (_MULTIPART, b"--xyz\r\n\r\nv\r\n--xyz--"),
        (_MULTIPART, b"--xyz\r\nno head\r\n--xyz--"),
        (_MULTIPART, b"--xyz \r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n--xyz--"),
    ],
)
def test_multipart_that_servers_read_differently(content_type: bytes, body: bytes) -> None:
    with pytest.raises(BodyRejected):
        multipart_facts(body, content_type)


@given(st.binary(max_size=60))
def test_parts_are_read_or_rejected(body: bytes) -> None:
    for whole in (body, _part(b'form-data; name="a"', body) + b"--xyz--", b"--xyz\r\n" + body + b"\r\n--xyz--"):
        with contextlib.suppress(BodyRejected):
            multipart_facts(whole, _MULTIPART)
