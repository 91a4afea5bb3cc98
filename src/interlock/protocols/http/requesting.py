"""From a client's request to the operation that is decided: what would go on, and what of it is masked first.

Pure functions. The module is plain typed Python that mypyc compiles where a C compiler is at hand.
"""

from typing import Final

import msgspec

from interlock.core.masking import Masking
from interlock.core.operation import Meaning, Operation
from interlock.core.settings import ConnectionSettings
from interlock.core.settings.http import HttpApi, Uninspectable
from interlock.protocols.base import CredentialRevealed
from interlock.protocols.http.answering import MAX_DECODED_BYTES, needs_inspection
from interlock.protocols.http.bodies.inspection import Inspection, inspected_headers, open_inspection
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.bodies.texts import mask_text
from interlock.protocols.http.dialects.answer_fields import masked_fields
from interlock.protocols.http.dialects.base import Dialect, Reading, Request
from interlock.protocols.http.dialects.openai import is_model_request
from interlock.protocols.http.exchange import Exchange
from interlock.protocols.http.forwarding import build_head, described, forwarded_headers, guesses_tag, target_host
from interlock.protocols.http.websocket.handshake import target_headers
from interlock.protocols.http.wire.messages import BodyKind, Headers

_UPGRADE: Final[Headers] = ((b"upgrade", b"websocket"),)


def request_of(exchange: Exchange, settings: ConnectionSettings, masking: Masking | None) -> Request:
    """The request that would go on, without its body."""
    head, http, route = exchange.head, settings.http, exchange.route
    inspected = needs_inspection(masking) or http.api is not HttpApi.HTTP
    own = exchange.own_authorization and http.credential_as == "none"
    shows_secret = settings.credential is not None and http.credential_as != "none"
    exchange.headers = forwarded_headers(
        head, exchange.token, own_authorization=own, inspected=inspected, uncoded=inspected or shows_secret
    )
    exchange.host = target_host(settings, route.authority if route.by_proxy else None)
    target = route.target
    return Request(
        exchange.method,
        target.path,
        target.query,
        target.query_keys,
        exchange.headers if exchange.upgrade is None else exchange.headers + _UPGRADE,
        exchange.host,
        _media_type(exchange.headers),
        None,
        head.body is not BodyKind.NONE,
    )


def read_request(
    exchange: Exchange, dialect: Dialect, settings: ConnectionSettings, masking: Masking | None
) -> Reading:
    """What the request means, with the body that would go on where that is not the one that came."""
    assert exchange.request is not None
    reading = dialect.read(exchange.request, masking)
    if needs_inspection(masking) and guesses_tag(exchange.head):
        return refused_reading(reading, "what it depends on is a tag of a body in which something is masked for you")
    if settings.http.outside and masking is not None and needs_inspection(masking):
        return _masked_for_outside(exchange, reading, settings, masking)
    return reading


def operation_of(exchange: Exchange, number: int, reading: Reading, masking: Masking | None) -> Operation:
    """The operation to decide. A body that is not held makes it uncertain: nobody could say what they agree to."""
    body = b"" if exchange.streams else exchange.body()
    head, withheld_digest = described(exchange.method, exchange.route.target, exchange.host, exchange.headers)
    return Operation(
        number,
        reading.meaning,
        head,
        body if reading.bound is None else reading.bound,
        forwarded=reading.body if reading.body is not None else b"",
        masked=masked_fields(masking),
        masking=masking.version if masking is not None else "",
        uncertain=exchange.streams,
        withheld_digest=withheld_digest,
    )


def request_to_target(
    exchange: Exchange, settings: ConnectionSettings, credential: CredentialRevealed
) -> tuple[bytes, bytes]:
    """Head and body of the request as it goes to the target; a body that streams follows. Raises ``ValueError``."""
    reading = exchange.reading
    body = exchange.body() if reading is None or reading.body is None else reading.body
    headers = exchange.headers
    if exchange.upgrade is not None:
        headers = target_headers(exchange.upgrade, headers, exchange.key)
    length = None if exchange.streams else len(body)
    target, base_path = exchange.route.target, settings.http.base_path
    head = build_head(exchange.head, target, base_path, exchange.host, headers, credential, length)
    return head, b"" if exchange.streams else body


def refused_reading(reading: Reading, why: str) -> Reading:
    """The same request as one that the gateway cannot carry."""
    meaning = reading.meaning
    refused = Meaning(meaning.verb, meaning.accesses, meaning.facts, why, "http")
    return msgspec.structs.replace(reading, meaning=refused)


def _masked_for_outside(
    exchange: Exchange, reading: Reading, settings: ConnectionSettings, masking: Masking
) -> Reading:
    """What leaves the house is masked as what comes in: a body is, an address that would have to be is refused."""
    target = exchange.route.target
    if mask_text(target.wire.decode("ascii"), masking) != target.wire.decode("ascii"):
        return refused_reading(reading, "the address of the request holds something that is masked for you")
    is_model = settings.http.api is HttpApi.OPENAI and is_model_request(exchange.method, target.path)
    if exchange.head.body is BodyKind.NONE or is_model:
        return reading  # the dialect of a model API has masked prompts itself
    if exchange.streams:
        return _unlooked(reading, settings, "it is too long")
    body = exchange.body() if reading.body is None else reading.body
    opened = open_inspection(exchange.headers, masking, MAX_DECODED_BYTES)
    if not isinstance(opened, Inspection):
        return _unlooked(reading, settings, opened)
    try:
        masked = opened.feed(body) + opened.finish()
    except BodyRefused as refused:
        return _unlooked(reading, settings, str(refused))
    if masked == body:
        return reading
    exchange.headers = inspected_headers(exchange.headers, opened)
    return msgspec.structs.replace(reading, body=masked)


def _unlooked(reading: Reading, settings: ConnectionSettings, why: str) -> Reading:
    if settings.http.uninspectable is Uninspectable.PASS:
        return reading
    return refused_reading(reading, f"the body is masked on its way out, and cannot be looked into: {why}")


def _media_type(headers: Headers) -> str:
    for name, value in headers:
        if name == b"content-type":
            return value.partition(b";")[0].strip().lower().decode("latin-1")
    return ""
