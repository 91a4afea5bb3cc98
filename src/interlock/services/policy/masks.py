"""Which masks the rules put on single columns and on detectors, for one principal on one database.

What columns are derived from is not looked at (see ``propagation``). Every fault is raised: who asks must not go on.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from interlock.core.catalogue import Catalogue, ColumnKey
from interlock.core.errors import MaskingUnavailable
from interlock.core.masking import DETECTOR_CLASSES, ColumnMask
from interlock.core.operation import NO_FACTS
from interlock.services.policy.columns import Layout, Place
from interlock.services.policy.evaluator import Answer, Evaluator
from interlock.services.policy.resources import TagSource
from interlock.services.policy.reveal import strictest_mask
from interlock.services.policy.rules import Rule
from interlock.services.policy.scopes import Uid, fits, reaches
from interlock.services.policy.tree import tags_named
from interlock.services.policy.viewpoint import Viewpoint
from interlock.services.policy.wording import quoted

Key = TypeVar("Key")

_BATCH = 2000
"""Columns asked about at once: bounds the memory that entities and answers take."""


class RuleMasks:
    """The rules about ``reveal`` whose scope fits one principal."""

    def __init__(self, evaluator: Evaluator, viewpoint: Viewpoint) -> None:
        self._evaluator = evaluator
        self._viewpoint = viewpoint
        self._asked = [rule for rule in evaluator.on_reveal if self._fits_principal(rule)]
        self._by_tag = [rule for rule in evaluator.on_tagged_columns if self._fits_principal(rule)]

    @property
    def any(self) -> bool:
        """Whether something of the database could be masked, whatever it contains. Never wrongly False."""
        where = (self._viewpoint.connection, self._viewpoint.database)
        asked = any(reaches(rule.policy.resource, *where) for rule in self._asked)
        return asked or any(tags_named(rule.policy) for rule in self._by_tag)

    def on_columns(self, catalogue: Catalogue) -> dict[ColumnKey, ColumnMask]:
        """The masks of the columns that rules are satisfied for, the strongest of several.

        Raises ``MaskingUnavailable`` when a rule cannot be evaluated, and whatever Cedar raises.
        """
        masks: dict[ColumnKey, ColumnMask] = {}
        where = (self._viewpoint.connection, self._viewpoint.database)
        for former in (False, True):
            layout = Layout(catalogue, *where, self._evaluator.tags, former=former)
            candidates = self._candidates(layout.places(), masks)
            while batch := list(islice(candidates, _BATCH)):
                self._ask(batch, layout.tags, masks)
        return masks

    def on_detectors(self) -> dict[str, ColumnMask]:
        """The masks of the detector classes that rules are satisfied for. Raises as ``on_columns``."""
        masks: dict[str, ColumnMask] = {}
        uids = [("Detector", name) for name in DETECTOR_CLASSES]
        wanted = [uid for uid in uids if self._fits_any(uid, frozenset({uid}))]
        if wanted:
            requests = [self._request({"type": kind, "id": name}) for kind, name in wanted]
            entities = self._viewpoint.entities((), self._evaluator.tags)
            for uid, answer in zip(wanted, self._evaluator.ask_reveal(requests, entities), strict=True):
                for mask in self._masks(answer):
                    _join(masks, uid[1], mask)
        return masks

    def _candidates(self, found: Iterator[Place], masks: dict[ColumnKey, ColumnMask]) -> Iterator[Place]:
        """The columns to ask about; puts the masks of the rules that are not asked in on the way."""
        for place in found:
            for rule in self._by_tag:
                if place.own_tags & tags_named(rule.policy):
                    _join(masks, place.key, strictest_mask(rule.id))
            if self._fits_any((place.resource.type, place.resource.id), place.within):
                yield place

    def _ask(self, batch: Sequence[Place], tags: TagSource, masks: dict[ColumnKey, ColumnMask]) -> None:
        resources = [place.resource for place in batch]
        requests = [self._request(resource.uid) for resource in resources]
        answers = self._evaluator.ask_reveal(requests, self._viewpoint.entities(resources, tags))
        for place, answer in zip(batch, answers, strict=True):
            for mask in self._masks(answer):
                _join(masks, place.key, mask)

    def _fits_any(self, uid: Uid, within: frozenset[Uid]) -> bool:
        return any(fits(rule.policy.resource, uid, within) for rule in self._asked)

    def _fits_principal(self, rule: Rule) -> bool:
        who = self._viewpoint.principal
        uid = (who.kind.value, who.name)
        return fits(rule.policy.principal, uid, {uid, *(("Group", group) for group in who.groups)})

    def _request(self, resource: Mapping[str, str]) -> dict[str, Any]:
        """No rule that is asked reads the time or the statement, so there is none."""
        return self._viewpoint.request("reveal", resource, self._viewpoint.circumstances(0, NO_FACTS))

    def _masks(self, answer: Answer) -> Sequence[ColumnMask]:
        if answer.failed is not None or answer.allowed:
            where = f" ({quoted(answer.failed)} failed)" if answer.failed else ""
            raise MaskingUnavailable(f"the rules about reveal could not be evaluated{where}")
        rules = (self._evaluator.rules[name] for name in answer.rules)
        return [rule.mask or strictest_mask(rule.id) for rule in rules]


def _join(masks: dict[Key, ColumnMask], key: Key, mask: ColumnMask) -> None:
    before = masks.get(key)
    masks[key] = mask if before is None else before.stronger(mask)
