"""Where a name leads: the host is asked, before anything is decided, what links in it stand for.

A *place* has the name as it was written and the one that the host says it really is. Policy decides on both, and the
request goes on with the real one, in which there was no link when the host was asked. Between the question and the
request somebody on the host may still put a link there.

The functions are generators: they yield questions for the target and are sent its answers.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from interlock.protocols.ssh.sftp.answers import Answer, Status
from interlock.protocols.ssh.sftp.names import MAX_NAME_BYTES, UnclearName, joined, parted, told
from interlock.protocols.ssh.sftp.wire import PacketType, string

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """A request of the gateway's own: its type and its fields behind the id. The answer is a path or a status."""

    kind: PacketType
    fields: bytes


Asking = Generator[Question, Answer, T]


@dataclass(frozen=True, slots=True)
class Place:
    """``real`` is None when the host does not know the name; ``problem`` is then what it says."""

    written: str
    real: str | None
    problem: Status | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return (self.written,) if self.real in (None, self.written) else (self.written, str(self.real))

    @property
    def sent(self) -> bytes:
        """The name that goes to the target, as a string with its length."""
        return string((self.real or self.written).encode())


def followed(name: str) -> Asking[Place]:
    """For requests that go where a link in the last place leads."""
    answer = yield from real_name(name)
    return Place(name, None, answer) if isinstance(answer, Status) else Place(name, answer)


def entry(name: str) -> Asking[Place]:
    """For requests about the last part of a name itself, even if it is a link: only its directory is looked up."""
    directory, last = parted(name)
    if not last:
        return Place(name, name)
    answer = yield from real_name(directory)
    return Place(name, None, answer) if isinstance(answer, Status) else Place(name, joined(answer, last))


def pointed_at(target: bytes, link: Place) -> Asking[Place]:
    """What a new link with this text would lead to. The host takes ``..`` after links, so that is how it is asked."""
    directory = parted(link.real or link.written)[0].encode()
    path = target if target.startswith(b"/") else directory + b"/" + target
    if not target or len(path) > MAX_NAME_BYTES:
        raise UnclearName("What the link is to lead to is empty, or too long.")
    written = told(path)
    answer = yield Question(PacketType.REALPATH, string(path))
    return Place(written, None if isinstance(answer, Status) else told(answer))


def real_name(name: str) -> Asking[str | Status]:
    """What the host says a name is."""
    answer = yield Question(PacketType.REALPATH, string(name.encode()))
    return answer if isinstance(answer, Status) else told(answer)
