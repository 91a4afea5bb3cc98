"""What may be shown on a reviewer's terminal of what was written to another one."""

import random
import re

import pytest

from interlock.core.terminal import MAX_STRING, TerminalText

_PASSED = re.compile(
    r"[^\x00-\x1f\x7f-\x9f]|[\x08-\x0a\x0d-\x0f]|\x1b[78DEM]|\x1b[()][0B]"
    r"|\x1b\[[0-9;:]*[@A-IK-MPSTXZ`a-bd-fmr]|\x1b\[[012]?0?J|\x1b\[(?:4|\?6|\?7|\?25|\?47|\?1047|\?1049)[hl]"
)
"""What a reader's terminal may be given, written down a second time."""


def unpassed(text: str) -> str:
    """What of a text a reader's terminal may not be given."""
    return _PASSED.sub("", text)


def shown(data: bytes) -> str:
    return TerminalText().feed(data, final=True)


@pytest.mark.parametrize(
    "data",
    [
        b"plain text\r\n",
        b"\x1b[1;31mred\x1b[0m",
        b"\x1b[38;2;1;2;3mtrue\x1b[38:5:9mcolour",
        b"\x1b[2J\x1b[H\x1b[10;20Hthere\x1b[K",
        b"\x1b[3A\x1b[B\x1b[5C\x1b[D\x1b[2G\x1b[4d",
        b"\x1b[?1049h\x1b[?25lfull\x1b[?25h\x1b[?1049l",
        b"\x1b(0lqk\x1b(B\x1b7\x1b8\x1bM",
        b"=\x1b[40b",
        b"\x1b[5;10r\x1b[2L\x1b[2M\x1b[3P\x1b[3@\x1b[3X\x1b[S\x1b[T",
        "naïve 漢字 ✓".encode(),
    ],
)
def test_what_only_changes_the_picture_passes(data: bytes) -> None:
    assert shown(data) == data.decode()


@pytest.mark.parametrize(
    "data",
    [
        b"\x1b]0;title\x07",
        b"\x1b]2;title\x1b\\",
        b"\x1b]52;c;cm0gLXJmIC8K\x07",
        b"\x1b]8;;http://evil.example\x1b\\",
        b"\x9d0;title\x9c",
        "\x9d0;title\x9c".encode(),
        b"\x1bP+q544e\x1b\\",
        b"\x1bP$qm\x1b\\",
        b"\x1b_payload\x1b\\",
        b"\x1b^message\x1b\\",
        b"\x1bXstring\x1b\\",
        b"\x1b[c",
        b"\x1b[>c",
        b"\x1b[=c",
        b"\x1b[5n",
        b"\x1b[6n",
        b"\x1b[?6n",
        b"\x1b[21t",
        b"\x1b[8;1;1t",
        b"\x1b[x",
        b"\x1bZ",
        b"\x05",
        b"\x07",
        b"\x00\x7f",
        b"\x1b[!p",
        b"\x1b[4i",
        b"\x1b[3J",
        b"\x1b[03J\x1b[4J\x1b[9K",
        b"\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[?1h\x1b=\x1b>",
        b"\x1b[?3h",
        b"\x1b#8",
        b"\x1b[>4;2m",
        b"\x1b[?4m",
        b"\x1b[?1;1;0S",
        b"\x1b[1;2;3;4;5T",
        b"\x1b[2 q",
        b"\x1b[1$r",
        b"\x1b[99999C",
        b"\x1bn\x1bo\x1b|",
    ],
)
def test_what_acts_on_the_readers_terminal_is_dropped(data: bytes) -> None:
    assert "".join(shown(b"<" + data + b">").split("�")) in ("<>", "<0;title>")


def test_a_reset_becomes_an_empty_screen() -> None:
    assert shown(b"\x1bc") == "\x1b[0m\x1b[H\x1b[2J"


def test_letters_that_turn_or_hide_text_are_left_out() -> None:
    assert shown("a\u202eb\u200bc\u00a0d".encode()) == "abc d"


def test_a_string_without_end_hides_only_so_much() -> None:
    assert shown(b"\x1bP" + b"x" * MAX_STRING + b"seen") == "seen"


def test_cuts_make_no_difference() -> None:
    data = "\x1b[1;31mrot\x1b]52;c;QQ==\x07 漢\x1b[0m\x1b[?1049h\x9b2J".encode() + b"\xff\x1b[0"
    whole = shown(data)
    for size in (1, 2, 3, 7):
        text = TerminalText()
        pieces = [text.feed(data[at : at + size]) for at in range(0, len(data), size)]
        assert "".join([*pieces, text.feed(b"", final=True)]) == whole


def test_random_bytes_give_nothing_but_what_may_pass() -> None:
    chance = random.Random(6)
    alphabet = [b"\x1b", b"[", b"]", b";", b"?", b"0", b"9", b"52", b"c", b"J", b"m", b"P", b"\\", b"\x9b", b"\x07"]
    alphabet += [bytes([code]) for code in range(256)]
    for _ in range(300):
        text = TerminalText()
        given = b"".join(chance.choice(alphabet) for _ in range(200))
        out = text.feed(given) + text.restore()
        assert not unpassed(out), given


def test_a_terminal_is_left_as_programs_expect_it() -> None:
    text = TerminalText()
    text.feed(b"\x1b[?1049h\x1b[2;5r")
    assert "\x1b[?1049l" in text.restore()
    assert "\x1b[?1049l" not in text.restore()
    assert "\x1b[r" not in TerminalText().restore()
