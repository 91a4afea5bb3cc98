"""Maskings for tests, in a few words, and values that each detector class knows."""

from interlock.core.catalogue import Catalogue
from interlock.core.masking import DETECTOR_CLASSES, ColumnMask, DetectorMask, Masking, MaskKind

VALUES: dict[str, tuple[bytes, ...]] = {
    "email": (b"ada@example.com", b"o'neill+x@mail.example.co.uk"),
    "credit-card": (b"4111 1111 1111 1111", b"4111-1111-1111-1111", b"4111111111111111"),
    "iban": (b"DE89 3704 0044 0532 0130 00", b"DE89370400440532013000"),
    "ssn": (b"123-45-6789",),
    "phone": (b"+49 (170) 123 4567", b"(212) 555-0143"),
    "secret": (
        b"sk-proj-abcdefghijklmnopqrstuvwxyz",
        b"ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        b"AKIAIOSFODNN7EXAMPLE",
    ),
}
KEY = b"-----BEGIN RSA PRIVATE KEY-----\n" + b"MIIabc123/+\n" * 40 + b"ab==\n-----END RSA PRIVATE KEY-----"


def masking(*masked: str, reported: tuple[str, ...] = (), everything: bool = False) -> Masking:
    """These detectors mask, and those only count."""
    detectors = {name: DetectorMask(masked=True) for name in masked} | {name: DetectorMask(False) for name in reported}
    fields = {"*": ColumnMask(MaskKind.REDACT)} if everything else {}
    return Masking(version="1", catalogue=Catalogue(version=""), detectors=detectors, fields=fields)


ALL = masking(*DETECTOR_CLASSES)
