"""A principal's masking, prepared for look-ups by the names that statements use."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from interlock.core.catalogue import Catalogue, Column, Relation, Routine
from interlock.core.masking import ColumnMask, Masking
from interlock.protocols.postgres.masking.documents import Path, pointed
from interlock.protocols.postgres.masking.lineage import names_of_code

NO_MASKS: Final[Mapping[str, ColumnMask]] = MappingProxyType({})


class MaskedField(msgspec.Struct, frozen=True):
    """A masked column of a relation; ``paths`` are those in its documents that are masked, none for all of it."""

    relation: Relation
    column: Column
    mask: ColumnMask
    paths: tuple[Path, ...] = ()


class MaskingIndex:
    """Look-ups in one ``Masking``."""

    def __init__(self, masking: Masking) -> None:
        catalogue = masking.catalogue
        self.masking = masking
        self.version = masking.version
        self.relations = catalogue.relations
        self._relations = {(relation.schema, relation.name): relation for relation in catalogue.relations}
        self.by_oid = {relation.oid: relation for relation in catalogue.relations}
        self._numbers: dict[int, frozenset[int]] = {}
        self._names = {relation.name for relation in catalogue.relations}
        self._masked_names = {relation.name for relation in catalogue.relations if self.is_masked(relation)}
        unsafe = [routine for routine in catalogue.routines if not self._is_safe(routine)]
        unsafe_oids = {routine.oid for routine in unsafe}
        self._routines = {(routine.schema, routine.name) for routine in catalogue.routines}
        self._routine_names = {routine.name for routine in catalogue.routines}
        self._unsafe_routines = {routine.name for routine in unsafe}
        self.unsafe_attributes = frozenset(routine.name for routine in unsafe if routine.arguments == 1)
        self.unsafe_operators = frozenset(
            operator.name for operator in catalogue.operators if operator.routine in unsafe_oids
        )
        unsafe_code = [code for code in catalogue.type_code if code.routine in unsafe_oids]
        self.unsafe_types = frozenset(name for code in unsafe_code for name in names_of_code(code))
        sources = {code.source for code in unsafe_code if code.source}
        self._coded = {
            relation.oid
            for relation in catalogue.relations
            if any(column.type_name in sources and column.type_schema != "pg_catalog" for column in relation.columns)
        }
        self._guarded = _guarded(masking)
        self._holding = _leading_to(masking.columns, _parents(catalogue))

    def relation(self, schema: str, name: str) -> Relation | None:
        """The relation of exactly this name."""
        return self._relations.get((schema, name))

    def has_column(self, relation: Relation, number: int) -> bool:
        """Whether the relation has a column of this attnum."""
        numbers = self._numbers.get(relation.oid)
        if numbers is None:
            numbers = self._numbers[relation.oid] = frozenset(column.number for column in relation.columns)
        return number in numbers

    def knows(self, name: str) -> bool:
        """Whether any schema has a relation of this name."""
        return name in self._names

    def has_masked(self, name: str) -> bool:
        """Whether any schema has a masked relation of this name: the search path can lead there unseen (SET ROLE)."""
        return name in self._masked_names

    def masks(self, relation: Relation) -> Mapping[str, ColumnMask]:
        """The masked columns of a relation, by name."""
        return self.masking.columns.get(relation.oid, NO_MASKS)

    def paths(self, relation: Relation, column: Column) -> tuple[Path, ...]:
        """Where a masked JSON column is masked; empty: as a whole."""
        pointers = self.masking.documents.get(f"{relation.schema}.{relation.name}.{column.name}", ())
        return tuple(map(pointed, pointers)) if column.type_name in ("json", "jsonb") else ()

    def is_masked(self, relation: Relation) -> bool:
        return relation.oid in self.masking.columns

    def has_routine(self, schema: str, name: str) -> bool:
        """Whether users of the target have made such a routine; in any schema when ``schema`` is empty."""
        return (schema, name) in self._routines if schema else name in self._routine_names

    def is_unsafe(self, name: str) -> bool:
        """Whether some routine of this name may do more than compute from its arguments."""
        return name in self._unsafe_routines

    def _is_safe(self, routine: Routine) -> bool:
        reviewed = f"{routine.schema}.{routine.name}" in self.masking.reviewed
        return reviewed or routine.oid in self.masking.catalogue.lineage.safe_routines

    def runs_casts(self, relation: Relation) -> bool:
        """Whether a value of the relation may run code as soon as it is cast."""
        return relation.oid in self._coded

    def is_opaque(self, relation: Relation) -> bool:
        """Whether it could not be followed what the relation is made of."""
        return relation.oid in self.masking.catalogue.lineage.opaque

    def holds_masked(self, relation: Relation) -> bool:
        """Whether the relation is masked, or shows the rows of one that is: it may get that one's columns."""
        return relation.oid in self._holding

    def is_guarded(self, relation: Relation) -> bool:
        """Whether the target's words about a write to the relation could quote a masked row, or what code says."""
        return relation.oid in self._guarded


def _guarded(masking: Masking) -> set[int]:
    """Masked relations, those that run code, and all that a write goes on from into such."""
    catalogue = masking.catalogue
    code = {relation.oid for relation in catalogue.relations if relation.runs_code}
    return _leading_to({*masking.columns, *catalogue.lineage.opaque, *code}, _writes(catalogue))


def _leading_to(oids: Iterable[int], links: Iterable[tuple[int, int]]) -> set[int]:
    """The relations, and all from which ``links`` lead to them."""
    found, pairs = set(oids), list(links)
    while True:
        reached = {oid for oid, target in pairs if target in found}
        if reached <= found:
            return found
        found |= reached


def _writes(catalogue: Catalogue) -> Iterator[tuple[int, int]]:
    """Pairs of relations: what is written to the first one may be written to the second."""
    for (oid, _), sources in catalogue.lineage.sources.items():
        yield from ((oid, source) for source, _ in sources)
    for relation in catalogue.relations:
        yield from ((key.target, relation.oid) for key in relation.foreign_keys if key.cascades)
    yield from _parents(catalogue)


def _parents(catalogue: Catalogue) -> Iterator[tuple[int, int]]:
    """Pairs of relations: the first one shows the rows of the second."""
    for relation in catalogue.relations:
        yield from ((parent, relation.oid) for parent in relation.parents)
