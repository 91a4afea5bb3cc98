"""What delivery needs from the outside: the kept messages, statements, and the channels themselves."""

from typing import Protocol

from interlock.core.errors import InterlockError
from interlock.core.notification import Excerpt, Letter, Outgoing


class DeliveryFailed(InterlockError):
    """A channel did not take a message. The text is for operators and holds no secret and no answer of a stranger.

    ``refused``: the channel works, and does not want this message; other messages may fare better.
    """

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


class Channel(Protocol):
    """One place that messages go to."""

    async def deliver(self, letter: Letter) -> str:
        """Hand a message over; returns what the place said to that, in the gateway's words. Raises DeliveryFailed."""


class Excerpts(Protocol):
    """Knows the statements that requests for approval are about."""

    def excerpt(self, approval: str) -> Excerpt | None:
        """The beginning of one; None when it cannot be had. Raises nothing."""


class Outbox(Protocol):
    """Messages on their way, in the state store. All methods raise ``StateUnavailable``."""

    async def add(self, outgoing: Outgoing, capacity: int) -> bool:
        """Keep a message; False, and nothing is kept, when its channel has ``capacity`` of them already."""

    async def gather(self, outgoing: Outgoing, kind: str) -> None:
        """Count one of this kind into what its channel is gathering; ``outgoing`` is kept when it gathers nothing."""

    def next(self, channel: str) -> Outgoing | None:
        """What of a channel is due first, or will be."""

    async def save(self, outgoing: Outgoing) -> Outgoing:
        """Put a message that was tried back, or stop its gathering; returns it with what was gathered until then."""

    async def remove(self, outgoing_id: str) -> None:
        """Forget a message; one that is not there is none to forget."""

    def waiting(self) -> dict[str, int]:
        """How many there are, by channel."""
