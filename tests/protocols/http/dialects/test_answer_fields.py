import json

import pytest

from interlock.core.catalogue import Catalogue
from interlock.core.masking import ColumnMask, MaskedColumn, Masking, MaskKind
from interlock.core.settings.http import HttpTarget
from interlock.protocols.http.bodies.inspection import Inspection, open_inspection
from interlock.protocols.http.dialects.answer_fields import masked_fields, masking_with
from interlock.protocols.http.dialects.graphql import GraphqlDialect
from tests.protocols.http.dialects.requests import request

_NULL, _FORBID = ColumnMask(MaskKind.NULL), ColumnMask(MaskKind.FORBID)
_SECRET = "alice@example.com"


def _masking(*selectors: str) -> Masking:
    return Masking("1", Catalogue("1"), fields=dict.fromkeys(selectors, _NULL), key=b"k" * 32)


def _masked(masking: Masking, answer: object) -> bytes:
    headers = ((b"content-type", b"application/json"),)
    inspection = open_inspection(headers, masking, 1 << 20)
    assert isinstance(inspection, Inspection)
    return inspection.feed(json.dumps(answer).encode()) + inspection.finish()


@pytest.mark.parametrize(
    ("query", "data"),
    [
        ("{ user { x: email } }", {"user": {"x": _SECRET}}),
        ("{ u: user { email } }", {"u": {"email": _SECRET}}),
        ("{ u: user { x: email } }", {"u": [[{"x": _SECRET}]]}),
        ("{ ...F } fragment F on Query { u: user { ... on User { x: email } } }", {"u": {"x": _SECRET}}),
    ],
)
@pytest.mark.parametrize("selector", ["email", "EMAIL", "/data/user/email", "/data/user/*/email", "/data/*/email", "*"])
def test_an_alias_hides_nothing_from_a_mask(query: str, data: object, selector: str) -> None:
    asked = request("POST", "/graphql", content_type="application/json", body=json.dumps({"query": query}).encode())
    fields = GraphqlDialect(HttpTarget()).read(asked, None).fields
    assert _SECRET.encode() not in _masked(masking_with(_masking(selector), fields), {"data": data})


def test_a_masked_object_is_masked_under_its_alias() -> None:
    masking = masking_with(_masking("/data/user/contact"), {"c": ("/data/user/contact",)})
    assert _masked(masking, {"data": {"user": {"c": {"email": _SECRET}}}}) == b'{"data": {"user": {"c": null}}}'


def test_what_is_not_masked_stays_clear() -> None:
    masking = _masking("email")
    assert masking_with(masking, {"n": ("/data/user/name",)}) is masking
    assert masking_with(masking, {}) is masking


def test_masks_are_only_added_and_the_stronger_one_counts() -> None:
    masking = Masking("1", Catalogue("1"), fields={"name": _NULL, "/data/secret": _FORBID})
    fields = masking_with(masking, {"name": ("/data/secret",), "x": ("/data/name", "/data/secret")}).fields
    assert fields["name"].kind is fields["x"].kind is MaskKind.FORBID
    assert fields["/data/secret"] == _FORBID


def test_the_record_says_which_fields_are_masked() -> None:
    masking = Masking("1", Catalogue("1"), fields={"email": ColumnMask(MaskKind.HASH, rules=("pii",)), "/a": _NULL})
    assert masked_fields(masking) == (
        MaskedColumn("", "", "/a", "null", ()),
        MaskedColumn("", "", "email", "hash", ("pii",)),
    )
    assert masked_fields(None) == ()
