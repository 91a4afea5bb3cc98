"""Reads the gateway's TOML file into ``Settings``, or says what is wrong with it: file, line, key, what is allowed.

All problems are reported at once. Unknown keys are refused. No value of a key that could be a secret is ever quoted.
"""

import difflib
import enum
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from interlock.core.contradictions import Problem, find_contradictions
from interlock.core.errors import ConfigurationError
from interlock.core.settings import PATH, Settings, Table

MAX_FILE_BYTES: Final = 1 << 20
_SECRET_WORDS: Final = ("password", "passwd", "secret", "token", "private_key", "api_key")
_REFERENCE_HINT: Final = (
    'secrets are not written in this file: refer to them, as in credential = { env = "CRM_PASSWORD" }, '
    '{ file = "crm.password" } or { sealed = true }'
)
_REFER: Final = 'refer to where it is kept, as in { env = "NAME" } or { file = "name" }'
_SECRETS: Final = (("secret",), ("slack",), ("apprise",))
Place = tuple[str | int, ...]
TableT = TypeVar("TableT", bound=Table)


def load_settings(file: Path, protocols: tuple[str, ...] = ("postgres", "http", "ssh")) -> Settings:
    """The settings in ``file``, with absolute paths. Raises ConfigurationError, one line for each problem."""
    text = _read(file)
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{file}: not valid TOML: {error}") from None
    reader = _Reader(file.resolve().parent)
    settings = reader.table(Settings, document, ())
    problems = reader.problems
    if settings is not None and not problems:
        problems = find_contradictions(settings, protocols)
    if settings is None or problems:
        lines = LineFinder(text)
        raise ConfigurationError("\n".join(_describe(file, lines, problem) for problem in problems))
    return settings


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(f"{file}: larger than {MAX_FILE_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: not UTF-8 (byte {error.start})") from None


def _describe(file: Path, lines: "LineFinder", problem: Problem) -> str:
    return f"{file}:{lines.line(problem.place)}: {format_place(problem.place)}: {problem.text}"


def format_place(place: Place) -> str:
    """``('issuers', 0, 'url')`` as ``issuers[0].url``."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text or "(file)"


class _Reader:
    """Walks the document along the settings' types and collects what is wrong."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.problems: list[Problem] = []

    def table(self, kind: type[TableT], document: object, place: Place) -> TableT | None:
        """The table at ``place``, or None after noting why not."""
        if not isinstance(document, dict):
            self._note(place, f"expected a table with {', '.join(kind.__struct_fields__)}{_hint_for(place)}")
            return None
        hints = get_type_hints(kind, include_extras=True)
        for key in document:
            if key not in hints:
                self._note((*place, key), _unknown_key(key, list(hints)))
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        found: dict[str, Any] = {}
        before = len(self.problems)
        for key, field in fields.items():
            if key in document:
                found[key] = self._value(hints[key], document[key], (*place, key))
            elif field.required:
                self._note(place, f"{key} is missing")
        if len(self.problems) > before:
            return None
        try:
            return kind(**found)
        except ValueError as error:
            self._note(place, str(error))
            return None

    def _value(self, hint: Any, value: object, place: Place) -> object:
        bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        table, container = _table_in(bare)
        if table is None:
            return self._leaf(hint, value, place)
        if container is dict:
            return self._tables_by_name(table, value, place)
        if container is tuple:
            return self._tables(table, value, place)
        return self.table(table, value, place)

    def _tables_by_name(self, table: type[Table], value: object, place: Place) -> object:
        if not isinstance(value, dict):
            self._note(place, f"expected tables, as in [{format_place(place)}.NAME]")
            return None
        return {name: self.table(table, entry, (*place, name)) for name, entry in value.items()}

    def _tables(self, table: type[Table], value: object, place: Place) -> object:
        if not isinstance(value, list):
            self._note(place, f"expected a list of tables, as in [[{format_place(place)}]]")
            return None
        return tuple(self.table(table, entry, (*place, index)) for index, entry in enumerate(value))

    def _leaf(self, hint: Any, value: object, place: Place) -> object:
        try:
            converted = msgspec.convert(value, hint)
        except msgspec.ValidationError as error:
            self._note(place, _leaf_problem(hint, str(error)) + _hint_for(place))
            return None
        return self._absolute(converted) if _is_path(hint) else converted

    def _absolute(self, value: object) -> object:
        if isinstance(value, tuple):
            return tuple(self._absolute(entry) for entry in value)
        return str(self._directory / Path(value).expanduser()) if isinstance(value, str) else value

    def _note(self, place: Place, text: str) -> None:
        self.problems.append(Problem(place, text))


def _table_in(hint: Any) -> tuple[type[Table] | None, type | None]:
    """The settings table that a type holds, and the container it is in."""
    if isinstance(hint, type) and issubclass(hint, Table):
        return hint, None
    container = get_origin(hint)
    for argument in get_args(hint):
        if isinstance(argument, type) and issubclass(argument, Table):
            return argument, container if container in (dict, tuple) else None
    return None, None


def _metadata(hint: Any) -> Iterator[msgspec.Meta]:
    if get_origin(hint) is Annotated:
        yield from (entry for entry in get_args(hint)[1:] if isinstance(entry, msgspec.Meta))


def _is_path(hint: Any) -> bool:
    return any(meta.extra == PATH for meta in _metadata(hint))


def _unknown_key(key: str, allowed: list[str]) -> str:
    if any(word in key.lower() for word in _SECRET_WORDS):
        return f"unknown key; {_REFERENCE_HINT}"
    close = difflib.get_close_matches(key, allowed, n=1)
    suggestion = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown key; {suggestion}allowed: {', '.join(allowed)}"


def _hint_for(place: Place) -> str:
    return f"; {_REFERENCE_HINT}" if "credential" in place else f"; {_REFER}" if place[-1:] in _SECRETS else ""


def _leaf_problem(hint: Any, message: str) -> str:
    """msgspec's message without its own idea of the place, and with the words an enumeration allows."""
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return f"expected one of {', '.join(repr(member.value) for member in bare)}"
    return re.sub(r" - at `.*`$", "", message).replace("Expected", "expected", 1).replace("`", "")


class LineFinder:
    """Finds the line of a key in a TOML text that is known to be valid.

    It knows table headers and keys at the start of a line; for what is inside an inline table or a multi-line value
    it gives the line of the nearest key around it.
    """

    _HEADER: Final = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
    _ASSIGNMENT: Final = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'|\s*\.\s*)+?)\s*=""")
    _PART: Final = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")

    def __init__(self, text: str) -> None:
        self._lines: dict[Place, int] = {(): 1}
        self._counts: dict[Place, int] = {}
        table: Place = ()
        for number, line in enumerate(text.splitlines(), start=1):
            if header := self._HEADER.match(line):
                table = self._enter(header[1] == "[[", self._parts(header[2]))
                self._note(table, number)
            elif assignment := self._ASSIGNMENT.match(line):
                self._note((*table, *self._parts(assignment[1])), number)

    def line(self, place: Place) -> int:
        """The line of ``place``, or of the nearest table around it."""
        while place not in self._lines:
            place = place[:-1]
        return self._lines[place]

    def _parts(self, dotted: str) -> Place:
        return tuple(part.strip("\"'") for part in self._PART.findall(dotted))

    def _enter(self, is_array: bool, parts: Place) -> Place:
        table: Place = ()
        for part in parts[:-1]:
            table = self._latest((*table, part))
        table = (*table, parts[-1])
        if is_array:
            self._counts[table] = self._counts.get(table, -1) + 1
        return self._latest(table)

    def _latest(self, table: Place) -> Place:
        """The last entry of an array of tables; any other table as it is."""
        return (*table, self._counts[table]) if table in self._counts else table

    def _note(self, place: Place, number: int) -> None:
        for length in range(1, len(place) + 1):
            self._lines.setdefault(place[:length], number)
