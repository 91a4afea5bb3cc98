"""Paths of files on hosts: what is known of them, and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.file_paths import ANYWHERE, HOME, ROOT, UNKNOWN, below, file_path, is_unknown, pattern_path, shown


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/", (ROOT,)),
        ("/srv/data/x.csv", (ROOT, "srv", "data", "x.csv")),
        ("//srv/./data/", (ROOT, "srv", "data")),
        ("/srv/../etc", (ROOT, "etc")),
        ("/../..", (ROOT,)),
        ("~", (HOME,)),
        ("~/notes", (HOME, "notes")),
        ("~ada/notes", ("~ada", "notes")),
        ("notes", (HOME, "notes")),
        ("a/../b", (HOME, "b")),
        ("..", ANYWHERE),
        ("~/a/../../x", ANYWHERE),
        ("~+/x", ANYWHERE),
        ("~1", ANYWHERE),
        ("", ANYWHERE),
        ("a\0b", ANYWHERE),
        ("/what?", (ROOT, "what?")),
        ("/a*", (ROOT, "a*")),
    ],
)
def test_a_path(text: str, path: tuple[str, ...]) -> None:
    assert file_path(text) == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/srv/data", (ROOT, "srv", "data")),
        ("/var/log/*.log", (ROOT, "var", "log", UNKNOWN)),
        ("/var/*/x/y", (ROOT, "var", UNKNOWN)),
        ("/*", ANYWHERE),
        ("*.log", (HOME, UNKNOWN)),
        ("logs/[ab]", (HOME, "logs", UNKNOWN)),
        ("~ada/x?", ("~ada", UNKNOWN)),
        ("/srv/.*", ANYWHERE),
        ("/srv/*/../../etc", ANYWHERE),
        ("/srv/{a,../etc}", ANYWHERE),
        ("../*", ANYWHERE),
    ],
)
def test_a_pattern_is_something_below_the_directory_in_front_of_it(text: str, path: tuple[str, ...]) -> None:
    assert pattern_path(text) == path


def test_paths_for_people() -> None:
    assert shown(file_path("/")) == "/"
    assert shown(file_path("/srv/x")) == "/srv/x"
    assert shown(file_path("notes")) == "~/notes"
    assert shown(ANYWHERE) == "/?"
    assert shown(below(file_path("/srv"))) == "/srv/?"
    assert below(ANYWHERE) == ANYWHERE


def test_a_path_without_end_is_cut_where_it_is_still_known() -> None:
    path = file_path("/" + "d/" * 5000)
    assert is_unknown(path)
    assert len(path) < 100


@given(st.text(st.sampled_from("/.~a*?[{\0")))
def test_a_path_is_always_something(text: str) -> None:
    for path in (file_path(text), pattern_path(text)):
        assert path[0] in (ROOT, HOME) or path[0].startswith("~")
        assert UNKNOWN not in path[:-1]
        assert not {".", ".."} & set(path)
