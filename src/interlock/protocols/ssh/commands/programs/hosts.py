"""The name or address of a host, however it is written: in a URL, with a user, with a port, as a number.

Names are lower case without the final dot, IPv6 without brackets or zone, IPv4 dotted decimal. Nothing is looked up.
"""

import ipaddress
import re
from urllib.parse import unquote

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LOOPBACK = re.compile(r"localhost|127(?:\.\d+){3}|::1|0\.0\.0\.0")


def normalised(host: str) -> str:
    """``[::FFFF:7f00:1%eth0]`` -> ``127.0.0.1``, ``0x7f.1`` -> ``127.0.0.1``, ``Example.ORG.`` -> ``example.org``."""
    bare = unquote(host).strip().strip("[]").partition("%")[0].lower().rstrip(".")
    address = _ipv6(bare) if ":" in bare else _ipv4(bare)
    return address or bare


def _ipv6(text: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return str(address.ipv4_mapped or address)


def _ipv4(text: str) -> str | None:
    """As inet_aton(3): one to four parts, decimal, octal (``0…``) or hexadecimal (``0x…``), the last takes the rest."""
    parts = [_number(part) for part in text.split(".")]
    if not 1 <= len(parts) <= 4:
        return None
    numbers = [number for number in parts if number is not None]
    if len(numbers) != len(parts):
        return None
    *leading, last = numbers
    if any(number > 255 for number in leading) or last >= 256 ** (5 - len(parts)):
        return None
    value = last + sum(number << (24 - 8 * at) for at, number in enumerate(leading))
    return str(ipaddress.IPv4Address(value))


def _number(text: str) -> int | None:
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
        return int(text, 16)
    if re.fullmatch(r"0[0-7]+", text):
        return int(text, 8)
    return int(text) if re.fullmatch(r"[0-9]{1,10}", text) else None


def of_url(text: str) -> str | None:
    """The host of a URL or of what ``curl`` takes for one (``example.org/x``); None when it has none.

    A backslash is an end of the host to some clients and a part of the user to others: None as well.
    """
    rest = text[match.end() :] if (match := _SCHEME.match(text)) else text
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    return None if "\\" in authority else of_address(authority.rpartition("@")[2])


def of_address(text: str) -> str | None:
    """The host of ``host``, ``host:port``, ``[v6]:port`` or a bare IPv6 address."""
    if text.startswith("["):
        host = text.partition("]")[0]
    elif text.count(":") == 1:
        host = text.partition(":")[0]
    else:
        host = text
    return normalised(host) or None


def of_login(text: str) -> str | None:
    """The host of ``host``, ``user@host``, ``user@host:port``, ``ssh://user@host:port``."""
    return of_url(text) if _SCHEME.match(text) else of_address(text.rpartition("@")[2])


def of_remote_path(text: str) -> str | None:
    """The host of ``user@host:path``, ``host::module`` or a URL, as for scp, rsync and git; None for a local path."""
    if _SCHEME.match(text):
        return None if text.lower().startswith("file://") else of_url(text)
    bracketed = re.match(r"(?:[^/@]*@)?(\[[^\]]+\]):", text)
    if bracketed:
        return normalised(bracketed[1])
    head, colon, _ = text.partition(":")
    return normalised(head.rpartition("@")[2]) or None if colon and "/" not in head else None


def is_loopback(host: str) -> bool:
    """The machine itself."""
    return _LOOPBACK.fullmatch(host) is not None
