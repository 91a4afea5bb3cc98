"""Sessions over SSH that are written down as they go, without an SSH connection."""

import msgspec
from tests.adapters.evidence import Gateway, PlainSealer, closed, decided, opened, session_id

from interlock.adapters.evidence_files import FileEvidenceStore
from interlock.adapters.recordings.keys import WrappedSessionKeys
from interlock.core.errors import EvidenceError
from interlock.core.ledger import OperationCompleted
from interlock.core.operation import Meaning, Operation
from interlock.protocols.ssh.recorded import Kind, Stream, encode
from interlock.protocols.ssh.transcript import SshTranscript
from interlock.services.evidence import EvidenceService
from interlock.services.evidence.archive import SessionTranscriber


class SshRecording:
    """One session. Every word in here takes a quarter of a second."""

    def __init__(self, gateway: Gateway, number: int = 1) -> None:
        self.session = session_id(number)
        self._gateway = gateway
        self._recorder = gateway.recordings.open(self.session, "ssh")
        start = msgspec.structs.replace(opened(self.session, self._recorder.wrapped_key), protocol="ssh")
        gateway.ledger.append_now(start)
        self._number = 0

    def ask(
        self, text: bytes, kind: Kind = Kind.EXEC, *, pty: bool = False, decision: str = "allowed", verb: str = "exec"
    ) -> int:
        """An operation is asked for and decided; its number."""
        self.wait(0.25)
        self._number += 1
        asked = Operation(self._number, Meaning(verb, ()), text, b"pty" if pty else b"", parameter_types=kind.value)
        sealed = self._recorder.seal(asked)
        record = decided(self.session, self._number, sealed, decision=decision, digest=asked.digest())
        self._gateway.ledger.append_now(msgspec.structs.replace(record, verb=verb, accesses=("ssh-read on Program x",)))
        return self._number

    def say(self, number: int, stream: Stream, data: bytes) -> None:
        """Something is recorded of an operation."""
        self.wait(0.25)
        keep = self._recorder.request if stream in (Stream.INPUT, Stream.SIGNAL) else self._recorder.answer
        keep(number, encode(stream, data))

    def end(self, number: int, status: int = 0, tag: str = "", found: tuple[tuple[str, int], ...] = ()) -> None:
        """An operation ends, with the tag of an exit unless another one is given."""
        if not tag:
            self.say(number, Stream.EXIT, str(status).encode())
        record = OperationCompleted(self.session, number, "completed", tag or f"EXIT {status}", "", 0, 100, found=found)
        self._gateway.ledger.note(record)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self._gateway.clock.at_s += seconds

    def close(self) -> None:
        """The session is over."""
        self._recorder.close()
        self._gateway.ledger.note(closed(self.session))


def transcriber(protocol: str) -> SessionTranscriber:
    """Reads recordings of SSH only."""
    if protocol != "ssh":
        raise EvidenceError(f"no {protocol} in here")
    return SshTranscript()


def evidence_of(gateway: Gateway) -> EvidenceService:
    """The evidence of a gateway, by now."""
    gateway.recordings.tick()
    gateway.recordings.drain()
    gateway.ledger.checkpoint()
    store = FileEvidenceStore()
    return EvidenceService(store.archive(gateway.directory), WrappedSessionKeys(PlainSealer()), transcriber, store)
