"""Lines read off an emulated screen."""

import random

import pytest

from interlock.core.terminal import TerminalText
from interlock.protocols.ssh.screen import MAX_COLUMNS, MAX_GAIN, MAX_ROWS, Screen


def read(*pieces: bytes, columns: int = 80, rows: int = 24) -> list[str]:
    """All lines that are read when the pieces come one after another."""
    screen, text = Screen(columns, rows), TerminalText()
    lines = [line for piece in pieces for line in screen.feed(text.feed(piece))]
    return lines + screen.finish()


def test_lines_are_read_as_they_are_completed() -> None:
    screen, text = Screen(), TerminalText()
    assert screen.feed(text.feed(b"$ l")) == []
    assert screen.feed(text.feed(b"s\r\na.txt  b.txt\r\n$ ")) == ["$ ls", "a.txt  b.txt"]
    assert screen.finish() == ["$"]
    assert screen.finish() == []


def test_a_line_that_is_typed_with_corrections_is_read_as_it_stood_in_the_end() -> None:
    assert read(b"$ cta\x08\x08\x08cat x\x1b[K\r\n") == ["$ cat x"]


def test_colours_and_cuts_inside_sequences_make_no_difference() -> None:
    assert read(b"\x1b[1;3", b"2mgreen\x1b[", b"0m and pl", b"ain\r\n") == ["green and plain"]


def test_a_line_that_is_wrapped_is_one_line() -> None:
    assert read(b"number 4111 1111 1111 1111 of the card\r\nnext\r\n", columns=16) == [
        "number 4111 1111 1111 1111 of the card",
        "next",
    ]


def test_a_line_that_is_wrapped_at_the_bottom_of_the_screen_is_one_line() -> None:
    assert read(b"1\r\n2\r\n3\r\n" + b"abcdefghij" * 3 + b"\r\nend", columns=10, rows=3) == [
        "1",
        "2",
        "3",
        "abcdefghij" * 3,
        "end",
    ]


def test_lines_that_scroll_away_are_all_read_once_and_in_order() -> None:
    lines = [f"line {number}" for number in range(500)]
    assert read("\r\n".join(lines).encode(), rows=5) == lines


def test_what_is_erased_is_read_before_it_is_gone() -> None:
    assert read(b"secret 1\r\x1b[K\x1b[2Jother") == ["secret 1", "other"]
    assert read(b"top secret\x1b[2J\x1b[Hnext") == ["top secret", "next"]
    assert read(b"\x1b[5;1Hfive\x1b[4;1Hfour\x1b[1;1H\x1b[J") == ["four", "five"]


def test_a_program_with_the_whole_screen_is_read_when_it_leaves() -> None:
    editor = b"\x1b[?1049h\x1b[H\x1b[2JGNU nano\x1b[3;1Hpassword=x\x1b[24;1H^X Exit\x1b[?1049l"
    assert read(b"$ nano\r\n", editor, b"$ ") == ["$ nano", "GNU nano", "password=x", "^X Exit", "$"]


def test_a_quiet_screen_is_read_but_for_the_row_of_the_cursor() -> None:
    screen = Screen()
    screen.feed("\x1b[2;1Hbody\x1b[1;1Htitle")
    assert screen.settle() == ["body"]
    assert screen.finish() == ["title"]


def test_what_stands_on_the_screen() -> None:
    screen = Screen(10, 3)
    screen.feed("one\r\ntwo\x1b[1;1HO")
    assert screen.shown() == ["One", "two", ""]


def test_another_size_reads_what_was_there() -> None:
    screen = Screen(20, 5)
    screen.feed("abc\r\ndef")
    assert screen.resize(10, 2) == ["def"]
    assert screen.size == (10, 2)


def test_sizes_are_bounded() -> None:
    screen = Screen(100_000, 100_000)
    assert screen.size == (MAX_COLUMNS, MAX_ROWS)
    screen.resize(0, -5)
    assert screen.size == (2, 1)
    assert "".join(screen.feed("漢字漢字\r\n") + screen.finish()) == "漢字漢字"


def test_letters_without_width_hide_nothing_behind_them() -> None:
    assert read("a\u200d\ufe0f\u2060secret".encode()) == ["asecret"]
    assert read("e\u0301\u0301\u0301\u0301x".encode()) == ["éx"]


def test_marks_do_not_gather_on_one_letter() -> None:
    screen = Screen()
    screen.feed("e")
    for _ in range(1000):
        screen.feed("\r\x1b[C\u0301")
    assert screen.finish() == ["e"]


def test_cursors_are_not_saved_without_end() -> None:
    screen = Screen()
    screen.feed("\x1b7" * 1000)
    assert len(screen._emulator.savepoints) == 1


def test_nothing_that_a_program_writes_raises() -> None:
    chance = random.Random(7)
    finals = "@ABCDEFGHIJKLMPSTXZ`abdefhlmnrsu78DEMc()0B"
    for _ in range(200):
        screen, text = Screen(chance.randrange(1, 30), chance.randrange(1, 10)), TerminalText()
        for _ in range(60):
            parameters = ";".join(str(chance.choice((0, 1, 2, 5, 9999, ""))) for _ in range(chance.randrange(4)))
            start = chance.choice(("\x1b[", "\x1b[?", "\x1b", "", "\x1b("))
            letter = chance.choice(("x", "漢", "e\u0301", "\n", "\t"))
            screen.feed(text.feed(f"{start}{parameters}{chance.choice(finals)}{letter}".encode()))
            if chance.random() < 0.05:
                screen.resize(chance.randrange(0, 600), chance.randrange(0, 300))
            if chance.random() < 0.1:
                screen.settle()
        screen.finish()
        assert len(screen.shown()) == screen.size[1]


def test_repetitions_are_written_out() -> None:
    assert read(b"=\x1b[4b>\r\n", columns=20) == ["=====>"]
    assert read(b"x\x1b[9999b", columns=20) == ["x" * 21]


@pytest.mark.parametrize(
    "data", [b"x\x1b[999b", b"\x1b[2J\x1b[400Gx", b"\x1b[400Gx\x1bM", b"\x1b[1;400Hy\x1b[99;400Hz\x1b[2J"]
)
def test_a_screen_gives_only_so_much_more_than_it_was_fed(data: bytes) -> None:
    screen, text = Screen(500, 200), TerminalText()
    fed = read_letters = 0
    for _ in range(400):
        piece = text.feed(data * 20)
        fed += len(piece)
        read_letters += sum(map(len, screen.feed(piece)))
    assert read_letters <= (MAX_GAIN + 1) * fed + 1_000_000


def test_what_is_too_much_is_read_as_it_was_written() -> None:
    screen, text = Screen(500, 200), TerminalText()
    for _ in range(50):
        screen.feed(text.feed(b"\x1b[400Gx\x1bM" * 200))
    assert screen.feed(text.feed(b"\x1b[400Gx\x1bM\x1b[1msecret\x1b[0m\n")) == ["xsecret"]


def test_what_the_emulator_cannot_take_is_read_as_it_stands() -> None:
    screen = Screen()

    def fail(text: str) -> None:
        raise IndexError

    screen._stream.feed = fail  # type: ignore[method-assign, assignment]
    assert screen.feed("plain") == ["plain"]
