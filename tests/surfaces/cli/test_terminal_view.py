"""What a reviewer's terminal is given."""

import os
from collections.abc import Callable

import pytest

from interlock.core.errors import ConfigurationError
from interlock.core.terminal_event import TerminalEvent, TerminalEventKind
from interlock.surfaces.cli.pacing import Pace, span_s
from interlock.surfaces.cli.terminal_view import TerminalView

Kind = TerminalEventKind


def shown(*events: TerminalEvent, size: tuple[int, int] = (80, 24)) -> str:
    written: list[str] = []
    view = TerminalView(written.append, os.terminal_size(size))
    for event in events:
        view.show(event)
    view.close()
    return "".join(written)


def event(kind: Kind, text: str, number: int = 1, at_us: int = 250_000) -> TerminalEvent:
    return TerminalEvent(at_us, number, kind, text)


def plain(text: str) -> str:
    """Without the colours of the view itself, and what leaves the terminal as it was."""
    for sequence in ("\x1b[0;2m", "\x1b[0m", "\x1b[?7h", "\x1b[4l", "\x1b[?6l", "\x1b(B", "\x0f", "\x1b[?25h", "\r"):
        text = text.replace(sequence, "")
    return text


def test_a_command_with_its_output_and_its_end() -> None:
    text = shown(event(Kind.ASKED, "$ df"), event(Kind.OUTPUT, "disk\r\nfull"), event(Kind.EXIT, "1"))
    assert plain(text) == "── 0.250  #1  $ df ──\ndisk\nfull\n── 0.250  #1  exit status 1 ──\n"


def test_output_comes_as_it_was_written() -> None:
    assert "\x1b[1;32mok\x1b[5;7Hthere" in shown(event(Kind.OUTPUT, "\x1b[1;32mok\x1b[5;7Hthere"))


def test_what_a_gateway_elsewhere_sends_is_filtered_again() -> None:
    text = shown(
        event(Kind.OUTPUT, "a\x1b]52;c;QQ==\x07b\x1b[6nc\x1bPq\x1b\\d"),
        event(Kind.ASKED, "$ \x1b]0;title\x07"),
        event(Kind.DECIDED, "denied: \x1b[6n\nsecond"),
    )
    assert "abcd" in text
    assert "\x1b]" not in text
    assert "\x1b[6n" not in text
    assert "\\nsecond" in text


def test_another_channel_begins_on_a_line_of_its_own() -> None:
    text = shown(event(Kind.OUTPUT, "one", 1), event(Kind.OUTPUT, "two", 2), event(Kind.OUTPUT, "three", 1))
    assert plain(text) == "one\n── 0.250  #2  goes on ──\ntwo\n── 0.250  #1  goes on ──\nthree\n"


def test_what_was_typed_is_not_shown() -> None:
    assert shown(event(Kind.INPUT, "password")) == ""


def test_nothing_is_written_when_nothing_is_shown() -> None:
    assert shown() == ""


def test_another_size_is_said() -> None:
    assert "120 columns and 40 rows" in shown(event(Kind.RESIZED, "120x40"))
    assert plain(shown(event(Kind.RESIZED, "120x40"), size=(120, 40))) == ""


def test_the_terminal_is_left_as_it_was_found() -> None:
    text = shown(event(Kind.OUTPUT, "\x1b[?1049h\x1b[?25l\x1b[31mvim"))
    after = text.partition("vim")[2]
    assert after.index("\x1b[0m") < after.index("\x1b[?1049l")
    assert "\x1b[?25h" in after


@pytest.mark.parametrize(
    ("text", "seconds"), [("1m30s", 90), ("2s", 2), ("0.5s", 0.5), ("1h", 3600), ("1h1s", 3601), ("0s", 0)]
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert span_s(text, "--from") == seconds


@pytest.mark.parametrize("text", ["", "90", "1.5m", "-1s", "s", "1s1m", "1e9s"])
def test_what_is_no_length_of_time_is_an_error_that_says_what_is(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--from is a length of time such as"):
        span_s(text, "--from")


@pytest.fixture
def waits() -> list[float]:
    return []


def paced(waits: list[float], speed: float = 1, idle_limit_s: float = 1e9, from_us: int = 0) -> Callable[[int], None]:
    return Pace(speed, idle_limit_s, from_us, waits.append).wait


def test_a_replay_takes_the_time_that_the_session_took(waits: list[float]) -> None:
    wait = paced(waits, speed=4)
    for at_us in (1_000_000, 1_000_000, 500_000, 5_000_000):
        wait(at_us)
    assert waits == [0.25, 1.0]


def test_a_replay_waits_no_longer_than_it_may(waits: list[float]) -> None:
    wait = paced(waits, idle_limit_s=2)
    wait(60_000_000)
    wait(61_000_000)
    assert waits == [2, 1]


def test_a_replay_that_begins_later_does_not_wait_for_what_was_before(waits: list[float]) -> None:
    wait = paced(waits, from_us=10_000_000)
    for at_us in (1, 10_000_000, 11_000_000):
        wait(at_us)
    assert waits == [1]
