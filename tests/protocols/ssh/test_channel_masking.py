"""What a channel does with masks: when what is held back goes on, what is recorded of input, and how it all ends."""

from interlock.core.decision import Permit
from interlock.core.masking import Masking
from interlock.core.operation import Meaning
from interlock.core.settings import ConnectionSettings
from interlock.core.settings.ssh import SshAuthentication, SshTarget
from interlock.protocols import base
from interlock.protocols.ssh import events
from interlock.protocols.ssh.channel import CommandChannel
from interlock.protocols.ssh.events import Output
from interlock.protocols.ssh.recorded import Stream, decode
from tests.protocols.ssh.masking.maskings import ALL

SETTINGS = ConnectionSettings(
    protocol="ssh", host="web.example", user="deploy", ssh=SshTarget(SshAuthentication.CERTIFICATE)
)


class Running:
    """A channel with a command that runs on a terminal."""

    def __init__(self, masking: Masking | None = ALL) -> None:
        context = events.ChannelContext(SETTINGS, "deploy", masking)
        self.channel = CommandChannel(context, events.Numbers(), lambda *_: Meaning("", ()))
        self.timers = 0
        self.shown = b""
        self.recorded = b""
        self.typed = b""
        pty = events.Pty("xterm", 80, 24)
        for event in (events.Requested(events.Exec(b"top", pty=pty)), base.Decided((Permit((), ""),))):
            self.tell(event)
        self.tell(events.TargetOpened())

    def tell(self, event: events.Event) -> None:
        for effect in self.channel.handle(event):
            match effect:
                case events.ToClient(data):
                    self.shown += data
                case base.SetTimer(after_s) if after_s:
                    self.timers += 1
                case base.RecordAnswer() | base.RecordRequest():
                    frame = decode(effect.data)
                    self.recorded += frame.data if frame.stream is Stream.OUTPUT else b""
                    self.typed += frame.data if frame.stream is Stream.INPUT else b""
                case _:
                    pass

    def say(self, data: bytes) -> None:
        self.tell(events.TargetData(Output.STDOUT, data))


def test_what_is_held_goes_on_when_nothing_has_gone_on_for_a_while() -> None:
    running = Running()
    running.say(b"10%")
    running.say(b"\r20%")
    assert (running.shown, running.timers) == (b"", 1)
    running.tell(base.TimePassed())
    assert running.shown == running.recorded == b"10%\r20%"
    assert running.timers == 1


def test_a_value_that_is_cut_while_lines_go_on_is_not_let_go() -> None:
    running = Running()
    running.say(b"one\ncard 4111 1111")
    running.say(b" 2222\ncard 4111 1111 ")
    running.tell(base.TimePassed())
    assert running.shown == b"one\ncard 4111 1111 2222\n"
    assert running.timers == 2
    running.say(b"1111 1111\n")
    assert running.shown == running.recorded == b"one\ncard 4111 1111 2222\ncard *******************\n"


def test_at_the_end_everything_is_shown_and_recorded() -> None:
    running = Running()
    running.say(b"$ ")
    running.tell(events.ClientData(b"mail ada@example.com"))
    running.tell(events.TargetClosed(status=0))
    assert running.shown == running.recorded == b"$ "
    assert running.typed == b"mail ***************"


def test_no_password_is_recorded_and_another_masking_counts_for_input_too() -> None:
    running = Running(None)
    running.say(b"Password: ")
    running.tell(events.ClientData(b"hunter2\r"))
    running.say(b"\r\n$ ")
    running.tell(base.MaskingChanged(ALL))
    running.tell(events.ClientData(b"mail ada@example.com\r"))
    assert running.typed == b"[input not kept]\nmail ***************\n"
    assert running.shown == b"Password: \r\n$ "
