"""From the columns that rules mask to all that hold the same values or values made of them.

Works on a catalogue alone and asks no rule. What cannot be traced counts as made of everything that is masked.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import msgspec

from interlock.core.catalogue import Catalogue, ColumnKey, Relation, RelationKind
from interlock.core.masking import BUILTIN_MASK, ColumnMask, MaskKind, Predicates, builtin_columns

_DERIVED = frozenset({RelationKind.VIEW, RelationKind.MATERIALIZED_VIEW})


class Flow(msgspec.Struct, frozen=True):
    """Values go into the column ``target``, as they are or changed."""

    target: ColumnKey
    unchanged: bool


Flows = Mapping[ColumnKey, list[Flow]]


def propagate(direct: Mapping[ColumnKey, ColumnMask], catalogue: Catalogue) -> Mapping[int, Mapping[str, ColumnMask]]:
    """The masks of all columns, by relation and column name, given those that rules put on; empty without any.

    Raises ``ValueError`` for a catalogue that contradicts itself.
    """
    if not direct:
        return {}
    masks = dict(direct)
    rules = tuple(sorted({rule for mask in direct.values() for rule in mask.rules}))
    for key in _untraced(catalogue):
        _strengthen(masks, key, ColumnMask(MaskKind.REDACT, Predicates.DENY, rules))
    for key in _builtin(catalogue):
        _strengthen(masks, key, BUILTIN_MASK)
    _spread(masks, _flows(catalogue))
    return _by_relation(masks)


def _spread(masks: dict[ColumnKey, ColumnMask], flows: Flows) -> None:
    """To the fixpoint. It ends because masks only grow, and there is a strongest one."""
    waiting = list(masks)
    while waiting:
        source = waiting.pop()
        for flow in flows.get(source, ()):
            mask = masks[source] if flow.unchanged else _of_changed(masks[source])
            if _strengthen(masks, flow.target, mask):
                waiting.append(flow.target)


def _of_changed(mask: ColumnMask) -> ColumnMask:
    """What a mask becomes on values made of the masked ones.

    A part, a hash or a token of them would show something else than the mask is meant to, and a test for equality
    (``left(ssn, 1) = '5'``) would be more than one on the column itself.
    """
    free = mask.predicates is Predicates.ALLOW
    return ColumnMask(max(mask.kind, MaskKind.REDACT), mask.predicates if free else Predicates.DENY, mask.rules)


def _strengthen(masks: dict[ColumnKey, ColumnMask], key: ColumnKey, mask: ColumnMask) -> bool:
    before = masks.get(key)
    after = mask if before is None else before.stronger(mask)
    masks[key] = after
    return after != before


def _untraced(catalogue: Catalogue) -> Iterator[ColumnKey]:
    """Columns that may be made of anything."""
    lineage = catalogue.lineage
    known = {(relation.oid, column.name) for relation in catalogue.relations for column in relation.columns}
    for relation in catalogue.relations:
        for column in relation.columns:
            key = (relation.oid, column.name)
            sources = lineage.sources.get(key)
            if sources is None:
                lost = relation.kind in _DERIVED or column.generated
            else:
                lost = not sources <= known
            if lost or relation.oid in lineage.opaque:
                yield key


def _builtin(catalogue: Catalogue) -> Iterator[ColumnKey]:
    """What extensions bring along of the server's own: it lies among the relations of users."""
    for relation in catalogue.relations:
        for column in builtin_columns(relation.schema, relation.name):
            yield relation.oid, column


def _flows(catalogue: Catalogue) -> Flows:
    flows: defaultdict[ColumnKey, list[Flow]] = defaultdict(list)
    for target, sources in catalogue.lineage.sources.items():
        for source in sources:
            flows[source].append(Flow(target, target in catalogue.lineage.copies))
    relations = {relation.oid: relation for relation in catalogue.relations}
    for relation in catalogue.relations:
        for source, target in (*_inherited(relation, relations), *_referred(relation)):
            flows[source].append(Flow(target, unchanged=True))
    return flows


def _inherited(relation: Relation, relations: Mapping[int, Relation]) -> Iterator[tuple[ColumnKey, ColumnKey]]:
    """A parent shows the rows of its children, and children are read as parts of it: both ways, by name."""
    for parent in filter(None, map(relations.get, relation.parents)):
        for name in {column.name for column in relation.columns} & {column.name for column in parent.columns}:
            yield (parent.oid, name), (relation.oid, name)
            yield (relation.oid, name), (parent.oid, name)


def _referred(relation: Relation) -> Iterator[tuple[ColumnKey, ColumnKey]]:
    """A column that refers to another holds the same values."""
    for key in relation.foreign_keys:
        for name, target in zip(key.columns, key.target_columns, strict=True):
            yield (key.target, target), (relation.oid, name)


def _by_relation(masks: Mapping[ColumnKey, ColumnMask]) -> Mapping[int, Mapping[str, ColumnMask]]:
    found: defaultdict[int, dict[str, ColumnMask]] = defaultdict(dict)
    for (oid, name), mask in masks.items():
        found[oid][name] = mask
    return dict(found)
