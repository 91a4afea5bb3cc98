"""What is seen of a session over SSH: afterwards as lines, on a terminal and as a cast, and while it goes on."""

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interlock.core.ledger import AdministrationChanged, SessionClosed, SessionOpened
from tests.e2e.ledger_files import records_of, wait_for
from tests.e2e.ssh.access import NO_DATABASE, connect
from tests.servers.gateway import GatewayOptions, GatewayServer, ssh_target
from tests.servers.openssh import OpenSshServer
from tests.services.evidence.cast_format import Header2, read_cast

POLICY = """
@id("everything") permit (principal, action, resource) unless { principal in Group::"nobody" };
@id("no-touching") @message("Nothing is touched here.")
forbid (principal, action, resource) when { context has ssh && context.ssh.command like "touch *" };
"""
HOSTILE = r"printf 'seen\033]52;c;QQ==\007\033[31mred\033[0m\033[6n\n'"


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayServer]:
    with OpenSshServer() as host:
        options = GatewayOptions(policy=POLICY, ssh=True, extra=ssh_target("web", host))
        with GatewayServer(NO_DATABASE, options) as server:
            yield server


async def a_session(gateway: GatewayServer, name: str) -> str:
    """The id of a session by somebody of this name, which is over: two commands and a shell on a terminal."""
    async with connect(gateway, token=gateway.token(name)) as connection:
        await connection.run("echo first; echo oops >&2; exit 3")
        await connection.run("touch nothing")
        shell = await connection.create_process(term_type="xterm", term_size=(100, 30))
        shell.stdin.write(f"PS1='> '; {HOSTILE}\nexit\n")
        await asyncio.wait_for(shell.wait(), 20)
    session = session_of(gateway, name)
    wait_for(lambda: [r for r in records_of(gateway, SessionClosed) if r.session == session], "the session's end")
    return session


def session_of(gateway: GatewayServer, name: str) -> str:
    """The newest session of somebody."""
    return wait_for(
        lambda: [r.session for r in records_of(gateway, SessionOpened) if r.principal == name], f"a session of {name}"
    )[-1]


def replayed(gateway: GatewayServer, session: str, *options: str) -> list[str]:
    shown = gateway.command("sessions", "replay", session, "--no-wait", *options).stdout
    return [line.split("#", 1)[1].strip() for line in shown.splitlines()]


async def test_a_replay_shows_what_was_asked_written_and_decided(gateway: GatewayServer) -> None:
    session = await a_session(gateway, "lines")
    lines = replayed(gateway, session)
    for expected in (
        "1    > $ echo first; echo oops >&2; exit 3",
        "1      first",
        "1    ! oops",
        "1    = exit status 3",
        "2    > $ touch nothing",
        "3    > shell on a terminal",
        "3      seenred",
        "3    = exit status 0",
    ):
        assert expected in lines, lines
    assert any(line.startswith("2    * denied: ") and "Nothing is touched here." in line for line in lines)
    found = replayed(gateway, session, "--search", "SEENRED")
    assert "3      seenred" in found
    assert "1      first" not in found
    nothing = gateway.command("sessions", "replay", session, "--search", "unheard-of", check=False)
    assert (nothing.returncode, nothing.stdout) == (1, "")


async def test_values_are_found_in_what_was_written_to_a_terminal(gateway: GatewayServer) -> None:
    session = await a_session(gateway, "values")
    found = gateway.command("incident", "did-it-leave", "seenred", "--principal", "values", check=False)
    assert (found.returncode, session in found.stdout) == (1, True), found.stdout + found.stderr
    absent = gateway.command("incident", "did-it-leave", "unheard-of", "--principal", "values", check=False)
    assert absent.returncode == 0, absent.stdout


async def test_a_shell_is_exported_as_a_cast(gateway: GatewayServer) -> None:
    session = await a_session(gateway, "cast")
    out = gateway.directory / "shell.cast"
    gateway.command("sessions", "export", session, "--format", "asciicast", "--operation", "3", "--out", str(out))
    cast = read_cast([out.read_bytes()])
    assert isinstance(cast.header, Header2)
    assert (cast.header.width, cast.header.height) == (100, 30)
    written = "".join(cast.of("o"))
    assert "seen\x1b[31mred\x1b[0m\r\n" in written
    assert "\x1b]" not in written
    third = gateway.command("sessions", "export", session, "--format", "asciicast-v3", "--operation", "1").stdout
    assert read_cast([third.encode()]).of("x") == ["3"]


async def test_a_terminal_is_given_nothing_that_acts_on_it(gateway: GatewayServer) -> None:
    session = await a_session(gateway, "terminal")
    shown = on_a_terminal(gateway, "sessions", "replay", session, "--speed", "1000")
    assert b"seen\x1b[31mred\x1b[0m" in shown
    assert "── ".encode() in shown
    assert b"\x1b]" not in shown
    assert b"\x1b[6n" not in shown
    plain = on_a_terminal(gateway, "sessions", "replay", session, "--speed", "1000", "--plain")
    assert b"seenred" in plain


def on_a_terminal(gateway: GatewayServer, *arguments: str) -> bytes:
    """What ``interlock`` writes to a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "interlock", "--config", str(gateway.config_file), *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=gateway.directory) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
        assert process.wait(60) == 0, shown
    os.close(ours)
    return shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other end is closed
        return b""


async def test_a_session_is_watched_while_it_goes_on(gateway: GatewayServer) -> None:
    async with connect(gateway, token=gateway.token("watched")) as connection:
        shell = await connection.create_process(term_type="xterm", term_size=(80, 24))
        shell.stdin.write("PS1=; echo begun $((40+2))\n")
        session = await asyncio.to_thread(session_of, gateway, "watched")
        with watching(gateway, session) as reads:
            assert await asyncio.to_thread(reads, "begun 42")
            shell.stdin.write("echo later $((50+5))\n")
            assert await asyncio.to_thread(reads, "later 55")
            shell.stdin.write("exit\n")
            await asyncio.wait_for(shell.wait(), 20)
            connection.close()
            await connection.wait_closed()
            assert await asyncio.to_thread(reads, "the session is over: closed")
    record = AdministrationChanged(_account(), "evidence.read", session, "sessions.watch")
    assert records_of(gateway, AdministrationChanged).count(record) == 1


@contextmanager
def watching(gateway: GatewayServer, session: str) -> Iterator[Callable[[str], bool]]:
    """``interlock sessions watch`` in a process of its own, which ends by itself; says whether it yet reads a text."""
    command = [sys.executable, "-m", "interlock", "--config", str(gateway.config_file), "sessions", "watch", session]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=gateway.directory, text=True) as process:
        output = process.stdout
        assert output is not None
        try:
            yield lambda text: any(text in line for line in output)
            assert process.wait(20) == 0
        finally:
            process.kill()


def _account() -> str:
    return f"os:{Path.home().owner()}"


async def test_people_who_may_read_evidence_may_watch_over_the_api(gateway: GatewayServer) -> None:
    session = await a_session(gateway, "api")
    api = gateway.local_api()
    page = api.get(f"/v1/sessions/{session}/watch?terminal=true").json
    written = "".join(event["text"] for event in page["terminal"] if event["kind"] == "output")
    while page["next"]:
        page = api.get(f"/v1/sessions/{session}/watch?after={page['next']}").json
        written += "".join(event["text"] for event in page["terminal"] if event["kind"] == "output")
    assert (page["status"], "seen\x1b[31mred" in written) == ("closed", True)
    whole = api.get(f"/v1/sessions/{session}/terminal").json["items"]
    assert "".join(event["text"] for event in whole if event["kind"] == "output") == written
    stranger = gateway.api(gateway.token("stranger", ["nobody"], kind="user"))
    for path in ("watch", "terminal"):
        assert stranger.get(f"/v1/sessions/{session}/{path}").status == 403
