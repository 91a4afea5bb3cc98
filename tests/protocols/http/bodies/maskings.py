"""Maskings for tests, in a few words."""

from interlock.core.catalogue import Catalogue
from interlock.core.masking import ColumnMask, DetectorMask, Masking, MaskKind

CATALOGUE = Catalogue(version="")


def masking(fields: dict[str, MaskKind] | None = None, *detectors: str) -> Masking:
    """Masks on these fields, by selector, and these detectors, which replace what they find."""
    return Masking(
        version="1",
        catalogue=CATALOGUE,
        fields={name: ColumnMask(kind, rules=("a-rule",)) for name, kind in (fields or {}).items()},
        detectors={name: DetectorMask(masked=True) for name in detectors},
        key=b"the key of tests",
    )
