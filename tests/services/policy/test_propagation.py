"""How masks reach what holds the same values, or values made of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.policy.catalogues import TABLE, VIEW, catalogue, relation

from interlock.core.catalogue import Catalogue, Column, ColumnKey, ForeignKey, RelationKind
from interlock.core.masking import BUILTIN_MASK, ColumnMask, MaskKind, Predicates
from interlock.services.policy.propagation import propagate

PARTIAL = ColumnMask(MaskKind.PARTIAL, Predicates.EQUALITY, ("r",))
UNKNOWN = ColumnMask(MaskKind.REDACT, Predicates.DENY, ("r",))
USERS = relation(1, "users", ["id", "email"])
EMAIL = (1, "email")


def spread(found: Catalogue, mask: ColumnMask = PARTIAL, key: ColumnKey = EMAIL) -> dict[ColumnKey, ColumnMask]:
    columns = propagate({key: mask}, found)
    return {(oid, name): mask for oid, masks in columns.items() for name, mask in masks.items()}


def test_nothing_masked_is_nothing_at_all() -> None:
    everything = catalogue(USERS, relation(2, "v", ["x"], VIEW), opaque=[2])
    assert propagate({}, everything) == {}


class TestViews:
    V1 = relation(2, "v1", ["email", "one"], VIEW)
    V2 = relation(3, "v2", ["mail"], VIEW)

    def test_copies_are_masked_the_same_through_any_number_of_views(self) -> None:
        sources = {(2, "email"): [EMAIL], (2, "one"): [], (3, "mail"): [(2, "email")]}
        found = spread(catalogue(self.V2, self.V1, USERS, sources=sources, copies=[(2, "email"), (3, "mail")]))
        assert found == {EMAIL: PARTIAL, (2, "email"): PARTIAL, (3, "mail"): PARTIAL}

    @pytest.mark.parametrize(
        ("mask", "changed"),
        [
            (PARTIAL, UNKNOWN),
            (
                ColumnMask(MaskKind.HASH, Predicates.ALLOW, ("r",)),
                ColumnMask(MaskKind.REDACT, Predicates.ALLOW, ("r",)),
            ),
            (ColumnMask(MaskKind.NULL, Predicates.DENY, ("r",)), ColumnMask(MaskKind.NULL, Predicates.DENY, ("r",))),
            (ColumnMask(MaskKind.FORBID, Predicates.DENY), ColumnMask(MaskKind.FORBID, Predicates.DENY)),
        ],
    )
    def test_what_is_made_of_a_masked_value_shows_nothing(self, mask: ColumnMask, changed: ColumnMask) -> None:
        sources = {(2, "email"): [EMAIL, (1, "id")], (2, "one"): [(1, "id")]}
        assert spread(catalogue(USERS, self.V1, sources=sources), mask) == {EMAIL: mask, (2, "email"): changed}

    def test_the_strongest_of_several_sources(self) -> None:
        other = ColumnMask(MaskKind.NULL, Predicates.EQUALITY, ("s",))
        sources = {(2, "email"): [EMAIL, (1, "id")], (2, "one"): []}
        found = propagate({EMAIL: PARTIAL, (1, "id"): other}, catalogue(USERS, self.V1, sources=sources))
        assert found[2] == {"email": ColumnMask(MaskKind.NULL, Predicates.DENY, ("r", "s"))}

    def test_a_view_may_be_masked_more_than_its_source(self) -> None:
        sources = {(2, "email"): [EMAIL], (2, "one"): []}
        null = ColumnMask(MaskKind.NULL, Predicates.DENY, ("v",))
        shown = catalogue(USERS, self.V1, sources=sources, copies=[(2, "email")])
        found = propagate({EMAIL: PARTIAL, (2, "email"): null}, shown)
        assert found[1] == {"email": PARTIAL}
        assert found[2] == {"email": ColumnMask(MaskKind.NULL, Predicates.DENY, ("r", "v"))}

    def test_generated_columns(self) -> None:
        columns = ("id", "email", Column(3, "domain", "pg_catalog", "text", generated=True))
        users = relation(1, "users", columns)
        assert spread(catalogue(users, sources={(1, "domain"): [EMAIL]})) == {EMAIL: PARTIAL, (1, "domain"): UNKNOWN}

    def test_cycles_end(self) -> None:
        sources = {(2, "email"): [EMAIL, (3, "mail")], (2, "one"): [], (3, "mail"): [(2, "email")]}
        assert spread(catalogue(USERS, self.V1, self.V2, sources=sources))[3, "mail"] == UNKNOWN


class TestUntraced:
    @pytest.mark.parametrize("kind", [VIEW, TABLE, RelationKind.MATERIALIZED_VIEW, RelationKind.FOREIGN])
    def test_opaque_relations_show_nothing(self, kind: RelationKind) -> None:
        found = spread(catalogue(USERS, relation(2, "o", ["a", "b"], kind), opaque=[2]))
        assert found == {EMAIL: PARTIAL, (2, "a"): UNKNOWN, (2, "b"): UNKNOWN}

    def test_rules_of_all_masks_are_named(self) -> None:
        masks = {EMAIL: PARTIAL, (1, "id"): ColumnMask(MaskKind.HASH, Predicates.ALLOW, ("s", "t"))}
        found = propagate(masks, catalogue(USERS, relation(2, "o", ["a"], VIEW), opaque=[2]))
        assert found[2]["a"] == ColumnMask(MaskKind.REDACT, Predicates.DENY, ("r", "s", "t"))

    def test_what_is_made_of_an_opaque_relation(self) -> None:
        shown = catalogue(
            USERS,
            relation(2, "o", ["a"], VIEW),
            relation(3, "v", ["b"], VIEW),
            sources={(3, "b"): [(2, "a")]},
            copies=[(3, "b")],
            opaque=[2],
        )
        assert spread(shown)[3, "b"] == UNKNOWN

    def test_a_derived_column_without_lineage(self) -> None:
        generated = Column(1, "g", "pg_catalog", "text", generated=True)
        lost = catalogue(
            USERS,
            relation(2, "v", ["a", "b"], VIEW),
            relation(3, "m", ["c"], RelationKind.MATERIALIZED_VIEW),
            relation(4, "t", [generated, "plain"]),
            sources={(2, "a"): []},
        )
        assert spread(lost).keys() == {EMAIL, (2, "b"), (3, "c"), (4, "g")}

    def test_a_source_that_the_catalogue_does_not_have(self) -> None:
        for source in ((99, "x"), (1, "gone")):
            lost = catalogue(USERS, relation(2, "v", ["a"], VIEW), sources={(2, "a"): [source]})
            assert spread(lost)[2, "a"] == UNKNOWN


class TestInheritance:
    PARTS = (
        relation(1, "events", ["id", "email"], RelationKind.PARTITIONED),
        relation(2, "events_1", ["email", "id"], parents=(1,)),
        relation(3, "events_2", ["id", "email", "extra"], RelationKind.PARTITIONED, parents=(1,)),
        relation(4, "events_2a", ["id", "email", "extra"], parents=(3,)),
    )

    @pytest.mark.parametrize("named", [1, 2, 3, 4])
    def test_a_mask_on_any_part_is_on_all(self, named: int) -> None:
        found = spread(catalogue(*self.PARTS), key=(named, "email"))
        assert found == {(oid, "email"): PARTIAL for oid in (1, 2, 3, 4)}

    def test_columns_of_children_only(self) -> None:
        assert spread(catalogue(*self.PARTS), key=(4, "extra")).keys() == {(4, "extra"), (3, "extra")}

    def test_several_parents(self) -> None:
        found = spread(
            catalogue(
                relation(1, "a", ["email"]), relation(2, "b", ["email"]), relation(3, "c", ["email"], parents=(1, 2))
            )
        )
        assert found.keys() == {(1, "email"), (2, "email"), (3, "email")}


class TestForeignKeys:
    def test_what_refers_to_a_masked_column(self) -> None:
        key = ForeignKey(("who", "number"), 1, ("email", "id"))
        further = ForeignKey(("whose",), 2, ("who",))
        found = spread(
            catalogue(
                USERS,
                relation(2, "logins", ["number", "who"], foreign_keys=(key,)),
                relation(3, "notes", ["whose"], foreign_keys=(further,)),
            )
        )
        assert found == {EMAIL: PARTIAL, (2, "who"): PARTIAL, (3, "whose"): PARTIAL}

    def test_not_the_other_way(self) -> None:
        key = ForeignKey(("who",), 1, ("email",))
        found = spread(catalogue(USERS, relation(2, "logins", ["who"], foreign_keys=(key,))), key=(2, "who"))
        assert found.keys() == {(2, "who")}

    def test_a_catalogue_that_contradicts_itself(self) -> None:
        key = ForeignKey(("who",), 1, ())
        with pytest.raises(ValueError):
            spread(catalogue(USERS, relation(2, "logins", ["who"], foreign_keys=(key,))))


def test_built_in_masks_lie_on_extensions_too() -> None:
    statements = relation(9, "pg_stat_statements", ["userid", "query"], VIEW, schema="monitoring")
    shown = catalogue(USERS, statements, sources={(9, "userid"): [], (9, "query"): []})
    assert spread(shown)[9, "query"] == BUILTIN_MASK
    assert (9, "userid") not in spread(shown)


KEYS = st.tuples(st.integers(1, 6), st.sampled_from("abc"))
MASKS = st.builds(
    ColumnMask, st.sampled_from(MaskKind), st.sampled_from(Predicates), st.sampled_from([("r",), ("s",), ("t",)])
)
SOURCES = st.dictionaries(KEYS, st.frozensets(KEYS, max_size=3), max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, MASKS, min_size=1, max_size=4), SOURCES, st.frozensets(KEYS), st.permutations(range(1, 7)))
def test_every_derived_column_is_masked_at_least_as_strongly(
    direct: dict[ColumnKey, ColumnMask],
    sources: dict[ColumnKey, frozenset[ColumnKey]],
    copies: frozenset[ColumnKey],
    order: list[int],
) -> None:
    relations = [relation(oid, f"t{oid}", "abc") for oid in range(1, 7)]
    found = propagate(direct, catalogue(*relations, sources=sources, copies=copies))
    again = propagate(direct, catalogue(*(relations[oid - 1] for oid in order), sources=sources, copies=copies))
    assert found == again, "the order of relations does not count"
    for derived, given_by in sources.items():
        for oid, name in given_by:
            source = found.get(oid, {}).get(name)
            if source is not None:
                mine = found[derived[0]][derived[1]]
                assert mine.kind >= source.kind
                assert mine.predicates >= source.predicates
                assert {*source.rules} <= {*mine.rules}
                assert derived in copies or mine.kind >= MaskKind.REDACT
    for (oid, name), mask in direct.items():
        assert found[oid][name].stronger(mask) == found[oid][name]
