"""A tunnel that the gateway cannot look into: bytes pass both ways and are counted.

The module is plain typed Python that mypyc compiles where a C compiler is at hand.
"""

from typing import Final

from interlock.core.budget import Allowance
from interlock.core.decision import Decision
from interlock.core.masking import Masking
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
    """Implements ``Passage`` for one tunnel, as operation ``number``."""

    def __init__(self, number: int, allowance: Allowance | None) -> None:
        self._number: Final = number
        self._allowance: Final = allowance
        self._up_bytes = 0
        self._down_bytes = 0
        self.ended = ""

    @property
    def deciding(self) -> bool:
        return False

    def receive(self, side: Side, data: bytes, effects: list[Effect]) -> None:
        if side is Side.CLIENT:
            self._up_bytes += len(data)
            effects.append(base.Send(Side.TARGET, data))
        elif self._may_pass(len(data)):
            self._down_bytes += len(data)
            effects.append(base.Send(Side.CLIENT, data))
        else:
            self._end("a budget is spent", OutcomeStatus.INTERRUPTED, effects)

    def side_left(self, side: Side, effects: list[Effect]) -> None:
        self._end(f"the {side.value} has left", OutcomeStatus.COMPLETED, effects)

    def held(self, event: base.Held) -> None:
        """Nothing is asked within a tunnel."""

    def decided(self, decision: Decision, effects: list[Effect]) -> None:
        """Nothing is asked within a tunnel."""

    def mask_as(self, masking: Masking | None) -> None:
        """Nothing is looked into."""

    def stop(self, reason: str, effects: list[Effect]) -> None:
        self._end(reason, OutcomeStatus.INTERRUPTED, effects)

    def _may_pass(self, size: int) -> bool:
        if self._allowance is None:
            return True
        self._allowance.begin()
        return self._allowance.take(0, size)

    def _end(self, reason: str, status: OutcomeStatus, effects: list[Effect]) -> None:
        """Bytes to the client are counted as such, those to the target in the tag."""
        self.ended = reason
        outcome = Outcome(self._number, status, f"{self._up_bytes} bytes up", bytes_sent=self._down_bytes)
        effects.append(base.Report(outcome))
