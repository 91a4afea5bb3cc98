"""Held and rehearsed groups, message by message: what the client and the target hear, and when."""

from collections.abc import Sequence

import pytest

from interlock.core.decision import Trial
from interlock.core.rehearsal import RehearsalOutcome
from interlock.protocols import base
from interlock.protocols.base import Effect, Event, Side
from tests.protocols import conformance
from tests.protocols.conformance import Step
from tests.protocols.postgres import wire
from tests.protocols.postgres.playbook import Playbook, permit_everything, refuse
from tests.protocols.postgres.test_session_conformance import LOGIN, new_session, surroundings
from tests.protocols.postgres.wire import BOUND, COPY_DONE, COPY_IN, PARSED, SYNC, answer, complete, error, ready

REFUSAL = error("26000")
DELETE = "DELETE FROM t WHERE id = 1"
HELD = base.Held("held: ask a dba", "here")
NOTICE = b"held: ask a dba"


def book(*refused: str) -> Playbook:
    return Playbook(refuse(*refused) if refused else permit_everything, deciding=False)


# ---------------------------------------------------------------- holding


def test_the_client_is_told_at_once_and_the_target_hears_nothing() -> None:
    page = book().client(wire.query(DELETE)).event(HELD)
    assert NOTICE in page.heard(Side.CLIENT)
    page.target_hears().decide().target_hears(wire.query(DELETE))
    page.target(complete("DELETE 1"), ready()).client_hears(complete("DELETE 1"), ready())


def test_answers_of_earlier_statements_flow_on() -> None:
    page = book().client(wire.query("SELECT 1"), wire.query(DELETE)).decide()
    page.event(HELD).heard(Side.CLIENT)
    page.target(answer("one"), ready()).client_hears(answer("one"), ready())
    page.decide().target(complete("DELETE 1"), ready()).client_hears(complete("DELETE 1"), ready())


def test_a_notice_does_not_fall_into_a_message() -> None:
    row = wire.row("x" * 100)
    page = book().client(wire.query("SELECT 1"), wire.query(DELETE)).decide()
    page.target(wire.columns("a"), row[:50]).event(HELD)
    before = page.heard(Side.CLIENT)
    assert NOTICE not in before
    page.target(row[50:], complete("SELECT 1"), ready())
    heard = before + page.heard(Side.CLIENT)
    assert [message[:1] for message in wire.split(heard)].count(b"N") == 1
    assert row in heard


def test_a_denied_statement_is_not_heard_of_at_the_target() -> None:
    page = book("DELETE").client(wire.query(DELETE)).event(HELD)
    page.heard(Side.CLIENT)
    page.decide().target_hears().client_hears(page.denial_of(DELETE), ready())
    page.client(wire.query("SELECT 1")).decide().target_hears(wire.query("SELECT 1"))


def test_a_pipeline_with_several_held_statements_waits_as_one() -> None:
    one, two = "DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id = 2"
    group = [wire.parse(one), wire.bind(), wire.execute(), wire.parse(two), wire.bind(), wire.execute(), SYNC]
    page = book().client(*group).event(HELD).event(HELD)
    assert page.heard(Side.CLIENT).count(NOTICE) == 2
    assert len(page.waiting[0]) == 2
    page.target_hears().decide().target_hears(*group)
    page.target(*[PARSED, BOUND, complete("DELETE 1")] * 2, ready())
    page.client_hears(*[PARSED, BOUND, complete("DELETE 1")] * 2, ready())


def test_an_error_in_the_middle_ends_the_pipeline() -> None:
    """The second of three is denied: the first may run within the group, the third never does."""
    texts = ["DELETE FROM a", "TRUNCATE b", "DELETE FROM c"]
    group = [message for text in texts for message in (wire.parse(text), wire.bind(), wire.execute())]
    page = book("TRUNCATE").client(*group, SYNC).event(HELD)
    page.heard(Side.CLIENT)
    heard = page.decide().heard(Side.TARGET)
    assert b"DELETE FROM a" in heard
    assert b"TRUNCATE" not in heard
    assert b"DELETE FROM c" not in heard
    page.target(PARSED, BOUND, complete("DELETE 1"), REFUSAL, ready())
    page.client_hears(PARSED, BOUND, complete("DELETE 1"), page.denial_of("TRUNCATE b"), ready()).goes_on()


def test_an_error_of_the_target_in_the_middle() -> None:
    page = book().client(*[wire.extended("DELETE FROM a")[:-5], wire.extended("DELETE FROM b")]).event(HELD)
    page.heard(Side.CLIENT)
    page.decide().target(PARSED, BOUND, error("22012"), ready())
    page.client_hears(PARSED, BOUND, error("22012"), ready()).goes_on()


def test_what_follows_a_held_statement_waits_behind_it() -> None:
    page = book().client(wire.query(DELETE), wire.query("SELECT 2"), wire.query("SELECT 3")).event(HELD)
    assert len(page.waiting) == 1
    page.target_hears().decide()
    assert page.waiting[0][0].text == b"SELECT 2"


@pytest.mark.parametrize("denied", [False, True])
def test_a_held_copy_keeps_its_rows(denied: bool) -> None:
    """They may be sent ahead; nothing of them goes to the target before it is decided, or after a no."""
    page = book(*["COPY"] if denied else []).client(wire.query("COPY t FROM STDIN")).event(HELD)
    page.heard(Side.CLIENT)
    page.client(wire.copy_data(b"1\n"), COPY_DONE).target_hears()
    page.decide()
    if denied:
        page.target_hears().client_hears(page.denial_of("COPY t FROM STDIN"), ready())
        page.client(wire.query("SELECT 1")).decide().target_hears(wire.query("SELECT 1"))
        return
    page.target(COPY_IN).target_hears(wire.query("COPY t FROM STDIN"), wire.copy_data(b"1\n"), COPY_DONE)
    page.target(complete("COPY 1"), ready()).client_hears(COPY_IN, complete("COPY 1"), ready())


def test_a_portal_that_is_continued_asks_anew() -> None:
    page = book().client(wire.parse("DELETE FROM t RETURNING id"), wire.bind(), wire.execute("", 1), wire.FLUSH)
    page.event(HELD).decide().target(PARSED, BOUND, wire.row("1"), wire.SUSPENDED)
    page.client(wire.execute("", 1), wire.FLUSH)
    assert [one.text for one in page.waiting[0]] == [b"DELETE FROM t RETURNING id"]


def test_who_leaves_while_it_is_held_ends_the_session() -> None:
    page = book().client(wire.query(DELETE)).event(HELD).event(base.EofReceived(Side.CLIENT))
    assert DELETE.encode() not in page.heard(Side.TARGET)
    page.ended()


# ---------------------------------------------------------------- rehearsing

REHEARSE = base.Rehearse(Trial(1), (), 5000)


def rehearsed(*messages: bytes, refused: Sequence[str] = ()) -> Playbook:
    """A held group whose transaction has been begun."""
    page = book(*refused).client(*messages or [wire.query(DELETE)]).event(HELD)
    page.heard(Side.CLIENT)
    begin = page.event(REHEARSE).heard(Side.TARGET)
    assert begin.startswith(b"Q")
    assert b"BEGIN; SET LOCAL" in begin
    return page.target(complete("BEGIN"), *[complete("SET")] * 3, ready("T"))


def opened(page: Playbook, *said: bytes) -> Playbook:
    """Until the transaction is open and a reviewer has been told."""
    page.heard(Side.TARGET)
    page.target(*said or [complete("DELETE 1")], ready("T"))
    assert page.heard(Side.TARGET).startswith(b"Q")
    page.target(complete("SAVEPOINT"), ready("T"))
    assert b"ROLLBACK TO SAVEPOINT" in page.heard(Side.TARGET)
    return page.target(complete("ROLLBACK"), complete("RELEASE"), ready("T"))


def codes(page: Playbook) -> list[str]:
    """All that the client hears are these errors, and that the session is ready."""
    *errors, end = wire.split(page.heard(Side.CLIENT))
    assert end == ready()
    return [wire.fields(one)["C"] for one in errors]


def outcome(page: Playbook) -> RehearsalOutcome:
    (effect,) = [effect for effect in page.effects if isinstance(effect, base.Rehearsed)]
    return effect.outcome


def test_an_approval_commits_exactly_what_was_rehearsed() -> None:
    page = opened(rehearsed())
    assert (outcome(page).tag, outcome(page).problem) == ("DELETE 1", "")
    page.client_hears().target_hears().decide().target_hears(wire.query("COMMIT"))
    page.target(complete("COMMIT"), ready()).client_hears(complete("DELETE 1"), ready())
    page.reported((1, "completed")).goes_on()


def test_a_no_rolls_it_back() -> None:
    page = opened(rehearsed(refused=["DELETE"]))
    page.decide().target_hears(wire.query("ROLLBACK"))
    page.target(complete("ROLLBACK"), ready()).target_hears()
    page.client_hears(page.denial_of(DELETE), ready()).goes_on()


def test_the_extended_protocol() -> None:
    page = opened(rehearsed(wire.extended(DELETE)), PARSED, BOUND, wire.NO_DATA, complete("DELETE 1"))
    page.decide().target(complete("COMMIT"), ready())
    assert page.heard(Side.CLIENT).endswith(complete("DELETE 1") + ready())


@pytest.mark.parametrize("code", ["40001", "23503"])
def test_a_commit_that_fails_is_said_in_place_of_the_answer(code: str) -> None:
    page = opened(rehearsed()).decide()
    page.target(error(code), ready())
    assert codes(page) == [code]
    page.reported((1, "failed")).goes_on()


def test_a_commit_that_rolls_back_is_no_success() -> None:
    page = opened(rehearsed()).decide()
    page.target(complete("ROLLBACK"), ready())
    assert codes(page) == ["40000"]
    page.reported((1, "failed"))


@pytest.mark.parametrize("status", ["E", "I"])
def test_what_the_target_refuses_is_rolled_back_and_still_waits(status: str) -> None:
    page = rehearsed()
    page.heard(Side.TARGET)
    page.target(error("22012"), ready(status)).target_hears(wire.query("ROLLBACK"))
    page.target(complete("ROLLBACK"), ready()).client_hears()
    assert "22012" in outcome(page).problem
    page.decide().target_hears(wire.query(DELETE))


def test_a_begin_that_fails_is_no_rehearsal() -> None:
    page = book().client(wire.query(DELETE)).event(HELD).event(REHEARSE)
    page.heard(Side.CLIENT)
    page.heard(Side.TARGET)
    page.target(error("57P03"), ready()).target_hears(wire.query("ROLLBACK"))
    page.target(complete("ROLLBACK"), ready())
    assert "did not begin" in outcome(page).problem
    page.client_hears().decide().target_hears(wire.query(DELETE))


def test_a_decision_that_comes_while_it_runs_is_kept_until_it_has_run() -> None:
    page = rehearsed().decide()
    page.heard(Side.TARGET)
    page.target(complete("DELETE 1"), ready("T"))
    page.heard(Side.TARGET)
    page.target(complete("SAVEPOINT"), ready("T"))
    page.heard(Side.TARGET)
    page.target(complete("ROLLBACK"), complete("RELEASE"), ready("T")).target_hears(wire.query("COMMIT"))
    page.target(complete("COMMIT"), ready()).client_hears(complete("DELETE 1"), ready())


def test_time_is_up_and_an_approval_runs_it_anew() -> None:
    page = opened(rehearsed()).event(base.RehearsalEnded()).target_hears(wire.query("ROLLBACK"))
    page.target(complete("ROLLBACK"), ready()).client_hears()
    page.decide().target_hears(wire.query(DELETE))


def test_an_answer_that_is_too_long_is_not_kept() -> None:
    page = rehearsed(wire.query("DELETE FROM t RETURNING id"))
    page.heard(Side.TARGET)
    page.target(wire.columns("id"), *[wire.row("x" * 50_000)] * 30, complete("DELETE 30"), ready("T"))
    page.target_hears(wire.query("ROLLBACK")).target(complete("ROLLBACK"), ready()).client_hears()
    assert "longer than" in outcome(page).problem


def test_nothing_is_rehearsed_in_a_transaction_of_the_client() -> None:
    page = book().client(wire.query("BEGIN")).decide().target(complete("BEGIN"), ready("T"))
    page.client(wire.query(DELETE)).event(HELD).event(base.Rehearse(Trial(2), (), 5000))
    assert "in a transaction" in outcome(page).problem


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([wire.query("DELETE FROM a; DELETE FROM b")], "several statements"),
        ([wire.extended("DELETE FROM a")[:-5], wire.extended("DELETE FROM b")], "several statements"),
        ([wire.extended("DELETE FROM a", "named")], "cannot be run twice"),
        ([wire.query("COPY t FROM STDIN")], "cannot be run twice"),
    ],
    ids=["two in a text", "two in a group", "named", "copy"],
)
def test_what_cannot_be_run_by_itself_is_not_rehearsed(messages: list[bytes], why: str) -> None:
    page = book().client(*messages).event(HELD).event(REHEARSE)
    assert why in outcome(page).problem
    page.target_hears()


def test_who_leaves_while_it_is_open_commits_nothing() -> None:
    page = opened(rehearsed()).event(base.EofReceived(Side.CLIENT))
    assert b"COMMIT" not in page.heard(Side.TARGET)
    page.ended()


# ---------------------------------------------------------------- in any cut


class HoldingSession:
    """A session that tells its client of every DELETE that it is held, rehearses it when it may, and lets it go."""

    def __init__(self) -> None:
        self._session = new_session()

    def activity(self) -> base.Activity:
        return self._session.activity()

    def handle(self, event: Event) -> Sequence[Effect]:
        done: list[Effect] = []
        pending: list[Event] = [event]
        while pending:
            for effect in self._session.handle(pending.pop(0)):
                done.append(effect)
                if isinstance(effect, base.Authorize) and any(b"DELETE" in one.text for one in effect.operations):
                    self._asked = effect
                    pending += [HELD, base.Rehearse(Trial(effect.operations[0].number), (), 5000)]
                elif isinstance(effect, base.Rehearsed):
                    answered = surroundings(self._asked)
                    assert answered is not None
                    pending.append(answered)
        return done


def without_held(effect: Effect) -> Event | None:
    """The session answers itself about what is held."""
    held = isinstance(effect, base.Authorize) and any(b"DELETE" in one.text for one in effect.operations)
    return None if held else surroundings(effect)


TARGET, CLIENT = Side.TARGET, Side.CLIENT
HELD_STEPS: list[Step] = [
    (CLIENT, wire.query("SELECT 1") + wire.extended("DELETE FROM a")[:-5] + wire.extended("DELETE FROM b")),
    (TARGET, answer("1") + ready() + (PARSED + BOUND + complete("DELETE 1")) * 2 + ready()),
    (CLIENT, wire.query("BEGIN") + wire.query("DELETE FROM a") + wire.query("COMMIT")),
    (TARGET, complete("BEGIN") + ready("T") + complete("DELETE 3") + ready("T") + complete("COMMIT") + ready()),
    (CLIENT, wire.query("SELECT 9") + wire.TERMINATE),
]
REHEARSED_STEPS: list[Step] = [
    (CLIENT, wire.query("DELETE FROM a RETURNING id")),
    (TARGET, complete("BEGIN") + complete("SET") * 3 + ready("T")),
    (TARGET, wire.columns("id") + wire.row("1") + complete("DELETE 1") + ready("T")),
    (TARGET, complete("SAVEPOINT") + ready("T")),
    (TARGET, complete("ROLLBACK") + complete("RELEASE") + ready("T")),
    (TARGET, wire.notification() + complete("COMMIT") + ready()),
    (CLIENT, wire.query("SELECT 9") + wire.TERMINATE),
]


@pytest.mark.parametrize("steps", [HELD_STEPS, REHEARSED_STEPS], ids=["held", "rehearsed"])
def test_the_cut_of_the_input_does_not_matter(steps: list[Step]) -> None:
    conformance.check_cuts(HoldingSession, without_held, [*LOGIN, *steps])


@pytest.mark.parametrize("steps", [HELD_STEPS, REHEARSED_STEPS], ids=["held", "rehearsed"])
def test_every_end_ends_the_session(steps: list[Step]) -> None:
    conformance.check_ends(HoldingSession, without_held, [*LOGIN, *steps], every=5)
