"""What goes to a target outside, and what its head says of it."""

import msgspec

from interlock.core.catalogue import Catalogue
from interlock.core.masking import ColumnMask, Masking, MaskKind
from interlock.core.settings import ConnectionSettings, HttpTarget
from interlock.protocols.http.dialects.plain import PlainDialect
from interlock.protocols.http.exchange import Exchange
from interlock.protocols.http.requesting import read_request, request_of
from interlock.protocols.http.values import Route
from interlock.protocols.http.wire.messages import Authority, BodyKind, RequestHead, Target

MASKING = Masking("v1", Catalogue(""), fields={"email": ColumnMask(MaskKind.REDACT)})
SETTINGS = ConnectionSettings(protocol="http", host="outside.example", http=HttpTarget(outside=True))


def test_a_body_that_is_masked_on_its_way_out_is_declared_as_what_it_is_then() -> None:
    body = '{"email": "ada@example.com", "name": "Zoë"}'.encode("utf-16")
    fields = ((b"host", b"x"), (b"content-type", b"application/json; charset=utf-16"), (b"content-md5", b"x"))
    head = RequestHead(b"POST", b"/", 1, fields, BodyKind.LENGTH, len(body), True, False, b"")
    exchange = Exchange(head, Route("crm", "", "", Target("/", "", ()), Authority("x")), "token", False)
    exchange.hold(body)
    exchange.request = msgspec.structs.replace(request_of(exchange, SETTINGS, MASKING), body=body)
    reading = read_request(exchange, PlainDialect(SETTINGS.http), SETTINGS, MASKING)
    assert reading.body is not None
    assert "Zoë" in reading.body.decode()
    assert b"ada@" not in reading.body
    assert dict(exchange.headers)[b"content-type"] == b"application/json; charset=utf-8"
    assert b"content-md5" not in dict(exchange.headers)
