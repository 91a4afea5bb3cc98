"""Masks JSON (RFC 8259) as it streams by: an own tokenizer that edits values in place.

All that is not masked stays as it is, byte for byte: the order and duplicates of names, the text of numbers, blanks.
Every duplicate of a name is masked. What no parser should take is refused, and so is what is cut off or followed by
something else. Texts that are JSON documents themselves are masked inside.

The input is UTF-8 in any cut, but for characters, which are whole. At most one name, number or text is held, and a text
only up to ``MAX_HELD_BYTES``; longer ones go on in pieces.

The module is plain typed Python that mypyc compiles where a C compiler is at hand.
"""

from typing import Final

from interlock.core.content.tally import Tally
from interlock.core.masking import ColumnMask
from interlock.protocols.http.bodies import json_patterns
from interlock.protocols.http.bodies.fields import FieldState
from interlock.protocols.http.bodies.json_held import HeldToken
from interlock.protocols.http.bodies.json_long_text import LongText
from interlock.protocols.http.bodies.json_texts import (
    BAD_TEXT,
    closing_quote,
    read_text,
    whole_characters,
    without_exponent,
    written_text,
)
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import BodyRefused, Malformed
from interlock.protocols.http.bodies.substitutes import permitted
from interlock.protocols.http.bodies.suspects import Suspects

MAX_HELD_BYTES: Final = 1 << 20
"""The longest text that is looked at as a whole."""
MAX_DEPTH: Final = 512
MAX_INNER_DOCUMENTS: Final = 4
"""How deep documents may lie in texts of documents."""
_MAX_NAME_BYTES: Final = 64 << 10
_MAX_NUMBER_BYTES: Final = 1024
_MANY_MISSES: Final = 8
_PIECE_BYTES: Final = 64 << 10
_LONGEST_ESCAPE_BYTES: Final = 12

_VALUE: Final = 0
_FIRST_ELEMENT: Final = 1
_FIRST_MEMBER: Final = 2
_MEMBER: Final = 3
_BEHIND_VALUE: Final = 4
_BEHIND_DOCUMENT: Final = 5
_TEXT_PIECES: Final = 6

_COMMA: Final = 0x2C
_QUOTE: Final = 0x22
_OPEN_OBJECT: Final = 0x7B
_CLOSE_OBJECT: Final = 0x7D
_OPEN_ARRAY: Final = 0x5B
_CLOSE_ARRAY: Final = 0x5D
_WORD_BYTES: Final = frozenset(b"+-.0123456789eEtrufalsn")

_PLAIN_TEXT: Final = json_patterns.PLAIN_TEXT
_NUMBER: Final = json_patterns.NUMBER
_WORD: Final = json_patterns.WORD
_OPENING: Final = json_patterns.OPENING
_ESCAPED_TEXT: Final = json_patterns.ESCAPED_TEXT

_match_value: Final = json_patterns.VALUE.match
_match_member: Final = json_patterns.MEMBER.match
_match_colon: Final = json_patterns.COLON.match
_match_blanks: Final = json_patterns.BLANKS.match
_match_elements: Final = json_patterns.ELEMENTS.match
_match_any_members: Final = json_patterns.ANYTHING.members.match
_match_any_elements: Final = json_patterns.ANYTHING.elements.match
_match_harmless_number: Final = json_patterns.HARMLESS_NUMBER.fullmatch
_match_harmless_numbers: Final = json_patterns.HARMLESS_NUMBERS.match
_match_piece: Final = json_patterns.PIECE.match


class JsonMasker:
    """One body, or one text in it. Call ``feed`` with what comes and ``finish`` at the end.

    With ``many``, several documents may follow one another, each on a line of its own or behind a record separator
    (RFC 7464). ``state`` is the place of the document; the root without it. ``inner`` says in how many documents'
    texts this one lies. All raise ``Malformed`` for what is not JSON and ``BodyRefused`` for what must not be shown;
    the object must not be used after that.
    """

    def __init__(
        self, plan: Plan, tally: Tally, state: FieldState | None = None, many: bool = False, inner: int = 0
    ) -> None:
        self._plan = plan
        self._content = plan.content
        self._runs = plan.runs
        self._misses: int = 0
        """Elements in a row that were looked at in vain for being a run."""
        self._looks: bool = plan.looks_into_texts
        self._substitutes = plan.substitutes
        self._tally = tally
        self._root = state if state is not None else plan.fields.root
        self._many = many
        self._inner = inner
        self._states: list[FieldState] = []
        self._arrays: list[bool] = []
        self._expected: int = _BEHIND_DOCUMENT
        self._documents: int = 0
        self._met_names = False
        self._name_escaped = False
        """The name of the value under way has escapes, so that a block with both in it does not show what they mean."""
        self._separated = True
        self._muted: int = -1
        """How many containers are around the one that is left out, -1 when none is."""
        self._held = HeldToken(MAX_HELD_BYTES)
        self._awaits_quote = False
        self._short = False
        self._dropping = False
        self._long_text: LongText | None = None
        self._suspects = Suspects(plan)
        self._token: int = 0
        """Where the value under way begins, or the name in front of it."""
        self._parts: list[bytes] = []
        self._copied: int = 0

    @property
    def held(self) -> bytes:
        """What has come and does not go on yet, as it came."""
        return self._held.written()

    @property
    def met_names(self) -> bool:
        """Whether an object with a member was met. Before that, nothing was masked for its name."""
        return self._met_names

    def feed(self, data: bytes) -> bytes:
        """What may go on now."""
        if self._held.takes(data):
            return b""
        return self._look(self._held.joined(data))

    def _look(self, data: bytes) -> bytes:
        self._suspects.begin(data)
        self._copied = 0
        self._parts = []
        end = self._advance(data)
        if self._muted < 0:
            self._parts.append(data[self._copied : end])
        self._held.keep(data[end:], self._awaits_quote)
        return b"".join(self._parts)

    def finish(self) -> bytes:
        """What was held, now that nothing follows."""
        rest = self._look(self._held.joined(b"\n"))
        if self._held.size > 0 or self._states or self._expected != _BEHIND_DOCUMENT:
            raise Malformed("the JSON document is cut off")
        return rest[:-1]

    def _advance(self, data: bytes) -> int:
        """How far the data is done with."""
        size = len(data)
        position = 0
        self._short = False
        self._awaits_quote = False
        while position < size and not self._short:
            expected = self._expected
            if expected == _MEMBER or expected == _FIRST_MEMBER:  # noqa: SIM109 - two comparisons of machine integers
                position = self._members(data, position)
            elif expected == _BEHIND_VALUE:
                position = self._behind_value(data, position)
            elif expected == _VALUE or expected == _FIRST_ELEMENT:  # noqa: SIM109
                position = self._elements(data, position)
            elif expected == _TEXT_PIECES:
                position = self._text_piece(data, position)
            else:
                position = self._behind_document(data, position)
        return position

    # ---------------------------------------------------------------------------------------------- containers

    def _members(self, data: bytes, position: int) -> int:
        runs = self._runs
        run = None
        if self._muted >= 0:
            run = _match_any_members(data, position)
        elif runs is not None and (limit := self._suspects.clear_until(position)) > position:
            run = runs.members.match(data, position, limit)
        if run is not None:
            self._met_names = True
            return self._ran(data, run.end(), _MEMBER)
        member = _match_member(data, position)
        if member is None:
            return self._hard_member(data, position)
        group = member.lastindex or 0
        return self._member(data, member.start(1) - 1, member.end(1) + 1, group - 1, member.start(group), member.end())

    def _ran(self, data: bytes, end: int, more: int) -> int:
        """Behind a run that ends with a comma or in front of a closing bracket."""
        self._expected = more if data[end - 1] == _COMMA else _BEHIND_VALUE
        return end

    def _hard_member(self, data: bytes, position: int) -> int:
        """A member whose name has escapes, one that is not whole, the end of an object, or none of it."""
        start = _match_blanks(data, position).end()  # type: ignore[union-attr]  # it matches nothing, too
        if start == len(data):
            return self._wait(start)
        if data[start] == _CLOSE_OBJECT and self._expected == _FIRST_MEMBER:
            return self._close(data, start)
        if data[start] != _QUOTE:
            raise Malformed("it is not JSON: an object has a member without a name in double quotes")
        end = closing_quote(data, start + 1, False) + 1
        if end == 0:
            return self._wait_for_quote(data, start, start, _MAX_NAME_BYTES)
        read_text(data[start:end])
        colon = _match_colon(data, end)
        if colon is None:
            self._insist_on_blanks(data, end, start)
            return self._wait(start)
        value = _match_value(data, colon.end())
        if value is None:
            return self._hard_value(data, colon.end(), start)
        group = value.lastindex or 0
        return self._member(data, start, end, group, value.start(group), value.end())

    def _member(self, data: bytes, name_start: int, name_end: int, kind: int, start: int, end: int) -> int:
        """A member with its name in quotes and what its value begins with."""
        self._met_names = True
        name = data[name_start + 1 : name_end - 1]
        escaped = b"\\" in name
        if escaped:
            name = read_text(data[name_start:name_end]).encode(errors="surrogatepass")
        if kind == _ESCAPED_TEXT:
            closing = closing_quote(data, start + 1, False)
            if closing < 0 and len(data) - name_start <= MAX_HELD_BYTES:
                return self._wait_for_quote(data, name_start, start, MAX_HELD_BYTES)
            end = closing + 1
        self._name_escaped = escaped
        self._token = name_start
        content = self._content
        if (
            content is not None
            and self._muted < 0
            and (escaped or self._suspects.touch(name_start, name_start, name_end))
        ):
            clean = content.clean(name, self._tally)
            if clean != name:
                self._tally.masked_values += 1
                self._replace(data, name_start, name_end, written_text(clean.decode(errors="surrogatepass")))
        return self._value(data, kind, start, end, self._states[-1].member(name), name)

    def _elements(self, data: bytes, position: int) -> int:
        self._name_escaped = False
        state = self._root
        if self._states:
            state = self._states[-1].element()
            if state.mask is None or self._muted >= 0:
                run = self._element_run(data, position)
                if run > 0:
                    return self._ran(data, run, _VALUE)
        value = _match_value(data, position)
        if value is None:
            return self._hard_value(data, position, _match_blanks(data, position).end())  # type: ignore[union-attr]
        kind = value.lastindex or 0
        start, end = value.start(kind), value.end()
        self._token = start
        if kind == _ESCAPED_TEXT:
            end = closing_quote(data, start + 1, False) + 1
            if end == 0 and len(data) - start <= MAX_HELD_BYTES:
                return self._wait_for_quote(data, start, start, MAX_HELD_BYTES)
        return self._value(data, kind, start, end, state, b"")

    def _element_run(self, data: bytes, position: int) -> int:
        """Where a run of elements ends, 0 for none. Some numbers are harmless whatever is suspected."""
        run = _match_harmless_numbers(data, position)
        if run is not None:
            return run.end()
        if self._muted >= 0:
            run = _match_any_elements(data, position)
        elif (limit := self._suspects.clear_until(position)) > position:
            if not self._met_names or self._runs is None:
                run = _match_elements(data, position, limit)
            elif self._misses < _MANY_MISSES or data[position] == _QUOTE:
                run = self._runs.elements.match(data, position, limit)
                self._misses = 0 if run is not None else self._misses + 1
        return run.end() if run is not None else 0

    def _hard_value(self, data: bytes, position: int, keep: int) -> int:
        """No value is whole here: more is needed, an empty array ends, or this is not JSON. ``keep`` is held."""
        start = _match_blanks(data, position).end()  # type: ignore[union-attr]
        if start == len(data):
            self._insist_on_blanks(data, position, keep)
            return self._wait(keep)
        if data[start] == _CLOSE_ARRAY and self._expected == _FIRST_ELEMENT:
            return self._close(data, start)
        rest = data[start : start + _MAX_NUMBER_BYTES]
        if len(rest) == _MAX_NUMBER_BYTES or not _WORD_BYTES.issuperset(rest):
            raise Malformed("it is not JSON: something else is where a value should be")
        return self._wait(keep)

    def _behind_value(self, data: bytes, position: int) -> int:
        byte = data[position]
        if byte <= 0x20:
            position = _match_blanks(data, position).end()  # type: ignore[union-attr]
            if position == len(data):
                return self._wait(position)
            byte = data[position]
        in_array = self._arrays[-1]
        if byte == _COMMA:
            self._expected = _VALUE if in_array else _MEMBER
            return position + 1
        if byte == (_CLOSE_ARRAY if in_array else _CLOSE_OBJECT):
            return self._close(data, position)
        raise Malformed("it is not JSON: something else is where a comma or a closing bracket should be")

    def _behind_document(self, data: bytes, position: int) -> int:
        """In front of the first document, too."""
        size = len(data)
        while position < size and data[position] in b" \t\r\n\x1e":
            self._separated |= data[position] in b"\r\n\x1e"
            if data[position] == 0x1E and not self._many:
                raise Malformed("it is not JSON: it has a record separator in it")
            position += 1
        if position == size:
            return self._wait(position)
        if not self._separated or (self._documents > 0 and not self._many):
            raise Malformed("something follows the JSON document")
        self._expected = _VALUE
        return position

    def _open(self, byte: int, state: FieldState) -> None:
        if len(self._states) >= MAX_DEPTH:
            raise Malformed(f"the JSON document is nested more than {MAX_DEPTH} deep")
        self._states.append(state)
        self._arrays.append(byte == _OPEN_ARRAY)
        self._expected = _FIRST_ELEMENT if byte == _OPEN_ARRAY else _FIRST_MEMBER

    def _close(self, data: bytes, position: int) -> int:
        self._states.pop()
        self._arrays.pop()
        if self._muted == len(self._states):
            self._muted = -1
            self._copied = position + 1
        return self._passed(position + 1)

    def _passed(self, end: int) -> int:
        """A value ends here."""
        if self._states:
            self._expected = _BEHIND_VALUE
        else:
            self._expected = _BEHIND_DOCUMENT
            self._separated = False
            self._documents += 1
        return end

    # -------------------------------------------------------------------------------------------------- values

    def _value(self, data: bytes, kind: int, start: int, end: int, state: FieldState, name: bytes) -> int:
        """A value, or the beginning of one. ``end`` is 0 for a text that is too long to be held."""
        mask = state.mask
        if mask is None and kind != _OPENING and not self._states:
            mask = self._plan.fields.everything
        if self._muted >= 0:
            if kind == _ESCAPED_TEXT and end > 0:
                read_text(data[start:end])
        elif mask is not None:
            self._mask(data, kind, start, end, mask)
        elif kind == _ESCAPED_TEXT and end > 0:
            self._escaped_text(data, start, end, state, name)
        elif kind <= _NUMBER and self._looks and self._is_suspicious(data, kind, start, end):
            self._examine(data, kind, start, end, name)
        if kind == _OPENING:
            if self._muted < 0 and mask is not None:
                self._muted = len(self._states)
            self._open(data[start], state)
            return end
        if end == 0:
            return self._begin_pieces(data, start, mask is not None, state)
        return self._passed(end)

    def _mask(self, data: bytes, kind: int, start: int, end: int, mask: ColumnMask) -> None:
        permitted(mask)
        if kind == _WORD and data[start] == 0x6E:  # nothing stays nothing
            return
        self._tally.masked_values += 1
        if kind == _NUMBER:
            new = self._substitutes.number(mask, data[start:end].decode()).encode()
        elif kind == _WORD:
            new = b"null"
        elif kind == _OPENING:
            new = written_text(self._substitutes.structure(mask))
        else:
            new = written_text(self._substitutes.text(mask, read_text(data[start:end]) if end > 0 else None))
        self._replace(data, start, end, new)

    def _replace(self, data: bytes, start: int, end: int, new: bytes) -> None:
        self._parts += (data[self._copied : start], new)
        self._copied = end

    def _escaped_text(self, data: bytes, start: int, end: int, state: FieldState, name: bytes) -> None:
        text = read_text(data[start:end])
        new = self._inner_document(text, state)
        if new is None and self._looks:
            new = self._clean(text.encode(errors="surrogatepass"), name).decode(errors="surrogatepass")
        if new is not None and new != text:
            self._tally.masked_values += 1
            self._replace(data, start, end, written_text(new))

    def _is_suspicious(self, data: bytes, kind: int, start: int, end: int) -> bool:
        """Whether content detection has to look at a text or number. Digits of an exponent are none that it knows."""
        if self._suspects.touch(self._token, start, end) or self._name_escaped:
            return kind != _NUMBER or _match_harmless_number(data, start, end) is None
        return kind == _NUMBER and (data.find(b"e", start, end) >= 0 or data.find(b"E", start, end) >= 0)

    def _examine(self, data: bytes, kind: int, start: int, end: int, name: bytes) -> None:
        """A plain text or a number in which content detection may find something."""
        if kind == _NUMBER:
            written = data[start:end]
            clean = written if self._is_clean_number(written, name) else b"0"
        else:
            written = data[start + 1 : end - 1]
            clean = self._clean(written, name)
            start, end = start + 1, end - 1
        if clean != written:
            self._tally.masked_values += 1
            self._replace(data, start, end, clean)

    def _clean(self, text: bytes, name: bytes) -> bytes:
        before, behind = (b'"%b": "' % name, b'"') if name else (b"", b"")
        return self._plan.clean(text, self._tally, before, behind)

    def _is_clean_number(self, written: bytes, name: bytes) -> bool:
        before = b'"%b": ' % name if name else b""
        numbers = {written, without_exponent(written)}
        return all(self._plan.clean(number, self._tally, before) == number for number in numbers)

    def _inner_document(self, text: str, state: FieldState) -> str | None:
        """A text that is a JSON document, or several, with what is in it masked; None when it is none."""
        if text.lstrip(" \t\r\n")[:1] not in ("{", "[", '"'):
            return None
        if self._inner >= MAX_INNER_DOCUMENTS:
            raise BodyRefused(f"JSON lies in texts of JSON more than {MAX_INNER_DOCUMENTS} deep")
        tally = Tally()
        masker = JsonMasker(self._plan, tally, state.document(), True, self._inner + 1)
        try:
            masked = masker.feed(text.encode(errors="surrogatepass")) + masker.finish()
        except Malformed:
            return None
        self._tally.add(tally)
        return masked.decode(errors="surrogatepass")

    # ---------------------------------------------------------------------------------------------- long texts

    def _begin_pieces(self, data: bytes, start: int, masked: bool, state: FieldState) -> int:
        """A text that is too long to be held: it is left out where it is masked, and else looked at in pieces."""
        self._dropping = masked or self._muted >= 0
        self._long_text = None
        if self._dropping:
            self._copied = start + 1
        elif self._looks or self._plan.fields.by_last_name:
            document = None
            if data[start + 1] in b"{[\\ " and self._inner < MAX_INNER_DOCUMENTS:
                document = JsonMasker(self._plan, self._tally, state.document(), True, self._inner + 1)
            self._long_text = LongText(self._plan.text_masker(self._tally), document)
        self._expected = _TEXT_PIECES
        return start + 1

    def _text_piece(self, data: bytes, position: int) -> int:
        end = _match_piece(data, position, position + _PIECE_BYTES).end()  # type: ignore[union-attr]
        end = whole_characters(data, position, end)
        quoted = end < len(data) and data[end] == _QUOTE
        if end == position and not quoted:
            if len(data) - position >= _LONGEST_ESCAPE_BYTES:
                raise Malformed(BAD_TEXT)
            return self._wait(position)
        if self._long_text is not None:
            passed = self._long_text.feed(data[position:end])
            self._replace(data, position, end, passed + self._long_text.finish() if quoted else passed)
        end += quoted
        if self._dropping:
            self._copied = end
        return self._passed(end) if quoted else end

    # ------------------------------------------------------------------------------------------- where we stand

    def _wait(self, keep: int) -> int:
        self._short = True
        return keep

    def _wait_for_quote(self, data: bytes, keep: int, start: int, max_bytes: int) -> int:
        """A text that begins at ``start`` does not end yet."""
        if len(data) - start > max_bytes:
            raise Malformed(f"it has a name of more than {max_bytes} bytes")
        self._awaits_quote = True
        return self._wait(keep)

    def _insist_on_blanks(self, data: bytes, position: int, keep: int) -> None:
        """Nothing but blanks, and not too many of them, may be from here to the end of what has come."""
        if _match_blanks(data, position).end() < len(data):  # type: ignore[union-attr]
            raise Malformed("it is not JSON: something else is where a colon should be")
        if len(data) - keep > MAX_HELD_BYTES:
            raise Malformed("too many blanks are in it")
