"""What a report says of sessions on hosts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.core.incident import CommandExposure, ExposureReport
from interlock.core.ledger import OperationCompleted, OperationDecided
from interlock.protocols.ssh.recorded import Kind, Stream
from interlock.services.incidents import host_commands
from interlock.services.incidents.host_commands import HostCommands
from interlock.services.incidents.leaving import SoughtSessions
from interlock.services.incidents.reading import since_of
from interlock.services.incidents.reports import report_json, report_text
from tests.services.evidence.ssh_recordings import SshRecording, transcriber
from tests.services.incidents.incident_bench import INCIDENT, World

TRANSFER = f"READ 12 bytes sha256:{'ab' * 32}"
ACCESSES = ("ssh-read on Program x",)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, transcriber=transcriber)
    yield world
    world.close()


def report_of(world: World) -> ExposureReport:
    world.settle()
    world.open("agent", "reporter")
    incident = world.reader.find(INCIDENT)
    return world.reader.report(incident, since_of(incident, None))


def test_commands_are_counted_by_what_they_do(world: World) -> None:
    recording = SshRecording(world.gateway)
    for _ in range(2):
        number = recording.ask(b"cat people", verb="EXEC cat")
        recording.say(number, Stream.OUTPUT, b"ada@example.com\n")
        recording.end(number, found=(("email", 3),))
    number = recording.ask(b"read people", Kind.SFTP, verb="SFTP READ")
    recording.end(number, tag=TRANSFER)
    recording.ask(b"rm -rf /", decision="denied", verb="EXEC rm")
    recording.close()
    report = report_of(world)
    assert report.commands == (
        CommandExposure("orders/shop", "EXEC cat", ACCESSES, 2, 200, (), (("email", 6),), 0),
        CommandExposure("orders/shop", "SFTP READ", ACCESSES, 1, 100, (TRANSFER,), (), 0),
    )
    assert (report.exposed, report.statements, report.statements_denied, report.bytes_sent) == ((), 3, 1, 300)
    assert report.problems == ()


def test_the_report_shows_them(world: World) -> None:
    recording = SshRecording(world.gateway)
    recording.end(recording.ask(b"read", Kind.SFTP, verb="SFTP READ"), tag=TRANSFER, found=(("iban", 1),))
    recording.close()
    report = report_of(world)
    line = next(line for line in report_text(report).splitlines() if "SFTP READ" in line)
    for shown in ("orders/shop", "100", "1 iban", TRANSFER, *ACCESSES):
        assert shown in line
    assert TRANSFER in report_json(report)


def test_a_report_without_hosts_says_nothing_of_them(world: World) -> None:
    assert "On hosts" not in report_text(report_of(world))


@pytest.mark.parametrize(
    "pieces",
    [
        [(1, Stream.OUTPUT, b"4111"), (2, Stream.OUTPUT, b"other"), (1, Stream.OUTPUT, b"1111\0")],
        [(1, Stream.OUTPUT, b"4111"), (1, Stream.ERROR, b"other"), (1, Stream.OUTPUT, b"1111\n")],
        [(1, Stream.RESIZED, b"6x5"), (1, Stream.OUTPUT, b"4111\x1b[1m11"), (1, Stream.OUTPUT, b"11\r\n")],
    ],
)
def test_a_value_is_found_however_it_was_cut(world: World, pieces: list[tuple[int, Stream, bytes]]) -> None:
    recording = SshRecording(world.gateway)
    recording.ask(b"one")
    recording.ask(b"two")
    for number, stream, data in pieces:
        recording.say(number, stream, data)
    recording.close()
    world.settle()
    search = world.reader.find_value("41111111", SoughtSessions(None, "", "", 0, 1 << 63), settled=True)
    assert [(found.session, found.number) for found in search.found] == [(recording.session, 1)]


def decided(number: int, verb: str) -> OperationDecided:
    return OperationDecided("s", number, "execute", verb, "allowed", (), "p", "", ACCESSES, b"", b"")


def test_memory_is_bounded_and_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_COMMANDS", "MAX_RUNNING", "MAX_TRANSFERS"):
        monkeypatch.setattr(host_commands, name, 5)
    commands = HostCommands()
    for number in range(20):
        commands.decided("web", decided(number, f"EXEC {number}"))
    for number in range(20):
        commands.completed(OperationCompleted("s", number, "completed", f"READ {number} bytes", "", 0, 10))
    found = commands.exposures()
    assert len(found) == 6
    assert sum(one.operations for one in found) == 20
    assert sum(one.bytes_sent for one in found) == 200
    assert max(len(one.transfers) for one in found) == 5
