"""What is masked in requests to a model outside: prompts, messages, outputs of tools, and all else that leaves.

A request is masked as the JSON that it is, texts that are JSON themselves, as outputs of tools, included. What no mask
is about stays byte for byte.
"""

from interlock.core.content.tally import Tally
from interlock.core.masking import Masking
from interlock.protocols.http.bodies.json_masker import JsonMasker
from interlock.protocols.http.bodies.plan import plan_for
from interlock.protocols.http.bodies.refusal import BodyRefused
from interlock.protocols.http.dialects.json_facts import BodyRejected


def masked_prompt(body: bytes, masking: Masking | None) -> bytes:
    """The request as it may leave. Raises ``BodyRejected`` when it must not, or cannot be looked into."""
    if masking is None or not (masking.fields or masking.detectors):
        return body
    masker = JsonMasker(plan_for(masking), Tally())
    try:
        return masker.feed(body) + masker.finish()
    except BodyRefused as error:
        raise BodyRejected(f"The prompt must not leave as it is: {error.reason}.") from None
