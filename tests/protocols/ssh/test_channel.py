"""The state machine of commands, shells and forwardings: in which order, and what never happens undecided."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.decision import Permit
from interlock.core.denial import Denial, DenialReason
from interlock.core.operation import Meaning, OutcomeStatus
from interlock.core.settings import ConnectionSettings
from interlock.core.settings.ssh import SshAuthentication, SshTarget
from interlock.protocols import base
from interlock.protocols.base import Side
from interlock.protocols.ssh import events
from interlock.protocols.ssh.channel import CommandChannel
from interlock.protocols.ssh.events import (
    ChannelContext,
    ChannelSession,
    Effect,
    Event,
    Exec,
    Forward,
    ForwardKind,
    Numbers,
    Output,
    Pty,
    Request,
    Shell,
)
from interlock.protocols.ssh.forwarding import ForwardChannel
from interlock.protocols.ssh.recorded import Stream, encode

SETTINGS = ConnectionSettings(
    protocol="ssh", host="web.example", user="deploy", ssh=SshTarget(SshAuthentication.CERTIFICATE)
)
PERMITTED = base.Decided((Permit((), ""),))
DENIED = base.Decided((Denial(DenialReason.FORBIDDEN, "No.", "Ask.\x1b[31m"),))
LS = Exec(b"ls", (("LANG", "C"),))
REACHES_TARGET = (events.OpenTarget, events.ToTarget, events.TargetEnds, events.SignalTarget, events.ResizeTarget)


def channel_for(request: Request, numbers: Numbers | None = None) -> ChannelSession:
    context = ChannelContext(SETTINGS, "deploy")
    kind = ForwardChannel if isinstance(request, Forward) else CommandChannel
    return kind(context, numbers or Numbers(), lambda *_: Meaning("", ()))


def told(channel: ChannelSession, *happened: Event) -> list[Effect]:
    return [effect for event in happened for effect in channel.handle(event)]


def running(request: Request = LS) -> ChannelSession:
    channel = channel_for(request)
    told(channel, events.Requested(request), PERMITTED, events.TargetOpened())
    return channel


def test_a_command_is_decided_before_the_target_hears_of_it() -> None:
    channel = channel_for(LS)
    asked = told(channel, events.Requested(LS), events.ClientData(b"in\n"), events.ClientEof())
    assert [type(effect) for effect in asked] == [base.Pause, base.Authorize]
    assert channel.activity() == base.Activity(deciding=True)
    assert told(channel, PERMITTED) == [events.OpenTarget(LS)]
    assert told(channel, events.TargetOpened()) == [
        events.ToTarget(b"in\n"),
        events.TargetEnds(),
        base.Resume(Side.CLIENT),
    ]
    assert channel.activity() == base.Activity(busy=True)
    assert base.RecordRequest(1, encode(Stream.INPUT, b"in\n")) in told(channel, events.TargetClosed(0))


def test_what_is_asked_has_the_exact_command_its_variables_and_its_terminal() -> None:
    request = Exec(b"top", (("LANG", "C"), ("LC_ALL", "x")), Pty("xterm", 80, 24))
    (_, asked) = told(channel_for(request), events.Requested(request))
    assert isinstance(asked, base.Authorize)
    (operation,) = asked.operations
    assert (operation.number, operation.text, operation.parameters) == (1, b"top", b"LANG=C\0LC_ALL=x\0pty")


def test_a_refusal_is_a_sentence_that_no_terminal_is_steered_by_and_a_status_of_its_own() -> None:
    channel = channel_for(LS)
    told(channel, events.Requested(LS))
    ended = told(channel, DENIED)
    assert events.ToClient(b"interlock: No.\ninterlock: Ask.\\x1b[31m\n", Output.STDERR) in ended
    assert events.Exit(77) in ended
    assert not any(isinstance(effect, REACHES_TARGET) for effect in ended)
    assert told(channel, PERMITTED, events.TargetOpened(), events.ClientData(b"x")) == []


def test_a_raw_terminal_gets_its_carriage_returns() -> None:
    request = Shell(pty=Pty("xterm", 80, 24))
    channel = channel_for(request)
    told(channel, events.Requested(request))
    assert events.ToClient(b"interlock: held\r\n", Output.STDERR) in told(channel, base.Held("held", ""))


@pytest.mark.parametrize(
    ("closed", "tag", "left"),
    [
        (events.TargetClosed(status=3), "EXIT 3", events.Exit(3)),
        (events.TargetClosed(signal="KILL"), "SIGNAL KILL", events.Exit(signal="KILL")),
        (events.TargetClosed(), "the target is lost", events.Exit(255)),
    ],
)
def test_the_end_at_the_target_is_the_end_for_the_client(
    closed: events.TargetClosed, tag: str, left: events.Exit
) -> None:
    channel = running()
    output = told(channel, events.TargetData(Output.STDERR, b"oh"), events.TargetEof())
    assert output == [base.RecordAnswer(1, encode(Stream.ERROR, b"oh")), events.ToClient(b"oh", Output.STDERR)]
    ended = told(channel, closed)
    (report,) = [effect.outcome for effect in ended if isinstance(effect, base.Report)]
    assert (report.tag, report.bytes_sent) == (tag, 2)
    assert left in ended


def test_a_client_that_leaves_ends_what_runs() -> None:
    ended = told(running(), events.ClientClosed())
    assert events.CloseTarget("HUP") in ended
    (report,) = [effect.outcome for effect in ended if isinstance(effect, base.Report)]
    assert report.status is OutcomeStatus.INTERRUPTED


def test_a_kill_says_why_and_ends_what_runs() -> None:
    ended = told(running(), base.Killed("57P01", "it went wild"))
    kinds = [type(effect) for effect in ended]
    assert kinds.index(events.CloseTarget) < kinds.index(events.ToClient) < kinds.index(events.Exit)
    assert events.CloseTarget("KILL") in ended
    assert events.ToClient(b"interlock: it went wild\n", Output.STDERR) in ended


def test_signals_and_sizes_go_on_and_are_on_record() -> None:
    request = Shell(pty=Pty("xterm", 80, 24))
    channel = running(request)
    assert told(channel, events.Resized(100, 30)) == [
        base.RecordAnswer(1, encode(Stream.RESIZED, b"100x30")),
        events.ResizeTarget(100, 30),
    ]
    assert told(channel, events.Signalled("INT"))[-1] == events.SignalTarget("INT")
    assert told(channel, events.Signalled("../../x")) == []


def test_a_size_that_changes_while_it_is_decided_is_the_one_that_is_asked_for() -> None:
    request = Shell(pty=Pty("xterm", 80, 24))
    channel = channel_for(request)
    told(channel, events.Requested(request))
    assert told(channel, events.Resized(100, 30)) == []
    assert told(channel, PERMITTED) == [events.OpenTarget(Shell(pty=Pty("xterm", 100, 30)))]


def test_a_forwarding_passes_bytes_both_ways_once_it_is_permitted() -> None:
    request = Forward(ForwardKind.LOCAL, "db.internal", 5432)
    channel = channel_for(request)
    told(channel, events.Requested(request))
    assert told(channel, PERMITTED) == [events.OpenTarget(request)]
    told(channel, events.TargetOpened())
    assert told(channel, events.ClientData(b"up"), events.TargetData(Output.STDOUT, b"down")) == [
        events.ToTarget(b"up"),
        events.ToClient(b"down"),
    ]
    (report,) = [effect for effect in told(channel, events.TargetClosed()) if isinstance(effect, base.Report)]
    assert report.outcome.bytes_sent == 4
    assert "2 bytes up" in report.outcome.tag


EVENTS = st.one_of(
    st.builds(events.ClientData, st.binary(max_size=4)),
    st.builds(events.TargetData, st.sampled_from(Output), st.binary(max_size=4)),
    st.builds(events.Resized, st.integers(0, 9), st.integers(0, 9)),
    st.builds(events.Signalled, st.sampled_from(["INT", "x"])),
    st.sampled_from(
        [
            events.ClientEof(),
            events.ClientClosed(),
            events.TargetEof(),
            events.TargetClosed(),
            events.TargetFailed("no"),
            base.TimePassed(),
            base.MaskingChanged(None),
            base.Killed("", "why"),
            base.Held("held", ""),
        ]
    ),
)


@pytest.mark.parametrize("request_", [LS, Forward(ForwardKind.LOCAL, "x", 1)], ids=["command", "forwarding"])
@given(happened=st.lists(EVENTS, max_size=12))
def test_nothing_reaches_the_target_undecided_whatever_happens(request_: Request, happened: list[Event]) -> None:
    channel = channel_for(request_)
    effects = told(channel, events.Requested(request_), *(event for event in happened if not _of_target(event)), DENIED)
    assert not any(isinstance(effect, REACHES_TARGET) for effect in effects)
    assert len([effect for effect in effects if isinstance(effect, events.Exit)]) == 1


@pytest.mark.parametrize("request_", [LS, Forward(ForwardKind.LOCAL, "x", 1)], ids=["command", "forwarding"])
@given(happened=st.lists(EVENTS, max_size=12))
def test_what_runs_is_reported_once_and_never_goes_on_after_its_end(request_: Request, happened: list[Event]) -> None:
    channel = running(request_)
    effects = told(channel, *happened, events.TargetClosed(0))
    kinds = [type(effect) for effect in effects]
    assert kinds.count(base.Report) == kinds.count(events.Exit) == 1
    after = [kind for kind in kinds[kinds.index(events.Exit) + 1 :] if kind is not base.SetTimer]
    assert after == []


def _of_target(event: Event) -> bool:
    return type(event).__name__.startswith("Target")
