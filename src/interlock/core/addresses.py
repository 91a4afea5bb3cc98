"""Which IP addresses a name may stand for, and what is a host name at all. Looks nothing up.

Sources: the IANA registries of special-purpose addresses (RFC 6890), RFC 4291, RFC 6052 (NAT64), RFC 3056 (6to4),
RFC 4380 (Teredo), and what clouds document about their metadata services.
"""

import enum
import ipaddress
import re
from collections.abc import Iterable
from typing import Final

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Reach(enum.Enum):
    """How far an address reaches."""

    PUBLIC = "public"
    PRIVATE = "private"
    """Inside an organisation or on this machine."""
    UNFIT = "unfit"
    """No target that a name could rightly stand for: a metadata service, this link, no single host."""


def _networks(*texts: str) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# The first that holds an address says what it is.
_SPECIAL: Final[tuple[tuple[Reach, str, tuple[_Network, ...]], ...]] = (
    (
        Reach.UNFIT,
        "a cloud's metadata service",
        _networks(
            "169.254.169.254/32",
            "169.254.170.2/32",
            "169.254.170.23/32",
            "100.100.100.200/32",
            "168.63.129.16/32",
            "192.0.0.192/32",
            "fd00:ec2::254/128",
            "fd00:ec2::23/128",
            "fd20:ce::254/128",
        ),
    ),
    (Reach.UNFIT, "unspecified", _networks("0.0.0.0/8", "::/128")),
    (Reach.PRIVATE, "a loopback address", _networks("127.0.0.0/8", "::1/128")),
    (Reach.UNFIT, "link-local", _networks("169.254.0.0/16", "fe80::/10")),
    (
        Reach.PRIVATE,
        "a private address",
        _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10"),
    ),
    (Reach.UNFIT, "a multicast address", _networks("224.0.0.0/4", "ff00::/8")),
    (
        Reach.UNFIT,
        "a reserved address",
        _networks(
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "2001::/23",  # with Teredo and ORCHID
            "2001:db8::/32",
            "2002::/16",  # 6to4: what is in it is for a relay nobody can check
            "3fff::/20",
        ),
    ),
)
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def reach_of(address: IpAddress) -> tuple[Reach, str]:
    """How far an address reaches, and what it is in words that follow "it is".

    An IPv4 address inside an IPv6 one (mapped, or NAT64 with the well-known prefix) counts as itself.
    """
    address = _plain(address)
    for reach, what, networks in _SPECIAL:
        if any(address in network for network in networks):
            return reach, what
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return Reach.UNFIT, "a reserved address"
    return Reach.PUBLIC, "a public address"


def _plain(address: IpAddress) -> IpAddress:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def read_address(host: str) -> IpAddress | None:
    """The address that a host is written as: four decimal numbers, or IPv6 without brackets and zone; else None."""
    try:
        return ipaddress.ip_address(host) if "%" not in host else None
    except ValueError:
        return None


def one_source(host: str) -> str:
    """What counts as one source of clients: of IPv6 the /64, which one host has; an IPv4 address however written."""
    address = read_address(host.partition("%")[0])
    if address is None:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return str(address if address.version == 4 else ipaddress.ip_network((address, 64), strict=False))


def client_source(address: str) -> str:
    """``one_source`` of a client's address, with a port (``host:port``) or without."""
    host = address if read_address(address) is not None else address.rpartition(":")[0] or address
    return one_source(host.strip("[]"))


MAX_HOST_LENGTH: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


def is_within(host: str, networks: Iterable[str]) -> bool:
    """Whether an address, with or without brackets, is in one of the networks. What cannot be read is in none."""
    address = read_address(host.strip("[]").partition("%")[0])
    if address is None:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    try:
        return any(address in ipaddress.ip_network(network) for network in networks)
    except ValueError:
        return False


def network_within(network: str, networks: Iterable[str]) -> bool:
    """Whether a network, or address, is a part of one of the networks. Raises ``ValueError`` for what is none."""
    inner = ipaddress.ip_network(network)
    return any(_is_part(inner, ipaddress.ip_network(outer)) for outer in networks)


def _is_part(inner: _Network, outer: _Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


def host_problem(host: str) -> str | None:
    """What is wrong with a host in lower case, None when it is a host name or an address.

    Addresses in other notations (``2130706433``, ``0177.0.0.1``, ``0x7f.1``, ``127.1``) are none: resolvers do not
    agree on what they are. By the last label, as browsers tell (WHATWG URL, "ends in a number").
    """
    if read_address(host) is not None:
        return None
    if ":" in host or "%" in host or "[" in host:
        return "it is neither a host name nor an address"
    if len(host) > MAX_HOST_LENGTH:
        return f"it is longer than {MAX_HOST_LENGTH} characters"
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return "an address must be written as four decimal numbers, or as IPv6"
    if not all(_LABEL.fullmatch(label) for label in labels):
        return "it is not a host name: labels of letters, digits and hyphens, with dots between them"
    return None
