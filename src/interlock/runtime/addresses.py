"""From a host to the addresses that are dialled for it: looked up once, every one of them checked.

Whoever dials uses what this returns and looks nothing up again: a name that stands for something else a moment later
(DNS rebinding) changes nothing then.
"""

import asyncio
import enum
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from interlock.core.addresses import IpAddress, Reach, host_problem, reach_of, read_address
from interlock.core.errors import AddressNotPermitted

MAX_ADDRESSES: Final = 16

LookUp = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, as text. Raises ``OSError``."""


class Trust(enum.Enum):
    """Why a host is dialled, and so what it may stand for."""

    WRITTEN = enum.auto()
    """The operator wrote this very host. A name may be private; an address may be any."""
    PRIVATE = enum.auto()
    """It matches a pattern of the operator's, which may reach private addresses."""
    PUBLIC = enum.auto()
    """It matches a pattern of the operator's."""


async def look_up(host: str, port: int) -> list[str]:
    """The system's answer. Raises ``OSError``."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in infos]


async def permitted_addresses(host: str, port: int, trust: Trust, look_up: LookUp = look_up) -> list[str]:
    """The addresses to try for a host, in order. Raises ``AddressNotPermitted`` when any may not be, ``OSError``."""
    if problem := host_problem(host):
        raise AddressNotPermitted(f"{host!r} cannot be dialled: {problem}")
    literal = read_address(host)
    if literal is not None:
        if trust is not Trust.WRITTEN:
            _check(host, literal, trust)
        return [str(literal)]
    found = list(dict.fromkeys(await look_up(host, port)))[:MAX_ADDRESSES]
    if not found:
        raise OSError(f"{host} has no address")
    return [_checked(host, text, trust) for text in found]


def _checked(host: str, text: str, trust: Trust) -> str:
    address = read_address(text)
    if address is None:
        raise AddressNotPermitted(f"{host} stands for {text}, which is no address that can be checked")
    _check(host, address, trust)
    return str(address)


def _check(host: str, address: IpAddress, trust: Trust) -> None:
    reach, what = reach_of(address)
    if reach is Reach.UNFIT or (reach is Reach.PRIVATE and trust is Trust.PUBLIC):
        raise AddressNotPermitted(f"{host} stands for {address}, which is {what}")
