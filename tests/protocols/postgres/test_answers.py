"""Targets that answer what nobody asked: nothing of it is passed on, and the session ends."""

import pytest

from interlock.protocols.base import Side
from tests.protocols.postgres import wire
from tests.protocols.postgres.playbook import Playbook, refuse
from tests.protocols.postgres.wire import BOUND, FLUSH, PARSED, answer, complete, error, ready


@pytest.mark.parametrize(
    "data",
    [
        ready(),
        wire.row("secret"),
        complete("SELECT 1"),
        PARSED,
        BOUND,
        wire.CLOSED,
        wire.columns("a"),
        wire.NO_DATA,
        wire.parameters_described(),
        wire.EMPTY,
        wire.SUSPENDED,
        wire.COPY_IN,
        wire.COPY_OUT,
        wire.copy_data(b"secret"),
        wire.COPY_DONE,
        wire.message("W", b"\0\0\0"),
        wire.AUTHENTICATION_OK,
        wire.CLEARTEXT,
        wire.key_data(),
        wire.message("v", b"\0\3\0\0\0\0\0\0"),
        wire.message("z"),
        b"Z\0\0\0\3",
    ],
)
def test_answers_that_nobody_asked_for_end_the_session(data: bytes) -> None:
    book = Playbook()
    book.target(data)
    heard = book.heard(Side.CLIENT)
    assert data not in heard
    assert wire.fields(wire.split(heard)[-1])["S"] == "FATAL"
    assert book.observed.ends


@pytest.mark.parametrize("data", [wire.row("secret"), complete("SELECT 1"), ready(), wire.columns("a"), wire.COPY_OUT])
def test_answers_to_another_message_are_never_passed_on(data: bytes) -> None:
    """A Bind is due: neither rows nor any end of a statement may come."""
    book = Playbook()
    book.client(wire.parse("SELECT 1"), FLUSH).target(PARSED).client(wire.bind(), FLUSH).heard(Side.CLIENT)
    book.target(data)
    assert data not in book.heard(Side.CLIENT)
    assert book.observed.ends


@pytest.mark.parametrize("data", [wire.row("secret"), wire.columns("a"), complete("DROP TABLE"), wire.EMPTY, ready()])
def test_refused_statement_gives_nothing_but_its_denial(data: bytes) -> None:
    book = Playbook(refuse("DROP"))
    book.client(wire.query("SELECT 1"), wire.query("DROP TABLE t")).target(answer("1"), ready()).heard(Side.CLIENT)
    book.target(data)
    assert data not in book.heard(Side.CLIENT)
    assert book.observed.ends


def test_refused_statement_with_an_endless_error_ends_the_session() -> None:
    book = Playbook(refuse("DROP"))
    book.client(wire.query("SELECT 1"), wire.query("DROP TABLE t")).target(answer("1"), ready())
    endless = error("42601", "x" * (2 << 20))
    book.target(endless[:100_000])
    book.target(endless[100_000:1_500_000])
    assert b"xxxx" not in bytes(book.observed.sent[Side.CLIENT])


def test_what_came_before_a_violation_is_passed_on() -> None:
    book = Playbook()
    book.client(wire.query("SELECT 1")).target(answer("1"), ready(), wire.row("secret"))
    first, *rest = wire.split(book.heard(Side.CLIENT).removeprefix(answer("1") + ready()))
    assert wire.fields(first)["S"] == "FATAL"
    assert not rest


@pytest.mark.parametrize(("name", "value"), [("client_encoding", "LATIN1"), ("standard_conforming_strings", "off")])
def test_settings_that_change_how_text_is_read_end_the_session(name: str, value: str) -> None:
    book = Playbook()
    book.client(wire.query("SELECT f()")).target(wire.parameter(name, value)).ended(name)
