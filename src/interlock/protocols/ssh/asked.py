"""What a recorded request of an SSH session asked for, in words for people."""

from typing import NamedTuple

from interlock.core.printable import printable
from interlock.core.recording import SealedRequest
from interlock.protocols.ssh.recorded import Kind

_PTY = b"pty"


class Asked(NamedTuple):
    """``text`` is a line for people; ``variables`` are the environment's, as ``NAME=value``."""

    text: str
    variables: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: SealedRequest) -> "Asked":
        """Reads a request. One that does not say what kind it is of is a command, or a shell when it has no text."""
        text = printable(request.text.decode(errors="replace"))
        kind = request.parameter_types
        parts = [part for part in request.parameters.split(b"\0") if part]
        variables = tuple(part.decode(errors="replace") for part in parts if part != _PTY)
        if kind == Kind.SHELL.value or not (text or kind):
            return cls("shell on a terminal" if _PTY in parts else "shell", variables)
        if kind == Kind.SFTP.value:
            return cls(f"sftp: {text}")
        if kind == Kind.FORWARD.value:
            return cls(f"forwarding: {text}")
        return cls(f"$ {text}", variables)
