"""A session's masks: what is rewritten anew when, what of it is remembered, and what no longer holds."""

import pytest

from interlock.core.masking import Masking, MaskKind
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.protocols.postgres import masks as module
from interlock.protocols.postgres.masking import MaskingIndex
from interlock.protocols.postgres.masking.names import Surroundings, relation_names
from interlock.protocols.postgres.masking.rewriting import Rewriting
from interlock.protocols.postgres.masking.rewriting import rewrite as original
from interlock.protocols.postgres.masks import (
    MAX_OWN_NAMES,
    STALE,
    Definition,
    SessionMasks,
    index_of,
    refused_meaning,
)
from interlock.protocols.postgres.scope import SchemaScope
from interlock.protocols.postgres.statements import interpret
from interlock.protocols.postgres.statements.interpretation import Interpretation, SearchPath
from tests.protocols.postgres.masking.shop import INDEX, PATH, masking
from tests.protocols.postgres.masking.shop import masks as one_mask

QUERY = "SELECT email FROM users"


def session(on: Masking | None = None, *path: str) -> tuple[SessionMasks, SchemaScope]:
    scope = SchemaScope(path or ("public",), "app")
    return SessionMasks(scope, on), scope


def rewrite(masks: SessionMasks, text: str = QUERY) -> Rewriting | None:
    return masks.rewrite(text.encode(), interpret(text.encode()))


def still(masks: SessionMasks, before: Rewriting | None, text: str = QUERY) -> Rewriting | None:
    return masks.still_holds(before, text.encode(), interpret(text.encode()))


@pytest.mark.parametrize("on", [None, masking({})])
def test_without_masked_columns_statements_pass(on: Masking | None) -> None:
    masks, _ = session(on)
    assert masks.index is None
    assert rewrite(masks) is None
    assert masks.version == ("" if on is None else "m1")


def test_sessions_of_one_masking_share_its_index() -> None:
    on = masking()
    assert session(on)[0].index is session(on)[0].index is index_of(on)


def test_another_masking_is_in_force_at_once() -> None:
    masks, _ = session(masking())
    before = rewrite(masks)
    masks.change(masking(one_mask("email", kind=MaskKind.FORBID), version="m2"))
    after = rewrite(masks)
    assert before is not None
    assert after is not None
    assert b"'***'" in before.text
    assert "may not be revealed" in after.refusal
    assert masks.version == "m2"
    masks.change(None)
    assert rewrite(masks) is None


# ---------------------------------------------------------------- the search path


def test_the_path_of_the_session_decides() -> None:
    masks, scope = session(masking(), "hr")
    first = rewrite(masks)
    assert first is not None
    assert b'"hr"."users"' in first.text
    scope.changed(SearchPath(("public",), False))
    scope.rest_in_transaction()
    second = rewrite(masks)
    assert second is not None
    assert b'"public"."users"' in second.text


def test_a_path_that_may_change_on_the_way_counts_as_uncertain() -> None:
    masks, scope = session(masking())
    scope.may_become(SearchPath(("hr",), False))
    found = rewrite(masks)
    assert found is not None
    assert "Write the schema" in found.refusal


def test_a_change_of_the_path_counts_for_its_own_text() -> None:
    masks, _ = session(masking())
    found = rewrite(masks, "SET search_path = hr; SELECT email FROM users")
    assert found is not None
    assert "Write the schema" in found.refusal
    other = rewrite(masks, "SET search_path = hr; SELECT email FROM hr.users; SELECT email FROM public.users")
    assert other is not None
    assert not other.refusal


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT", "ROLLBACK TO SAVEPOINT s"])
def test_the_end_of_a_transaction_that_changed_the_path_counts_for_its_own_text(end: str) -> None:
    masks, scope = session(masking())
    scope.changed(SearchPath(("hr",), False))
    scope.rest_in_transaction()
    certain = rewrite(masks, "SELECT id FROM users")
    assert certain is not None
    assert b'"hr"."users"' in certain.text
    found = rewrite(masks, f"{end}; SELECT email FROM users")
    assert found is not None
    assert "Write the schema" in found.refusal


# ---------------------------------------------------------------- what was prepared


def test_what_was_prepared_holds_as_long_as_it_would_be_prepared_alike() -> None:
    masks, scope = session(masking())
    before = rewrite(masks)
    assert still(masks, before) == before
    masks.change(masking(version="m2"))
    assert still(masks, before) is not STALE
    masks.change(masking(one_mask("name"), version="m3"))
    assert still(masks, before) is STALE
    masks.change(masking())
    scope.changed(SearchPath(("hr",), False))
    scope.rest_in_transaction()
    assert still(masks, before) is STALE


def test_what_was_prepared_without_masks() -> None:
    masks, _ = session(None)
    assert still(masks, None) is None
    masks.change(masking())
    assert still(masks, None) is STALE
    assert still(masks, None, "SELECT 1") is not STALE
    prepared = rewrite(masks)
    masks.change(None)
    assert still(masks, prepared) is STALE
    assert still(masks, None) is None


def test_what_would_be_refused_now_is_refused() -> None:
    masks, _ = session(masking())
    before = rewrite(masks)
    masks.change(masking(one_mask("email", kind=MaskKind.FORBID), version="m2"))
    found = still(masks, before)
    assert found is not None
    assert found is not STALE
    assert "may not be revealed" in found.refusal


def test_stale_is_a_refusal_with_a_sentence() -> None:
    assert "prepare it again" in STALE.refusal
    assert STALE.text == b""


# ---------------------------------------------------------------- what is remembered


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The texts that are rewritten, with nothing remembered from before."""
    texts: list[bytes] = []

    def count(text: bytes, interpretation: Interpretation, index: MaskingIndex, around: Surroundings) -> Rewriting:
        texts.append(text)
        return original(text, interpretation, index, around)

    monkeypatch.setattr(module, "rewrite", count)
    monkeypatch.setattr(module, "_remembered", module._Remembered())
    return texts


def test_texts_are_remembered_for_all_sessions_of_one_masking(counted: list[bytes]) -> None:
    on = masking()
    (one, _), (two, _) = session(on), session(on)
    assert rewrite(one) is rewrite(one) is rewrite(two)
    assert counted == [QUERY.encode()]


def test_nothing_is_remembered_across_maskings_or_surroundings(counted: list[bytes]) -> None:
    (one, scope), (two, _) = session(masking()), session(masking(version="m2"))
    rewrite(one)
    rewrite(two)
    scope.may_become(SearchPath(("nowhere",), False))
    rewrite(one)
    one.own |= {("", "made")}
    rewrite(one)
    assert len(counted) == 4


def test_an_own_table_is_known_from_the_next_text_on(counted: list[bytes]) -> None:
    masks, _ = session(masking())
    unknown = rewrite(masks, "SELECT 1 FROM made")
    assert unknown is not None
    assert unknown.unknown
    Definition(masks, accesses("CREATE TABLE made (a int)")).taken(idle=True)
    assert masks.has_defined
    known = rewrite(masks, "SELECT 1 FROM made")
    assert known is not None
    assert not known.refusal
    assert len(counted) == 2


def test_only_so_much_is_remembered() -> None:
    remembered = module._Remembered(max_texts=3)
    texts = [f"SELECT {number} FROM users".encode() for number in range(5)]
    for text in texts:
        remembered.get(text, interpret(text), INDEX, PATH)
    assert [key[0] for key in remembered._entries] == texts[2:]
    assert remembered._bytes == sum(module._size(key, one) for key, one in remembered._entries.items())
    remembered.get(texts[2], interpret(texts[2]), INDEX, PATH)
    remembered.get(b"SELECT 9 FROM users", interpret(b"SELECT 9 FROM users"), INDEX, PATH)
    assert texts[2] in [key[0] for key in remembered._entries]


def test_what_is_too_large_is_not_remembered() -> None:
    remembered = module._Remembered(max_bytes=10)
    remembered.get(b"SELECT 8 FROM users", interpret(b"SELECT 8 FROM users"), INDEX, PATH)
    assert remembered._entries == {}
    assert remembered._bytes == 0


# ---------------------------------------------------------------- what the session makes


def accesses(text: str) -> tuple[Access, ...]:
    return interpret(text.encode()).meaning.accesses


def test_names_of_what_is_made_and_removed() -> None:
    made = accesses("CREATE TEMP TABLE t (a int); CREATE TABLE hr.u (a int); CREATE VIEW v AS SELECT 1")
    assert relation_names(made, "create") >= {("hr", "u"), ("pg_temp", "t"), ("", "v")}
    assert relation_names(accesses("DROP TABLE hr.u, v"), "drop") == {("hr", "u"), ("", "v")}
    assert relation_names((Access("create", ResourceKind.DATABASE, ("x",)),), "create") == frozenset()


def test_own_names_are_bounded() -> None:
    masks, _ = session(masking())
    masks.own = frozenset(("", str(number)) for number in range(MAX_OWN_NAMES))
    Definition(masks, accesses("CREATE TABLE more (a int)")).taken(idle=True)
    assert len(masks.own) == MAX_OWN_NAMES


def test_what_is_removed_is_no_longer_the_sessions_own() -> None:
    masks, _ = session(masking())
    Definition(masks, accesses("CREATE TABLE one (a int)")).perhaps_taken()
    Definition(masks, accesses("CREATE TABLE two (a int)")).refused()
    assert masks.own == {("", "one")}
    Definition(masks, accesses("DROP TABLE one")).taken(idle=True)
    assert masks.own == frozenset()


def test_a_refusal_of_the_meaning_goes_before_that_of_masks() -> None:
    meaning = Meaning("SELECT", ())
    assert refused_meaning(meaning, "no", "42P01", 0).refusal == "no"
    assert refused_meaning(Meaning("SELECT", (), refusal="first"), "no", "42501", 0).refusal == "first"
