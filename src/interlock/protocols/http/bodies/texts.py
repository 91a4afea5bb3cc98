"""Masks whole texts, such as header values, error messages, and fields in formats that have nothing but texts."""

from typing import Final

from interlock.core.content.tally import Tally
from interlock.core.masking import Masking
from interlock.protocols.http.bodies.fields import FieldState
from interlock.protocols.http.bodies.json_masker import JsonMasker
from interlock.protocols.http.bodies.plan import Plan, plan_for
from interlock.protocols.http.bodies.refusal import Malformed
from interlock.protocols.http.bodies.substitutes import permitted

SHORTEST_BYTES: Final = 6
"""Nothing that is detected is shorter, nor a document with a field in it."""


def mask_text(text: str, masking: Masking, tally: Tally | None = None) -> str:
    """A whole text with what must not be seen in it replaced: fields where it is JSON, and what is detected.

    Raises ``BodyRefused`` when it has a field that must not be shown at all.
    """
    counted = tally if tally is not None else Tally()
    return masked_text(text.encode(errors="surrogatepass"), plan_for(masking), counted).decode(errors="surrogatepass")


def masked_text(
    text: bytes, plan: Plan, tally: Tally, state: FieldState | None = None, name: bytes = b"", as_value: bool = False
) -> bytes:
    """The same for UTF-8, with a plan made before, at a place in a document and under a field's name.

    A mask on the place itself is not looked at, see ``masked_field``. What is ``as_value`` a value of a body has the
    mask that is on all of them.
    """
    if len(text) < SHORTEST_BYTES and not (as_value and text):
        return text
    if text.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] in (b"{", b"[", b'"'):
        counted = Tally()
        try:
            masker = JsonMasker(plan, counted, state.document() if state is not None else None, many=True)
            masked = masker.feed(text) + masker.finish()
        except Malformed:
            pass
        else:
            tally.add(counted)
            return masked
    if as_value and plan.fields.everything is not None:
        permitted(plan.fields.everything)
        tally.masked_values += 1
        return (plan.substitutes.structure(plan.fields.everything) or "").encode()
    clean = plan.clean(text, tally, b'"%b": "' % name if name else b"", b'"' if name else b"")
    tally.masked_values += clean != text
    return clean


def masked_field(value: str, plan: Plan, tally: Tally, state: FieldState, name: str) -> str:
    """The value of a field in a format in which all values are texts. Nothing stays nothing.

    Raises ``BodyRefused`` when the field must not occur at all.
    """
    if state.mask is None:
        text, title = value.encode(errors="surrogatepass"), name.encode(errors="surrogatepass")
        return masked_text(text, plan, tally, state, title).decode(errors="surrogatepass")
    permitted(state.mask)
    if not value:
        return value
    tally.masked_values += 1
    return plan.substitutes.text(state.mask, value) or ""
