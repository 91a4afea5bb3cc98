"""A session over HTTP as an HTTP Archive (HAR 1.2), for the tools that read one: browsers, proxies, test tools.

What HAR has no place for is in members that begin with ``_interlock``; messages of WebSockets are where browsers put
them. Credentials are not in recordings, and so not in here. The scheme of a target is not on record: addresses say
``https``. A request that was not carried out has an answer with the status 0.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from interlock import __version__
from interlock.core.exchange import Fields, RecordedExchange, SocketMessage
from interlock.core.ledger import OperationCompleted, OperationDecided
from interlock.services.evidence.formats import timestamp
from interlock.services.evidence.service import EvidenceService

_VERSION: Final = "HTTP/1.1"
_FORM: Final = "application/x-www-form-urlencoded"
_TEXT: Final = 1


def session_har(evidence: EvidenceService, session: str) -> Iterator[bytes]:
    """The archive in pieces. Raises ``EvidenceError`` for a session that is not one over HTTP."""
    exchanges = evidence.exchanges(session)
    opened_ns = evidence.summary(session).opened_ns
    outcomes = _outcomes(evidence, session)
    creator = {"name": "interlock", "version": __version__}
    comment = f"Session {session}, as it was recorded: masked for whoever asked."
    head = msgspec.json.encode({"version": "1.2", "creator": creator, "comment": comment})
    yield b'{"log":' + head.removesuffix(b"}") + b',"entries":['
    separator = b"\n"
    for exchange in exchanges:
        decided, completed = outcomes.get(exchange.number, (None, None))
        yield separator + msgspec.json.encode(_entry(exchange, opened_ns, decided, completed))
        separator = b",\n"
    yield b"\n]}}\n"


_Outcomes = Mapping[int, tuple[OperationDecided | None, OperationCompleted | None]]


def _outcomes(evidence: EvidenceService, session: str) -> _Outcomes:
    """What was decided last of each operation, without what was asked, and what came of it."""
    found: dict[int, tuple[OperationDecided | None, OperationCompleted | None]] = {}
    for entry in evidence.entries(session):
        if isinstance(record := entry.record, OperationDecided):
            found[record.number] = msgspec.structs.replace(record, sealed=b""), None
        elif isinstance(record, OperationCompleted):
            found[record.number] = found.get(record.number, (None, None))[0], record
    return found


def _entry(
    exchange: RecordedExchange, opened_ns: int, decided: OperationDecided | None, completed: OperationCompleted | None
) -> dict[str, object]:
    send, wait = exchange.sent_us - exchange.asked_us, exchange.answered_us - exchange.sent_us
    timings = {"send": _ms(send), "wait": _ms(wait), "receive": _ms(exchange.ended_us - exchange.answered_us)}
    entry: dict[str, object] = {
        "startedDateTime": timestamp(opened_ns + exchange.asked_us * 1000),
        "time": _ms(exchange.ended_us - exchange.asked_us),
        "request": _request(exchange),
        "response": _response(exchange),
        "cache": {},
        "timings": timings,
        "_interlock": _interlock(exchange.number, decided, completed),
    }
    if exchange.messages:
        entry["_webSocketMessages"] = [_message(message, opened_ns) for message in exchange.messages]
    return entry


def _request(exchange: RecordedExchange) -> dict[str, object]:
    path, _, query = exchange.target.partition("?")
    authority = exchange.request_header("host") or path
    shown: dict[str, object] = {
        "method": exchange.method,
        "url": f"https://{authority}{exchange.target if path.startswith('/') else ''}",
        "httpVersion": _VERSION,
        "cookies": [],
        "headers": _headers(exchange.request_headers),
        "queryString": _pairs(query),
        "headersSize": -1,
        "bodySize": exchange.request_body_bytes,
    }
    if exchange.request_body:
        shown["postData"] = _posted(exchange)
    return shown


def _posted(exchange: RecordedExchange) -> dict[str, object]:
    """Parameters of a form, or a text; never both."""
    kind = exchange.request_header("content-type")
    text, encoding = _text(exchange.request_body)
    if kind.partition(";")[0].strip().lower() == _FORM:
        return {"mimeType": kind, "params": _pairs(text)}
    posted: dict[str, object] = {"mimeType": kind, "text": text}
    if encoding:
        posted["comment"] = "The text is base64 of the body."
    return posted


def _response(exchange: RecordedExchange) -> dict[str, object]:
    text, encoding = _text(exchange.body)
    content: dict[str, object] = {"size": len(exchange.body), "mimeType": exchange.header("content-type")}
    if exchange.body:
        content |= {"text": text} | ({"encoding": encoding} if encoding else {})
    return {
        "status": exchange.status,
        "statusText": exchange.reason,
        "httpVersion": _VERSION,
        "cookies": [],
        "headers": _headers(exchange.headers),
        "content": content,
        "redirectURL": exchange.header("location"),
        "headersSize": -1,
        "bodySize": exchange.body_bytes if exchange.status else -1,
    }


def _interlock(
    number: int, decided: OperationDecided | None, completed: OperationCompleted | None
) -> dict[str, object]:
    said: dict[str, object] = {"number": number}
    if decided is not None:
        said |= {
            "decision": decided.decision,
            "rules": decided.rules,
            "policy": decided.policy,
            "message": decided.message,
            "accesses": decided.accesses,
            "masked": decided.masked,
            "digest": decided.digest.hex(),
        }
    if completed is not None:
        said |= {"status": completed.status, "masked_values": completed.masked_values, "tokens": completed.tokens}
    return said


def _message(message: SocketMessage, opened_ns: int) -> dict[str, object]:
    text = message.data.decode("utf-8", "replace")
    return {
        "type": "send" if message.to_target else "receive",
        "time": (opened_ns + message.at_us * 1000) / 1e9,
        "opcode": message.opcode,
        "data": text if message.opcode == _TEXT else base64.b64encode(message.data).decode(),
    }


def _headers(fields: Fields) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in fields]


def _pairs(query: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in parse_qsl(query, keep_blank_values=True)]


def _text(body: bytes) -> tuple[str, str]:
    """A body as text, or as base64 with the name of that encoding."""
    try:
        return body.decode(), ""
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"


def _ms(us: int) -> float:
    return max(0, us) / 1000
