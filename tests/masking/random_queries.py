"""Random SELECT statements over a random schema, of which most are valid.

Everything that a value can pass through is in them: expressions, aggregates, windows, rows, joins, sub-queries, CTEs,
set operations. Constants are never a planted value.
"""

import random
from dataclasses import dataclass

from tests.masking.random_schema import RandomRelation, RandomSchema, quoted

_DEEPEST = 3
_MOST_ROWS = 6


@dataclass(frozen=True)
class _Source:
    """A name in FROM and its columns: name and type."""

    alias: str
    columns: tuple[tuple[str, str], ...]


class QueryWriter:
    """Writes statements with one source of chance."""

    def __init__(self, dice: random.Random, schema: RandomSchema) -> None:
        self._dice = dice
        self._schema = schema
        self._aliases = 0

    def statement(self) -> str:
        """One statement: mostly a query."""
        query, _ = self._query(0)
        wrapped = (
            f"COPY ({query}) TO STDOUT",
            f"COPY ({query}) TO STDOUT (FORMAT csv)",
            f"SELECT * FROM ({query}) AS outermost",
            f"SELECT outermost FROM ({query}) AS outermost",
            f"SELECT json_agg(outermost) FROM ({query}) AS outermost",
            f"WITH outermost AS ({query}) TABLE outermost",
            f"EXPLAIN (COSTS OFF) {query}",
            f"CREATE TEMP TABLE t{self._next()} AS {query}",
        )
        return self._dice.choice(wrapped) if self._dice.random() < 0.25 else query

    def _next(self) -> int:
        self._aliases += 1
        return self._aliases

    def _alias(self) -> str:
        return self._dice.choice(("t", "T x", "ü", "u")) + str(self._next())

    def _query(self, depth: int) -> tuple[str, tuple[tuple[str, str], ...]]:
        """A query and its columns."""
        if depth < _DEEPEST and self._dice.random() < 0.15:
            return self._set_operation(depth)
        if depth < _DEEPEST and self._dice.random() < 0.15:
            return self._with_cte(depth)
        return self._select(depth)

    def _set_operation(self, depth: int) -> tuple[str, tuple[tuple[str, str], ...]]:
        left, right = (self._texts_only(depth + 1) for _ in range(2))
        operator = self._dice.choice(("UNION", "UNION ALL", "EXCEPT", "INTERSECT"))
        return f"({left}) {operator} ({right})", (("word", "text"),)

    def _texts_only(self, depth: int) -> str:
        text, columns = self._query(depth)
        name = self._dice.choice(columns)[0]
        return f"SELECT {quoted(name)}::text AS word FROM ({text}) AS {quoted(self._alias())}"

    def _with_cte(self, depth: int) -> tuple[str, tuple[tuple[str, str], ...]]:
        inner, columns = self._query(depth + 1)
        # A CTE may have the name of a table, which it then hides.
        name = self._dice.choice((f"cte{self._next()}", self._dice.choice(self._schema.relations).name))
        hint = self._dice.choice(("", "MATERIALIZED", "NOT MATERIALIZED"))
        listed = ", ".join(f"c{number}" for number, _ in enumerate(columns))
        renamed = tuple((f"c{number}", kind) for number, (_, kind) in enumerate(columns))
        outer, found = self._select(depth + 1, _Source(name, renamed))
        few = f"SELECT * FROM ({inner}) AS few LIMIT {_MOST_ROWS}"
        return f"WITH {quoted(name)}({listed}) AS {hint} ({few}) {outer}", found

    def _select(self, depth: int, given: _Source | None = None) -> tuple[str, tuple[tuple[str, str], ...]]:
        source, sources = (quoted(given.alias), [given]) if given else self._from(depth)
        if self._dice.random() < 0.2:
            return self._grouped(source, sources)
        chosen = [self._item(sources, depth) for _ in range(self._dice.randint(1, 4))]
        columns = tuple((f"o{number}", kind) for number, (_, kind) in enumerate(chosen))
        items = ", ".join(f"{item} AS o{number}" for number, (item, _) in enumerate(chosen))
        distinct = self._dice.choice(("", "", "", "DISTINCT "))
        return f"SELECT {distinct}{items} FROM {source}{self._where(sources, depth)}{self._tail()}", columns

    def _grouped(self, source: str, sources: list[_Source]) -> tuple[str, tuple[tuple[str, str], ...]]:
        key, kind = self._column(sources)
        value, _ = self._column(sources)
        aggregate = self._dice.choice(
            (
                f"max({value}::text)",
                f"string_agg({value}::text, ',')",
                f"json_agg({value})",
                f"array_agg({value}::text ORDER BY 1)",
                f"count({value})",
                f"min({value}::text) FILTER (WHERE {value}::text > 'm')",
                f"jsonb_object_agg(coalesce({value}::text, ''), 1)",
            )
        )
        group = f" GROUP BY {key}" if kind not in ("jsonb",) else f" GROUP BY {key}::text"
        shown = key if kind not in ("jsonb",) else f"{key}::text"
        having = self._dice.choice(("", "", " HAVING count(*) > 0", f" HAVING max({value}::text) > 'c'"))
        return f"SELECT {shown} AS o0, {aggregate} AS o1 FROM {source}{group}{having}", (("o0", kind), ("o1", "text"))

    def _from(self, depth: int) -> tuple[str, list[_Source]]:
        text, source = self._source(depth)
        sources = [source]
        for _ in range(self._dice.choice((0, 0, 1, 1, 2))):
            other, joined = self._source(depth)
            join = self._dice.choice(("CROSS JOIN", "JOIN", "LEFT JOIN", "FULL JOIN", "JOIN LATERAL"))
            on = "" if join == "CROSS JOIN" else " ON true"
            lateral = f"(SELECT {self._column(sources)[0]} AS l)" if join == "JOIN LATERAL" else other
            if join == "JOIN LATERAL":
                joined = _Source(self._alias(), (("l", "text"),))
                lateral += f" AS {quoted(joined.alias)}"
            text += f" {join} {lateral}{on}"
            sources.append(joined)
        return text, sources

    def _source(self, depth: int) -> tuple[str, _Source]:
        alias = self._alias()
        if depth < _DEEPEST and self._dice.random() < 0.3:
            inner, columns = self._query(depth + 1)
            return f"(SELECT * FROM ({inner}) AS few LIMIT {_MOST_ROWS}) AS {quoted(alias)}", _Source(alias, columns)
        relation = self._dice.choice(self._schema.relations)
        columns = tuple((column.name, column.kind) for column in relation.columns)
        if self._dice.random() < 0.2:
            listed = ", ".join(f"r{number}" for number, _ in enumerate(columns))
            renamed = tuple((f"r{number}", kind) for number, (_, kind) in enumerate(columns))
            return f"{self._named(relation)} AS {quoted(alias)}({listed})", _Source(alias, renamed)
        return f"{self._named(relation)} AS {quoted(alias)}", _Source(alias, columns)

    def _named(self, relation: RandomRelation) -> str:
        short = relation.schema == "public" and self._dice.random() < 0.5
        return quoted(relation.name) if short else relation.quoted

    def _column(self, sources: list[_Source]) -> tuple[str, str]:
        source = self._dice.choice(sources)
        name, kind = self._dice.choice(source.columns)
        return f"{quoted(source.alias)}.{quoted(name)}", kind

    def _item(self, sources: list[_Source], depth: int) -> tuple[str, str]:
        column, kind = self._column(sources)
        alias = quoted(self._dice.choice(sources).alias)
        if depth < _DEEPEST and self._dice.random() < 0.1:
            return f"(SELECT {self._one(depth + 1)})", "text"
        whole = (alias, f"row_to_json({alias})", f"to_jsonb({alias})", f"{alias}::text", f"ROW({alias}.*)::text")
        derived = (
            f"upper({column}::text)",
            f"reverse({column}::text)",
            f"encode(convert_to({column}::text, 'UTF8'), 'base64')",
            f"coalesce({column}::text, 'none')",
            f"CASE WHEN true THEN {column} END",
            f"ARRAY[{column}]",
            f"json_build_object('k', {column})",
            f"substr({column}::text, 1, 6) || substr({column}::text, 7)",
            f"max({column}::text) OVER ()",
            f"lag({column}::text) OVER (ORDER BY 1)",
            f"format('%s-%s', {column}, {column})",
            f"length({column}::text)",
            f"{column}::text::integer",
            f"{column}::text > 'm'",
            f"md5({column}::text)",
            f"unnest(ARRAY[{column}::text, 'x'])",
        )
        chance = self._dice.random()
        if chance < 0.45:
            return column, kind
        return (f"({self._dice.choice(whole)})::text", "text") if chance < 0.6 else (self._dice.choice(derived), "text")

    def _one(self, depth: int) -> str:
        text, columns = self._select(depth)
        return f"min({quoted(columns[0][0])}::text) FROM ({text}) AS {quoted(self._alias())}"

    def _where(self, sources: list[_Source], depth: int) -> str:
        if self._dice.random() < 0.5:
            return ""
        column, _ = self._column(sources)
        other, _ = self._column(sources)
        conditions = (
            f"{column} IS NOT NULL",
            f"{column}::text LIKE '%a%'",
            f"{column}::text > 'f'",
            f"{column}::text < {other}::text",
            f"{column}::text = {other}::text",
            f"{column}::text IN (SELECT 'x' UNION SELECT {other}::text)",
            f"NOT ({column}::text BETWEEN 'b' AND 'n')",
            f"length({column}::text) > 11",
            f"EXISTS (SELECT 1 WHERE {column}::text ~ '[aeiou]')",
            "true",
        )
        return f" WHERE {self._dice.choice(conditions)}"

    def _tail(self) -> str:
        order = self._dice.choice(("", "", " ORDER BY 1", " ORDER BY 1 DESC"))
        return order + self._dice.choice(("", "", " LIMIT 7", " OFFSET 1"))
