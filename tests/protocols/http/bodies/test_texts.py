"""Single texts: fields in those that are JSON, and what is detected in all."""

from interlock.core.masking import MaskKind
from interlock.protocols.http.bodies.texts import mask_text
from tests.protocols.http.bodies.maskings import masking


def test_texts_that_are_json_are_masked_as_such() -> None:
    by = masking({"email": MaskKind.REDACT})
    assert mask_text('{"email": "x"}', by) == '{"email": "***"}'
    assert mask_text('{"email": "x"', by) == '{"email": "***"'
    assert mask_text("plain", by) == "plain"


def test_what_is_detected_in_a_text_is_replaced() -> None:
    by = masking({}, "email", "ssn")
    assert mask_text("Ada is ada@example.com, 123-45-6789.", by) == "Ada is ***, ***."
    assert mask_text("Ada is ada@example.com, 123-45-6789.", masking({}, "ssn")) == "Ada is ada@example.com, ***."
