"""Which masks the rules put on single columns, on fields and on detectors, for one principal on one target.

What columns are derived from is not looked at (see ``propagation``). Every fault is raised: who asks must not go on.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol, TypeVar

from interlock.core.catalogue import Catalogue, ColumnKey
from interlock.core.errors import MaskingUnavailable
from interlock.core.masking import ANY_NAME, DETECTOR_CLASSES, ColumnMask
from interlock.core.operation import NO_FACTS
from interlock.services.policy.columns import Layout, Place
from interlock.services.policy.evaluator import Answer, Evaluator
from interlock.services.policy.resources import FIELD, Resource, TagSource, escape, unescape
from interlock.services.policy.reveal import strictest_mask
from interlock.services.policy.scopes import Uid, fits, fits_principal, reaches
from interlock.services.policy.tree import reads_resource, tags_named
from interlock.services.policy.viewpoint import Viewpoint
from interlock.services.policy.wording import quoted

KeyT = TypeVar("KeyT")

_BATCH = 2000
"""Questions asked at once: bounds the memory that entities and answers take."""


class MaskRules(Protocol):
    """The rules about ``reveal`` for whoever asks."""

    @property
    def any(self) -> bool:
        """Whether something of the database could be masked, whatever it contains. Never wrongly False."""

    def on_columns(self, catalogue: Catalogue) -> dict[ColumnKey, ColumnMask]:
        """The masks of the columns that rules are satisfied for, the strongest of several.

        Raises ``MaskingUnavailable`` when a rule cannot be evaluated, and whatever Cedar raises.
        """

    def on_fields(self) -> dict[str, ColumnMask]:
        """The masks of fields that rules are satisfied for, by selector. Raises as ``on_columns``."""

    def on_detectors(self) -> dict[str, ColumnMask]:
        """The masks of the detector classes that rules are satisfied for. Raises as ``on_columns``."""


class RuleMasks:
    """The rules about ``reveal`` whose scope fits one principal."""

    def __init__(self, evaluator: Evaluator, viewpoint: Viewpoint) -> None:
        self._evaluator = evaluator
        self._viewpoint, who = viewpoint, viewpoint.principal
        self._asked = [rule for rule in evaluator.on_reveal if fits_principal(rule.policy.principal, who)]
        self._particular = frozenset(rule.id for rule in self._asked if reads_resource(rule.policy))
        by_tag = (rule for rule in evaluator.on_tagged_columns if fits_principal(rule.policy.principal, who))
        self._by_tag = [(tags, strictest_mask(rule.id)) for rule in by_tag if (tags := tags_named(rule.policy))]

    @property
    def any(self) -> bool:
        """See ``MaskRules``."""
        where = (self._viewpoint.connection, self._viewpoint.database)
        return bool(self._by_tag) or any(reaches(rule.policy.resource, *where) for rule in self._asked)

    def on_columns(self, catalogue: Catalogue) -> dict[ColumnKey, ColumnMask]:
        """See ``MaskRules``."""
        masks: dict[ColumnKey, ColumnMask] = {}
        where = (self._viewpoint.connection, self._viewpoint.database)
        for former in (False, True):
            layout = Layout(catalogue, *where, self._evaluator.tags, former=former)
            questions = iter(self._questions(layout.places(), masks).values())
            while batch := list(islice(questions, _BATCH)):
                self._ask(batch, layout.tags, masks)
        return masks

    def on_fields(self) -> dict[str, ColumnMask]:
        """See ``MaskRules``.

        Asked are the fields that the configuration or a rule names, and ``ANY_NAME`` for all others: rules cannot tell
        those apart.
        """
        connection, tags = escape(self._viewpoint.connection), self._evaluator.tags
        names = {ANY_NAME} | tags.fields(connection) | self._evaluator.fields_named(connection)
        fields = [Resource((connection, name), FIELD) for name in sorted(names)]
        masks: dict[str, ColumnMask] = {}
        asked = [field for field in fields if self._is_asked(field, masks)]
        if asked:
            requests = [self._request(field.uid) for field in asked]
            answers = self._evaluator.ask_reveal(requests, self._viewpoint.entities(asked, tags))
            for field, answer in zip(asked, answers, strict=True):
                if (mask := self._strongest(answer)) is not None:
                    join(masks, unescape(field.components[-1]), mask)
        return masks

    def _is_asked(self, field: Resource, masks: dict[str, ColumnMask]) -> bool:
        """Whether a rule's scope fits the field. Puts the masks of the rules that are not asked in on the way."""
        connection = Resource(field.components[:1], field.types[:1])
        above, own = (self._evaluator.tags.of(resource) for resource in (connection, field))
        for tags, mask in self._by_tag:
            if (own - above) & tags:
                join(masks, unescape(field.components[-1]), mask)
        places = {(resource.type, resource.id) for resource in (connection, field)}
        within = frozenset(places | {("Tag", tag) for tag in above | own})
        return bool(self._fitting((field.type, field.id), within))

    def on_detectors(self) -> dict[str, ColumnMask]:
        """See ``MaskRules``."""
        uids = [("Detector", name) for name in DETECTOR_CLASSES]
        wanted = [uid for uid in uids if self._fitting(uid, frozenset({uid}))]
        if not wanted:
            return {}
        requests = [self._request({"type": kind, "id": name}) for kind, name in wanted]
        answers = self._evaluator.ask_reveal(requests, self._viewpoint.entities((), self._evaluator.tags))
        masks = {name: self._strongest(answer) for (_, name), answer in zip(wanted, answers, strict=True)}
        return {name: mask for name, mask in masks.items() if mask is not None}

    def _questions(self, found: Iterator[Place], masks: dict[ColumnKey, ColumnMask]) -> dict[object, list[Place]]:
        """The columns that rules' scopes fit, put together where the answer is the same for all.

        Puts the masks of the rules that are not asked in on the way.
        """
        alike: dict[object, list[Place]] = {}
        for place in found:
            for tags, mask in self._by_tag:
                if place.own_tags & tags:
                    join(masks, place.key, mask)
            fitting = self._fitting((place.resource.type, place.resource.id), place.within)
            if fitting:
                question = tuple(fitting) if self._particular.isdisjoint(fitting) else place.resource.id
                alike.setdefault(question, []).append(place)
        return alike

    def _ask(self, batch: Sequence[list[Place]], tags: TagSource, masks: dict[ColumnKey, ColumnMask]) -> None:
        resources = [places[0].resource for places in batch]
        requests = [self._request(resource.uid) for resource in resources]
        answers = self._evaluator.ask_reveal(requests, self._viewpoint.entities(resources, tags))
        for places, answer in zip(batch, answers, strict=True):
            mask = self._strongest(answer)
            if mask is not None:
                for place in places:
                    join(masks, place.key, mask)

    def _fitting(self, uid: Uid, within: frozenset[Uid]) -> list[str]:
        return [rule.id for rule in self._asked if fits(rule.policy.resource, uid, within)]

    def _request(self, resource: Mapping[str, str]) -> dict[str, Any]:
        """No rule that is asked reads the time or the statement, so there is none."""
        return self._viewpoint.request("reveal", resource, self._viewpoint.circumstances(0, NO_FACTS))

    def _strongest(self, answer: Answer) -> ColumnMask | None:
        if answer.failed is not None or answer.allowed:
            where = f" ({quoted(answer.failed)} failed)" if answer.failed else ""
            raise MaskingUnavailable(f"the rules about reveal could not be evaluated{where}")
        rules = [self._evaluator.rules[name] for name in answer.rules]
        masks = [rule.mask or strictest_mask(rule.id) for rule in rules]
        return functools.reduce(ColumnMask.stronger, masks) if masks else None


def join(masks: dict[KeyT, ColumnMask], key: KeyT, mask: ColumnMask) -> None:
    """Add a mask to those that are there already: the stronger of both stays, with the rules of both."""
    before = masks.get(key)
    masks[key] = mask if before is None else before.stronger(mask)
