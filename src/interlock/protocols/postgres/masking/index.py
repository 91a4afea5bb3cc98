"""A principal's masking, prepared for look-ups by the names that statements use."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from interlock.core.catalogue import Column, Relation, Routine
from interlock.core.masking import ColumnMask, Masking

NO_MASKS: Final[Mapping[str, ColumnMask]] = MappingProxyType({})


class MaskedField(msgspec.Struct, frozen=True):
    """A masked column of a relation."""

    relation: Relation
    column: Column
    mask: ColumnMask


class MaskingIndex:
    """Look-ups in one ``Masking``."""

    def __init__(self, masking: Masking) -> None:
        catalogue = masking.catalogue
        self.masking = masking
        self.version = masking.version
        self.relations = catalogue.relations
        self._relations = {(relation.schema, relation.name): relation for relation in catalogue.relations}
        self.by_oid = {relation.oid: relation for relation in catalogue.relations}
        self._names = {relation.name for relation in catalogue.relations}
        unsafe = [routine for routine in catalogue.routines if not self._is_safe(routine)]
        unsafe_oids = {routine.oid for routine in unsafe}
        self._routines = {(routine.schema, routine.name) for routine in catalogue.routines}
        self._routine_names = {routine.name for routine in catalogue.routines}
        self._unsafe_routines = {routine.name for routine in unsafe}
        self.unsafe_attributes = frozenset(routine.name for routine in unsafe if routine.arguments == 1)
        self.unsafe_operators = frozenset(
            operator.name for operator in catalogue.operators if operator.routine in unsafe_oids
        )
        self.unsafe_types = frozenset(code.name for code in catalogue.type_code if code.routine in unsafe_oids)
        self.linked = frozenset(self._linked(catalogue.relations))

    def relation(self, schema: str, name: str) -> Relation | None:
        """The relation of exactly this name."""
        return self._relations.get((schema, name))

    def knows(self, name: str) -> bool:
        """Whether any schema has a relation of this name."""
        return name in self._names

    def masks(self, relation: Relation) -> Mapping[str, ColumnMask]:
        """The masked columns of a relation, by name."""
        return self.masking.columns.get(relation.oid, NO_MASKS)

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

    def _linked(self, relations: Iterable[Relation]) -> Iterable[int]:
        """Relations whose foreign keys lead to masked ones or from them: their errors can quote masked rows."""
        for relation in relations:
            for key in relation.foreign_keys:
                if key.target in self.masking.columns or relation.oid in self.masking.columns:
                    yield from (relation.oid, key.target)
