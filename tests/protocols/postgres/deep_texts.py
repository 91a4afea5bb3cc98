"""SQL texts that nest, in every shape that makes a parser recurse; used by the crash tests."""

from collections.abc import Callable

SHAPES: dict[str, Callable[[int], str]] = {
    "operators": lambda n: "SELECT " + "1+" * n + "1",
    "right operators": lambda n: "SELECT " + "1=(" * n + "1" + ")" * n,
    "not": lambda n: "SELECT " + "NOT " * n + "true",
    "minus": lambda n: "SELECT " + "- " * n + "1",
    "parentheses": lambda n: "SELECT " + "(" * n + "1" + ")" * n,
    "and or": lambda n: "DELETE FROM t WHERE a" + " AND (b OR a" * n + ")" * n,
    "union": lambda n: "SELECT 1" + " UNION SELECT 1" * n,
    "from": lambda n: "SELECT * FROM " + "(SELECT * FROM " * n + "t" + ") x" * n,
    "sub-select": lambda n: "SELECT " + "(SELECT " * n + "1" + ")" * n,
    "with": lambda n: "WITH x AS (" * n + "SELECT 1" + ") SELECT 1" * n,
    "join": lambda n: "SELECT * FROM a" + " JOIN a ON true" * n,
    "case": lambda n: "SELECT " + "CASE WHEN true THEN " * n + "1" + " END" * n,
    "case in where": lambda n: "DELETE FROM t WHERE " + "CASE WHEN a THEN " * n + "b" + " END" * n,
    "coalesce": lambda n: "DELETE FROM t WHERE " + "coalesce(" * n + "b" + ")" * n,
    "between": lambda n: "DELETE FROM t WHERE " + "(" * n + "1" + " BETWEEN 1 AND 2)" * n,
    "in": lambda n: "DELETE FROM t WHERE " + "(" * n + "a" + " IN (1, 2))" * n,
    "array": lambda n: "SELECT " + "ARRAY[" * n + "1" + "]" * n,
    "row": lambda n: "SELECT " + "ROW(" * n + "1" + ")" * n,
    "call": lambda n: "SELECT " + "f(" * n + "1" + ")" * n,
    "cast": lambda n: "SELECT 1" + "::int" * n,
    "is null": lambda n: "SELECT 1" + " IS NULL" * n,
    "collate": lambda n: "SELECT a" + " COLLATE b" * n,
    "subscript": lambda n: "SELECT a" + "[1]" * n,
    "comment": lambda n: "SELECT " + "/*" * n + "*/" * n + "1",
    "type": lambda n: "SELECT 1::int" + "[]" * n,
    "names": lambda n: "SELECT a" + ".b" * n,
    "many ctes": lambda n: "WITH " + ", ".join(f"c{i} AS (SELECT 1)" for i in range(n + 1)) + " SELECT 1",
    "many tables": lambda n: "SELECT a FROM t" + ", t" * n,
    "many columns": lambda n: "SELECT " + ", ".join(f"c{i}" for i in range(n + 1)) + " FROM t, u",
    "many qualified": lambda n: "SELECT " + ", ".join(f"q{i}.c" for i in range(n + 1)) + " FROM t, u",
    "both": lambda n: f"SELECT {', '.join(f'q{i}.c, c{i}' for i in range(n + 1))} FROM {'t, ' * n} t",
    "statements": lambda n: "SELECT 1;" * n,
}


def text_of_size(shape: str, size: int) -> bytes:
    """The text of one shape that comes closest to ``size`` bytes without exceeding it by much."""
    make = SHAPES[shape]
    unit = len(make(1001)) - len(make(1000))
    return make(max(1, size // unit)).encode()
