"""Which rows of a rehearsal a reviewer may look at, and which of their columns, as policy says.

Fails closed: a table that policy does not let the reviewer read, or whose masks cannot be told, is not shown at all.
"""

from collections.abc import Iterator

from interlock.core.catalogue import Catalogue
from interlock.core.errors import MaskingUnavailable
from interlock.core.identity import Principal
from interlock.core.masking import Masking
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.rehearsal import SampledColumn, SampledTable
from interlock.core.session import Session
from interlock.services.masking import Maskings
from interlock.services.policy.delegated import AnyPolicy
from interlock.services.ports import Clock

MAX_TABLES = 4
_CHANGING = frozenset({"insert", "update", "delete", "merge", "delete-all", "update-all"})


class Sampling:
    """Says what of an operation's tables a reviewer may see."""

    def __init__(self, maskings: Maskings, clock: Clock) -> None:
        self._maskings = maskings
        self._clock = clock

    def tables(self, session: Session, meaning: Meaning, reviewer: Principal) -> tuple[SampledTable, ...]:
        """The tables that the operation changes and that the reviewer may read. Raises ``InterlockError``."""
        policies = self._maskings.policies
        policy = policies.engine.for_session(reviewer, session.connection, session.database)
        masked = policies.engine.masks_anything(session.connection, session.database, reviewer)
        catalogue = self._maskings.catalogues.peek(session.connection, session.database) if masked else None
        if masked and catalogue is None:
            raise MaskingUnavailable("there is no catalogue that may be relied on")
        options = self._maskings.options_of(session.connection)
        masking = policy.masking(catalogue, options) if catalogue is not None else None
        readable = [path for path in _changed(meaning) if self._may_read(policy, path)]
        return tuple(_sampled(path, masking, catalogue) for path in readable[:MAX_TABLES])

    def _may_read(self, policy: AnyPolicy, path: tuple[str, ...]) -> bool:
        verdict = policy.decide(Meaning("SELECT", (Access("select", ResourceKind.TABLE, path),)), self._clock.now_s())
        return verdict.denial is None and verdict.hold is None


def _changed(meaning: Meaning) -> Iterator[tuple[str, ...]]:
    paths = (
        access.path
        for access in meaning.accesses
        if access.action in _CHANGING and access.kind is ResourceKind.TABLE and len(access.path) == 2
    )
    yield from dict.fromkeys(paths)


def _sampled(path: tuple[str, ...], masking: Masking | None, catalogue: Catalogue | None) -> SampledTable:
    schema, name = path
    if masking is None or catalogue is None:
        return SampledTable(schema, name)
    relation = next((one for one in catalogue.relations if (one.schema, one.name) == path), None)
    if relation is None:
        raise MaskingUnavailable(f"the catalogue does not have {schema}.{name}")
    masks = masking.columns.get(relation.oid, {})
    hidden = bool(masking.detectors)
    columns = tuple(SampledColumn(column.name, hidden or column.name in masks) for column in relation.columns)
    return SampledTable(schema, name, columns)
