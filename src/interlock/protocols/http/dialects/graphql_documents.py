"""What a GraphQL document asks for (GraphQL, October 2021): the real names of its fields, whatever they are called in
the answer.

The text is read with the grammar of the reference implementation and never executed; there is no schema. Fragments are
followed, conditions (``@skip``, type conditions) are not: a field that may be asked for counts as asked for.
"""

import functools
import re
from collections.abc import Iterable
from typing import Final

import msgspec
from graphql.error import GraphQLError
from graphql.language import parse
from graphql.language.ast import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

MAX_TOKENS: Final = 5_000
MAX_LENGTH: Final = 64 << 10
MAX_SELECTIONS: Final = 5_000
MAX_DEPTH: Final = 50
MAX_REMEMBERED_LENGTH: Final = 8 << 10

_ODD: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What some servers take for the end of a line, and so of a comment, and others do not; and what is no text."""
_ROOTS: Final = {"query": "Query", "mutation": "Mutation", "subscription": "Subscription"}
_INCREMENTAL: Final = frozenset({"defer", "stream"})


class DocumentUnread(Exception):
    """What the document asks for is not known; the text says why, as a sentence for the client."""


class AnswerField(msgspec.Struct, frozen=True):
    """A field as the answer has it: the name it has there, and its path by the fields' real names."""

    name: str
    path: tuple[str, ...]
    moved: bool
    """The answer has it under another path: there is an alias for it or for what it is in."""


class GraphqlOperation(msgspec.Struct, frozen=True):
    """One operation. ``roots`` are the fields of the root type, ``fields`` all that come up, each once by real name.

    ``incremental``: the answer may come in pieces (``@defer``, ``@stream``).
    """

    kind: str
    roots: tuple[str, ...]
    fields: tuple[str, ...]
    answer: tuple[AnswerField, ...]
    incremental: bool

    @property
    def root_type(self) -> str:
        return _ROOTS[self.kind]


def read_operation(text: str, name: str | None) -> GraphqlOperation:
    """The operation of a document that is executed: its only one, or the one with ``name``.

    Raises ``DocumentUnread``. Takes up to about 50 ms, for the longest documents; short ones are remembered.
    """
    return _remembered(text, name) if len(text) <= MAX_REMEMBERED_LENGTH else _read(text, name)


def _read(text: str, name: str | None) -> GraphqlOperation:
    document = _parsed(text)
    operation = _selected(document, name)
    walk = _Walk(_fragments(document))
    walk.selections(operation.selection_set, (), False)
    if not walk.answer:
        raise DocumentUnread("The operation asks for nothing.")
    roots = dict.fromkeys(field.path[0] for field in walk.answer if len(field.path) == 1)
    names = sorted({field.path[-1] for field in walk.answer})
    incremental = walk.incremental or bool(_directives(operation) & _INCREMENTAL)
    return GraphqlOperation(operation.operation.value, tuple(roots), tuple(names), tuple(walk.answer), incremental)


_remembered: Final = functools.lru_cache(maxsize=512)(_read)


def _parsed(text: str) -> DocumentNode:
    if len(text) > MAX_LENGTH:
        raise DocumentUnread(f"The GraphQL document has more than {MAX_LENGTH} characters.")
    if (odd := _ODD.search(text)) is not None:
        raise DocumentUnread(
            f"The GraphQL document has the character U+{ord(odd[0]):04X}, which servers read differently."
        )
    try:
        return parse(text, no_location=True, max_lexical_tokens=MAX_TOKENS, max_comments=MAX_TOKENS)
    except GraphQLError as error:
        raise DocumentUnread(f"The GraphQL document does not parse: {error.message[:300]}") from None
    except RecursionError:
        raise DocumentUnread("The GraphQL document is nested too deeply.") from None


def _selected(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    if len(operations) + len(fragments) < len(document.definitions):
        raise DocumentUnread("The GraphQL document has definitions that are not operations or fragments.")
    if not name and len(operations) != 1:
        raise DocumentUnread("The GraphQL document has not exactly one operation, and operationName names none.")
    found = [node for node in operations if not name or (node.name is not None and node.name.value == name)]
    if len(found) != 1:
        raise DocumentUnread("operationName does not name exactly one operation of the GraphQL document.")
    return found[0]


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    nodes = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    fragments = {node.name.value: node for node in nodes}
    if len(fragments) < len(nodes):
        raise DocumentUnread("The GraphQL document has two fragments with one name.")
    return fragments


def _directives(node: OperationDefinitionNode | SelectionNode) -> frozenset[str]:
    return frozenset(directive.name.value for directive in node.directives or ())


class _Walk:
    """Goes through selections and into fragments, up to the limits."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._inside: list[str] = []
        self._seen: set[AnswerField] = set()
        self._steps = 0
        self.answer: list[AnswerField] = []
        self.incremental = False

    def selections(self, selection_set: SelectionSetNode, path: tuple[str, ...], moved: bool) -> None:
        if len(path) >= MAX_DEPTH:
            raise DocumentUnread(f"The GraphQL document is nested more than {MAX_DEPTH} levels deep.")
        for selection in selection_set.selections:
            self._steps += 1
            if self._steps > MAX_SELECTIONS:
                raise DocumentUnread(f"The GraphQL document asks for more than {MAX_SELECTIONS} fields.")
            self.incremental = self.incremental or bool(_directives(selection) & _INCREMENTAL)
            self._selection(selection, path, moved)

    def _selection(self, selection: SelectionNode, path: tuple[str, ...], moved: bool) -> None:
        match selection:
            case FieldNode():
                self._field(selection, path, moved)
            case InlineFragmentNode():
                self.selections(selection.selection_set, path, moved)
            case FragmentSpreadNode():
                self._fragment(selection.name.value, path, moved)
            case _:
                raise DocumentUnread("The GraphQL document has a selection of an unknown kind.")

    def _field(self, node: FieldNode, path: tuple[str, ...], moved: bool) -> None:
        name = node.name.value
        shown = node.alias.value if node.alias is not None else name
        here, moved = (*path, name), moved or shown != name
        field = AnswerField(shown, here, moved)
        if field not in self._seen:
            self._seen.add(field)
            self.answer.append(field)
        if node.selection_set is not None:
            self.selections(node.selection_set, here, moved)

    def _fragment(self, name: str, path: tuple[str, ...], moved: bool) -> None:
        if name in self._inside:
            raise DocumentUnread("The GraphQL document has a fragment that contains itself.")
        if name not in self._fragments:
            raise DocumentUnread("The GraphQL document spreads a fragment that it does not have.")
        self._inside.append(name)
        self.selections(self._fragments[name].selection_set, path, moved)
        self._inside.pop()


def names_of(operations: Iterable[GraphqlOperation]) -> tuple[str, ...]:
    """What policy reads as the fields of a request: those of root types with their type, and all names alone."""
    found = {name for operation in operations for name in operation.fields}
    for operation in operations:
        found.update(f"{operation.root_type}.{root}" for root in operation.roots)
    return tuple(sorted(found))
