"""The one request that is being looked up, decided, or held; nothing behind it is taken meanwhile.

What was held is looked up once more when it is permitted: in the time that people take, a name may have come to lead
elsewhere.
"""

from functools import partial
from typing import Final

from interlock.core.decision import Decision, Permit
from interlock.core.operation import Operation, OutcomeStatus
from interlock.protocols.base import Authorize
from interlock.protocols.ssh.events import Effect, Numbers, ToTarget
from interlock.protocols.ssh.recorded import Kind
from interlock.protocols.ssh.sftp import wire
from interlock.protocols.ssh.sftp.answers import Answer, read_path
from interlock.protocols.ssh.sftp.client_end import ClientEnd
from interlock.protocols.ssh.sftp.forwarded import ForwardedRequests
from interlock.protocols.ssh.sftp.open_files import OpenFiles
from interlock.protocols.ssh.sftp.owed import Answering, Outstanding
from interlock.protocols.ssh.sftp.places import Asking
from interlock.protocols.ssh.sftp.requests import Intent, RequestReader
from interlock.protocols.ssh.sftp.running import Running, RunningOperations
from interlock.protocols.ssh.sftp.wire import PacketType

_CHANGED: Final = "what the name leads to has changed while the request was waiting; ask again"
_OPENS: Final = (PacketType.OPEN, PacketType.OPENDIR)


class AskedRequest:
    """Takes a request from its packet to the target, or to the answer that the client gets instead."""

    def __init__(
        self,
        requests: RequestReader,
        numbers: Numbers,
        client: ClientEnd,
        answering: Answering,
        operations: RunningOperations,
        files: OpenFiles,
        outstanding: Outstanding,
    ) -> None:
        self._requests: Final = requests
        self._numbers: Final = numbers
        self._client: Final = client
        self._forwarded: Final = ForwardedRequests(client, answering, files)
        self._operations: Final = operations
        self._files: Final = files
        self._outstanding: Final = outstanding
        self._packet = b""
        """The request; empty when there is none."""
        self._steps: Asking[Intent] | None = None
        self._intent: Intent | None = None
        self._number = 0
        self._running: Running | None = None
        """The operation, when it is permitted and looked up once more."""
        self.is_deciding = False
        self.held = False
        self.masking_version = ""
        """Of what the caller must not see, as files are masked now."""

    @property
    def is_open(self) -> bool:
        """Whether there is one."""
        return bool(self._packet)

    def begin(self, packet: bytes, effects: list[Effect]) -> None:
        """Take a request. Raises ``Malformed``."""
        if packet[4] in _OPENS and self._files.are_full:
            self._client.fail(wire.identifier_of(packet), "too many files are open on this channel", effects)
            return
        self._packet = packet
        self._look_up(effects)

    def drop(self) -> None:
        """The channel has ended."""
        self._packet, self._steps, self._intent, self._running = b"", None, None, None
        self.is_deciding = self.held = False

    # ------------------------------------------------------------ where its names lead

    def _look_up(self, effects: list[Effect]) -> None:
        self._steps = self._requests.read(self._packet)
        self._step(None, effects)

    def _step(self, answer: Answer | None, effects: list[Effect]) -> None:
        assert self._steps is not None
        try:
            question = next(self._steps) if answer is None else self._steps.send(answer)
        except StopIteration as end:
            self._known(end.value, effects)
            return
        identifier = wire.identifier_of(self._packet)
        self._outstanding[identifier] = self._told
        effects.append(ToTarget(wire.packet(question.kind, identifier, question.fields)))

    def _told(self, packet: bytes, effects: list[Effect]) -> None:
        self._step(read_path(packet), effects)

    def _known(self, intent: Intent, effects: list[Effect]) -> None:
        if self._running is not None:
            self._known_again(intent, self._running, effects)
        elif intent.meaning is None:
            self._client.reply(intent.answer, effects)
            self.drop()
        else:
            self._intent = intent
            self._number = self._numbers.next()
            self.is_deciding = True
            text = intent.text.encode(errors="backslashreplace")
            operation = Operation(
                self._number, intent.meaning, text, masking=self.masking_version, parameter_types=Kind.SFTP.value
            )
            effects.append(Authorize((operation,)))

    def _known_again(self, intent: Intent, running: Running, effects: list[Effect]) -> None:
        before = self._intent
        assert before is not None
        if intent.meaning is not None and (intent.text, intent.forward, intent.answer) == (
            before.text,
            before.forward,
            before.answer,
        ):
            self._go(intent, running, effects)
            return
        self._client.fail(wire.identifier_of(self._packet), _CHANGED, effects)
        self._client.tell(_CHANGED, "", effects)
        self._operations.finish(running, OutcomeStatus.SKIPPED, effects, tag=_CHANGED)
        self.drop()

    # ------------------------------------------------------------ what is decided

    def decided(self, decision: Decision, effects: list[Effect]) -> None:
        """The answer to ``Authorize``."""
        intent = self._intent
        if not self.is_deciding or intent is None or intent.meaning is None:
            return
        self.is_deciding = False
        if not isinstance(decision, Permit):
            self._client.refuse(wire.identifier_of(self._packet), decision, effects)
            self.drop()
            return
        running = self._operations.start(self._number, intent.meaning.verb, decision.allowance)
        if self.held:
            self._running = running
            self._look_up(effects)
        else:
            self._go(intent, running, effects)

    def _go(self, intent: Intent, running: Running, effects: list[Effect]) -> None:
        """What was decided on goes to the target; or to the client, when the target has said it already."""
        if intent.forward:
            self._forward(intent, running, effects)
        else:
            expected = PacketType.NAME if intent.answer[4] == PacketType.NAME else PacketType.STATUS
            self._forwarded.answered(running, expected, intent.answer, effects)
        self.drop()

    def _forward(self, intent: Intent, running: Running, effects: list[Effect]) -> None:
        if intent.scatters is not None:
            intent.scatters.scatter()
        if intent.opening is not None:
            self._files.opening += 1
            owed = partial(self._forwarded.opened, running, intent.opening)
        else:
            owed = partial(self._forwarded.answered, running, intent.expects)
        self._outstanding[wire.identifier_of(self._packet)] = owed
        effects.append(ToTarget(intent.forward))
