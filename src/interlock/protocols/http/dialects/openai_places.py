"""Addresses in a request that the model's provider goes to by itself: MCP servers, pictures, files.

No packet of it passes the gateway, so the host is all that can be decided on. Looks nothing up: a name that stands for
a private address is the provider's to refuse.
"""

import re
from typing import Final

from interlock.core.addresses import Reach, host_problem, reach_of, read_address
from interlock.protocols.http.dialects.json_facts import BodyRejected

_ADDRESS: Final = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[^/?#\[\]@:\\%\s]+)(?::([0-9]{1,5}))?(?:[/?#][^\\\s]*)?")
_INSIDE: Final = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "private")
"""Last labels of names that are only known inside of some network."""


def host_of(address: str, where: str) -> str:
    """The host of an ``https`` address in lower case, with its port unless that is 443; of ``http`` always with it.

    Raises ``BodyRejected`` for every other form of an address, and for a host inside somebody's network, as a
    metadata service; ``where`` says what in the request it is.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise BodyRejected(f"{where} is no plain https address, without user and in ASCII.")
    scheme, host, port = match[1], match[2].lower().removesuffix("."), match[3] or ""
    _check(host.strip("[]"), where)
    port = port.lstrip("0") or ("443" if scheme == "https" else "80")
    return host if (scheme, port) == ("https", "443") else f"{host}:{port}"


def _check(host: str, where: str) -> None:
    problem = host_problem(host)
    if problem is not None:
        raise BodyRejected(f"The host in {where} is refused: {problem}.")
    address = read_address(host)
    if address is None:
        if "." not in host or host.rpartition(".")[2] in _INSIDE:
            raise BodyRejected(f"The host in {where} is refused: the name is one inside of a network.")
        return
    reach, what = reach_of(address)
    if reach is not Reach.PUBLIC:
        raise BodyRejected(f"The host in {where} is refused: it is {what}.")
