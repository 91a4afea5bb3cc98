"""An SFTP channel for tests: the state machine between a client's packets and a target, with policy in Python."""

import contextlib
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final, Protocol

from interlock.core.decision import Decision, Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.masking import Masking
from interlock.core.operation import Operation, Outcome
from interlock.core.settings import ConnectionSettings
from interlock.core.settings.ssh import SshAuthentication, SshTarget
from interlock.protocols import base
from interlock.protocols.base import Side
from interlock.protocols.ssh import events
from interlock.protocols.ssh.events import ChannelContext, Effect, Event, Numbers, Output, Subsystem
from interlock.protocols.ssh.sftp import wire
from interlock.protocols.ssh.sftp.framing import PacketReader
from interlock.protocols.ssh.sftp.session import SftpSession
from interlock.protocols.ssh.sftp.wire import PacketType, string, u32

SERVER: Final = Path("/usr/lib/openssh/sftp-server")
NO_ATTRIBUTES: Final = u32(0)

Policy = Callable[[Operation], Decision | None]
"""None leaves it undecided."""


def permit_all(_: Operation) -> Decision:
    return Permit(("test",), "policy")


def deny(*actions: str, under: str = "") -> Policy:
    """Denies operations with one of these actions on a path that begins so, and permits the others."""

    def decide(operation: Operation) -> Decision:
        for access in operation.meaning.accesses:
            path = "/".join(access.path).replace("//", "/")
            if operation.meaning.refusal:
                return Denial(DenialReason.UNSUPPORTED, operation.meaning.refusal)
            if access.action in actions and path.startswith(under):
                return Denial(DenialReason.FORBIDDEN, f"denied: {access.action} on {path}", "Ask somebody.")
        return permit_all(operation)

    return decide


class Target(Protocol):
    """Answers packets, at once."""

    def exchange(self, data: bytes) -> bytes: ...


class ServerTarget:
    """OpenSSH's own server as a process, which gives one answer for each packet."""

    def __init__(self, home: Path) -> None:
        self.home = home
        command = [str(SERVER), "-e", "-l", "FATAL", "-d", str(home)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._packets = PacketReader()

    def exchange(self, data: bytes) -> bytes:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        packets = self._packets.feed(data)
        self.process.stdin.write(b"".join(packets))
        self.process.stdin.flush()
        return b"".join(read_packet(self.process.stdout) for _ in packets)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


def read_packet(stream: IO[bytes]) -> bytes:
    length = stream.read(4)
    return length + stream.read(int.from_bytes(length))


@contextlib.contextmanager
def real_server(home: Path) -> Iterator[ServerTarget]:
    target = ServerTarget(home)
    try:
        yield target
    finally:
        target.close()


class Channel:
    """One channel. What the client sends goes in with ``send``; answers are in ``packets``, by id in ``answers``."""

    def __init__(
        self,
        target: Target | None,
        policy: Policy = permit_all,
        masking: Masking | None = None,
        cut: int = 0,
        **ssh: Any,
    ) -> None:
        settings = ConnectionSettings(
            protocol="ssh", host="host", user="agent", ssh=SshTarget(SshAuthentication.CERTIFICATE, **ssh)
        )
        self.context = ChannelContext(settings, "agent", masking)
        self.session = SftpSession(self.context, Numbers())
        self.target = target
        self.policy = policy
        self.cut = cut
        self.effects: list[Effect] = []
        self.to_target = b""
        self.packets: list[bytes] = []
        self.errors = b""
        self.operations: list[Operation] = []
        self.reports: list[Outcome] = []
        self.exit: events.Exit | None = None
        self._reader = PacketReader()
        self._events: deque[Event] = deque()
        self.last_id = 100
        self.feed(events.Requested(Subsystem("sftp")))

    # ------------------------------------------------------------ the client

    def send(self, data: bytes) -> None:
        step = self.cut or len(data) or 1
        for start in range(0, len(data), step):
            self.feed(events.ClientData(data[start : start + step]))

    def greet(self) -> "Channel":
        self.send(wire.greeting(PacketType.INIT))
        assert self.packets[0][4] == PacketType.VERSION
        return self

    def ask(self, kind: PacketType, *fields: bytes) -> bytes:
        """Send a request; its answer, or nothing when there is none yet."""
        self.last_id += 1
        self.send(wire.packet(kind, self.last_id, *fields))
        return self.answer(self.last_id)

    def extended(self, name: bytes, *fields: bytes) -> bytes:
        return self.ask(PacketType.EXTENDED, string(name), *fields)

    def answer(self, identifier: int) -> bytes:
        return next((one for one in self.packets[1:] if wire.identifier_of(one) == identifier), b"")

    def open(self, name: bytes, flags: int) -> bytes:
        """The handle."""
        answer = self.ask(PacketType.OPEN, string(name), u32(flags), NO_ATTRIBUTES)
        assert answer[4] == PacketType.HANDLE, answer
        return answer[13:]

    # ------------------------------------------------------------ the surroundings

    def feed_target(self, data: bytes) -> None:
        self.feed(events.TargetData(Output.STDOUT, data))

    def feed(self, event: Event) -> None:
        self._events.append(event)
        while self._events:
            for effect in self.session.handle(self._events.popleft()):
                self.effects.append(effect)
                self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case events.OpenTarget():
                self._events.append(events.TargetOpened())
            case events.ToTarget(data):
                self.to_target += data
                if self.target is not None:
                    self._answer(self.target.exchange(data))
            case events.ToClient(data, Output.STDOUT):
                self.packets += self._reader.feed(data)
            case events.ToClient(data, Output.STDERR):
                self.errors += data
            case base.Authorize(operations):
                self.operations += operations
                decision = self.policy(operations[0])
                if decision is not None:
                    self._events.append(base.Decided((decision,)))
            case base.Report(outcome):
                self.reports.append(outcome)
            case events.Exit():
                assert self.exit is None
                self.exit = effect
            case events.TargetEnds():
                self._events.append(events.TargetClosed(0))
            case _:
                pass

    def _answer(self, data: bytes) -> None:
        step = self.cut or len(data) or 1
        for start in range(0, len(data), step):
            self._events.append(events.TargetData(Output.STDOUT, data[start : start + step]))

    @property
    def sent(self) -> list[bytes]:
        """The packets that went to the target, without the gateway's own beginning."""
        packets = PacketReader().feed(self.to_target)
        return [one for one in packets[1:] if wire.identifier_of(one) > 1]

    @property
    def paused(self) -> bool:
        last = [effect for effect in self.effects if isinstance(effect, (base.Pause, base.Resume))]
        return bool(last) and last[-1] == base.Pause(Side.CLIENT)

    @property
    def texts(self) -> list[str]:
        return [operation.text.decode() for operation in self.operations]
