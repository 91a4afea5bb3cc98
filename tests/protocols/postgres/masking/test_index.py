"""Look-ups in a masking: relations, masks, and which names could mean code that is not known to be safe."""

import msgspec
import pytest

from interlock.core.catalogue import ForeignKey, Operator, Routine, TypeCode
from tests.protocols.postgres.masking.shop import INDEX, MASKS, ORDERS, RELATIONS, USERS, index, masks, table

SAFE = Routine(20000, "public", "double", "f", "sql", arguments=1)
UNSAFE = Routine(20001, "public", "peek", "f", "plpgsql", arguments=1)
UNSAFE_OF_TWO = Routine(20002, "tools", "join_up", "f", "plpgsql", arguments=2)
SAFE_TOO = Routine(20003, "tools", "peek", "f", "sql", arguments=1)
ROUTINES = (SAFE, UNSAFE, UNSAFE_OF_TWO, SAFE_TOO)
KNOWN_SAFE = frozenset({20000, 20003})


def test_relations_by_exact_name() -> None:
    assert INDEX.relation("public", "users") is USERS
    assert INDEX.relation("public", "Users") is None
    assert INDEX.relation("", "users") is None
    assert INDEX.by_oid[2] is ORDERS
    assert (INDEX.knows("secrets"), INDEX.knows("Secrets")) == (True, False)


def test_masks_of_a_relation() -> None:
    assert INDEX.masks(USERS) is MASKS[1]
    assert INDEX.masks(ORDERS) == {}
    assert [relation.oid for relation in RELATIONS if INDEX.is_masked(relation)] == [1, 3, 5]


def test_routines_by_name() -> None:
    made = index(routines=ROUTINES, safe_routines=KNOWN_SAFE)
    assert (made.is_unsafe("peek"), made.is_unsafe("join_up"), made.is_unsafe("double")) == (True, True, False)
    assert made.has_routine("tools", "peek")
    assert made.has_routine("", "peek")
    assert not made.has_routine("tools", "double")
    assert made.unsafe_attributes == {"peek"}


def test_a_reviewed_routine_is_safe_under_its_schema_only() -> None:
    made = index(routines=ROUTINES, safe_routines=KNOWN_SAFE, reviewed=frozenset({"tools.join_up", "tools.peek"}))
    assert (made.is_unsafe("peek"), made.is_unsafe("join_up")) == (True, False)


def test_operators_and_types_behind_which_there_is_unsafe_code() -> None:
    made = index(
        routines=ROUTINES,
        safe_routines=KNOWN_SAFE,
        operators=(Operator("public", "<<<", 20001), Operator("public", ">>>", 20000)),
        type_code=(
            TypeCode("public", "card", 20001),
            TypeCode("public", "even", 20000),
            TypeCode("public", "target", 20001, source="origin"),
            TypeCode("pg_catalog", "text", 20001, source="user_ref"),
        ),
    )
    assert made.unsafe_operators == {"<<<"}
    assert made.unsafe_types == {"card", "target", "origin", "user_ref"}


@pytest.mark.parametrize(("schema", "runs"), [("public", True), ("pg_catalog", False)])
def test_relations_with_values_whose_cast_runs_code(schema: str, runs: bool) -> None:
    column = msgspec.structs.replace(USERS.columns[1], type_schema=schema, type_name="user_ref")
    users = msgspec.structs.replace(USERS, columns=(column,))
    code = TypeCode("pg_catalog", "text", 20001, source="user_ref")
    made = index(masks(), relations=(users,), routines=ROUTINES, type_code=(code,))
    assert made.runs_casts(users) is runs


# ---------------------------------------------------------------- what errors could quote


def key(target: int, cascades: bool = True) -> tuple[ForeignKey, ...]:
    return (ForeignKey(("a",), target, ("id",), cascades),)


def test_writes_to_what_is_masked_or_runs_code_are_guarded() -> None:
    runs = table(8, "logged", "id int4", runs_code=True)
    made = index(relations=(*RELATIONS, runs))
    assert [relation.oid for relation in (*RELATIONS, runs) if made.is_guarded(relation)] == [1, 3, 5, 8]


def test_writes_that_cascade_into_what_is_masked_are_guarded() -> None:
    """``users`` refers to ``teams``, that to ``firms``: deleting a firm deletes users."""
    users = msgspec.structs.replace(USERS, foreign_keys=key(10))
    teams = table(10, "teams", "id int4", foreign_keys=(*key(11), *key(12, cascades=False)))
    firms, towns = table(11, "firms", "id int4", foreign_keys=key(11)), table(12, "towns", "id int4")
    apart = table(13, "apart", "id int4", foreign_keys=key(14))
    other = table(14, "other", "id int4", foreign_keys=key(13))
    everything = (users, teams, firms, towns, apart, other)
    made = index({1: MASKS[1]}, relations=everything)
    assert [relation.oid for relation in everything if made.is_guarded(relation)] == [1, 10, 11]
