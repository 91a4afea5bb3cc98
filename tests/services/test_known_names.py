"""What was renamed keeps the names that it had."""

from collections.abc import Sequence

from interlock.core.catalogue import Catalogue, Column, Relation, RelationKind
from interlock.services.known_names import MAX_NAMES, remember_names


def table(oid: int, name: str, columns: Sequence[tuple[int, str]] = (), schema: str = "public") -> Relation:
    made = tuple(Column(number, column, "pg_catalog", "text") for number, column in columns)
    return Relation(oid, schema, name, RelationKind.TABLE, made)


def read_in_turn(*readings: Relation) -> Catalogue:
    """The last of several readings of a database with one relation."""
    catalogue: Catalogue | None = None
    for number, relation in enumerate(readings):
        catalogue = remember_names(Catalogue(str(number), (relation,)), catalogue)
    assert catalogue is not None
    return catalogue


def test_a_relation_that_was_renamed_or_moved() -> None:
    catalogue = read_in_turn(table(1, "users"), table(1, "resu"), table(1, "resu", schema="archive"))
    assert catalogue.relations[0].known_as == (("public", "users"), ("public", "resu"))


def test_a_column_that_was_renamed() -> None:
    catalogue = read_in_turn(
        table(1, "t", [(1, "id"), (2, "email")]),
        table(1, "t", [(1, "email"), (2, "note")]),
        table(1, "t", [(1, "id"), (2, "text")]),
    )
    assert [(c.name, c.known_as) for c in catalogue.relations[0].columns] == [
        ("id", ("email",)),
        ("text", ("email", "note")),
    ]


def test_there_and_back_again() -> None:
    there = read_in_turn(table(1, "a"), table(1, "b"))
    back = read_in_turn(table(1, "a"), table(1, "b"), table(1, "a"))
    assert back.relations[0].known_as == (("public", "b"),)
    assert len({there.version, back.version, "0", "1", "2"}) == 5


def test_new_things_have_no_other_names() -> None:
    first = Catalogue("0", (table(1, "users", [(1, "email")]),))
    second = Catalogue("1", (table(1, "users", [(1, "email"), (2, "mail")]), table(2, "users2")))
    assert remember_names(second, first) is second
    assert remember_names(second, None) is second


def test_names_are_bounded_and_the_oldest_stay() -> None:
    catalogue = read_in_turn(*(table(1, f"name{number}") for number in range(MAX_NAMES + 10)))
    known = catalogue.relations[0].known_as
    assert (len(known), known[0], known[-1]) == (MAX_NAMES, ("public", "name0"), ("public", f"name{MAX_NAMES - 1}"))
