"""Output of terminals: what reaches a reader's terminal is harmless in any cut, and what is read off a screen bounded.

The first byte is the size of the pieces, the second the size of the screen.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.core.terminal", "interlock.protocols.ssh"]):
    from interlock.core.recording import Direction, Frame
    from interlock.core.terminal import TerminalText
    from interlock.protocols.ssh.recorded import Stream, encode
    from interlock.protocols.ssh.transcript import SshTranscript

from tests.core.test_terminal import unpassed
from tests.fuzz.target import run


def test_one_input(data: bytes) -> None:
    size, screen, written = (data[0] or 1, data[1], data[2:]) if len(data) > 1 else (1, 0, data)
    whole, text = TerminalText().feed(written, final=True), TerminalText()
    pieces = [written[at : at + size] for at in range(0, len(written), size)]
    shown = "".join([*map(text.feed, pieces), text.feed(b"", final=True)])
    assert shown == whole, (shown, whole)
    assert not unpassed(shown + text.restore())
    transcript = SshTranscript()
    frames = [(Stream.RESIZED, b"%dx%d" % (screen, 1 + screen // 4)), *((Stream.OUTPUT, piece) for piece in pieces)]
    lines = [
        line
        for at, (stream, part) in enumerate(frames)
        for line in transcript.frame(Frame(at * 400_000, Direction.ANSWER, 1, encode(stream, part)))
    ]
    lines += transcript.finish()
    assert sum(len(line.text) for line in lines) <= 400_000 + 100 * len(written)


if __name__ == "__main__":
    run("ssh_screen", test_one_input)
