"""Close frames of WebSocket (RFC 6455, 5.5.1 and 7.4): what they say, and what may be said in them."""

from typing import Final

from interlock.protocols.http.websocket.values import Fault

NO_STATUS: Final = 1005
LEFT: Final = 1006
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
BAD_DATA: Final = 1007
POLICY: Final = 1008
TOO_BIG: Final = 1009
GATEWAY_ERROR: Final = 1011

_MAX_REASON_BYTES: Final = 123
_REGISTERED: Final = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))


def close_payload(code: int, reason: str) -> bytes:
    """The payload of a close frame; a long reason is cut between two characters. Nothing for ``NO_STATUS``."""
    if code == NO_STATUS:
        return b""
    short = reason.encode(errors="replace")[:_MAX_REASON_BYTES].decode(errors="ignore")
    return code.to_bytes(2, "big") + short.encode()


def read_close(payload: bytes) -> tuple[int, str] | Fault:
    """Code and reason of a close frame."""
    if not payload:
        return NO_STATUS, ""
    if len(payload) == 1:
        return Fault(PROTOCOL_ERROR, "a close frame has half a status code")
    code = int.from_bytes(payload[:2], "big")
    if code not in _REGISTERED and not 3000 <= code <= 4999:
        return Fault(PROTOCOL_ERROR, f"status code {code} may not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        return Fault(BAD_DATA, "the reason of a close frame is not UTF-8")
