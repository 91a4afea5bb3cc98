"""An SSH session's recording as lines."""

import random
import re

from interlock.core.recording import Direction, Frame, SealedRequest, TranscriptKind, TranscriptLine
from interlock.protocols.ssh.recorded import Kind, Stream, encode
from interlock.protocols.ssh.transcript import MAX_LINE, MAX_OPERATIONS, SshTranscript

Said = tuple[int, Stream, bytes]


def asked(text: bytes, kind: Kind | None = None, parameters: bytes = b"") -> SealedRequest:
    return SealedRequest(text, parameters, len(text), len(parameters), b"", kind.value if kind else b"")


def frame(number: int, stream: Stream, data: bytes, at_us: int = 0) -> Frame:
    direction = Direction.REQUEST if stream in (Stream.INPUT, Stream.SIGNAL) else Direction.ANSWER
    return Frame(at_us, direction, number, encode(stream, data))


def told(*frames: Frame) -> list[TranscriptLine]:
    transcript = SshTranscript()
    return [line for each in frames for line in transcript.frame(each)] + list(transcript.finish())


def words(lines: list[TranscriptLine]) -> list[tuple[str, str]]:
    return [(line.kind.value, line.text) for line in lines]


def request_line(request: SealedRequest) -> TranscriptLine:
    return next(iter(SshTranscript().request(0, 1, request)))


def test_requests_say_what_was_asked_for() -> None:
    assert request_line(asked(b"df -h", Kind.EXEC)).text == "$ df -h"
    assert request_line(asked(b"df -h")).text == "$ df -h"
    assert request_line(asked(b"", Kind.SHELL, b"LANG=C\0pty")).text == "shell on a terminal"
    assert request_line(asked(b"", Kind.SHELL)).text == "shell"
    assert request_line(asked(b"", parameters=b"pty")).text == "shell on a terminal"
    assert request_line(asked(b"open /srv/x for reading", Kind.SFTP)).text == "sftp: open /srv/x for reading"
    assert request_line(asked(b"local db:5432", Kind.FORWARD)).text == "forwarding: local db:5432"


def test_variables_are_shown_beside_the_request() -> None:
    assert request_line(asked(b"env", Kind.EXEC, b"LANG=C\0A=1\0pty")).values == ("LANG=C", "A=1")


def test_requests_cannot_drive_the_readers_terminal() -> None:
    assert request_line(asked(b"echo \x1b]52;c;QQ==\x07", Kind.EXEC)).text == "$ echo \\x1b]52;c;QQ==\\x07"


def test_what_was_left_out_of_a_request_is_a_gap() -> None:
    lines = list(SshTranscript().request(0, 1, SealedRequest(b"cat", b"", 10, 0)))
    assert words(lines)[1] == ("gap", "7 bytes of the request were not kept")


def test_output_errors_input_and_the_end_of_a_command() -> None:
    lines = told(
        frame(1, Stream.INPUT, b"in\n"),
        frame(1, Stream.OUTPUT, b"one\ntw"),
        frame(1, Stream.ERROR, b"oops\n"),
        frame(1, Stream.OUTPUT, b"o\r\nlast"),
        frame(1, Stream.SIGNAL, b"INT"),
        frame(1, Stream.EXIT, b"1"),
    )
    assert words(lines) == [
        ("request", "in"),
        ("data", "one"),
        ("error", "oops"),
        ("data", "two"),
        ("data", "last"),
        ("request", "signal INT"),
        ("done", "exit status 1"),
    ]


def test_a_command_that_a_signal_ended() -> None:
    assert words(told(frame(1, Stream.EXIT, b"KILL"))) == [("done", "ended by KILL")]


def test_letters_can_be_cut_anywhere() -> None:
    pieces = [frame(1, Stream.OUTPUT, bytes([byte])) for byte in "größe ✓\n".encode()]
    assert words(told(*pieces)) == [("data", "größe ✓")]


def test_channels_are_read_each_by_itself() -> None:
    lines = told(
        frame(1, Stream.OUTPUT, b"a1"),
        frame(2, Stream.OUTPUT, b"b1"),
        frame(1, Stream.OUTPUT, b"a2\n"),
        frame(2, Stream.OUTPUT, b"b2\n"),
    )
    assert [(line.number, line.text) for line in lines] == [(1, "a1a2"), (2, "b1b2")]


def test_what_was_on_a_terminal_is_read_off_its_screen() -> None:
    lines = told(
        frame(1, Stream.RESIZED, b"20x5"),
        frame(1, Stream.OUTPUT, b"$ "),
        frame(1, Stream.INPUT, b"l"),
        frame(1, Stream.OUTPUT, b"l"),
        frame(1, Stream.INPUT, b"s\r"),
        frame(1, Stream.OUTPUT, b"s\r\n\x1b[1mfile\x1b[0m\r\n$ "),
        frame(1, Stream.RESIZED, b"30x6"),
        frame(1, Stream.EXIT, b"0"),
    )
    assert words(lines) == [
        ("request", "ls"),
        ("data", "$ ls"),
        ("data", "file"),
        ("data", "$"),
        ("notice", "the terminal has 30 columns and 6 rows"),
        ("done", "exit status 0"),
    ]


def test_a_screen_is_read_when_it_is_quiet() -> None:
    lines = told(
        frame(1, Stream.RESIZED, b"20x5"),
        frame(1, Stream.OUTPUT, b"\x1b[2;1Hbody\x1b[1;1H", 1_000),
        frame(1, Stream.OUTPUT, b"x", 5_000_000),
    )
    assert words(lines) == [("data", "body"), ("data", "x")]


def test_nothing_said_is_lost_when_too_many_operations_are_open() -> None:
    frames = [frame(number, Stream.OUTPUT, b"%d" % number) for number in range(1, MAX_OPERATIONS + 11)]
    assert sorted(int(line.text) for line in told(*frames)) == list(range(1, MAX_OPERATIONS + 11))


def test_lines_without_end_come_in_parts() -> None:
    lines = told(*[frame(1, Stream.OUTPUT, b"x" * 1000)] * 50)
    assert "".join(line.text for line in lines) == "x" * 50_000
    assert max(len(line.text) for line in lines) <= MAX_LINE


def test_what_is_not_of_this_version_is_a_gap() -> None:
    assert words(told(Frame(0, Direction.ANSWER, 1, b"?what"))) == [("gap", "5 bytes cannot be read")]
    assert words(told(Frame(0, Direction.ANSWER, 1, b""))) == [("gap", "0 bytes cannot be read")]


def test_nothing_recorded_raises_or_reaches_a_line_unprintable() -> None:
    chance = random.Random(8)
    for _ in range(200):
        transcript = SshTranscript()
        lines: list[TranscriptLine] = []
        for at in range(50):
            data = bytes([chance.choice(b"oeirsx?"), *chance.randbytes(chance.randrange(40))])
            lines += transcript.frame(Frame(at * 10_000, Direction.ANSWER, chance.randrange(3), data))
        lines += transcript.finish()
        assert all(re.sub("[\n\t]", "", line.text).isprintable() for line in lines)
        assert {line.kind for line in lines} <= set(TranscriptKind)
        assert len(lines) > 10
