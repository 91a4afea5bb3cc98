"""What a text runs by name is part of the operation, so that an approval is about exactly that."""

from interlock.core.operation import Operation
from tests.protocols.postgres import wire
from tests.protocols.postgres.playbook import Playbook
from tests.protocols.postgres.wire import BOUND, PARSED, SYNC, complete, error, ready

DELETE_ONE = b"PREPARE s AS DELETE FROM t WHERE id = 1"


def last(book: Playbook) -> Operation:
    return book.observed.operations[-1]


def test_execute_says_what_it_runs() -> None:
    book = Playbook()
    book.client(wire.query(DELETE_ONE.decode())).target(complete("PREPARE"), ready())
    book.client(wire.query("EXECUTE s"))
    assert (last(book).runs, last(book).uncertain) == (((DELETE_ONE, b""),), False)


def test_a_name_with_another_meaning_is_another_operation() -> None:
    book = Playbook()
    book.client(wire.query(DELETE_ONE.decode())).target(complete("PREPARE"), ready())
    book.client(wire.query("DEALLOCATE s")).target(complete("DEALLOCATE"), ready())
    book.client(wire.query("PREPARE s AS DELETE FROM t WHERE id = 2")).target(complete("PREPARE"), ready())
    book.client(wire.query("EXECUTE s"))
    assert last(book).runs == ((b"PREPARE s AS DELETE FROM t WHERE id = 2", b""),)


def test_execute_in_the_extended_protocol() -> None:
    book = Playbook()
    book.client(wire.parse("DELETE FROM t", "s"), SYNC).target(PARSED, ready())
    book.client(wire.extended("EXECUTE s"))
    assert last(book).runs == ((b"DELETE FROM t", b""),)


def test_fetch_says_what_it_reads_with_its_values() -> None:
    book = Playbook()
    declare = "DECLARE c CURSOR WITH HOLD FOR SELECT $1"
    book.client(wire.parse(declare), wire.bind(values=[b"one"]), wire.execute(), SYNC)
    book.target(PARSED, BOUND, complete("DECLARE CURSOR"), ready())
    book.client(wire.query("FETCH c"))
    ((text, values),) = last(book).runs
    assert text == declare.encode()
    assert b"\0\0\0\3one" in values
    assert not last(book).uncertain


def test_a_name_that_may_be_either_of_two_is_uncertain() -> None:
    """The second PREPARE may fail at the target, and its answer is not there yet."""
    book = Playbook()
    book.client(wire.query(DELETE_ONE.decode())).target(complete("PREPARE"), ready())
    book.client(wire.query("PREPARE s AS DELETE FROM t WHERE id = 2"), wire.query("EXECUTE s"))
    assert last(book).uncertain


def test_a_name_that_nobody_knows_is_uncertain() -> None:
    book = Playbook()
    book.client(wire.query("EXECUTE nothing"))
    assert last(book).uncertain


def test_an_unknown_portal_is_uncertain() -> None:
    book = Playbook()
    book.client(wire.execute("nothing"), SYNC)
    assert last(book).uncertain


def test_a_portal_that_may_have_other_values_is_uncertain() -> None:
    """The second Bind may fail: then the target runs what the first has bound."""
    book = Playbook()
    book.client(wire.query("BEGIN")).target(complete("BEGIN"), ready("T"))
    book.client(wire.parse("DELETE FROM t WHERE id = $1", "s"), SYNC).target(PARSED, ready("T"))
    book.client(wire.bind("s", "p", [b"1"]), SYNC).target(BOUND, ready("T"))
    book.client(wire.bind("s", "p", [b"2"]), SYNC, wire.execute("p"), SYNC)
    assert last(book).uncertain


def test_values_that_were_let_go_are_not_taken_for_none() -> None:
    """The second Bind has failed, so the first portal stands, whose values are not kept any more."""
    book = Playbook()
    book.client(wire.query("BEGIN")).target(complete("BEGIN"), ready("T"))
    book.client(wire.parse("DELETE FROM t WHERE id = $1", "s"), SYNC).target(PARSED, ready("T"))
    book.client(wire.bind("s", "p", [b"1"]), SYNC).target(BOUND, ready("T"))
    book.client(wire.query("SAVEPOINT a")).target(complete("SAVEPOINT"), ready("T"))
    book.client(wire.bind("s", "p", [b"x"]), SYNC).target(error(), ready("E"))
    book.client(wire.query("ROLLBACK TO a")).target(complete("ROLLBACK"), ready("T"))
    book.client(wire.execute("p"), SYNC)
    assert last(book).text == b"DELETE FROM t WHERE id = $1"
    assert last(book).uncertain
    book.client(wire.query("FETCH p"))
    assert last(book).uncertain


def test_what_is_settled_is_certain() -> None:
    book = Playbook()
    book.client(wire.parse("DELETE FROM t WHERE id = $1"), wire.bind(values=[b"1"]), wire.execute(), SYNC)
    assert (last(book).runs, last(book).uncertain) == ((), False)
