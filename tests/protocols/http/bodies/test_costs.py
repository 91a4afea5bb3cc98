"""Bodies that are made to cost much: what is long and says nothing takes no longer than anything else."""

import time

import pytest

from interlock.core.masking import MaskKind
from interlock.protocols.http.bodies.inspection import Inspection, open_inspection
from interlock.protocols.http.bodies.refusal import BodyRefused
from tests.protocols.http.bodies.maskings import masking

MASKING = masking({"email": MaskKind.REDACT}, "email", "credit-card", "iban", "ssn", "phone", "secret")
TYPES = ("application/json", "text/plain", "text/html", "application/xml", "text/csv", "text/event-stream")
FORM = "application/x-www-form-urlencoded"
REPEATED = (
    b" ", b"\n", b"\r", b"\t", b"\r\n", b",", b";", b"|", b"&", b"<", b"{", b"[", b'"', b"'", b"\\", b'\\"', b"a@",
    b"a.", b"1-", b"<a ", b'<a "', b"<!--", b"&#1;", b"data: ", b"1\n", b'"email": {', b"'email': [", b"-----BEGIN ",
    b"cb(", b"while(1);", b"/**/", b"typeof a", b"Bearer ", b"password=", b"QUJD", b"eyJ.", b"4111 ", b'{"a":',
    b"ada@example.com",
)  # fmt: skip
BODY_BYTES = 96 << 10
PIECE_BYTES = 64 << 10
CPU_S = 5.0
"""Many times what any of them takes. What it is about grows with the square of the length, and took minutes."""


@pytest.mark.parametrize("media_type", [*TYPES, FORM])
@pytest.mark.parametrize("repeated", REPEATED)
def test_what_is_long_and_says_nothing(media_type: str, repeated: bytes) -> None:
    body = repeated * (BODY_BYTES // len(repeated))
    inspection = open_inspection(((b"content-type", media_type.encode()),), MASKING, 1 << 32)
    assert isinstance(inspection, Inspection)
    before = time.process_time()
    try:
        for start in range(0, len(body), PIECE_BYTES):
            inspection.feed(body[start : start + PIECE_BYTES])
        inspection.finish()
    except BodyRefused:
        pass
    assert time.process_time() - before < CPU_S
