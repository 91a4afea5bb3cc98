"""Changes to a statement: made in its tree, spliced into its text, and proved to be the same.

The text is cut at tokens that the trees' locations name; the rest of it stays as the client wrote it. ``Edits.apply``
parses the new text again and compares it with the edited trees: a splice in the wrong place cannot go unnoticed.
"""

from typing import Any, Final

from interlock.protocols.postgres import grammar
from interlock.protocols.postgres.masking.names import Refused
from interlock.protocols.postgres.statements.nodes import Node

_LOCATIONS: Final = frozenset(
    ("location", "rexpr_list_start", "rexpr_list_end", "list_start", "list_end", "name_location")
)


class Tokens:
    """The tokens of a text, found by where they begin."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._tokens = grammar.scan(text)
        self._index = {start: number for number, (start, _) in enumerate(self._tokens)}

    def at(self, location: int) -> int:
        """The number of the token that begins at a node's location. Raises ``Refused`` when none does."""
        number = self._index.get(location)
        if number is None:
            raise Refused("The statement could not be rewritten: a place in it was not found.")
        return number

    def word(self, number: int) -> str:
        """The token in lower case, "" behind the last one."""
        if not 0 <= number < len(self._tokens):
            return ""
        start, end = self._tokens[number]
        return self.text[start:end].decode("utf-8", "replace").lower()

    def start(self, number: int) -> int:
        return self._tokens[number][0]

    def end(self, number: int) -> int:
        """Where the token before ``number`` ends."""
        return self._tokens[number - 1][1]

    def slice(self, first: int, behind: int) -> str:
        """The text from one token up to another, which is not part of it."""
        return self.text[self.start(first) : self.end(behind)].decode() if behind > first else ""

    def behind_identifier(self, number: int) -> int:
        """The token behind an identifier, which may have a UESCAPE clause."""
        return number + 3 if self.word(number + 1) == "uescape" else number + 1

    def behind_name(self, number: int, parts: int) -> int:
        """The token behind a dotted name of that many parts; the last may be a star."""
        for remaining in range(parts - 1, -1, -1):
            number = self.behind_identifier(number) + (1 if remaining else 0)
        return number

    def behind_brackets(self, number: int) -> int:
        """The token behind the bracket that closes the one at ``number``."""
        depth = 0
        while word := self.word(number):
            depth += (word == "(") - (word == ")")
            number += 1
            if depth == 0:
                return number
        raise Refused("The statement could not be rewritten: a bracket is missing.")

    def behind_alias(self, number: int, *, named: bool, columns: bool) -> int:
        """The token behind ``[AS] name [(columns)]``."""
        if not named:
            return number
        number = self.behind_identifier(number + 1 if self.word(number) == "as" else number)
        return self.behind_brackets(number) if columns else number


class Edits:
    """The changes to one text."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self._splices: list[tuple[int, int, bytes]] = []

    def __len__(self) -> int:
        return len(self._splices)

    def splice(self, first: int, behind: int, replacement: str) -> None:
        """Put ``replacement`` in the place of the tokens from ``first`` up to ``behind``."""
        tokens = self.tokens
        start = tokens.start(first)
        end = tokens.end(behind) if behind > first else start
        self._splices.append((start, end, f" {replacement} ".encode()))

    def append(self, behind: int, addition: str) -> None:
        """Put ``addition`` behind the token before ``behind``."""
        end = self.tokens.end(behind)
        self._splices.append((end, end, f" {addition} ".encode()))

    def apply(self, trees: list[Node]) -> bytes:
        """The new text, which parses to ``trees``. Raises ``Refused`` when it does not."""
        text, pieces, position = self.tokens.text, [], 0
        for start, end, replacement in sorted(self._splices, key=lambda splice: splice[0]):
            if start < position:
                raise Refused("The statement could not be rewritten: two changes to it overlap.")
            pieces += [text[position:start], replacement]
            position = end
        result = b"".join([*pieces, text[position:]])
        try:
            same = without_locations(grammar.parse(result)) == without_locations(trees)
        except grammar.GrammarError:
            same = False
        if not same:
            raise Refused("The statement could not be rewritten without changing more than its masked columns.")
        return result


def without_locations(node: Any) -> Any:
    """The same tree without the places in the text that its nodes come from."""
    if isinstance(node, dict):
        return {key: without_locations(value) for key, value in node.items() if key not in _LOCATIONS}
    if isinstance(node, list):
        return [without_locations(item) for item in node]
    return node


def replace(node: Node, replacement: Node) -> None:
    """Make a wrapped node another one, in its place in the tree."""
    node.clear()
    node.update(replacement)


def parse_from_item(text: str) -> Node:
    """The tree of one FROM item."""
    (statement,) = grammar.parse(f"SELECT FROM {text}".encode())
    (item,) = statement["SelectStmt"]["fromClause"]
    return dict(item)


def parse_targets(text: str) -> list[Node]:
    """The trees of a target list: ResTargets."""
    (statement,) = grammar.parse(f"SELECT {text}".encode())
    return list(statement["SelectStmt"]["targetList"])


def parse_expression(text: str) -> Node:
    """The tree of one expression."""
    (target,) = parse_targets(text)
    return dict(target["ResTarget"]["val"])
