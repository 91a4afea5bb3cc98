"""Text that stood on a terminal is found, however it was written there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adapters.evidence import Gateway
from tests.services.evidence.ssh_recordings import SshRecording, evidence_of

from interlock.protocols.ssh.recorded import Kind, Stream
from interlock.services.evidence import SearchQuery


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path)
    gateway.policy()
    yield gateway
    gateway.close()


@pytest.mark.parametrize(
    "pieces",
    [
        [b"4111 1111\r\n"],
        [b"4\x1b[1m111\x1b[0m ", b"11", b"11"],
        [b"\x1b[5;1H1111\x1b[5;1H\x1b[1@\x1b[5;1H4\x1b[5;5H 1111"],
        [b"4111 11xx\x08\x0811\r\x1b[K"],
        [b"\x1b[?1049h4111 1111\x1b[?1049l"],
    ],
)
def test_a_number_that_was_on_a_screen_is_found(gateway: Gateway, pieces: list[bytes]) -> None:
    recording = SshRecording(gateway)
    other, shell = recording.ask(b"df"), recording.ask(b"", Kind.SHELL, pty=True)
    recording.say(shell, Stream.RESIZED, b"80x24")
    for piece in pieces:
        recording.say(shell, Stream.OUTPUT, piece)
    recording.end(other)
    recording.close()
    hits = list(evidence_of(gateway).search(SearchQuery("4111 1111", answers=True)))
    assert [(hit.session, hit.number) for hit in hits] == [(recording.session, shell)]
