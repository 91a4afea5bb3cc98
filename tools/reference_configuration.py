"""Writes ``docs/reference/configuration.md`` from the descriptions in ``interlock.core.settings``.

python tools/reference_configuration.py           write the page
python tools/reference_configuration.py --check   exit with status 1 when the page is not what it would write
"""

import enum
import inspect
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from interlock.core.settings import PATH, Settings, Table

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "configuration.md"
HEADER = """\
# Configuration reference

Generated from `interlock.core.settings` by `tools/reference_configuration.py`; do not edit.

The gateway reads one TOML file. Unknown keys are refused. Paths are relative to the file. Secrets are never written in
it, only where they are. Every table and key may be left out unless it says *required*.
"""


def render() -> str:
    """The whole page."""
    return HEADER + "".join(_render_table(Settings, ""))


def undocumented() -> list[str]:
    """The keys without a description."""
    return [
        f"{table.__name__}.{key}" for table in _all_tables(Settings) for key, hint in _hints(table) if not _meta(hint)
    ]


def _render_table(table: type[Table], place: str) -> Iterator[str]:
    rows: list[str] = []
    inner: list[tuple[type[Table], str]] = []
    fields = {field.name: field for field in msgspec.structs.fields(table)}
    for key, hint in _hints(table):
        found = _table_in(_bare(hint))
        if found is None or place:
            rows.append(_row(key, hint, fields[key]))
        if found is not None:
            inner.append((found, _header(place, key, _bare(hint))))
    if place:
        yield f"\n## `{place}`\n\n{inspect.cleandoc(table.__doc__ or '')}\n"
        yield "\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n" + "".join(rows)
    for child, child_place in inner:
        if not place:
            yield from _render_table(child, child_place)
        else:
            yield _render_inline(child, child_place)


def _render_inline(table: type[Table], place: str) -> str:
    """A table that is written inside another's key."""
    fields = {field.name: field for field in msgspec.structs.fields(table)}
    rows = "".join(_row(key, hint, fields[key]) for key, hint in _hints(table))
    head = "\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n"
    return f"\n### `{place}`\n\n{inspect.cleandoc(table.__doc__ or '')}\n{head}{rows}"


def _header(place: str, key: str, hint: Any) -> str:
    if place:
        return f"{place.strip('[]')}.{key}"
    if get_origin(hint) is dict:
        return f"[{key}.NAME]"
    return f"[[{key}]]" if get_origin(hint) is tuple else f"[{key}]"


def _row(key: str, hint: Any, field: msgspec.structs.FieldInfo) -> str:
    description = (_meta(hint) or "").replace("|", "\\|")
    return f"| `{key}` | {_type_name(hint)} | {_default(field)} | {description} |\n"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "*required*"
    default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if default is None or default in ((), {}, ""):
        return "none"
    if isinstance(default, Table):
        return "below"
    if isinstance(default, enum.Enum):
        default = default.value
    if isinstance(default, tuple):
        default = list(default)
    return f"`{msgspec.json.encode(default).decode()}`"


def _type_name(hint: Any) -> str:
    bare = _bare(hint)
    if any(isinstance(meta, msgspec.Meta) and meta.extra == PATH for meta in getattr(hint, "__metadata__", ())):
        return "list of paths" if get_origin(bare) is tuple else "path"
    if get_origin(bare) in (Union, types.UnionType):
        names = (_type_name(part) for part in get_args(bare) if part is not types.NoneType)
        return " or ".join(dict.fromkeys(names))
    if get_origin(bare) is tuple:
        return f"list of {_type_name(get_args(bare)[0])}"
    if get_origin(bare) is dict:
        return "table"
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return ", ".join(f"`{member.value}`" for member in bare)
    if isinstance(bare, type) and issubclass(bare, Table):
        return "table"
    return {str: "text", int: "integer", float: "number", bool: "boolean"}[bare]


def _hints(table: type[Table]) -> list[tuple[str, Any]]:
    return list(get_type_hints(table, include_extras=True).items())


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _meta(hint: Any) -> str | None:
    metadata = getattr(hint, "__metadata__", ())
    return next((meta.description for meta in metadata if isinstance(meta, msgspec.Meta)), None)


def _table_in(hint: Any) -> type[Table] | None:
    if isinstance(hint, type) and issubclass(hint, Table):
        return hint
    return next((part for part in get_args(hint) if isinstance(part, type) and issubclass(part, Table)), None)


def _all_tables(table: type[Table]) -> Iterator[type[Table]]:
    yield table
    for _, hint in _hints(table):
        if (inner := _table_in(_bare(hint))) is not None:
            yield from _all_tables(inner)


def main() -> int:
    """Write or check the page; returns the exit status."""
    page = render()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.read_text() == page else 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
