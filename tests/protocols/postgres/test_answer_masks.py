"""What masks mean for answers: descriptions, errors, notices and notifications, by themselves."""

import struct

import pytest

from interlock.core.keyed_masks import hasher
from interlock.core.masking import DetectorMask, Masking, MaskKind
from interlock.protocols.postgres import messages
from interlock.protocols.postgres.answer_masks import AnswerMasks, ColumnUnknown, MaskedColumnShown, described_columns
from interlock.protocols.postgres.masking.raw_outputs import RawOutput
from interlock.protocols.postgres.masks import SessionMasks
from interlock.protocols.postgres.outstanding import Awaited, Entry
from interlock.protocols.postgres.scope import SchemaScope
from tests.protocols.postgres import wire
from tests.protocols.postgres.masking.shop import RELATIONS, masking, table

PROCESS_ID = 4711
KEY = b"k" * 32
EMAIL = {"email": DetectorMask(True)}
SECRET = "alice@example.com"


def answers(on: Masking | None) -> AnswerMasks:
    return AnswerMasks(SessionMasks(SchemaScope(("public",), "app"), on), PROCESS_ID)


def entry(**marks: bool) -> Entry:
    made = Entry(Awaited.READY_AFTER_QUERY, 1)
    for name, value in marks.items():
        setattr(made, name, value)
    return made


def description(*columns: tuple[int, int], type_oid: int = 25) -> bytes:
    """A RowDescription's body; each column as the relation and the number that it comes from."""
    body = struct.pack(">H", len(columns))
    for relation, number in columns:
        body += wire.text("a column") + struct.pack(">IHIHIH", relation, number, type_oid, 0xFFFF, 0xFFFFFFFF, 0)
    return body


# ---------------------------------------------------------------- descriptions


def test_columns_of_a_description() -> None:
    found = described_columns(description((1, 3), (0, 0)))
    assert [(one.relation_oid, one.number, one.type_oid) for one in found] == [(1, 3, 25), (0, 0, 25)]
    assert described_columns(description()) == []


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\1", b"\0\1abc", b"\0\1abc\0\0\0", description((1, 3))[:-10]])
def test_a_description_that_does_not_add_up(body: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        described_columns(body)


@pytest.mark.parametrize(
    ("columns", "raw", "shown"),
    [
        ([(1, 3)], [], True),
        ([(1, 1), (1, 2), (1, 4)], [], True),
        ([(1, 1), (1, 2)], [], False),
        ([(2, 1), (0, 0), (99, 3)], [], False),
        ([(1, 0)], [], True),
        ([(1, 1), (1, 3)], [1], False),
        ([(1, 3), (1, 3)], [1], True),
        ([(1, 0xFFFF)], [], False),
    ],
)
def test_a_masked_columns_origin_is_found(columns: list[tuple[int, int]], raw: list[int], shown: bool) -> None:
    """Relation 1 is ``users``: its columns 3 and 4 are masked; 0 stands for the whole row."""
    masks = answers(masking())
    if not shown:
        masks.check_description(description(*columns), raw)
        return
    with pytest.raises(MaskedColumnShown):
        masks.check_description(description(*columns), raw)


PLAIN = table(20_000, "plain", "id int4, note text")


@pytest.mark.parametrize("place", [(20_000, 3), (2, 5), (1, 5)])
def test_what_the_catalogue_does_not_have_is_found_unless_the_session_has_made_it(place: tuple[int, int]) -> None:
    session = SessionMasks(SchemaScope(("public",), "app"), masking(relations=(*RELATIONS, PLAIN)))
    masks = AnswerMasks(session, PROCESS_ID)
    for _ in range(2):
        with pytest.raises(ColumnUnknown):
            masks.check_description(description((2, 1), place), [])
    assert session.is_behind
    session.change(session.masking)
    assert not session.is_behind
    session.own, session.has_defined = frozenset({("pg_temp", "mine")}), True
    masks.check_description(description(place), [])
    assert not session.is_behind


@pytest.mark.parametrize("place", [(20_000, 0), (20_000, 2), (20_000, 0xFFFF), (20_000, 0xFFFA), (16_383, 7), (0, 0)])
def test_what_the_catalogue_has_and_what_is_the_servers_own_passes(place: tuple[int, int]) -> None:
    answers(masking(relations=(*RELATIONS, PLAIN))).check_description(description(place), [])


def test_a_masked_relation_that_the_catalogue_does_not_have_counts_whole() -> None:
    masks = answers(masking({77: masking().columns[1]}))
    with pytest.raises(MaskedColumnShown):
        masks.check_description(description((77, 1)), [])


def test_without_masks_nothing_is_looked_at() -> None:
    answers(None).check_description(b"garbage", [])
    assert not answers(None).in_force
    assert answers(masking({})).in_force


# ---------------------------------------------------------------- errors


def fields_of(message: bytes | None) -> dict[str, str]:
    assert message is not None
    return wire.fields(message)


def error_body(*extra: tuple[str, str], code: str = "23505", sentence: str = f"{SECRET} is there") -> bytes:
    fields = [("S", "ERROR"), ("V", "ERROR"), ("C", code), ("M", sentence), *extra]
    return b"".join(kind.encode() + wire.text(value) for kind, value in fields) + b"\0"


FIELDS = [("D", SECRET), ("H", SECRET), ("W", SECRET), ("s", "public"), ("t", "users"), ("c", "email"), ("n", SECRET)]


@pytest.mark.parametrize("marks", [{"guarded": True}, {"compares": True}, {"guarded": True, "rewritten": True}])
def test_the_targets_words_are_replaced(marks: dict[str, bool]) -> None:
    instead = answers(masking()).error(entry(**marks), messages.ERROR_RESPONSE, error_body(*FIELDS))
    found = fields_of(instead)
    assert set(found) == {"S", "V", "C", "M", "H"}
    assert (found["C"], found["S"]) == ("23505", "ERROR")
    assert "withheld" in found["M"]
    assert SECRET.encode() not in (instead or b"")


@pytest.mark.parametrize("code", ["42601", "42703", "42P01"])
def test_errors_of_the_text_are_shown_for_a_comparison_but_not_for_a_write(code: str) -> None:
    body = error_body(code=code, sentence="column does not exist")
    assert answers(masking()).error(entry(compares=True), messages.ERROR_RESPONSE, body) is None
    assert "withheld" in fields_of(answers(masking()).error(entry(guarded=True), messages.ERROR_RESPONSE, body))["M"]


def test_places_in_a_text_that_the_client_did_not_send_are_left_out() -> None:
    body = error_body(
        ("P", "17"), ("p", "3"), ("q", "SELECT _interlock_1"), ("W", "SELECT _interlock_1"), ("H", "hint")
    )
    found = fields_of(answers(masking()).error(entry(rewritten=True), messages.ERROR_RESPONSE, body))
    assert set(found) == {"S", "V", "C", "M", "H"}


def test_other_errors_pass() -> None:
    assert answers(masking()).error(entry(), messages.ERROR_RESPONSE, error_body(("P", "17"))) is None


def test_content_detection_looks_at_errors_and_notices() -> None:
    on = masking({}, detectors=EMAIL)
    for masks in (answers(on), answers(masking(detectors=EMAIL))):
        instead = masks.error(entry(), messages.ERROR_RESPONSE, error_body(("D", SECRET)))
        assert fields_of(instead)["C"] == "23505"
        assert SECRET.encode() not in (instead or b"")
        notice = masks.notice(entry(), error_body())
        assert notice is not None
        assert SECRET.encode() not in notice
        assert masks.error(entry(), messages.ERROR_RESPONSE, error_body(sentence="plain")) is None


def test_a_detector_that_only_counts_changes_nothing() -> None:
    masks = answers(masking({}, detectors={"email": DetectorMask(False)}))
    assert masks.error(entry(), messages.ERROR_RESPONSE, error_body()) is None
    assert masks.content_masker() is not None
    assert answers(masking()).content_masker() is None


# ---------------------------------------------------------------- notices and notifications


def test_notices_of_what_touches_real_values_are_dropped() -> None:
    masks = answers(masking())
    assert masks.notice(entry(guarded=True), error_body()) == b""
    assert masks.notice(entry(compares=True), error_body()) == b""
    assert masks.notice(entry(), error_body()) is None
    assert masks.notice(None, error_body()) is None


def notification(process_id: int) -> bytes:
    return struct.pack(">I", process_id) + wire.text("channel") + wire.text(SECRET)


def test_payloads_of_other_sessions_are_hidden() -> None:
    hidden = answers(masking()).notification(notification(1))
    assert hidden == wire.message("A", struct.pack(">I", 1) + wire.text("channel") + b"\0")
    assert answers(masking()).notification(notification(PROCESS_ID)) is None
    assert answers(masking(show_notifications=True)).notification(notification(1)) is None
    assert answers(masking({})).notification(notification(1)) is None


def test_content_detection_looks_at_payloads_that_are_shown() -> None:
    for on in (masking(show_notifications=True, detectors=EMAIL), masking({}, detectors=EMAIL)):
        shown = answers(on).notification(notification(1))
        assert shown is not None
        assert SECRET.encode() not in shown
        assert b"channel" in shown


# ---------------------------------------------------------------- rows


def test_raw_outputs_are_masked_with_the_key() -> None:
    raw = entry()
    raw.raw_outputs, raw.width = (RawOutput(1, MaskKind.HASH),), 2
    rows = answers(masking(key=KEY)).rows_masker(raw)
    assert rows.feed(wire.row("1", SECRET)) == wire.row("1", hasher(KEY)(SECRET.encode()).decode())
    with pytest.raises(MaskedColumnShown):
        answers(None).rows_masker(raw)


def test_another_masking_is_in_force_for_answers_too() -> None:
    session = SessionMasks(SchemaScope(("public",), "app"), masking({}))
    masks = AnswerMasks(session, PROCESS_ID)
    assert masks.content_masker() is None
    session.change(masking({}, detectors=EMAIL))
    masks.changed()
    assert masks.content_masker() is not None


def test_numbers_stay_numbers() -> None:
    masks = answers(masking({}, detectors={"credit-card": DetectorMask(True)}))
    card = "4111111111111111"
    for type_oid, shown in ((20, "0"), (1700, "0")):
        rows = masks.content_masker(description((0, 0), type_oid=type_oid))
        assert rows is not None
        assert rows.feed(wire.row(card)) == wire.row(shown)
    text = masks.content_masker(description((0, 0)))
    assert text is not None
    assert card.encode() not in text.feed(wire.row(card))
