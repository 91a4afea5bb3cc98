"""Header and trailer fields (RFC 9110, section 5; RFC 9112, section 5), read strictly and in one pass.

Refused besides what the grammar refuses: folded lines, control bytes in values, repeated fields of which there can be
only one, and a Connection field that names what every recipient needs. Never guesses.
"""

import re
from typing import Final

from interlock.protocols.http.wire.messages import Headers, Malformed
from interlock.protocols.http.wire.received import refuse_bare_line_feed

# Bytes that are in no line: all controls but the horizontal tab.
CONTROLS: Final = bytes(byte for byte in range(0x20) if byte != 0x09) + b"\x7f"

TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

_USUAL: Final = (
    b"accept accept-encoding accept-language accept-ranges age allow authorization cache-control connection"
    b" content-disposition content-encoding content-language content-length content-range content-type cookie date"
    b" expect expires forwarded host if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive"
    b" last-modified link location mcp-method mcp-name mcp-protocol-version mcp-session-id origin pragma"
    b" proxy-authenticate proxy-authorization proxy-connection range referer retry-after server set-cookie"
    b" strict-transport-security trailer traceparent tracestate transfer-encoding upgrade user-agent vary via"
    b" x-content-type-options x-forwarded-for x-request-id"
).split()

# The usual names as they are usually written, so that they need neither a check nor a conversion.
KNOWN_NAMES: Final[dict[bytes, bytes]] = {spelled: name for name in _USUAL for spelled in (name, name.title())} | {
    b"ETag": b"etag",
    b"etag": b"etag",
    b"TE": b"te",
    b"te": b"te",
    b"WWW-Authenticate": b"www-authenticate",
}

# Fields of which a second one would have a second meaning.
_ONCE: Final = frozenset(
    b"authorization content-length content-location content-range content-type expect host if-range location"
    b" max-forwards proxy-authorization range transfer-encoding".split()
)
_READ_HERE: Final = _ONCE | {b"connection", b"upgrade"}

# With other blanks around their values, some recipients do not know these.
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})

# Never hop by hop, so a Connection field that names one only takes it from the next recipient.
_END_TO_END: Final = frozenset(
    b"authorization cache-control content-encoding content-length content-location content-range content-type cookie"
    b" date etag expect host location origin range set-cookie transfer-encoding vary".split()
)

# What a recipient needs before the body, or what routes and authenticates (RFC 9110, section 6.5.1).
_NOT_IN_TRAILERS: Final = _ONCE | _END_TO_END | {
    b"connection", b"cookie2", b"keep-alive", b"proxy-authenticate", b"proxy-connection", b"te", b"trailer", b"upgrade",
    b"www-authenticate",
}  # fmt: skip


class Fields:
    """The fields of a message, and those of them by name that say how it is framed or passed on."""

    def __init__(self, headers: Headers, named: dict[bytes, bytes]) -> None:
        self.headers = headers
        self.named = named


def parse_fields(section: bytes, first: int, max_fields: int, underscores: bool) -> Fields:
    """The fields of a section from line ``first`` on. The section is without its empty line.

    Raises:
        Malformed: it has more than one meaning, or too many fields.
    """
    lines = section.split(b"\r\n")
    refuse_controls(section, len(lines) - 1)
    if len(lines) - first > max_fields:
        raise Malformed(431, f"the message has more than {max_fields} fields: send fewer")
    headers: list[tuple[bytes, bytes]] = []
    named: dict[bytes, bytes] = {}
    for line in lines[first:]:
        colon = line.find(b":")
        name = KNOWN_NAMES.get(line[:colon]) if colon > 0 else None
        if name is None:
            name = _unusual_name(line, colon, underscores)
        value = line[colon + 1 :].strip(b" \t")
        headers.append((name, value))
        if name in _READ_HERE:
            _note(named, name, value, line)
    return Fields(tuple(headers), named)


def refuse_controls(section: bytes, line_ends: int) -> None:
    """Raise when there are control bytes besides the tabs and so many pairs of CR and LF."""
    if len(section.translate(None, CONTROLS)) + 2 * line_ends == len(section):
        return
    refuse_bare_line_feed(section, 0, len(section))
    raise Malformed(400, "the message has a control byte outside of its body")


def _unusual_name(line: bytes, colon: int, underscores: bool) -> bytes:
    if line[:1] in (b" ", b"\t"):
        raise Malformed(400, "a field is folded over two lines: put it on one line")
    if colon < 0:
        raise Malformed(400, "a line between the fields has no colon")
    name = line[:colon]
    if name[-1:] in (b" ", b"\t"):
        raise Malformed(400, "there is a blank between the name of a field and its colon")
    if TOKEN.fullmatch(name) is None:
        raise Malformed(400, "the name of a field is empty or has bytes that names cannot have")
    if not underscores and b"_" in name:
        raise Malformed(400, "the name of a field has an underscore, which many servers take for a hyphen")
    return name.lower()


def _note(named: dict[bytes, bytes], name: bytes, value: bytes, line: bytes) -> None:
    if name in _FRAMING and line[len(name) + 1 :] not in (value, b" " + value):
        raise Malformed(400, f"there are more blanks around the value of {name.decode('ascii')} than one in front")
    earlier = named.get(name)
    if earlier is None:
        named[name] = value
    elif name in _ONCE:
        raise Malformed(400, f"the field {name.decode('ascii')} comes more than once")
    else:
        named[name] = earlier + b"," + value


_COMMON_OPTIONS: Final[dict[bytes, list[bytes]]] = {
    spelled: [option]
    for option in (b"keep-alive", b"close")
    for spelled in (option, option.title(), option.capitalize())
}


def connection_options(fields: Fields) -> list[bytes]:
    """The options of the Connection field in lower case (RFC 9110, section 7.6.1).

    Raises:
        Malformed: it is not a list of tokens, or names a field that every recipient needs.
    """
    value = fields.named.get(b"connection")
    if value is None:
        return []
    common = _COMMON_OPTIONS.get(value)
    if common is not None:
        return common
    options = listed_tokens(value)
    for option in options:
        if TOKEN.fullmatch(option) is None:
            raise Malformed(400, "the field connection is not a list of names")
        if option in _END_TO_END:
            raise Malformed(400, f"the field connection names {option.decode('ascii')}, which is for every recipient")
    return options


def listed_tokens(value: bytes) -> list[bytes]:
    """The elements of a comma-separated list in lower case, empty ones left out (RFC 9110, section 5.6.1)."""
    elements = [element.strip(b" \t") for element in value.lower().split(b",")]
    return [element for element in elements if element]


def parse_trailers(section: bytes, max_fields: int, underscores: bool) -> Headers:
    """The fields after a chunked body.

    Raises:
        Malformed: also when one of them is of no use so late, or harmful.
    """
    fields = parse_fields(section, 0, max_fields, underscores)
    for name, _ in fields.headers:
        if name in _NOT_IN_TRAILERS:
            raise Malformed(400, f"the field {name.decode('ascii')} cannot be a trailer")
    return fields.headers
