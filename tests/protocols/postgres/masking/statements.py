"""Random statements over the relations of ``shop``, from a small grammar of their own: all of them parse."""

from collections.abc import Callable
from random import Random

_ALIASES = ("u", "", "AS v", '"W"', "AS x (a, b)", "")
_RELATIONS = (
    "users",
    "users",
    "users",
    "public.users",
    "ONLY users",
    "users *",
    "orders",
    "secrets",
    "hr.users",
    'U&"\\0075sers"',
)
_COLUMNS = ("id", "name", "email", "users.email", "u.email", "u.id", "note", "o.total", "salary", "label", "(u).email")
_JOINS = ("JOIN", "LEFT JOIN", "FULL JOIN", "RIGHT JOIN", "INNER JOIN")
_COMPARISONS = (
    "{c} = 'x'",
    "{c} IN ('x', $1)",
    "{c} = ANY ($2)",
    "'x' = {c}",
    "{c} IS NULL",
    "{c} IS DISTINCT FROM 'x'",
    "lower({c}) = 'x'",
    "{c}::text = 'x'",
    "{c} LIKE 'x%'",
    "{c} > 'x'",
    "{c} BETWEEN 'a' AND 'b'",
    "NOT ({c} = 'x')",
    "({c}, id) = ('x', 1)",
)


def random_statement(source: Random) -> str:
    """One statement."""
    kind: Callable[[Random], str] = source.choice((_query, _query, _query, _query, _write, _around))
    return kind(source)


def _query(source: Random, depth: int = 0) -> str:
    parts = [_with(source, depth) if source.random() < 0.15 else "", "SELECT", _targets(source, depth)]
    parts += ["FROM", ", ".join(_from(source, depth) for _ in range(source.choice((1, 1, 1, 2))))]
    if source.random() < 0.6:
        parts += ["WHERE", _condition(source, depth)]
    if source.random() < 0.2:
        parts += ["ORDER BY", source.choice(("1", "id", "email DESC NULLS LAST", "users.name"))]
    if source.random() < 0.1:
        parts += ["LIMIT 3 OFFSET 1"]
    if source.random() < 0.1 and depth == 0:
        parts += [source.choice(("FOR UPDATE", "FOR SHARE OF users", "FOR NO KEY UPDATE OF u NOWAIT"))]
    text = " ".join(filter(None, parts))
    if source.random() < 0.1 and depth < 2 and "FOR " not in text:
        return f"({text}) UNION ALL ({_query(source, depth + 1)})"
    return text


def _targets(source: Random, depth: int) -> str:
    return ", ".join(_target(source, depth) for _ in range(source.choice((1, 1, 2, 3))))


def _target(source: Random, depth: int) -> str:
    choices = [
        "*",
        source.choice(_COLUMNS),
        f"{source.choice(_COLUMNS)} AS shown",
        "count(*)",
        f"upper({source.choice(_COLUMNS)})",
        "u.*",
        "users",
        f"CASE WHEN {_comparison(source)} THEN 1 ELSE 2 END",
        "public.users.*",
        "array_agg(email ORDER BY id) FILTER (WHERE id > 1)",
        "users.ctid",
    ]
    if depth < 2:
        choices += [f"({_query(source, depth + 1)})", f"ARRAY ({_query(source, depth + 1)})"]
    return source.choice(choices)


def _from(source: Random, depth: int) -> str:
    kind = source.random()
    if kind < 0.1 and depth < 2:
        return f"{source.choice(('', 'LATERAL '))}({_query(source, depth + 1)}) AS s"
    if kind < 0.3 and depth < 2:
        return _joined(source, depth)
    if kind < 0.35:
        return f"{source.choice(('users', 'orders'))} TABLESAMPLE system (10) REPEATABLE ((1))"
    if kind < 0.4:
        return "generate_series(1, 3) AS g"
    return f"{source.choice(_RELATIONS)} {source.choice(_ALIASES)}".strip()


def _joined(source: Random, depth: int) -> str:
    left, right = _from(source, depth + 1), _from(source, depth + 1)
    how = source.random()
    if how < 0.2:
        return f"{left} CROSS JOIN {right}"
    if how < 0.35:
        return f"{left} {source.choice(_JOINS)} {right} USING (id)"
    if how < 0.45:
        return f"{left} NATURAL JOIN {right}"
    text = f"{left} {source.choice(_JOINS)} {right} ON {_condition(source, depth + 1)}"
    return f"({text}) AS j" if how > 0.9 else text


def _comparison(source: Random) -> str:
    return source.choice(_COMPARISONS).replace("{c}", source.choice(("email", *_COLUMNS)))


def _condition(source: Random, depth: int) -> str:
    kind = source.random()
    if kind < 0.15:
        return f"{_comparison(source)} AND ({_comparison(source)} OR NOT {_comparison(source)})"
    if kind < 0.25 and depth < 2:
        return f"EXISTS ({_query(source, depth + 1)})"
    if kind < 0.3 and depth < 2:
        return f"id IN ({_query(source, depth + 1)})"
    return _comparison(source) if kind < 0.8 else "id > 0"


def _with(source: Random, depth: int) -> str:
    name = source.choice(("w", "users"))
    recursive = source.choice(("", "", "RECURSIVE "))
    return f"WITH {recursive}{name} AS ({_query(source, depth + 1)})" if depth < 2 else ""


def _write(source: Random) -> str:
    returning = source.choice(("", " RETURNING *", " RETURNING email, id", " RETURNING upper(users.email)"))
    texts = (
        f"UPDATE users SET name = 'x' WHERE {_condition(source, 1)}{returning}",
        f"DELETE FROM users WHERE {_comparison(source)}{returning}",
        f"INSERT INTO users (id, email) VALUES (1, 'x'), ($1, $2){returning}",
        f"INSERT INTO orders (id) {_query(source, 1)}",
        f"UPDATE orders o SET note = 'x' FROM {_from(source, 1)} WHERE {_condition(source, 1)}",
        f"DELETE FROM orders USING {_from(source, 1)} WHERE {_comparison(source)} RETURNING *",
    )
    return source.choice(texts)


def _around(source: Random) -> str:
    inner = _query(source, 1)
    texts = (
        f"EXPLAIN (COSTS off) {inner}",
        f"PREPARE p AS {inner}",
        f"DECLARE c CURSOR WITH HOLD FOR {inner}",
        f"COPY ({inner}) TO STDOUT (FORMAT csv)",
        f"CREATE TEMP TABLE t AS {inner}",
        f"COPY {source.choice(('users', 'users (email, id)', 'public.users', 'orders'))} TO STDOUT",
        source.choice(("TABLE users", "TABLE ONLY users", "TABLE public.users LIMIT 1", "VALUES (1), (2)")),
        f"SELECT 1; {inner}; TABLE users",
    )
    return source.choice(texts)
