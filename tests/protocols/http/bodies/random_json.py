"""Random JSON documents as they are written, and as they should be written when fields are masked."""

import itertools
import json
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st

MARKER = "Kx7Marker9942"
MASKED_NAME = "E-Mail"
"""What the selector ``e-mail`` is about, and all ways of writing it that ``names`` gives."""
OTHER_NAMES = [
    "id",
    "name",
    "e",
    "e-mails",
    "x.y",
    "[0]",
    "-mail",
    "straße",
    "",
    "*",
    "x y",
    'a"b',
    "a\\b",
    "\ud800",
    "e\tmail",
]


class Written(NamedTuple):
    """A part of a document: as it is, and as it is when it is masked."""

    before: str
    after: str


def _escaped(character: str, style: int) -> str:
    if style == 1 or (style == 0 and (character in '"\\' or character < " " or "\ud800" <= character < "\ue000")):
        return "".join(f"\\u{unit:04x}" for unit in _units(character))
    if style == 2:
        return "".join(f"\\u{unit:04X}" for unit in _units(character))
    if style == 3 and character in '"\\/\b\f\n\r\t':
        return "\\" + {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}.get(character, character)
    return _escaped(character, 0) if style else character


def _units(character: str) -> list[int]:
    data = character.encode("utf-16-be", errors="surrogatepass")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


@st.composite
def quoted(draw: st.DrawFn, text: str) -> str:
    """A text in quotes, with escapes where there could be some."""
    if draw(st.booleans()):
        return '"' + "".join(_escaped(character, 0) for character in text) + '"'
    styles = draw(st.lists(st.integers(0, 3), min_size=len(text), max_size=len(text)))
    return '"' + "".join(_escaped(character, style) for character, style in zip(text, styles, strict=True)) + '"'


@st.composite
def masked_names(draw: st.DrawFn) -> str:
    """A name that compares equal to ``MASKED_NAME``."""
    cased = draw(st.sampled_from([MASKED_NAME, MASKED_NAME.lower(), MASKED_NAME.upper()]))
    return draw(st.sampled_from(["", " ", "\t\n", "\u00a0"])) + cased + draw(st.sampled_from(["", "  "]))


blanks = st.sampled_from(["", "", "", " ", "\n", "\t \r\n"])
texts = st.text(st.characters(codec="utf-8") | st.sampled_from('"\\/\n\x00\u2028\U0001f600\ud834\udd1e'), max_size=12)
numbers = st.sampled_from(["0", "-0", "1.50", "1e5", "-12E+3", "12345678901234567890", "0.1", "99424711"])
words = st.sampled_from(["true", "false", "null"])


@st.composite
def scalars(draw: st.DrawFn) -> str:
    """A text, a number or a word."""
    return draw(numbers | words | texts.flatmap(quoted))


@st.composite
def values(draw: st.DrawFn, depth: int = 4, masked: bool = False, inner: int = 1) -> Written:
    """A value. What is ``masked`` has markers in it, and becomes stars or null."""
    kind = draw(st.sampled_from(["scalar", "scalar", "array", "object", "document"] if depth else ["scalar"]))
    if kind == "array":
        return draw(arrays(depth - 1, masked, inner))
    if kind == "object":
        return draw(objects(depth - 1, masked, inner))
    if kind == "document" and inner and not masked:
        document = draw(objects(depth - 1, False, inner - 1))
        before = draw(quoted(document.before))
        return Written(
            before, before if document.after == document.before else json.dumps(document.after).replace("<", "\\u003c")
        )
    if masked and draw(st.booleans()):
        before = draw(quoted(draw(texts) + MARKER + draw(texts)))
        return Written(before, '"***"')
    before = draw(scalars())
    if not masked:
        return Written(before, before)
    return Written(before, '"***"' if before[0] == '"' else "null")


@st.composite
def arrays(draw: st.DrawFn, depth: int, masked: bool, inner: int) -> Written:
    """An array, of which a mask replaces all."""
    elements = draw(st.lists(values(depth, masked, inner), max_size=4))
    spaced = [(draw(blanks), element, draw(blanks)) for element in elements]
    before = "[" + ",".join(f"{left}{element.before}{right}" for left, element, right in spaced) + "]"
    after = "[" + ",".join(f"{left}{element.after}{right}" for left, element, right in spaced) + "]"
    return Written(before, '"***"' if masked else after)


@st.composite
def objects(draw: st.DrawFn, depth: int, masked: bool, inner: int) -> Written:
    """An object, with duplicates of names and masked members here and there."""
    members: list[tuple[str, Written]] = []
    for _ in range(draw(st.integers(0, 4))):
        under_mask = draw(st.booleans())
        name = draw(masked_names() if under_mask else st.sampled_from(OTHER_NAMES))
        blank = [draw(blanks) for _ in range(4)]
        head = f"{blank[0]}{draw(quoted(name))}{blank[1]}:{blank[2]}"
        members.append((head, draw(values(depth, masked or under_mask, inner))))
        members[-1] = (head, Written(members[-1][1].before + blank[3], members[-1][1].after + blank[3]))
    before = "{" + ",".join(head + value.before for head, value in members) + "}"
    after = "{" + ",".join(head + value.after for head, value in members) + "}"
    return Written(before, '"***"' if masked else after)


documents = values()


def in_pieces(feed: Callable[[bytes], bytes], finish: Callable[[], bytes], data: bytes, cuts: list[int]) -> bytes:
    """What comes out for the data cut at these places, which may be anywhere."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    out = [feed(data[start:end]) for start, end in itertools.pairwise(places)]
    return b"".join([*out, finish()])
