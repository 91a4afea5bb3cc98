"""How commands travel in HTTP: a command as a request, and the parts of a request as a command.

Both ends use it: the server for what it is sent, the client for what it sends. Values only: nothing in here speaks
HTTP. Names in a path are percent-encoded, "/" included, so that a name is always one segment.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, unquote_to_bytes, urlencode

import msgspec

from interlock.core.administration.base import Command
from interlock.core.errors import InvalidCommand

CommandT = TypeVar("CommandT", bound=Command[Any])
_PATH_FIELD = re.compile(r"\{(\w+)\}")
_ARRAYS = (
    msgspec.inspect.VarTupleType,
    msgspec.inspect.ListType,
    msgspec.inspect.SetType,
    msgspec.inspect.FrozenSetType,
)


class CommandRequest(msgspec.Struct, frozen=True):
    """A command as a request: ``target`` is path and query, ``body`` JSON, empty where there is none."""

    method: str
    target: str
    body: bytes = b""

    def __repr__(self) -> str:
        return f"CommandRequest({self.method} {self.target.partition('?')[0]})"


class Shape(msgspec.Struct, frozen=True):
    """Where a command's fields are: in the path, or beside it (in the query of a GET, else in the body).

    ``arrays`` are those beside it that a query may name more than once.
    """

    path: tuple[str, ...]
    beside: tuple[str, ...]
    arrays: frozenset[str]


@functools.cache
def shape_of(kind: type[Command[Any]]) -> Shape:
    """The shape of a command's requests."""
    path = tuple(_PATH_FIELD.findall(kind.route.path))
    fields = msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]
    arrays = frozenset(field.name for field in fields if isinstance(field.type, _ARRAYS))
    return Shape(path, tuple(field.name for field in fields if field.name not in path), arrays)


def tag_of(kind: type[Command[Any]]) -> str:
    """The command's name, as ``noun.verb``."""
    return str(kind.__struct_config__.tag)


def subject_of(command: Command[Any]) -> str:
    """What a command is about, for records: the fields in its path."""
    return "/".join(str(getattr(command, name)) for name in shape_of(type(command)).path)


def request_of(command: Command[Any]) -> CommandRequest:
    """The request that carries a command. Fields that have their default are left out."""
    route, shape = command.route, shape_of(type(command))
    given: dict[str, Any] = msgspec.to_builtins(command)
    path = _PATH_FIELD.sub(lambda field: quote(str(given[field[1]]), safe=""), route.path)
    defaults = {field.name: field.default for field in msgspec.structs.fields(command)}
    beside = {name: given[name] for name in shape.beside if getattr(command, name) != defaults[name]}
    if route.method != "GET":
        return CommandRequest(route.method, path, msgspec.json.encode(beside))
    query = urlencode({name: _word(value) for name, value in beside.items()}, doseq=True)
    return CommandRequest(route.method, f"{path}?{query}" if query else path)


def command_of(
    kind: type[CommandT],
    path: Mapping[str, str],
    query: Sequence[tuple[str, str]] = (),
    body: Mapping[str, object] | None = None,
) -> CommandT:
    """The command in a request: its path's fields still percent-encoded, its decoded query, its decoded body.

    Raises InvalidCommand, which says what is wrong and what is allowed.
    """
    shape = shape_of(kind)
    reads_query = kind.route.method == "GET"
    _refuse_unknown("query parameter", (name for name, _ in query), shape.beside if reads_query else ())
    _refuse_unknown("member", body or (), () if reads_query else shape.beside)
    given: dict[str, object] = dict(_gathered(query, shape.arrays)) if reads_query else dict(body or {})
    given |= {name: _decoded(name, value) for name, value in path.items()}
    try:
        command: CommandT = msgspec.convert(given, kind, strict=not reads_query)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise InvalidCommand(f"{error} (field names begin at $)") from None
    for name, _ in query:
        if getattr(command, name) is None:  # the word null, which stands for nothing in a query
            raise InvalidCommand(f"query parameter {name!r} is given as null: leave it out")
    return command


def _refuse_unknown(noun: str, names: Iterable[str], allowed: Sequence[str]) -> None:
    for name in names:
        if name not in allowed:
            takes = f"allowed: {', '.join(allowed)}" if allowed else "there is none here"
            raise InvalidCommand(f"unknown {noun} {name[:100]!r}; {takes}")


def _gathered(query: Sequence[tuple[str, str]], arrays: frozenset[str]) -> dict[str, object]:
    """The parameters by name. Raises InvalidCommand for one that is given twice and is no list."""
    found: dict[str, Any] = {}
    for name, value in query:
        if name in arrays:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise InvalidCommand(f"query parameter {name!r} is given twice")
        else:
            found[name] = value
    return found


def _decoded(name: str, value: str) -> str:
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise InvalidCommand(f"{name} in the path is not UTF-8") from None


def _word(value: object) -> object:
    """A value as a query has it."""
    return str(value).lower() if isinstance(value, bool) else value
