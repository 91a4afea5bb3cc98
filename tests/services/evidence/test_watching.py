"""Sessions that go on, followed and watched."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adapters.evidence import Gateway, files_of, session_id
from tests.services.evidence.ssh_recordings import SshRecording, evidence_of

from interlock.adapters.ledger.follower import FollowedLedger
from interlock.core.administration.evidence import WatchPage, WatchSession
from interlock.core.chain import decode_entry
from interlock.core.errors import (
    AdministrationRefused,
    EvidenceError,
    InvalidCommand,
    LedgerUnavailable,
    NotFound,
)
from interlock.core.identity import Actor, local_actor
from interlock.core.ledger import AdministrationChanged
from interlock.core.recording import TranscriptLine
from interlock.protocols.ssh.recorded import Kind, Stream
from interlock.services.evidence.following import LAG_S, SessionFollowing
from interlock.services.evidence.watching import IDLE_S, MAX_WATCHES_EACH, WatchRoom

ANN, BEN = local_actor("ann"), local_actor("ben")
A_WHILE_S = 2 * LAG_S


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path)
    gateway.policy()
    yield gateway
    gateway.close()


def follow(gateway: Gateway, session: str) -> SessionFollowing[TranscriptLine]:
    evidence = evidence_of(gateway)
    return SessionFollowing(evidence, FollowedLedger(gateway.ledger), session, evidence.transcript_teller(session))


def read(gateway: Gateway, following: SessionFollowing[TranscriptLine], limit: int = 1000) -> list[str]:
    """What is new by now, when all that was recorded is on disk."""
    gateway.recordings.tick()
    gateway.recordings.drain()
    gateway.ledger.checkpoint()
    told: list[str] = []
    while following.behind or not told:
        told += (new := [line.text for line in following.read(int(gateway.clock.now_s() * 1e9), limit)])
        if not new and not following.behind:
            return told
    return told


def test_a_session_is_told_as_it_goes_on(gateway: Gateway) -> None:
    recording = SshRecording(gateway)
    first = recording.ask(b"df")
    following = follow(gateway, recording.session)
    assert read(gateway, following) == [], "it could still be that something was before"
    recording.say(first, Stream.OUTPUT, b"disk\n")
    recording.wait(A_WHILE_S)
    assert read(gateway, following) == ["$ df", "disk"]
    assert read(gateway, following) == []
    recording.say(first, Stream.OUTPUT, b"full\n")
    recording.wait(A_WHILE_S)
    assert read(gateway, following) == ["full"]
    recording.ask(b"rm -rf /", decision="denied")
    recording.end(first)
    recording.close()
    assert not following.over
    recording.wait(A_WHILE_S)
    assert read(gateway, following) == ["$ rm -rf /", "denied: no rule permits it", "exit status 0"]
    assert (following.over, following.done, following.status) == (True, True, "closed")


def test_what_is_followed_is_what_is_replayed(gateway: Gateway) -> None:
    recording = SshRecording(gateway)
    shell = recording.ask(b"", Kind.SHELL, pty=True)
    recording.say(shell, Stream.RESIZED, b"80x24")
    following, told = follow(gateway, recording.session), []
    for number in range(300):
        if number % 50 == 0:
            recording.ask(b"ls %d" % number)
        recording.say(shell, Stream.OUTPUT, b"line %d\r\n" % number)
        if number % 40 == 0:
            told += read(gateway, following, limit=7)
    recording.close()
    recording.wait(A_WHILE_S)
    while not following.done:
        told += read(gateway, following, limit=7)
    assert told == [line.text for line in evidence_of(gateway).transcript(recording.session)]


def test_other_sessions_are_not_told_of(gateway: Gateway) -> None:
    recording, other = SshRecording(gateway, 1), SshRecording(gateway, 2)
    following = follow(gateway, recording.session)
    other.end(other.ask(b"who"))
    recording.ask(b"df")
    recording.wait(A_WHILE_S)
    assert read(gateway, following) == ["$ df"]


def test_a_recording_that_was_changed_is_an_error(gateway: Gateway) -> None:
    recording = SshRecording(gateway)
    recording.say(recording.ask(b"df"), Stream.OUTPUT, b"disk\n")
    following = follow(gateway, recording.session)
    (file,) = [path for path in files_of(gateway.directory) if path.suffix == ".rec"]
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(EvidenceError, match="missing or was changed"):
        read(gateway, following)


# ---------------------------------------------------------------- the room


def room_of(gateway: Gateway) -> WatchRoom:
    return WatchRoom(evidence_of(gateway), FollowedLedger(gateway.ledger), gateway.ledger, gateway.clock)


async def watch(
    room: WatchRoom, session: str, after: str = "", actor: Actor = ANN, *, terminal: bool = False
) -> WatchPage:
    page = await room.handlers[WatchSession](WatchSession(session, terminal, 0, after), actor)
    assert isinstance(page, WatchPage)
    return page


def a_session(gateway: Gateway) -> SshRecording:
    recording = SshRecording(gateway)
    number = recording.ask(b"df")
    recording.say(number, Stream.OUTPUT, b"disk\n")
    recording.wait(A_WHILE_S)
    return recording


def lines(page: WatchPage) -> list[str]:
    return [line.text for line in page.lines]


async def test_a_watch_goes_on_until_the_session_ends(gateway: Gateway) -> None:
    recording = a_session(gateway)
    room = room_of(gateway)
    page = await watch(room, recording.session)
    assert (lines(page), page.status) == (["$ df", "disk"], "open")
    recording.end(1)
    recording.close()
    recording.wait(A_WHILE_S)
    evidence_of(gateway)
    page = await watch(room, recording.session, page.next)
    assert (lines(page), page.status, page.next) == (["exit status 0"], "closed", "")


async def test_a_session_can_be_watched_as_a_terminal(gateway: Gateway) -> None:
    recording = a_session(gateway)
    page = await watch(room_of(gateway), recording.session, terminal=True)
    assert [event.text for event in page.terminal] == ["$ df", "disk\r\n"]
    assert page.lines == ()


async def test_an_answer_that_was_lost_is_given_again(gateway: Gateway) -> None:
    recording = a_session(gateway)
    room = room_of(gateway)
    first = await watch(room, recording.session)
    second = await watch(room, recording.session, first.next)
    assert await watch(room, recording.session, first.next) == second
    third = await watch(room, recording.session, second.next)
    with pytest.raises(InvalidCommand):
        await watch(room, recording.session, first.next)
    assert third.next


async def test_that_somebody_watches_is_on_record_once(gateway: Gateway) -> None:
    recording = a_session(gateway)
    room = room_of(gateway)
    page = await watch(room, recording.session)
    await watch(room, recording.session, page.next)
    found = [decode_entry(data).record for data in evidence_of(gateway).archive.entries()]
    assert [record for record in found if isinstance(record, AdministrationChanged)] == [
        AdministrationChanged(ANN.name, "evidence.read", recording.session, "sessions.watch")
    ]


async def test_nothing_is_told_when_it_cannot_be_put_on_record(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = a_session(gateway)
    room = room_of(gateway)

    def fail(_: object) -> None:
        raise LedgerUnavailable("no room")

    with monkeypatch.context() as broken:
        broken.setattr(gateway.ledger, "append", fail)
        with pytest.raises(LedgerUnavailable):
            await watch(room, recording.session)
    assert not room._watches


async def test_a_watch_is_its_beginners_alone(gateway: Gateway) -> None:
    recording = a_session(gateway)
    room = room_of(gateway)
    page = await watch(room, recording.session)
    with pytest.raises(NotFound):
        await watch(room, recording.session, page.next, BEN)


async def test_a_watch_that_nobody_asks_for_is_over(gateway: Gateway) -> None:
    recording = a_session(gateway)
    room = room_of(gateway)
    page = await watch(room, recording.session)
    recording.wait(IDLE_S + 1)
    with pytest.raises(NotFound, match="begin a new one"):
        await watch(room, recording.session, page.next)


async def test_there_are_so_many_watches_only(gateway: Gateway) -> None:
    recording = a_session(gateway)
    room = room_of(gateway)
    for _ in range(MAX_WATCHES_EACH):
        await watch(room, recording.session)
    with pytest.raises(AdministrationRefused, match="as many watches"):
        await watch(room, recording.session)
    await watch(room, recording.session, actor=BEN)


async def test_a_session_that_is_not_there_cannot_be_watched(gateway: Gateway) -> None:
    a_session(gateway)
    with pytest.raises(NotFound):
        await watch(room_of(gateway), session_id(9)[:-3])


async def test_whoever_waits_is_answered_when_the_gateway_ends(gateway: Gateway) -> None:
    recording = a_session(gateway)
    room = room_of(gateway)
    page = await watch(room, recording.session)
    room.close()
    answer = await room.handlers[WatchSession](WatchSession(recording.session, False, 30, page.next), ANN)
    assert answer == WatchPage(next=page.next[:-1] + "2", status="open")
