"""Request targets and authorities in one canonical form, which is decided on and forwarded.

Escapes are decoded once; what can then be written plainly is, and everything else is escaped again, so that two
spellings of a target never get two decisions. Repeated slashes become one. What servers are known to read in more than
one way is refused: dot segments, escaped slashes, backslashes, path parameters, escapes of escapes, bytes that are not
UTF-8, characters that become any of these when they are normalised.

The functions give a sentence on what is wrong instead of raising, and never guess.
"""

import functools
import ipaddress
import re
import unicodedata
from typing import Final
from urllib.parse import unquote_to_bytes

from interlock.core.addresses import host_problem
from interlock.protocols.http.wire.messages import AbsoluteTarget, Authority, Malformed, Target

MAX_QUERY_KEYS: Final = 1000

# What they look like; the functions below say whether they can be what they look like.
_HOST: Final = rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]{1,253})"
AUTHORITY: Final = re.compile(_HOST + rb"(?::[0-9]{1,5})?")
AUTHORITY_FORM: Final = re.compile(_HOST + rb":[0-9]{1,5}")
ABSOLUTE_FORM: Final = re.compile(rb"https?://" + _HOST + rb"(?::[0-9]{1,5})?(?:[/?][\x21-\x7e]*)?", re.IGNORECASE)

_VISIBLE: Final = re.compile(rb"[\x21-\x7e]+")
_WRONG_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SLASHES: Final = re.compile(r"//+")

# Canonical already: nothing to decode, to escape or to refuse.
_PLAIN_PATH: Final = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9\-._~!$&'()*+,=:@]+)*/?")
_PLAIN_QUERY: Final = re.compile(rb"[A-Za-z0-9\-._~]+=[A-Za-z0-9\-._~]*(?:&[A-Za-z0-9\-._~]+=[A-Za-z0-9\-._~]*){0,99}")

# What stays as it is besides letters, digits and -._~ (RFC 3986, sections 3.3 and 3.4).
PATH_SAFE: Final = b"/!$&'()*+,=:@"
_KEY_SAFE: Final = b"!$'()*,:@/?"
_VALUE_SAFE: Final = b"!$'()*,:@/?="
_UNRESERVED: Final = frozenset(b"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def _escapes(safe: bytes) -> dict[int, str]:
    """What stands for each byte that cannot be written plainly."""
    return {byte: f"%{byte:02X}" for byte in range(256) if byte not in _UNRESERVED and byte not in safe}


_PATH_ESCAPES: Final = _escapes(PATH_SAFE)
_KEY_ESCAPES: Final = _escapes(_KEY_SAFE)
_VALUE_ESCAPES: Final = _escapes(_VALUE_SAFE)

_REFUSED_IN_PATHS: Final = {
    "\\": "a backslash",
    "%": "an escaped percent sign, which some servers decode twice",
    ";": "a semicolon, which begins a parameter for some servers",
}
_PORTS: Final = {"http": 80, "https": 443}


def canonical_target(raw: bytes) -> Target | str:
    """A target in origin-form, or what is wrong with it."""
    try:
        return _origin_form(raw)
    except Malformed as malformed:
        return malformed.reason


def absolute_form(raw: bytes, host: bytes) -> AbsoluteTarget | str:
    """A target in absolute-form, as a proxy gets it, or what is wrong with it.

    RFC 9112, section 3.2.2, has proxies ignore the Host field. Here it must name the same host and port, because
    somebody else may have looked at it. A message of HTTP/1.0 may have no such field: ``host`` is empty then.
    """
    try:
        scheme, authority, target = _absolute_form(raw)
        name, port = _with_port(authority, scheme)
        if host and _with_port(_authority(host), scheme) != (name, port):
            return "the target and the field host name two hosts"
        return AbsoluteTarget(scheme, name, port, target)
    except Malformed as malformed:
        return malformed.reason


def authority_form(raw: bytes) -> Authority | str:
    """The target of a CONNECT request, which has a port, or what is wrong with it."""
    authority = canonical_authority(raw)
    if isinstance(authority, Authority) and authority.port is None:
        return "the target has no port"
    return authority


def asterisk_form(raw: bytes) -> Target | str:
    """The target of an OPTIONS request about the whole server, or what is wrong with it."""
    return Target("*", "", ()) if raw == b"*" else "the target is not *"


@functools.lru_cache(maxsize=1024)
def canonical_authority(raw: bytes) -> Authority | str:
    """The host and port of a Host field, or what is wrong with it.

    Names are in lower case, and addresses are written in one way: an IPv4 address in four decimal numbers, also when it
    is mapped into IPv6, and IPv6 as short as can be.
    """
    try:
        return _authority(raw)
    except Malformed as malformed:
        return malformed.reason


def _origin_form(raw: bytes) -> Target:
    path, _, query = raw.partition(b"?")
    if not path or _PLAIN_PATH.fullmatch(path) is None:
        path = _path(path)
    if not query:
        return Target(path.decode("ascii"), "", ())
    if _PLAIN_QUERY.fullmatch(query) is not None:
        text = query.decode("ascii")
        return Target(path.decode("ascii"), text, tuple([pair.partition("=")[0] for pair in text.split("&")]))
    return _with_query(path.decode("ascii"), query)


def _path(raw: bytes) -> bytes:
    text = _decoded(raw)
    if not text.startswith("/"):
        raise _wrong("the target does not begin with a slash")
    if text.count("/") != raw.count(b"/"):
        raise _wrong("the path has an escaped slash")
    for character, what in _REFUSED_IN_PATHS.items():
        if character in text:
            raise _wrong(f"the path has {what}")
    if _CONTROL.search(text):
        raise _wrong("the path has an escaped control character")
    if _has_dot_segment(text):
        raise _wrong("the path has a segment that is . or ..")
    if not text.isascii():
        _refuse_lookalikes(text)
    return _escaped(_SLASHES.sub("/", text), _PATH_ESCAPES).encode("ascii")


def _has_dot_segment(path: str) -> bool:
    return any(segment.strip(" ") in (".", "..") for segment in path.split("/"))


def _refuse_lookalikes(path: str) -> None:
    """Raise when a server that normalises characters (NFKC) would see other segments."""
    normalised = unicodedata.normalize("NFKC", path)
    same = all(normalised.count(character) == path.count(character) for character in "/\\%;?#")
    if not same or _has_dot_segment(normalised):
        raise _wrong("the path has characters that some servers take for slashes, dots or the like")


def _with_query(path: str, query: bytes) -> Target:
    """A semicolon is escaped, since some servers take it for an ampersand. A plus sign stays what it was."""
    keys: list[str] = []
    pairs: list[str] = []
    for pair in query.split(b"&"):
        if not pair:
            continue
        key, equals, value = pair.partition(b"=")
        keys.append(_decoded(key.replace(b"+", b"%20")))
        pairs.append(_part(key, _KEY_ESCAPES) + equals.decode("ascii") + _part(value, _VALUE_ESCAPES))
        if len(keys) > MAX_QUERY_KEYS:
            raise _wrong(f"the query has more than {MAX_QUERY_KEYS} keys")
    return Target(path, "&".join(pairs), tuple(keys))


def _part(part: bytes, escapes: dict[int, str]) -> str:
    """The canonical form of a key or value: a plus sign and an escaped plus sign remain two things."""
    return "+".join([_escaped(_decoded(piece), escapes) for piece in part.split(b"+")])


def _escaped(text: str, escapes: dict[int, str]) -> str:
    return text.encode("utf-8").decode("latin-1").translate(escapes)


def _decoded(part: bytes) -> str:
    """A part of a target with its escapes decoded once."""
    if part and _VISIBLE.fullmatch(part) is None:
        raise _wrong("the target has bytes that are not visible ASCII: escape them")
    if b"#" in part:
        raise _wrong("the target has a fragment, which is not for servers")
    if _WRONG_ESCAPE.search(part):
        raise _wrong("the target has a percent sign without two hexadecimal digits")
    try:
        text = unquote_to_bytes(part).decode("utf-8")
    except UnicodeDecodeError:
        raise _wrong("the target has escapes that are not UTF-8") from None
    if "\0" in text:
        raise _wrong("the target has an escaped NUL")
    return text


def _absolute_form(raw: bytes) -> tuple[str, Authority, Target]:
    scheme, separator, rest = raw.partition(b"://")
    name = scheme.lower().decode("ascii", "replace")
    if not separator or name not in _PORTS:
        raise _wrong("the target is not an http or https address")
    authority = re.split(rb"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    return name, _authority(authority), _origin_form(path if path.startswith(b"/") else b"/" + path)


def _with_port(authority: Authority, scheme: str) -> tuple[str, int]:
    return authority.host, _PORTS[scheme] if authority.port is None else authority.port


def _authority(raw: bytes) -> Authority:
    if b"@" in raw:
        raise _wrong("the host comes with user information: send credentials in a field")
    if AUTHORITY.fullmatch(raw) is None:
        raise _wrong("the host is not a name or an address, with or without a port")
    text = raw.decode("ascii").lower()
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return Authority(_ipv6(host), _port(port[1:]) if port else None)
    host, colon, port = text.partition(":")
    if problem := host_problem(host):
        raise _wrong(f"the host cannot be used: {problem}")
    return Authority(host, _port(port) if colon else None)


def _port(text: str) -> int:
    if text.startswith("0") or int(text) > 0xFFFF:
        raise _wrong("the port is not a number from 1 to 65535")
    return int(text)


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise _wrong("the host is in brackets and not an IPv6 address") from None
    return str(address.ipv4_mapped or address)


def _wrong(reason: str) -> Malformed:
    return Malformed(400, reason)
