"""What tests of dialects share."""

import pytest

from interlock.core.catalogue import Catalogue
from interlock.core.masking import ColumnMask, DetectorMask, Masking, MaskKind


@pytest.fixture
def masking() -> Masking:
    """Card numbers wherever they are, and the field ``salary``."""
    return Masking(
        "v1",
        Catalogue("c1"),
        detectors={"credit-card": DetectorMask(True)},
        fields={"salary": ColumnMask(MaskKind.REDACT)},
        key=b"k",
    )
