"""What goes to the client: an answer to each of its requests, and sentences on standard error for people.

Clients of OpenSSH do not show the text of a status, so what was refused is said there as well.
"""

from interlock.core.decision import Hold
from interlock.core.denial import Denial
from interlock.protocols.ssh.events import Effect, Output, ToClient
from interlock.protocols.ssh.notices import notice
from interlock.protocols.ssh.sftp import wire
from interlock.protocols.ssh.sftp.wire import Malformed, StatusCode


class ClientEnd:
    """The client's side of one channel. ``unanswered`` are the ids of its requests that have no answer yet."""

    def __init__(self) -> None:
        self.unanswered: set[int] = set()
        self._last_notice = b""

    def asked(self, packet: bytes) -> None:
        """A request has come. Raises ``Malformed`` when its id is that of one that is not answered."""
        identifier = wire.identifier_of(packet)
        if identifier in self.unanswered:
            raise Malformed(f"its id {identifier} is that of a request that has no answer yet")
        self.unanswered.add(identifier)

    def reply(self, packet: bytes, effects: list[Effect]) -> None:
        """Answer the request with the packet's id."""
        self.unanswered.discard(wire.identifier_of(packet))
        effects.append(ToClient(packet))

    def fail(self, identifier: int, message: str, effects: list[Effect]) -> None:
        """Answer that it has failed, for a reason that is the gateway's own."""
        self.reply(wire.status(identifier, StatusCode.FAILURE, message), effects)

    def refuse(self, identifier: int, why: Denial | Hold, effects: list[Effect]) -> None:
        """Answer that it is not permitted; a hold that nobody can be asked about is a refusal."""
        message, hint = why.message, why.hint if isinstance(why, Denial) else ""
        if isinstance(why, Hold):
            groups = ", ".join(sorted({demand.group for demand in why.demands}))
            message, hint = f"denied: needs approval by {groups}: {why.message}", f"Ask {groups}."
        self.reply(wire.status(identifier, StatusCode.PERMISSION_DENIED, f"{message} {hint}".rstrip()), effects)
        self.tell(message, hint, effects)

    def tell(self, message: str, hint: str, effects: list[Effect]) -> None:
        """Say something on standard error, once when it is said several times in a row."""
        lines = notice(message, hint)
        if lines != self._last_notice:
            self._last_notice = lines
            effects.append(ToClient(lines, Output.STDERR))
