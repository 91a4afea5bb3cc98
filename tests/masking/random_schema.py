"""Random schemas: tables and views with odd names and many types, some columns of which are secret.

A schema has two fillings that differ in the secret values only. It knows no SQL beyond its own definition.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

ROWS = 3
_NAMES = (
    *("alpha", "beta", "gamma", "delta", "order", "Mixed Case", "naïve", "user", "x", "select", "tab\tname", 'quo"te'),
    *("value", "name", "email", "type", "date", "日本", "a.b", "semi;colon", "--dash", "public", "ROW", "$dollar"),
)
TYPES = ("text", "integer", "numeric", "date", "uuid", "jsonb", "bytea", "text[]", "timestamptz", "boolean", "float8")
_CAN_BE_SECRET = tuple(kind for kind in TYPES if kind != "boolean")


@dataclass(frozen=True)
class RandomColumn:
    """A column. ``secret`` columns of tables are tagged; those of views are for the gateway to find."""

    name: str
    kind: str
    secret: bool

    @property
    def quoted(self) -> str:
        return quoted(self.name)


@dataclass(frozen=True)
class RandomRelation:
    """A table or view; ``definition`` is the query of a view."""

    schema: str
    name: str
    columns: tuple[RandomColumn, ...]
    definition: str = ""

    @property
    def quoted(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


@dataclass(frozen=True)
class RandomSchema:
    """What a seed makes."""

    relations: tuple[RandomRelation, ...]

    def statements(self, filling: str) -> Iterator[str]:
        """What makes the schema and fills it with one of the two fillings, ``a`` or ``b``."""
        yield "CREATE SCHEMA other"
        for relation in self.relations:
            if relation.definition:
                yield f"CREATE VIEW {relation.quoted} AS {relation.definition}"
                continue
            columns = ", ".join(f"{column.quoted} {column.kind}" for column in relation.columns)
            yield f"CREATE TABLE {relation.quoted} ({columns})"
            for row in range(ROWS):
                values = (_literal(column.kind, _value(relation, column, row, filling)) for column in relation.columns)
                yield f"INSERT INTO {relation.quoted} VALUES ({', '.join(values)})"

    def secrets(self) -> list[str]:
        """The patterns of the secret columns of tables, in any connection and database."""
        return [
            f"*/*/{relation.schema}/{relation.name}/{column.name}"
            for relation in self.relations
            for column in relation.columns
            if column.secret and not relation.definition
        ]

    def markers(self, filling: str) -> dict[str, str]:
        """The planted values. Their names begin with the kind, as ``Markers`` has it."""
        found: dict[str, str] = {}
        for relation in (relation for relation in self.relations if not relation.definition):
            for column in (column for column in relation.columns if column.secret):
                for row in range(ROWS):
                    name = f"{_MARKER_KINDS.get(column.kind, 'word')} of {relation.name}.{column.name} {row}"
                    found[name] = _value(relation, column, row, filling)
        return found


_MARKER_KINDS = {"integer": "pin", "numeric": "salary", "float8": "salary", "date": "birth", "uuid": "token"}
_MARKER_KINDS |= {"bytea": "avatar", "timestamptz": "seen"}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def random_schema(dice: random.Random) -> RandomSchema:
    """Some tables, and views over them."""
    names = iter(dice.sample(_NAMES, len(_NAMES)))
    tables = [_table(dice, dice.choice(("public", "other")), next(names)) for _ in range(4)]
    views = [_view(dice, dice.choice(tables), next(names)) for _ in range(3)]
    return RandomSchema((*tables, *views))


def _table(dice: random.Random, schema: str, name: str) -> RandomRelation:
    kinds = [*dice.choices(_CAN_BE_SECRET, k=4), *dice.choices(TYPES, k=2)]
    names = dice.sample(_NAMES, len(kinds))
    columns = [
        RandomColumn(column, kind, kind in _CAN_BE_SECRET and dice.random() < 0.5)
        for column, kind in zip(names, kinds, strict=True)
    ]
    return RandomRelation(schema, name, (RandomColumn("id", "integer", False), *columns))


def _view(dice: random.Random, table: RandomRelation, name: str) -> RandomRelation:
    picked = dice.sample(table.columns, dice.randint(2, len(table.columns)))
    renamed = dice.sample(_NAMES, len(picked))
    columns = [RandomColumn(new, old.kind, old.secret) for new, old in zip(renamed, picked, strict=True)]
    select = ", ".join(f"{old.quoted} AS {new.quoted}" for new, old in zip(columns, picked, strict=True))
    return RandomRelation("public", name, tuple(columns), f"SELECT {select} FROM {table.quoted}")


def _value(relation: RandomRelation, column: RandomColumn, row: int, filling: str) -> str:
    """The text of a value. Only that of a secret column depends on the filling."""
    if column.name == "id":
        return str(row + 1)
    seed = f"{relation.schema}.{relation.name}.{column.name}.{row}.{filling if column.secret else ''}"
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
    return _texts(number)[column.kind]


def _texts(number: int) -> dict[str, str]:
    word = "".join(chr(ord("a") + number // 26**place % 26) for place in range(12))
    digits = hashlib.sha256(str(number).encode()).hexdigest()
    uuid = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"
    day = f"{1900 + number % 120}-{1 + number // 7 % 12:02}-{1 + number // 11 % 28:02}"
    return {
        "text": word,
        "integer": str(1_000_000 + number % 900_000_000),
        "numeric": str(1_000_000 + number % 900_000_000),
        "float8": str(1_000_000 + number % 900_000_000),
        "date": day,
        "uuid": uuid,
        "jsonb": word,
        "bytea": digits[:20],
        "text[]": word,
        "timestamptz": f"{day} {number % 24:02}:{number // 5 % 60:02}:{number // 3 % 60:02}",
        "boolean": "true" if number % 2 else "false",
    }


def _literal(kind: str, value: str) -> str:
    forms = {"jsonb": f'\'{{"k": "{value}", "n": [1]}}\'', "bytea": f"'\\x{value}'", "text[]": f"'{{{value},x}}'"}
    return forms.get(kind, f"'{value}'")
