"""What a client's connection becomes when it is no longer one of requests: a tunnel, or a WebSocket."""

from typing import Protocol

from interlock.core.decision import Decision
from interlock.core.masking import Masking
from interlock.protocols import base
from interlock.protocols.base import Effect, Side


class Passage(Protocol):
    """Has the connection until it says, with ``ended``, why both sides are to be closed. Appends what to do."""

    @property
    def ended(self) -> str: ...

    @property
    def deciding(self) -> bool: ...

    def receive(self, side: Side, data: bytes, effects: list[Effect]) -> None:
        """Bytes of a side."""

    def side_left(self, side: Side, effects: list[Effect]) -> None:
        """A side sends nothing more."""

    def held(self, event: base.Held) -> None:
        """What was asked about waits for people."""

    def decided(self, decision: Decision, effects: list[Effect]) -> None:
        """The answer to what was asked last."""

    def mask_as(self, masking: Masking | None) -> None:
        """What is masked from here on."""

    def stop(self, reason: str, effects: list[Effect]) -> None:
        """The gateway ends it."""
