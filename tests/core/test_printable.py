"""Text from strangers cannot steer the place that shows it."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from interlock.core.printable import one_line, printable


@given(st.text(st.characters(codec=None)))
def test_nothing_that_controls_stays(text: str) -> None:
    shown = printable(text)
    assert all(letter in "\n\t" or unicodedata.category(letter)[0] != "C" for letter in shown)
    shown.encode()
    assert "\n" not in one_line(text)


def test_escapes_can_be_read() -> None:
    assert printable("\x1b[2Jx\x9b\u202e\ud800\U000e0001\rend") == ("\\x1b[2Jx\\x9b\\u202e\\ud800\\U000e0001\\x0dend")
    assert printable("naïve 表\n\tx") == "naïve 表\n\tx"
    assert one_line("a\nb") == "a\\nb"
