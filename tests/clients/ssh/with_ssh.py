"""``ssh`` itself: commands, their input, output and status, terminals, shared connections, keep-alives."""

import hashlib
import subprocess

from tests.clients.ssh.terminal import Terminal
from tests.clients.ssh.way import SshWay

_COMMANDS = (
    "echo out; echo err >&2; exit 3",
    "printf 'a\\000b\\377\\r\\n'",
    "kill -9 $$",
    "exit 255",
    "true",
    "nonexistent-program --flag",
    'printf %s "$LC_TEST"; printf %s "${NOT_SENT-none}"',
    "cat /nonexistent; ls -d /; pwd",
    "exec 1>&-; echo only this >&2; sleep 0; exit 4",
)
_LARGE = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(1 << 16))
_UNTIL_INTERRUPTED = (
    "trap 'echo caught; exit 5' INT; trap 'echo now; stty size' WINCH; "
    "stty size; echo $TERM; test -t 0 && echo ready; while :; do sleep 0.05; done"
)


def visit(way: SshWay) -> list[object]:
    alive = subprocess.Popen(
        way.words("ssh", "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1", "target", "sleep 3; echo alive"),
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=way.environment,
    )
    seen = [_shared_connection(way), _bytes_both_ways(way), _input_without_end(way), _shell_by_script(way)]
    seen += [_terminal(way), _terminal_without_command(way), _readers_that_leave(way)]
    output, _ = alive.communicate(timeout=60)
    return [*seen, ("keep-alive", alive.returncode, output)]


def _shared_connection(way: SshWay) -> object:
    """Every command on a connection that the first one opens and leaves open."""
    shared = ("-o", "ControlMaster=auto", "-o", f"ControlPath={way.directory}/s", "-o", "ControlPersist=60")
    environment = {"LC_TEST": "ü", "NOT_SENT": "secret"}
    sending = ("-o", "SendEnv=LC_TEST")
    seen: list[object] = [way.ssh(*shared, *sending, "target", command, variables=environment) for command in _COMMANDS]
    seen.append(way.ssh(*shared, "-O", "check", "target").status)
    at_once = [
        subprocess.Popen(
            way.words("ssh", *shared, "target", f"read line; echo {n} $line"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=way.environment,
        )
        for n in range(8)
    ]
    seen += [client.communicate(b"go\n", timeout=60)[0] for client in reversed(at_once)]
    seen.append(way.ssh(*shared, "-O", "exit", "target").status)
    return seen


def _bytes_both_ways(way: SshWay) -> object:
    """Two megabytes in, as many out, and a digest of what came."""
    done = way.ssh("target", "cat", source=_LARGE)
    counted = way.ssh("target", "wc -c; echo counted >&2", source=_LARGE)
    return done.status, done.output == _LARGE, done.errors, counted


def _input_without_end(way: SshWay) -> object:
    """The command ends before its input does."""
    return way.ssh("target", "head -c 3", source=_LARGE)


def _shell_by_script(way: SshWay) -> object:
    """A shell without a terminal that reads what to do from its input."""
    return way.ssh("-T", "target", source=b"echo from the shell\nexit 6\n")


def _terminal(way: SshWay) -> object:
    """A command in a terminal that is resized and interrupted."""
    with Terminal(way.words("ssh", "-t", "target", _UNTIL_INTERRUPTED), way.environment) as terminal:
        for text in (b"24 80\r\n", b"xterm\r\n", b"ready\r\n"):
            terminal.wait_for(text)
        terminal.resize(30, 100)
        terminal.wait_for(b"now\r\n30 100\r\n")
        terminal.type(b"\x03")
        terminal.wait_for(b"caught\r\n")
        return terminal.finish()


def _terminal_without_command(way: SshWay) -> object:
    """A login shell in a terminal."""
    with Terminal(way.words("ssh", "target"), way.environment) as terminal:
        terminal.type(b"PS1=; tty -s && echo te''rminal\r")
        terminal.wait_for(b"terminal\r\n")
        terminal.type(b"exit 9\r")
        return terminal.finish()


def _readers_that_leave(way: SshWay) -> object:
    """Output without end, of which only the beginning is read; the command ends by that, whatever was on its way."""
    seen = []
    for reader in ("head -c 4", "(sleep 1; head -c 4)"):
        done = way.run("sh", "-c", f"({way.remote_shell()} target yes; echo ended >&2) | {reader}")
        seen.append((done.status, done.output, done.errors))
    return seen
