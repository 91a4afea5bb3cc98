"""Stars move nothing."""

from interlock.core.content.stars import stars


def test_each_byte_is_a_star_but_for_tabs_and_the_ends_of_lines() -> None:
    assert stars(b"a b\tc\r\n\xff") == b"***\t*\r\n*"
