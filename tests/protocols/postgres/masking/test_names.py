"""Which relation a name means: along certain and uncertain search paths, beside the session's own, and not at all."""

import pytest

from interlock.core.catalogue import Relation
from interlock.core.masking import MaskKind
from interlock.protocols.postgres.masking.index import MaskingIndex
from interlock.protocols.postgres.masking.names import Names, Refused, Surroundings, Unknown
from tests.protocols.postgres.masking.shop import INDEX, OTHER_USERS, PATH, RELATIONS, USERS, index, mask, table

PG_CLASS = table(7, "pg_class", "relname name", "public")


def resolve(name: str, around: Surroundings = PATH, within: MaskingIndex = INDEX) -> tuple[Relation | None, bool]:
    schema, _, relname = name.rpartition(".")
    body = {"relname": relname} | ({"schemaname": schema} if schema else {})
    return Names(within, around).resolve(body)


def path(*schemas: str, certain: bool = True, own: tuple[tuple[str, str], ...] = ()) -> Surroundings:
    return Surroundings(schemas, certain, frozenset(own))


@pytest.mark.parametrize(
    ("name", "around", "relation", "must_qualify"),
    [
        ("public.users", path(), USERS, False),
        ("hr.users", path("public"), OTHER_USERS, False),
        ("users", path("public", "hr"), USERS, True),
        ("users", path("hr", "public"), OTHER_USERS, True),
        ("users", path("hr"), OTHER_USERS, True),
        ("users", path("nowhere", "public"), USERS, True),
        ("users", path("public", "nowhere", certain=False), USERS, True),
        ("orders", path("hr", "public", certain=False), RELATIONS[1], False),
    ],
)
def test_along_the_path(name: str, around: Surroundings, relation: Relation, must_qualify: bool) -> None:
    assert resolve(name, around) == (relation, must_qualify)


@pytest.mark.parametrize("schemas", [("public", "hr"), ("hr", "public")])
def test_several_relations_on_an_uncertain_path_are_a_refusal_when_one_is_masked(schemas: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match='Write the schema of "users": while the search path changes'):
        resolve("users", path(*schemas, certain=False))
    open_everywhere = index({3: {"token": mask(MaskKind.FORBID)}})
    assert resolve("users", path(*schemas, certain=False), open_everywhere)[0] is not None


def test_a_name_is_pinned_when_a_masked_relation_anywhere_has_it() -> None:
    """What the search path is at the target may depend on more than is seen here, such as on SET ROLE."""
    within = index({4: {"email": mask()}})
    assert resolve("users", path("public"), within) == (USERS, True)
    assert resolve("orders", path("public"), within) == (RELATIONS[1], False)


def test_names_are_compared_as_they_are() -> None:
    with pytest.raises(Unknown):
        resolve("Users")
    assert resolve('public.Ta"b')[0] is not None


@pytest.mark.parametrize("name", ["missing", "public.missing", "nowhere.users", "Public.users"])
def test_what_is_not_there_is_unknown(name: str) -> None:
    with pytest.raises(Unknown, match=f'relation "{name}" does not exist') as caught:
        resolve(name)
    assert caught.value.code == "42P01"


# ---------------------------------------------------------------- the session's own


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("made", ("pg_temp", "made")),
        ("made", ("", "made")),
        ("made", ("public", "made")),
        ("hr.made", ("hr", "made")),
        ("pg_temp.made", ("pg_temp", "made")),
        ("pg_temp_3.made", ("pg_temp", "other")),
        ("orders", ("pg_temp", "orders")),
    ],
)
def test_what_the_session_has_made_holds_no_values_of_others(name: str, own: tuple[str, str]) -> None:
    assert resolve(name, path("public", own=(own,))) == (None, False)


@pytest.mark.parametrize(
    ("name", "own"), [("made", ("hr", "made")), ("hr.made", ("", "made")), ("hr.made", ("public", "made"))]
)
def test_what_was_made_elsewhere_is_unknown(name: str, own: tuple[str, str]) -> None:
    with pytest.raises(Unknown):
        resolve(name, path("public", own=(own,)))


def test_a_temporary_relation_over_a_masked_one_is_a_refusal() -> None:
    """It may have been dropped meanwhile, and then the name means the masked one."""
    with pytest.raises(Refused, match=r"write pg_temp\.users, or the schema of the table"):
        resolve("users", path("public", own=(("pg_temp", "users"),)))
    assert resolve("public.users", path("public", own=(("pg_temp", "users"),)))[0] is USERS


def test_what_is_in_the_catalogue_counts_although_the_session_made_one_of_that_name() -> None:
    """A session's own table may have been dropped and made again by somebody else."""
    own = (("", "users"), ("public", "users"))
    assert resolve("users", path("public", own=own)) == (USERS, True)
    assert resolve("public.users", path("public", own=own)) == (USERS, False)


# ---------------------------------------------------------------- the server's own


@pytest.mark.parametrize("name", ["pg_class", "pg_catalog.pg_class", "information_schema.tables", "pg_stats"])
def test_the_servers_relations_hold_nothing_of_others_unless_the_catalogue_has_them(name: str) -> None:
    assert resolve(name) == (None, False)


def test_a_server_relation_with_masks_is_found_with_and_without_its_schema() -> None:
    stats = table(8, "pg_stats", "tablename name, most_common_vals text", "pg_catalog")
    within = index({8: {"most_common_vals": mask(MaskKind.NULL)}}, relations=(*RELATIONS, stats))
    assert resolve("pg_stats", within=within) == (stats, False)
    assert resolve("pg_catalog.pg_stats", within=within) == (stats, False)


def test_a_relation_that_could_be_the_servers_must_be_written_with_its_schema() -> None:
    within = index(relations=(*RELATIONS, PG_CLASS))
    with pytest.raises(Refused, match='Write the schema of "pg_class"'):
        resolve("pg_class", within=within)
    assert resolve("public.pg_class", within=within) == (PG_CLASS, False)
    assert resolve("pg_class", path("hr"), within) == (None, False)


def test_stored_parts_of_values_cannot_be_read() -> None:
    for name in ("pg_toast.pg_toast_16400", "pg_toast_temp_3.pg_toast_1"):
        with pytest.raises(Refused, match="parts of other tables' values"):
            resolve(name)
