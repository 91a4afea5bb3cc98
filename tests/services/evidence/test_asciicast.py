"""Sessions with terminals as asciicasts."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.adapters.evidence import START_S, Gateway
from tests.services.evidence.cast_format import Header2, Header3, read_cast
from tests.services.evidence.ssh_recordings import SshRecording, evidence_of

from interlock.bootstrap.interpretation import new_transcript
from interlock.core.errors import EvidenceError
from interlock.protocols.ssh.recorded import Kind, Stream
from interlock.services.evidence.asciicast import session_asciicast
from interlock.services.evidence.formats import session_sql


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path)
    gateway.policy()
    yield gateway
    gateway.close()


def a_shell(gateway: Gateway) -> SshRecording:
    """A shell on a terminal of 100 columns, which becomes one of 120, beside a command that is denied."""
    recording = SshRecording(gateway)
    shell = recording.ask(b"", Kind.SHELL, pty=True)
    recording.say(shell, Stream.RESIZED, b"100x30")
    recording.say(shell, Stream.OUTPUT, "$ grü".encode()[:-1])
    recording.say(shell, Stream.OUTPUT, "ü".encode()[1:] + b"\x1b]52;c;QQ==\x07\x1b[1mx\r\n")
    recording.say(shell, Stream.INPUT, b"ls\r")
    recording.ask(b"rm -rf /", decision="denied")
    recording.say(shell, Stream.RESIZED, b"120x40")
    recording.end(shell)
    recording.close()
    return recording


@pytest.mark.parametrize("version", [2, 3])
def test_a_shell_is_a_cast(gateway: Gateway, version: int) -> None:
    recording = a_shell(gateway)
    cast = read_cast(session_asciicast(evidence_of(gateway), recording.session, version=version))
    assert "".join(cast.of("o")) == "$ grü\x1b[1mx\r\n"
    assert cast.of("i") == ["ls\r"]
    assert cast.of("r") == ["100x30", "120x40"]
    assert cast.of("m") == [
        "shell on a terminal",
        "$ rm -rf /",
        "denied: no rule permits it",
        "exit status 0",
    ]
    assert [event.time_s for event in cast.events][:2] == [pytest.approx(0.25), pytest.approx(0.5)]


def test_the_head_says_the_size_the_time_and_whose_it_is(gateway: Gateway) -> None:
    recording = a_shell(gateway)
    evidence = evidence_of(gateway)
    header = read_cast(session_asciicast(evidence, recording.session)).header
    assert isinstance(header, Header2)
    assert (header.width, header.height, header.timestamp) == (100, 30, int(START_S))
    assert header.title == f"reporter on orders, session {recording.session}"
    third = read_cast(session_asciicast(evidence, recording.session, version=3)).header
    assert isinstance(third, Header3)
    assert (third.term.cols, third.term.rows) == (100, 30)


def test_one_operation_by_itself_ends_with_its_exit(gateway: Gateway) -> None:
    recording = SshRecording(gateway)
    first, second = recording.ask(b"df"), recording.ask(b"who")
    recording.say(first, Stream.OUTPUT, b"disk\nfull\n")
    recording.say(second, Stream.OUTPUT, b"nobody\n")
    recording.say(first, Stream.ERROR, b"oops\r\n")
    recording.end(first, 3)
    recording.end(second)
    recording.close()
    cast = read_cast(session_asciicast(evidence_of(gateway), recording.session, first, version=3))
    assert "".join(cast.of("o")) == "disk\r\nfull\r\noops\r\n"
    assert cast.of("m") == ["$ df"]
    assert cast.of("x") == ["3"]
    whole = read_cast(session_asciicast(evidence_of(gateway), recording.session))
    assert "".join(whole.of("o")) == "disk\r\nfull\r\nnobody\r\noops\r\n"


def test_a_session_without_a_terminal_is_as_on_a_usual_one(gateway: Gateway) -> None:
    recording = SshRecording(gateway)
    recording.end(recording.ask(b"true"))
    header = read_cast(session_asciicast(evidence_of(gateway), recording.session)).header
    assert isinstance(header, Header2)
    assert (header.width, header.height) == (80, 24)


def test_sizes_that_no_terminal_has_are_not_in_a_cast(gateway: Gateway) -> None:
    recording = SshRecording(gateway)
    shell = recording.ask(b"", Kind.SHELL, pty=True)
    for size in (b"0x0", b"4294967295x4294967295", b"wide", b"", b"-1x5"):
        recording.say(shell, Stream.RESIZED, size)
    assert read_cast(session_asciicast(evidence_of(gateway), recording.session)).of("r") == [
        "1x1",
        "1000x1000",
        "80x24",
        "80x24",
        "80x24",
    ]


def test_a_session_over_another_protocol_is_no_cast(gateway: Gateway) -> None:
    session = gateway.session(1, [(b"select 1", b"")])
    evidence = evidence_of(gateway)
    evidence._transcriber = new_transcript
    with pytest.raises(EvidenceError, match="on no terminal"):
        next(iter(session_asciicast(evidence, session)))


def test_a_session_over_ssh_is_no_script(gateway: Gateway) -> None:
    recording = a_shell(gateway)
    with pytest.raises(EvidenceError, match="asciicast"):
        next(session_sql(evidence_of(gateway), recording.session))


@pytest.mark.parametrize(
    "lines",
    [
        b'{"version": 2, "width": 0, "height": 24}\n',
        b'{"version": 2, "width": 80, "height": 24}\n[1.0, "o", "b"]\n[0.5, "o", "a"]\n',
        b'{"version": 2, "width": 80, "height": 24}\n[1.0, "x", "0"]\n',
        b'{"version": 3, "term": {"cols": 1, "rows": 1}}\n[1.0, "r", "big"]\n',
        b'{"version": 3, "term": {"cols": 1, "rows": 1}}\n[1.0, "x", "0"]\n[1.0, "o", "a"]\n',
        b'{"version": 3, "term": {"cols": 1, "rows": 1}}\n[1.0, "q", "0"]\n',
    ],
)
def test_the_reader_of_these_tests_refuses_what_is_none(lines: bytes) -> None:
    with pytest.raises((ValueError, msgspec.ValidationError)):
        read_cast([lines])
