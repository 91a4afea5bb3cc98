"""Reads Content-Type (RFC 9110 section 8.3), strictly: what could be read in two ways is an error."""

import re
from functools import lru_cache
from typing import Final

import msgspec

TCHARS: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REMEMBERED: Final = 256
_TYPE: Final = re.compile(rf"({TCHARS}/{TCHARS})[ \t]*")
_QUOTED: Final = r'"((?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*)"'
_PARAMETER: Final = re.compile(rf";[ \t]*(?:({TCHARS})=(?:({TCHARS})|{_QUOTED})[ \t]*)?")
_QUOTED_PAIR: Final = re.compile(r"\\(.)")


class MediaType(msgspec.Struct, frozen=True):
    """A type such as ``text/html``, in small letters, and its parameters. Empty when none is declared."""

    name: str = ""
    parameters: tuple[tuple[str, str], ...] = ()

    def parameter(self, name: str) -> str:
        """The value of a parameter, empty without one."""
        return next((value for key, value in self.parameters if key == name), "")

    @property
    def suffix(self) -> str:
        """What is behind the last plus sign (RFC 6838 section 4.2.8)."""
        return self.name.rpartition("+")[2] if "+" in self.name else ""


def media_type(values: list[bytes]) -> MediaType | str:
    """The type that header fields declare. Or what is wrong with them."""
    if not values:
        return MediaType()
    if len(values) > 1 and len(set(values)) > 1:
        return "it has several content types"
    return _read(values[0])


@lru_cache(maxsize=_REMEMBERED)
def _read(value: bytes) -> MediaType | str:
    text = value.decode("latin-1").strip(" \t")
    if not text:
        return MediaType()
    beginning = _TYPE.match(text)
    if beginning is None:
        return "its content type is malformed"
    parameters: dict[str, str] = {}
    position = beginning.end()
    while position < len(text):
        found = _PARAMETER.match(text, position)
        if found is None:
            return "its content type is malformed"
        position = found.end()
        name = (found[1] or "").lower()
        if name in parameters:
            return "its content type has a parameter twice"
        if name:
            parameters[name] = found[2] if found[2] is not None else _QUOTED_PAIR.sub(r"\1", found[3])
    return MediaType(beginning[1].lower(), tuple(parameters.items()))
