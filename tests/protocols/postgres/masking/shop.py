"""A small hand-made catalogue with masks, and short ways to rewrite statements under them."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from interlock.core.catalogue import Catalogue, Column, Lineage, Relation, RelationKind
from interlock.core.masking import ColumnMask, Masking, MaskKind, Predicates
from interlock.protocols.postgres.masking import MaskingIndex, Rewriting, rewrite
from interlock.protocols.postgres.masking.names import Surroundings
from interlock.protocols.postgres.statements import interpret

CATEGORIES = {"int4": "N", "int8": "N", "numeric": "N", "date": "D", "timestamptz": "D", "bool": "B", "jsonb": "U"}


def columns(text: str) -> tuple[Column, ...]:
    """``id int4, name text`` as columns."""
    words = [part.split() for part in text.split(",")]
    return tuple(
        Column(number, name, "pg_catalog", kind, "A" if kind.startswith("_") else CATEGORIES.get(kind, "S"))
        for number, (name, kind) in enumerate(words, 1)
    )


def table(oid: int, name: str, text: str, schema: str = "public", **more: Any) -> Relation:
    return Relation(oid, schema, name, more.pop("kind", RelationKind.TABLE), columns(text), **more)


USERS = table(1, "users", "id int4, name text, email text, salary numeric")
ORDERS = table(2, "orders", "id int4, user_id int4, total numeric, note text")
SECRETS = table(3, "secrets", "id int4, token text, label text")
OTHER_USERS = table(4, "users", "id int4, email text", "hr")
ODD = table(5, 'Ta"b', 'id int4, E"x text')

RELATIONS = (USERS, ORDERS, SECRETS, OTHER_USERS, ODD)
PII = ("pii",)


def mask(kind: MaskKind = MaskKind.REDACT, predicates: Predicates = Predicates.EQUALITY) -> ColumnMask:
    return ColumnMask(kind, predicates, PII)


Masks = Mapping[int, Mapping[str, ColumnMask]]

MASKS: Masks = MappingProxyType(
    {
        1: {"email": mask(), "salary": mask(MaskKind.NULL, Predicates.DENY)},
        3: {"token": mask(MaskKind.FORBID)},
        5: {'E"x': mask()},
    }
)


def masks(
    *names: str, kind: MaskKind = MaskKind.REDACT, predicates: Predicates = Predicates.EQUALITY, oid: int = 1
) -> Masks:
    """One mask on columns of ``users``, or of another relation."""
    return {oid: dict.fromkeys(names, mask(kind, predicates))}


def masking(on: Masks = MASKS, relations: Iterable[Relation] = RELATIONS, **more: Any) -> Masking:
    """What ``Masking`` and ``Catalogue`` take besides may be given by name."""
    parts = {name: more.pop(name) for name in ("routines", "operators", "type_code") if name in more}
    lineage = Lineage(safe_routines=more.pop("safe_routines", frozenset()))
    catalogue = Catalogue("c1", tuple(relations), lineage=lineage, **parts)
    return Masking(**{"version": "m1", "catalogue": catalogue, "columns": on, **more})


INDEX = MaskingIndex(masking())
PATH = Surroundings(("public",))


def index(on: Masks = MASKS, **more: Any) -> MaskingIndex:
    return MaskingIndex(masking(on, **more))


def rewritten(text: str, within: MaskingIndex = INDEX, around: Surroundings = PATH) -> Rewriting:
    data = text.encode()
    return rewrite(data, interpret(data), within, around)


def forwarded(text: str, within: MaskingIndex = INDEX, around: Surroundings = PATH) -> str:
    """The text that goes to the target, with single spaces."""
    found = rewritten(text, within, around)
    assert not found.refusal, found.refusal
    return " ".join(found.text.decode().split())


def refused(text: str, within: MaskingIndex = INDEX, around: Surroundings = PATH) -> str:
    """The sentence with which a text is refused."""
    found = rewritten(text, within, around)
    assert found.refusal, found.text.decode()
    return found.refusal
