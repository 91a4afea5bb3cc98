"""Puts together what is masked for one principal on one target: rules, lineage, configuration.

Fails as a whole: there is a masking that covers everything that rules name, or an error.
"""

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

from interlock.core.catalogue import Catalogue, ColumnKey
from interlock.core.errors import MaskingUnavailable
from interlock.core.masking import ANY_NAME, NO_OPTIONS, ColumnMask, DetectorMask, Masking, MaskingOptions
from interlock.services.policy.masks import MaskRules
from interlock.services.policy.propagation import propagate

_VERSION_DIGITS = 16
_NO_CATALOGUE = Catalogue("")
_BODIES = "bodies"
"""In the place of a catalogue's version, where there is none."""


class MaskedPolicy:
    """One policy version as one session sees it, as far as values go. ``masks`` are the rules about them."""

    def __init__(self, version: str, masks: MaskRules) -> None:
        self.version = version
        self.masks = masks
        self._masking: tuple[str, MaskingOptions, Masking | None] | None = None

    def masking(self, catalogue: Catalogue, options: MaskingOptions = NO_OPTIONS) -> Masking | None:
        """What is masked for whoever asks in this database, None when nothing is. The last answer is kept.

        Takes about 5 µs for each column, 50 µs where a condition tells columns apart: ask aside for a large catalogue.
        Raises ``MaskingUnavailable``: then nothing may be shown, and the session is to be refused.
        """
        return self._kept_masking(
            catalogue.version, options, lambda: masking_of(self.masks, self.version, catalogue, options)
        )

    def body_masking(self, options: MaskingOptions = NO_OPTIONS) -> Masking | None:
        """What is masked in bodies, on a connection without databases. As ``masking``."""
        return self._kept_masking(_BODIES, options, lambda: body_masking_of(self.masks, self.version, options))

    def _kept_masking(
        self, version: str, options: MaskingOptions, determine: Callable[[], Masking | None]
    ) -> Masking | None:
        kept = self._masking
        if kept is None or kept[:2] != (version, options):
            kept = self._masking = (version, options, determine())
        return kept[2]


def masking_of(rules: MaskRules, policy: str, catalogue: Catalogue, options: MaskingOptions) -> Masking | None:
    """The masking by the rules of a policy version, or None when no column is masked and nothing is looked for.

    Raises ``MaskingUnavailable`` whatever went wrong; it names rules at most.
    """
    try:
        direct = rules.on_columns(catalogue)
        if options.everything is not None:
            direct = _on_everything(options.everything, direct, catalogue)
        columns = propagate(direct, catalogue)
        detectors = _detectors(rules.on_detectors(), options.detectors)
    except MaskingUnavailable:
        raise
    except Exception as error:
        raise MaskingUnavailable("what is masked could not be determined") from error
    if options.everything is not None:
        columns = columns or _OF_NOTHING
    if not columns and not detectors:
        return None
    return Masking(
        version=_version(policy, catalogue, columns, {}, detectors, options),
        catalogue=catalogue,
        columns=columns,
        detectors=detectors,
        reviewed=options.reviewed,
        key=options.key,
        show_notifications=options.show_notifications,
        documents=options.documents,
    )


def body_masking_of(rules: MaskRules, policy: str, options: MaskingOptions) -> Masking | None:
    """The masking of a target that has no database: what is masked in bodies. Raises as ``masking_of``."""
    try:
        fields = rules.on_fields()
        detectors = _detectors(rules.on_detectors(), options.detectors)
    except MaskingUnavailable:
        raise
    except Exception as error:
        raise MaskingUnavailable("what is masked could not be determined") from error
    if (everything := options.everything) is not None:
        fields[ANY_NAME] = everything.stronger(fields.get(ANY_NAME, everything))
    if not fields and not detectors:
        return None
    version = _version(policy, _NO_CATALOGUE, {}, fields, detectors, options)
    return Masking(version, _NO_CATALOGUE, detectors=detectors, key=options.key, fields=fields)


_OF_NOTHING: Mapping[int, Mapping[str, ColumnMask]] = MappingProxyType({0: MappingProxyType({})})
"""No relation has this oid: what is not known yet is looked up before a statement on it passes."""


def _on_everything(
    mask: ColumnMask, direct: Mapping[ColumnKey, ColumnMask], catalogue: Catalogue
) -> dict[ColumnKey, ColumnMask]:
    masks = {(relation.oid, column.name): mask for relation in catalogue.relations for column in relation.columns}
    for key, before in direct.items():
        masks[key] = before.stronger(mask)
    return masks


def _detectors(by_rule: Mapping[str, ColumnMask], configured: Mapping[str, DetectorMask]) -> Mapping[str, DetectorMask]:
    """What a detector masks by configuration or by a rule, it masks."""
    found = dict(configured)
    for name, mask in by_rule.items():
        before = found.get(name, DetectorMask(masked=True))
        found[name] = DetectorMask(True, tuple(sorted({*before.rules, *mask.rules})))
    return found


def _version(
    policy: str,
    catalogue: Catalogue,
    columns: Mapping[int, Mapping[str, ColumnMask]],
    fields: Mapping[str, ColumnMask],
    detectors: Mapping[str, DetectorMask],
    options: MaskingOptions,
) -> str:
    """A digest of everything that decides what a statement becomes; the key does not."""
    content = (
        policy,
        catalogue.version,
        sorted((oid, sorted(masks.items())) for oid, masks in columns.items()),
        sorted(fields.items()),
        sorted(detectors.items()),
        sorted(options.reviewed),
        options.show_notifications,
        sorted(options.documents.items()),
    )
    return hashlib.sha256(msgspec.msgpack.encode(content)).hexdigest()[:_VERSION_DIGITS]
