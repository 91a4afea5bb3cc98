"""A session under masks as a dialogue: what is forwarded, what is refused, and which answers are not passed on."""

import struct
from typing import Final

import pytest

from interlock.core.keyed_masks import hasher
from interlock.core.masking import DetectorMask, Masking, MaskKind
from interlock.protocols import base
from interlock.protocols.base import Effect, Event, Side
from interlock.protocols.postgres.client_login import PlainText
from interlock.protocols.postgres.session import PostgresLimits, PostgresSession
from tests.protocols import conformance
from tests.protocols.conformance import Step
from tests.protocols.postgres import wire
from tests.protocols.postgres.masking.shop import masking, masks, rewritten, table
from tests.protocols.postgres.playbook import ENTROPY, Playbook, gateway, permit_everything
from tests.protocols.postgres.test_session_conformance import LOGIN, VERIFIER
from tests.protocols.postgres.wire import BOUND, COPY_DONE, COPY_IN, FLUSH, PARSED, SYNC, answer, complete, error, ready

QUERY: Final = "SELECT email FROM users"
FRESH: Final = table(9, "fresh", "a text, b text")
KEY: Final = b"k" * 32
HASHED: Final = masks("email", kind=MaskKind.HASH)
SECRET: Final = "alice@example.com"
UNIQUE: Final = error("23505", f"Key (email)=({SECRET}) already exists.")


def rewritten_text(text: str) -> str:
    return rewritten(text).text.decode()


def book() -> Playbook:
    return Playbook(masking=masking())


def shown(relation: int, number: int, name: str = "email") -> bytes:
    """A RowDescription of one column that comes from a relation's."""
    body = struct.pack(">H", 1) + wire.text(name) + struct.pack(">IHIHIH", relation, number, 25, 0xFFFF, 0xFFFFFFFF, 0)
    return wire.message("T", body)


def refreshes(dialogue: Playbook) -> int:
    return sum(isinstance(effect, base.RefreshCatalogue) for effect in dialogue.effects)


# ---------------------------------------------------------------- what is forwarded


def test_a_query_is_forwarded_rewritten_and_asked_about_as_it_was_sent() -> None:
    dialogue = book().client(wire.query(QUERY))
    dialogue.asked(QUERY).target_hears(wire.query(rewritten_text(QUERY)))
    (operation,) = dialogue.observed.operations
    assert operation.forwarded == rewritten(QUERY).text
    assert operation.masking == "m1"
    assert [column.column for column in operation.masked] == ["email"]
    dialogue.target(answer("***"), ready()).client_hears(answer("***"), ready()).reported((1, "completed"))
    assert dialogue.reports[0].masked_values == 1


def test_a_parse_is_forwarded_rewritten_with_its_types() -> None:
    text = "SELECT id FROM users WHERE email = $1"
    dialogue = book().client(wire.parse(text, "s", [25]), FLUSH)
    dialogue.target_hears(wire.parse(rewritten_text(text), "s", [25]), FLUSH)


def test_what_is_not_masked_passes_unchanged() -> None:
    dialogue = book().client(wire.query("SELECT total FROM orders"))
    dialogue.target_hears(wire.query("SELECT total FROM orders"))
    assert dialogue.observed.operations[0].forwarded == b""


def test_what_masks_refuse_reaches_nothing_and_the_session_goes_on() -> None:
    dialogue = book().client(wire.query("SELECT token FROM secrets"))
    dialogue.target_hears().goes_on()
    fields = wire.fields(wire.split(dialogue.heard(Side.CLIENT))[0])
    assert fields["C"] == "42501"
    assert "may not be revealed" in fields["M"]
    dialogue.client(wire.query("SELECT 1")).target_hears(wire.query("SELECT 1"))


# ---------------------------------------------------------------- the catalogue


def test_an_unknown_relation_waits_for_the_catalogue() -> None:
    text = "SELECT a FROM fresh"
    dialogue = book().client(wire.query(text), wire.query("SELECT 2"))
    dialogue.asked().target_hears().client_hears()
    assert refreshes(dialogue) == 1
    from_then_on = masking(version="m2", relations=(*masking().catalogue.relations, FRESH))
    dialogue.event(base.MaskingChanged(from_then_on))
    dialogue.asked(text, "SELECT 2").target_hears(wire.query(text), wire.query("SELECT 2"))
    assert {operation.masking for operation in dialogue.observed.operations} == {"m2"}


def test_what_is_unknown_after_that_is_refused_as_the_target_would() -> None:
    dialogue = book().client(wire.query("SELECT a FROM fresh"))
    dialogue.event(base.MaskingChanged(masking(version="m2"))).target_hears()
    fields = wire.fields(wire.split(dialogue.heard(Side.CLIENT))[0])
    assert 'relation "fresh" does not exist' in fields["M"]
    assert refreshes(dialogue) == 1
    dialogue.client(wire.query("SELECT b FROM fresh"))
    assert refreshes(dialogue) == 2


def test_a_relation_that_is_found_masked_is_masked() -> None:
    text = "SELECT a FROM fresh"
    relations = (*masking().catalogue.relations, FRESH)
    on = masking(masks("a", oid=9), relations=relations, version="m2")
    dialogue = book().client(wire.parse(text, "s"), wire.bind("s"), wire.execute(), SYNC)
    dialogue.target_hears().event(base.MaskingChanged(on))
    assert b"'***'" in dialogue.heard(Side.TARGET)


def test_answers_keep_flowing_while_the_catalogue_is_read() -> None:
    dialogue = book().client(wire.query("SELECT 1"), wire.query("SELECT a FROM fresh"))
    dialogue.target(answer("1"), ready()).client_hears(answer("1"), ready())
    assert refreshes(dialogue) == 1
    dialogue.goes_on()


def test_masks_without_a_catalogue_anymore_are_none() -> None:
    dialogue = book().event(base.MaskingChanged(None)).client(wire.query(QUERY))
    dialogue.target_hears(wire.query(QUERY))
    assert dialogue.observed.operations[0].masking == ""


# ---------------------------------------------------------------- columns that the catalogue does not have

STAR: Final = "SELECT * FROM orders"
NEW: Final = shown(2, 5, "new")
"""A column of ``orders`` that was added since."""


def test_a_new_column_waits_for_the_catalogue_and_is_then_the_targets_to_miss() -> None:
    text = "SELECT upper(new) FROM orders"
    dialogue = book().client(wire.query(text)).target_hears()
    assert refreshes(dialogue) == 1
    dialogue.event(base.MaskingChanged(masking(version="m2"))).asked(text).target_hears(wire.query(text))
    dialogue.target(error("42703"), ready()).reported((1, "failed")).goes_on()


def withheld(dialogue: Playbook, *before: bytes) -> Playbook:
    """The client has had ``before``, then the error that stands for the answer, and can go on."""
    told = dialogue.heard(Side.CLIENT)
    assert told.startswith(b"".join(before))
    failure, *rest = wire.split(told[len(b"".join(before)) :])
    assert (wire.fields(failure)["C"], rest) == ("55000", [ready()])
    assert SECRET.encode() not in told
    return dialogue


def test_no_row_goes_out_with_a_new_column_and_the_next_statement_waits_for_the_catalogue() -> None:
    dialogue = book().client(wire.query(STAR)).target(NEW + wire.row(SECRET), wire.row(SECRET))
    dialogue.client_hears().target(complete("SELECT 2"), ready())
    withheld(dialogue).reported((1, "failed"))
    assert (dialogue.reports[0].code, dialogue.reports[0].rows) == ("55000", 0)
    dialogue.heard(Side.TARGET)
    dialogue.client(wire.query(STAR)).target_hears()
    assert refreshes(dialogue) == 1
    dialogue.event(base.MaskingChanged(masking(version="m2"))).target_hears(wire.query(STAR))


def test_what_was_shown_before_in_the_same_text_stays() -> None:
    dialogue = book().client(wire.query(f"SELECT 1; {STAR}; SELECT 2"))
    dialogue.target(answer("1"), NEW, wire.row(SECRET), complete("SELECT 1"), answer("2"), ready())
    withheld(dialogue, answer("1")).reported((1, "failed"))
    assert dialogue.reports[0].rows == 1
    dialogue.goes_on()


@pytest.mark.parametrize("end", [complete("SELECT 1"), error("22012", SECRET)])
def test_a_portal_with_a_new_column_gives_no_row(end: bytes) -> None:
    dialogue = book().client(wire.parse(STAR), wire.bind(), wire.describe("P"), wire.execute(), SYNC)
    dialogue.target(PARSED, BOUND, NEW, wire.row(SECRET), end, ready())
    withheld(dialogue, PARSED, BOUND, NEW).reported((1, "failed")).goes_on()


def test_a_described_statement_with_a_new_column_ends_the_session() -> None:
    dialogue = book().client(wire.parse(STAR, "s"), wire.describe("S", "s"), SYNC)
    dialogue.target(PARSED, wire.message("t", b"\0\0"), NEW, ready()).ended("connect and try again")


def test_columns_that_the_session_adds_in_a_transaction_pass() -> None:
    dialogue = book().client(wire.query("BEGIN")).target(complete("BEGIN"), ready("T"))
    dialogue.client(wire.query("ALTER TABLE orders ADD new text")).event(base.MaskingChanged(masking(version="m2")))
    dialogue.target(complete("ALTER TABLE"), ready("T")).event(base.MaskingChanged(masking(version="m3")))
    dialogue.heard(Side.CLIENT)
    dialogue.client(wire.query(STAR))
    dialogue.target(NEW, wire.row("x"), complete("SELECT 1"), ready("T"))
    dialogue.client_hears(NEW, wire.row("x"), complete("SELECT 1"), ready("T"))


# ---------------------------------------------------------------- prepared statements


def prepared(text: str, on: Masking | None = None) -> Playbook:
    dialogue = Playbook(masking=on)
    dialogue.client(wire.parse(text, "s"), SYNC).target(PARSED, ready())
    dialogue.heard(Side.TARGET)
    dialogue.heard(Side.CLIENT)
    return dialogue


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, masking()),
        (masking(), None),
        (masking(), masking(masks("name"), version="m2")),
        (masking(), masking(masks("email", kind=MaskKind.NULL), version="m2")),
    ],
)
def test_a_statement_prepared_under_other_masks_is_refused(before: Masking | None, after: Masking | None) -> None:
    dialogue = prepared(QUERY, before).event(base.MaskingChanged(after))
    dialogue.client(wire.bind("s"), wire.execute(), SYNC)
    assert rewritten(QUERY).text not in dialogue.heard(Side.TARGET)
    assert dialogue.observed.operations[-1].meaning.refusal
    assert "prepare it again" in str(dialogue.observed.operations[-1].meaning.refusal)
    dialogue.goes_on()


@pytest.mark.parametrize("text", [QUERY, "SELECT 1", "SELECT total FROM orders"])
def test_a_statement_that_would_be_prepared_alike_is_run(text: str) -> None:
    dialogue = prepared(text, masking()).event(base.MaskingChanged(masking(version="m2")))
    dialogue.client(wire.bind("s"), wire.execute(), SYNC).target_hears(wire.bind("s"), wire.execute(), SYNC)
    assert dialogue.observed.operations[-1].masking == "m2"


def test_a_statement_prepared_by_sql_is_refused_as_well() -> None:
    dialogue = Playbook(masking=None)
    dialogue.client(wire.query(f"PREPARE s AS {QUERY}")).target(complete("PREPARE"), ready())
    dialogue.heard(Side.TARGET)
    dialogue.event(base.MaskingChanged(masking())).client(wire.query("EXECUTE s"))
    assert dialogue.observed.operations[-1].meaning.refusal
    dialogue.target_hears().goes_on()


def test_bound_values_that_stand_for_masked_ones_are_refused() -> None:
    dialogue = prepared("UPDATE users SET email = $1 WHERE id = $2", masking())
    dialogue.client(wire.bind("s", values=[b"***", b"1"]), wire.execute(), SYNC)
    assert "the mask and not its value" in str(dialogue.observed.operations[-1].meaning.refusal)
    dialogue.target(error("26000"), ready()).client(wire.bind("s", values=[b"x@y", b"1"]), wire.execute(), SYNC)
    assert dialogue.observed.operations[-1].meaning.refusal is None


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize("number", [3, 0])
def test_a_description_of_a_masked_column_ends_the_session_before_a_row(number: int) -> None:
    dialogue = book().client(wire.query(QUERY))
    dialogue.target(shown(1, number), wire.row(SECRET), complete("SELECT 1"), ready())
    dialogue.ended("about to show a masked column")
    heard = dialogue.heard(Side.CLIENT)
    assert SECRET.encode() not in heard
    assert [part[:1] for part in wire.split(heard)] == [b"E"]
    assert SECRET.encode() not in b"".join(bytes(data) for data in dialogue.observed.answers.values())


def test_a_described_statement_that_shows_a_masked_column_ends_the_session() -> None:
    dialogue = book().client(wire.parse(QUERY, "s"), wire.describe("s", "S"), SYNC)
    dialogue.target(PARSED, wire.parameters_described(), shown(1, 3))
    dialogue.ended("about to show a masked column")


def test_columns_that_are_not_masked_may_be_described() -> None:
    dialogue = book().client(wire.query("SELECT name FROM users"))
    said = shown(1, 2, "name") + wire.row("a") + complete("SELECT 1")
    dialogue.target(said, ready()).client_hears(said, ready()).goes_on()


def test_an_error_that_could_quote_a_row_is_replaced() -> None:
    dialogue = book().client(wire.query("INSERT INTO users (id) VALUES (1)"))
    dialogue.target(UNIQUE, ready())
    heard = dialogue.heard(Side.CLIENT)
    assert SECRET.encode() not in heard
    fields = wire.fields(wire.split(heard)[0])
    assert fields["C"] == "23505"
    assert "withheld" in fields["M"]
    assert SECRET.encode() not in bytes(dialogue.observed.answers[1])
    dialogue.goes_on().reported((1, "failed"))


def test_an_error_of_what_touches_nothing_masked_passes() -> None:
    dialogue = book().client(wire.query("INSERT INTO orders (id) VALUES (1)"))
    dialogue.target(UNIQUE, ready()).client_hears(UNIQUE, ready())


def test_a_notice_of_a_write_is_dropped() -> None:
    dialogue = book().client(wire.query("DELETE FROM users WHERE id = 1"))
    dialogue.target(wire.notice(SECRET), complete("DELETE 1"), ready()).client_hears(complete("DELETE 1"), ready())
    dialogue.client(wire.query("SELECT 1")).target(wire.notice("passes"), answer("1"), ready())
    dialogue.client_hears(wire.notice("passes"), answer("1"), ready())


def test_payloads_of_other_sessions_are_hidden() -> None:
    dialogue = book().target(wire.notification("news", SECRET))
    heard = dialogue.heard(Side.CLIENT)
    own = wire.notification("news", SECRET)
    assert heard == own, "process id 4711 is the session's own"
    other = wire.message("A", struct.pack(">I", 4712) + wire.text("news") + wire.text(SECRET))
    dialogue.target(other).client_hears(wire.message("A", struct.pack(">I", 4712) + wire.text("news") + b"\0"))


def test_too_long_a_notice_or_description_ends_the_session() -> None:
    for said in (wire.notice(SECRET + "x" * (1 << 22)), wire.message("T", b"\0" * (1 << 22))):
        dialogue = book().client(wire.query(QUERY))
        for start in range(0, len(said), 1 << 16):
            dialogue.target(said[start : start + (1 << 16)])
        assert SECRET.encode() not in dialogue.heard(Side.CLIENT)
        dialogue.ended()


# ---------------------------------------------------------------- raw outputs


def hashed(value: str) -> str:
    return hasher(KEY)(value.encode()).decode()


def keyed() -> Masking:
    return masking(HASHED, key=KEY)


def test_raw_outputs_are_masked_as_their_rows_pass() -> None:
    dialogue = Playbook(masking=keyed()).client(wire.query("SELECT id, email FROM users"))
    dialogue.target(wire.columns("id", "email"), wire.row("1", SECRET), complete("SELECT 1"), ready())
    dialogue.client_hears(wire.columns("id", "email"), wire.row("1", hashed(SECRET)), complete("SELECT 1"), ready())
    assert SECRET.encode() not in bytes(dialogue.observed.answers[1])
    assert dialogue.reports[0].masked_values == 1


def test_rows_that_do_not_fit_their_raw_outputs_end_the_session() -> None:
    for row in (wire.row(SECRET), wire.row("1", SECRET, "3"), wire.message("D", b"\0\2\0\0")):
        dialogue = Playbook(masking=keyed()).client(wire.query("SELECT id, email FROM users"))
        dialogue.target(wire.columns("id", "email"), row, complete("SELECT 1"), ready()).ended("cannot be masked")
        assert SECRET.encode() not in dialogue.heard(Side.CLIENT)


def test_what_shows_raw_outputs_is_not_run_by_sql() -> None:
    dialogue = Playbook(masking=keyed()).client(wire.parse(QUERY, "s"), SYNC).target(PARSED, ready())
    dialogue.client(wire.query("EXECUTE s"))
    assert "cannot be run by SQL" in str(dialogue.observed.operations[-1].meaning.refusal)


def test_masks_that_end_while_rows_are_on_their_way_do_not_uncover_them() -> None:
    dialogue = Playbook(masking=keyed()).client(wire.query("SELECT id, email FROM users"))
    dialogue.target(wire.columns("id", "email"), wire.row("1", SECRET))
    dialogue.event(base.MaskingChanged(None)).target(wire.row("2", SECRET), complete("SELECT 2"), ready())
    assert SECRET.encode() not in dialogue.heard(Side.CLIENT)


# ---------------------------------------------------------------- COPY into masked columns


def test_copied_in_data_that_stand_for_masked_values_fail_the_copy() -> None:
    dialogue = book().client(wire.query("COPY users FROM STDIN"))
    dialogue.target(COPY_IN).heard(Side.CLIENT)
    dialogue.heard(Side.TARGET)
    dialogue.client(wire.copy_data(b"1\ta\t*"), wire.copy_data(b"**\t\\N\n"), COPY_DONE)
    heard = dialogue.heard(Side.TARGET)
    assert b"***" not in heard.replace(b"\0", b"")
    assert [part[:1] for part in wire.split(heard)] == [b"d", b"f"]
    dialogue.target(error("57014", "COPY from stdin failed"), ready())
    fields = wire.fields(wire.split(dialogue.heard(Side.CLIENT))[0])
    assert "the mask and not its value" in fields["M"]
    dialogue.goes_on().client(wire.query("SELECT 1")).target_hears(wire.query("SELECT 1"))


def test_other_copied_in_data_pass() -> None:
    dialogue = book().client(wire.query("COPY users (id, name) FROM STDIN"))
    dialogue.target(COPY_IN)
    dialogue.heard(Side.TARGET)
    data = wire.copy_data(b"1\t***\n")
    dialogue.client(data, COPY_DONE).target_hears(data, COPY_DONE)


# ---------------------------------------------------------------- conformance

CLIENT, TARGET = Side.CLIENT, Side.TARGET
MASKED: list[Step] = [
    (CLIENT, wire.query(QUERY) + wire.query("SELECT token FROM secrets") + wire.query("SELECT id, name FROM users")),
    (
        TARGET,
        wire.notice() + wire.columns("email") + wire.row(SECRET) + wire.row("bob") + complete("SELECT 2") + ready(),
    ),
    (
        TARGET,
        error("42601") + ready() + wire.columns("id", "name") + wire.row("1", "n") + complete("SELECT 1") + ready(),
    ),
    (CLIENT, wire.extended("SELECT *, 1 FROM users WHERE email = $1", "s")),
    (TARGET, PARSED + BOUND + wire.columns("id", "name", "email", "salary", "one")),
    (TARGET, wire.row("1", "a", SECRET, "5", "1") + wire.row("2", "b", "", "6", "1") + complete("SELECT 2") + ready()),
    (CLIENT, wire.bind("s") + wire.execute("", 1) + wire.execute("", 1) + SYNC),
    (TARGET, BOUND + wire.row("1", "a", SECRET, "5", "1") + wire.SUSPENDED),
    (TARGET, wire.row("2", "b", SECRET, "6", "1") + complete("SELECT 1") + ready()),
    (CLIENT, wire.query("COPY users FROM STDIN")),
    (TARGET, COPY_IN),
    (CLIENT, wire.copy_data(b"1\tx\ty\t1\n") + COPY_DONE),
    (TARGET, complete("COPY 1") + ready()),
    (CLIENT, wire.query("COPY users TO STDOUT")),
    (TARGET, wire.COPY_OUT + wire.copy_data(b"alice@example.com\t***\n") + COPY_DONE + complete("COPY 1") + ready()),
    (CLIENT, wire.query("UPDATE users SET name = 'x' WHERE email = 'y' RETURNING email")),
    (TARGET, wire.notice(SECRET) + UNIQUE + ready()),
    (TARGET, wire.notification("news", "bob@example.com")),
    (CLIENT, wire.query(f"{QUERY}; SELECT 1") + wire.TERMINATE),
    (TARGET, answer("***") + answer("1") + ready()),
]
MASKED_AND_SEARCHED: Final = masking(HASHED, key=KEY, detectors={"email": DetectorMask(True)})


def new_session() -> PostgresSession:
    return PostgresSession(PostgresLimits(PlainText.SCRAM_ONLY, 100_000), ENTROPY)


def surroundings(on: Masking) -> conformance.Surroundings:
    inner = gateway(permit_everything, masking=on)

    def answer_to(effect: Effect) -> Event | None:
        if isinstance(effect, base.DescribeLogin):
            return base.LoginDescribed(VERIFIER)
        if isinstance(effect, base.RefreshCatalogue):
            return base.MaskingChanged(on)
        return inner(effect)

    return answer_to


@pytest.mark.parametrize("on", [masking(HASHED, key=KEY), MASKED_AND_SEARCHED], ids=["masked", "searched"])
def test_the_cut_of_the_input_does_not_matter(on: Masking) -> None:
    conformance.check_cuts(new_session, surroundings(on), [*LOGIN, *MASKED], seeds=20)


@pytest.mark.parametrize("on", [masking(HASHED, key=KEY), MASKED_AND_SEARCHED], ids=["masked", "searched"])
def test_the_conversation_shows_nothing(on: Masking) -> None:
    observed = conformance.observe(new_session, surroundings(on), [*LOGIN, *MASKED])[1]
    assert [type(end) for end in observed.ends] == [base.Close]
    heard = bytes(observed.sent[CLIENT])
    assert hashed(SECRET).encode() in heard
    assert heard.count(SECRET.encode()) == (0 if on.detectors else 1), "in COPY out, which this target did not mask"
    assert b"bob@example.com" not in heard or not on.detectors


def test_every_end_ends_the_session() -> None:
    steps = [*LOGIN, *MASKED]
    length = sum(len(data) for _, data in steps)
    conformance.check_ends(new_session, surroundings(MASKED_AND_SEARCHED), steps, every=max(1, length // 100))


def test_garbage_at_any_point() -> None:
    conformance.check_garbage(new_session, surroundings(MASKED_AND_SEARCHED), [*LOGIN, *MASKED], seed=1, every=23)
