"""The escapes of ``$'…'``, as bash decodes them."""

import re

from interlock.protocols.ssh.commands.grammar.dialects import UnreadableError

_ESCAPE = re.compile(
    r"\\(?:([abeEfnrtv\\'\"?])|([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|(.))", re.DOTALL
)
_NAMED = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_UNCLEAR = "cxuU"
"""Control characters and cut-off numbers: shells differ."""


def decoded(content: str) -> str:
    """What stands between the quotes of ``$'…'``, decoded.

    Raises UnreadableError for escapes that shells decode in different ways, and for NUL, where a word would end early.
    """
    return _ESCAPE.sub(_decode, content)


def _decode(escape: re.Match[str]) -> str:
    named, octal, byte, short, long, other = escape.groups()
    if named is not None:
        return _NAMED.get(named, named)
    if other is not None:
        if other in _UNCLEAR:
            raise UnreadableError(f"the escape \\{other} in $'…' is not read alike by all shells")
        return f"\\{other}"
    code = int(octal, 8) if octal is not None else int(byte or short or long, 16)
    limit = 0x7F if octal is not None or byte is not None else 0x10FFFF
    if not 0 < code <= limit or 0xD800 <= code <= 0xDFFF:
        raise UnreadableError("an escape in $'…' stands for NUL or for no whole character")
    return chr(code)
