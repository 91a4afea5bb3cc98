"""What the target owes answers for, and how answers go on to the client as part of their operations."""

from collections.abc import Callable
from typing import Final

from interlock.core.operation import OutcomeStatus
from interlock.core.printable import one_line
from interlock.protocols.base import RecordAnswer
from interlock.protocols.ssh.events import Effect
from interlock.protocols.ssh.recorded import Stream, encode
from interlock.protocols.ssh.sftp import wire
from interlock.protocols.ssh.sftp.answers import Status, read_status
from interlock.protocols.ssh.sftp.client_end import ClientEnd
from interlock.protocols.ssh.sftp.running import Running, RunningOperations
from interlock.protocols.ssh.sftp.wire import Malformed, PacketType

Owed = Callable[[bytes, list[Effect]], None]
"""Takes the answer to one request. Raises ``Malformed`` when it is none to that."""
Outstanding = dict[int, Owed]
"""By the id of the request."""

_BUDGET: Final = "a budget is spent"


class Answering:
    """Passes answers on. ``packet`` is an answer of the target, or one that the gateway gives in its stead."""

    def __init__(self, client: ClientEnd, operations: RunningOperations) -> None:
        self._client: Final = client
        self._operations: Final = operations

    def deliver(self, running: Running, packet: bytes, kept: bytes, effects: list[Effect]) -> bool:
        """A part of an operation's answer, or, when a budget has no room for it, the refusal. Whether it went on.

        ``kept`` goes to the recording, empty for nothing.
        """
        if not running.may_send(len(packet)):
            assert running.allowance is not None
            self._client.refuse(wire.identifier_of(packet), running.allowance.refusal(), effects)
            return False
        if kept:
            effects.append(RecordAnswer(running.number, encode(Stream.OUTPUT, kept)))
        self._client.reply(packet, effects)
        return True

    def complete(self, running: Running, packet: bytes, kept: bytes, effects: list[Effect]) -> None:
        """The whole of an operation's answer."""
        if self.deliver(running, packet, kept, effects):
            self._operations.finish(running, OutcomeStatus.COMPLETED, effects)
        else:
            self._operations.finish(running, OutcomeStatus.FAILED, effects, tag=_BUDGET)

    def end(self, running: Running, packet: bytes, failure: Status | None, effects: list[Effect]) -> None:
        """A status is the whole of an operation's answer; ``failure`` is why it has failed, None when it has not."""
        if failure is None:
            self._client.reply(packet, effects)
            self._operations.finish(running, OutcomeStatus.COMPLETED, effects)
            return
        text = f"{failure.word}: {one_line(failure.message)}\n".encode(errors="replace")
        effects.append(RecordAnswer(running.number, encode(Stream.ERROR, text)))
        self._client.reply(packet, effects)
        self._operations.finish(running, OutcomeStatus.FAILED, effects, code=failure.word)


def failure_of(packet: bytes, expected: PacketType) -> Status | None:
    """Why there is no answer of the expected type, or, of a status, why it is none of success; else None.

    Raises ``Malformed`` for any other type.
    """
    if packet[4] != PacketType.STATUS:
        if packet[4] != expected:
            raise Malformed(f"its type is {packet[4]} where {expected.value} is expected")
        return None
    status = read_status(packet)
    if not status.is_ok:
        return status
    if expected is not PacketType.STATUS:
        raise Malformed(f"it says that all is well where type {expected.value} is expected")
    return None
