"""Header fields of answers under masks."""

import pytest

from interlock.core.content.tally import Tally
from interlock.core.masking import MaskKind
from interlock.protocols.http.bodies.header_fields import masked_header
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import BodyRefused
from tests.protocols.http.bodies.maskings import masking


def shown(name: str, value: str, *detectors: str, kind: MaskKind = MaskKind.REDACT) -> tuple[str, int]:
    tally = Tally()
    plan = Plan(masking({"email": kind, "e-mail": kind, "Große": kind}, *detectors))
    masked = masked_header(name.encode(), value.encode("utf-8", "surrogateescape"), plan, tally)
    return masked.decode("utf-8", "surrogateescape"), tally.masked_values


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("email", "ada", "***"),
        ("x-email", "ada", "***"),
        ("x-e-mail", "ada", "***"),
        ("set-cookie", "email=ada; Path=/", "email=***; Path=/"),
        ("set-cookie", "a=ada; Path=/", "a=ada; Path=/"),
        ("set-cookie", "email", "email"),
        ("location", "/x?id=7&email=ada&b=c#email=ada", "/x?id=7&email=***&b=c#email=***"),
        ("location", "/x?%65mail=a%20da", "/x?%65mail=***"),
        ("link", "</x?email=ada>; rel=next, </x?id=7>", "</x?email=***>; rel=next, </x?id=7>"),
        ("refresh", "0; url=/x?EMAIL=ada", "0; url=/x?EMAIL=***"),
        ("x-data", '{"id": 7, "email": "ada"}', '{"id": 7, "email": "***"}'),
        ("date", "Mon, 30 Nov 2026 19:59:24 GMT", "Mon, 30 Nov 2026 19:59:24 GMT"),
        ("x-note", "caf\udce9", "caf\udce9"),
        ("location", "/caf\udce9?a=b", "/caf\udce9?a=b"),
    ],
)
def test_fields_by_their_names(name: str, value: str, expected: str) -> None:
    seen, count = shown(name, value)
    assert seen == expected
    assert count == seen.count("***")


@pytest.mark.parametrize("name", ["location", "x-owner", "link", "content-disposition", "etag"])
@pytest.mark.parametrize("value", ["for=ada@example.com", '"ada@example.com"', "/x?for=ada%40example.com"])
def test_what_is_detected_is_found_in_other_fields(name: str, value: str) -> None:
    seen, count = shown(name, value, "email")
    assert "example.com" not in seen
    assert count


@pytest.mark.parametrize("cookie", ["a=ada@example.com; Path=/", "a=1; Comment=ada@example.com", "ada@example.com"])
def test_what_is_detected_is_found_in_cookies(cookie: str) -> None:
    assert "example.com" not in shown("set-cookie", cookie, "email")[0]


def test_a_field_that_must_not_be_there() -> None:
    with pytest.raises(BodyRefused):
        shown("x-email", "ada", kind=MaskKind.FORBID)
