"""Masks JSON that is wrapped so that it is a script, or so that it is none: JSONP, and prefixes against inclusion.

The wrapping goes on as it is; the document in it is masked as JSON and has to be JSON.
"""

import re
from typing import Final

from interlock.core.content.tally import Tally
from interlock.protocols.http.bodies.json_masker import JsonMasker
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import Malformed

_PREFIX: Final = (
    rb"\)\]\}'?,?|(?:while|for)\s*\([^)\n]{1,16}\)\s*;?|throw [^;\n]{1,32};|\{\}\s*&&|&&&[A-Z]{1,16}&&&"
    rb"|(?:/\*\*/\s*)?(?:typeof [\w$.]{1,64}\s*===?\s*'function'\s*&&\s*)?(?P<call>[A-Za-z_$][\w$.\[\]'\"]{0,128}\()"
)
WRAPPING: Final = re.compile(rb"\s*(?:" + _PREFIX + rb")")
"""What comes before the document. Behind a call there is its end."""
BEFORE_WRAPPED: Final = re.compile(rb"(?:\{\s*\}?\s*&?|" + _PREFIX + rb")\s*")
"""A beginning that does not tell yet whether a wrapped document comes."""
_CALL_END: Final = re.compile(rb"\s*\)\s*;?\s*")
_ENDING: Final = b" \t\r\n;)"


class ScriptMasker:
    """A wrapped document, which begins with ``wrapping``."""

    def __init__(self, plan: Plan, tally: Tally, wrapping: re.Match[bytes]) -> None:
        self._json = JsonMasker(plan, tally, many=True)
        self._wrapping_bytes = wrapping.end()
        self._is_call = wrapping["call"] is not None
        self._end = b""

    @property
    def met_names(self) -> bool:
        """Whether an object with a member was met."""
        return self._json.met_names

    def feed(self, data: bytes) -> bytes:
        """What may go on now; first for data that begins with the wrapping. Raises ``BodyRefused``."""
        before, data = data[: self._wrapping_bytes], data[self._wrapping_bytes :]
        self._wrapping_bytes = 0
        if self._is_call:
            data = self._end + data
            document = data.rstrip(_ENDING)
            self._end = data[len(document) :]
            data = document
        return before + self._json.feed(data)

    def finish(self) -> bytes:
        """The end of the call. Raises ``BodyRefused``."""
        if self._is_call and not _CALL_END.fullmatch(self._end):
            raise Malformed("the call that the JSON document is in does not end well")
        return self._json.finish() + self._end
