"""A tunnel that the gateway cannot look into: bytes pass both ways and are counted.

The module is plain typed Python that mypyc compiles where a C compiler is at hand.
"""

from typing import Final

from interlock.core.budget import Allowance
from interlock.core.operation import Access, Meaning, Outcome, OutcomeStatus, ResourceKind
from interlock.protocols import base
from interlock.protocols.base import Effect, Side
from interlock.protocols.http.wire.messages import Authority

_USUAL_PORT: Final = 443


def tunnel_meaning(authority: Authority) -> Meaning:
    """The meaning of ``CONNECT`` (RFC 9110, section 9.3.6) where nothing is looked into."""
    shown = authority.host if authority.port in (None, _USUAL_PORT) else f"{authority.host}:{authority.port}"
    access = Access("http-tunnel", ResourceKind.HOST, (authority.host,))
    return Meaning("CONNECT", (access,), {"http": {"method": "CONNECT", "host": shown}})


class BlindTunnel:
    """One tunnel, as part of operation ``number``."""

    def __init__(self, number: int, allowance: Allowance | None) -> None:
        self.number: Final = number
        self._allowance: Final = allowance
        self.up_bytes = 0
        self.down_bytes = 0

    def receive(self, side: Side, data: bytes, effects: list[Effect]) -> bool:
        """Pass bytes on; whether they might be."""
        if side is Side.CLIENT:
            self.up_bytes += len(data)
            effects.append(base.Send(Side.TARGET, data))
            return True
        if self._allowance is not None:
            self._allowance.begin()
            if not self._allowance.take(0, len(data)):
                return False
        self.down_bytes += len(data)
        effects.append(base.Send(Side.CLIENT, data))
        return True

    def outcome(self, status: OutcomeStatus) -> Outcome:
        """What is said of it at its end: bytes to the client, and in the tag those to the target."""
        return Outcome(self.number, status, f"{self.up_bytes} bytes up", bytes_sent=self.down_bytes)
