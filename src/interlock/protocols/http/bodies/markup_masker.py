"""Masks XML and HTML: elements and attributes by their names, texts by what is detected in them.

A masked element loses its content and the values of its attributes. So does one that says by an attribute such as
``name`` or ``itemprop`` that it holds a masked field. Comments are left out: what was taken out of a document by hand
often stands there.
"""

import re
from typing import Final

from interlock.core.content.tally import Tally
from interlock.core.masking import ColumnMask
from interlock.protocols.http.bodies.fields import FieldState
from interlock.protocols.http.bodies.markup_tokens import Kind, MarkupTokens, Token, escaped, unescaped
from interlock.protocols.http.bodies.plan import Plan
from interlock.protocols.http.bodies.refusal import Malformed
from interlock.protocols.http.bodies.substitutes import permitted
from interlock.protocols.http.bodies.texts import masked_field, masked_text

MAX_DEPTH: Final = 512
_MAX_SUBSTITUTED_BYTES: Final = 64 << 10
_TELLING: Final = frozenset((b"name", b"id", b"key", b"field", b"property", b"itemprop", b"class"))
_KEPT: Final = _TELLING | {b"type", b"rel", b"style"}
_KEPT_PREFIXES: Final = (b"xmlns", b"xsi:", b"xml:")
_VOID: Final = frozenset(b"area base br col embed hr img input link meta param source track wbr".split())
_OPTIONAL_END: Final = frozenset(b"td th tr li p dt dd option".split())
_TARGET: Final = re.compile(rb"<\?([^\s?>]+)")
_ENCODING: Final = re.compile(rb"(\sencoding\s*=\s*)(\"[^\"]*\"|'[^']*')")


class _MaskedElement:
    """A masked element under way. Its text is kept while it has nothing else in it, and is short."""

    def __init__(self, name: bytes, mask: ColumnMask) -> None:
        self.name = name
        self.mask = mask
        self.text = ""
        self.is_text = True
        self.depth = 1
        """Elements of its name that are open in it, and it."""

    def add(self, text: str) -> None:
        self.text += text if self.is_text else ""
        if len(self.text) > _MAX_SUBSTITUTED_BYTES:
            self.text, self.is_text = "", False


class MarkupMasker:
    """One document. In HTML, which has no strict structure, a path begins anew at each element."""

    def __init__(self, plan: Plan, tally: Tally, is_html: bool) -> None:
        self._plan = plan
        self._tally = tally
        self._is_html = is_html
        self._tokens = MarkupTokens(is_html)
        self._open: list[tuple[bytes, FieldState]] = []
        self._began = False
        self._masked: _MaskedElement | None = None

    def feed(self, data: bytes) -> bytes:
        """What may go on now. Raises ``BodyRefused``."""
        self._tokens.feed(data)
        parts: list[bytes] = []
        while (token := self._tokens.next()) is not None:
            parts.append(self._outside(token) if self._masked is None else self._inside(self._masked, token))
        return b"".join(parts)

    def finish(self) -> bytes:
        """The rest. Raises ``BodyRefused``."""
        self._tokens.finish()
        rest = self.feed(b"")
        if self._open:
            raise Malformed("the XML document is cut off")
        if self._masked is not None:
            rest += self._substitute(self._masked)
        return rest

    # ------------------------------------------------------------------------------------------------ elements

    def _outside(self, token: Token) -> bytes:
        if token.kind is Kind.START:
            return self._start(token)
        if token.kind is Kind.END:
            self._close(token)
            return token.written
        if token.kind is Kind.TEXT:
            return self._text(token.written)
        if token.kind is Kind.RAW:
            raw = self._masked_text(token.written.decode(errors="surrogatepass"))
            return token.written if raw is None else raw.encode(errors="surrogatepass")
        if token.kind is Kind.CDATA:
            inner = token.written[9:-3]
            masked = self._masked_text(inner.decode(errors="surrogatepass"))
            return token.written if masked is None else escaped(masked)
        return self._other(token.written) if token.kind is Kind.OTHER else b""

    def _start(self, token: Token) -> bytes:
        if self._began and not self._open and not self._is_html:
            raise Malformed("it has several roots")
        self._began = True
        parent = self._open[-1][1] if self._open else self._plan.fields.root
        state = self._state(parent, token.name)
        mask = self._mask(state, token)
        if mask is not None:
            permitted(mask)
            self._tally.masked_values += 1
        attributes = [(name, self._attribute(token.name, state, mask, name, value)) for name, value in token.attributes]
        empty = token.name in _VOID if self._is_html else token.closed
        if not empty:
            self._push(token.name, state)
            if mask is not None:
                self._masked = _MaskedElement(token.name, mask)
        return token.written if tuple(attributes) == token.attributes else _tag(token, attributes)

    def _push(self, name: bytes, state: FieldState) -> None:
        if self._is_html:
            return
        if len(self._open) >= MAX_DEPTH:
            raise Malformed(f"it is nested more than {MAX_DEPTH} deep")
        self._open.append((name, state))

    def _close(self, token: Token) -> None:
        if not self._is_html and (not self._open or self._open.pop()[0] != token.name):
            raise Malformed("an end tag is not that of the element that is open")

    def _state(self, parent: FieldState, name: bytes) -> FieldState:
        whole = parent.member(name)
        return whole if whole.mask is not None else parent.member(name.rpartition(b":")[2])

    def _mask(self, state: FieldState, token: Token) -> ColumnMask | None:
        """The mask on an element, by its name or by what it says of itself."""
        mask = state.mask
        for name, value in token.attributes:
            if name.lower() in _TELLING:
                for told in unescaped(_bare(value), self._is_html).split() or [""]:
                    place = self._plan.fields.root.member(told.encode())
                    if place.mask is not None:
                        mask = place.mask if mask is None else mask.stronger(place.mask)
        return mask

    def _inside(self, masked: _MaskedElement, token: Token) -> bytes:
        """What of a masked element goes on: its substitute and its end."""
        if token.kind in (Kind.TEXT, Kind.CDATA):
            written = token.written if token.kind is Kind.TEXT else token.written[9:-3]
            is_html = self._is_html
            masked.add(
                unescaped(written, is_html) if token.kind is Kind.TEXT else written.decode(errors="surrogatepass")
            )
        elif token.kind is Kind.START:
            return self._start_inside(masked, token)
        elif token.kind is Kind.END:
            self._close(token)
            masked.depth -= token.name == masked.name
            if masked.depth == 0:
                self._masked = None
                return self._substitute(masked) + token.written
        return b""

    def _start_inside(self, masked: _MaskedElement, token: Token) -> bytes:
        if self._is_html and token.name == masked.name and token.name in _OPTIONAL_END:
            self._masked = None
            return self._substitute(masked) + self._start(token)
        masked.text, masked.is_text = "", False
        if not (token.name in _VOID if self._is_html else token.closed):
            masked.depth += token.name == masked.name
            self._push(token.name, self._plan.fields.root)
        return b""

    def _substitute(self, masked: _MaskedElement) -> bytes:
        substitutes = self._plan.substitutes
        if not masked.is_text:
            return escaped(substitutes.structure(masked.mask) or "")
        text = masked.text.strip()
        return escaped(substitutes.text(masked.mask, text) or "") if text else b""

    # ------------------------------------------------------------------------------------- texts and attributes

    def _attribute(
        self, element: bytes, state: FieldState, mask: ColumnMask | None, name: bytes, value: bytes
    ) -> bytes:
        """What the value of an attribute becomes, in quotes where it changes."""
        if element == b"meta" and self._is_html and name.lower() == b"charset":
            return b'"utf-8"'
        place = self._state(state, name)
        if self._is_html and place.mask is None:
            place = self._state(self._plan.fields.root, name.lower().removeprefix(b"data-"))
        read = unescaped(_bare(value), self._is_html)
        if place.mask is None and mask is not None and read and not _is_kept(name.lower()):
            return b'"%b"' % escaped(self._plan.substitutes.structure(mask) or "")
        masked = masked_field(read, self._plan, self._tally, place, name.decode(errors="replace"))
        return value if masked == read else b'"%b"' % escaped(masked)

    def _text(self, written: bytes) -> bytes:
        if not written.strip():
            return written
        if not self._is_html and not self._open:
            raise Malformed("it has text outside of its root")
        masked = self._masked_text(unescaped(written, self._is_html))
        return written if masked is None else escaped(masked)

    def _masked_text(self, text: str) -> str | None:
        """What a text becomes; None when it stays as it is."""
        name, state = self._open[-1] if self._open else (b"", None)
        data = text.encode(errors="surrogatepass")
        masked = masked_text(data, self._plan, self._tally, state, name.rpartition(b":")[2])
        return None if masked == data else masked.decode(errors="surrogatepass")

    def _other(self, written: bytes) -> bytes:
        """A declaration or instruction. It is UTF-8 now whatever an XML declaration said."""
        if written.startswith(b"<?xml ") and not self._is_html:
            return _ENCODING.sub(rb'\1"UTF-8"', written)
        target = _TARGET.match(written)
        if target is not None and self._plan.fields.root.member(target[1]).mask is not None:
            return b""
        clean = self._plan.clean(written, self._tally)
        return written if clean == written else b""


def _bare(value: bytes) -> bytes:
    return value[1:-1] if value[:1] in (b'"', b"'") else value


def _is_kept(name: bytes) -> bool:
    return name in _KEPT or name.startswith(_KEPT_PREFIXES)


def _tag(token: Token, attributes: list[tuple[bytes, bytes]]) -> bytes:
    """A start tag with other values. Values in single quotes or none get double ones."""
    parts = [b"<", token.name]
    for name, value in attributes:
        parts += (b" ", name)
        if value:
            parts.append(b'="%b"' % _bare(value).replace(b'"', b"&quot;"))
    parts.append(b"/>" if token.closed else b">")
    return b"".join(parts)
