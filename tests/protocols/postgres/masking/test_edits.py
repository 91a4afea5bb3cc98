"""Splices: verified against the edited trees, so that one in the wrong place is a refusal; and random statements."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from interlock.protocols.postgres import grammar
from interlock.protocols.postgres.masking import sources
from interlock.protocols.postgres.masking.edits import (
    Edits,
    Tokens,
    parse_expression,
    parse_from_item,
    parse_targets,
    replace,
    without_locations,
)
from interlock.protocols.postgres.masking.names import Refused
from tests.protocols.postgres.masking.shop import rewritten
from tests.protocols.postgres.masking.statements import random_statement

WRONG = "without changing more than its masked columns"


def edits_of(text: str) -> tuple[Edits, list[Any]]:
    data = text.encode()
    return Edits(Tokens(data)), grammar.parse(data)


def column(trees: list[Any], place: int = 0) -> Any:
    return trees[0]["SelectStmt"]["targetList"][place]["ResTarget"]["val"]


# ---------------------------------------------------------------- tokens


def test_tokens_are_found_by_where_they_begin() -> None:
    tokens = Tokens('SELECT  "a""b" , é FROM t'.encode())
    number = tokens.at(8)
    assert (tokens.word(number), tokens.start(number), tokens.end(number + 1)) == ('"a""b"', 8, 14)
    assert (tokens.word(-1), tokens.word(99)) == ("", "")
    assert tokens.slice(number, number + 3) == '"a""b" , é'
    assert tokens.slice(number, number) == ""


@pytest.mark.parametrize("location", [1, 7, 9, 100, -1])
def test_a_place_where_no_token_begins_is_a_refusal(location: int) -> None:
    with pytest.raises(Refused, match="a place in it was not found"):
        Tokens(b'SELECT  "ab" FROM t').at(location)


@pytest.mark.parametrize(
    ("text", "behind"),
    [
        ("a . b . c , d", ","),
        ('"a"."b" ."c", d', ","),
        ("a./* . */b.c -- x\n , d", ","),
        ("a.b.* , d", ","),
        ("U&\"a\" UESCAPE '!'.b.U&\"c\" UESCAPE '?' , d", ","),
    ],
)
def test_behind_a_dotted_name(text: str, behind: str) -> None:
    tokens = Tokens(text.encode())
    assert tokens.word(tokens.behind_name(0, 3)) == behind


def test_behind_brackets_and_aliases() -> None:
    tokens = Tokens(b"(a, (b), ')') AS x (c, d) where")
    number = tokens.behind_brackets(0)
    assert tokens.word(number) == "as"
    assert tokens.word(tokens.behind_alias(number, named=True, columns=True)) == "where"
    assert tokens.behind_alias(number, named=False, columns=False) == number
    with pytest.raises(Refused, match="a bracket is missing"):
        Tokens(b"((a)").behind_brackets(0)


# ---------------------------------------------------------------- splices


def test_an_edit_of_text_and_tree_alike_is_applied() -> None:
    edits, trees = edits_of("SELECT  a, b FROM t")
    replace(column(trees), parse_expression("upper(x)"))
    edits.splice(1, 2, "upper(x)")
    assert edits.apply(trees) == b"SELECT   upper(x) , b FROM t"
    assert len(edits) == 1


@pytest.mark.parametrize(
    ("first", "behind", "text"),
    [
        pytest.param(3, 4, "upper(x)", id="another column"),
        pytest.param(1, 4, "upper(x)", id="too much"),
        pytest.param(1, 1, "upper(x)", id="nothing taken away"),
        pytest.param(1, 2, "upper(y)", id="another text"),
        pytest.param(1, 2, "upper(x) AS z", id="more text"),
        pytest.param(1, 2, "upper(x", id="what cannot be parsed"),
        pytest.param(1, 2, "upper(x) --", id="a comment that takes the rest"),
        pytest.param(1, 2, "upper(x), a FROM users; SELECT upper(x)", id="a second statement"),
    ],
)
def test_a_wrong_splice_is_refused(first: int, behind: int, text: str) -> None:
    edits, trees = edits_of("SELECT  a, b FROM t")
    replace(column(trees), parse_expression("upper(x)"))
    edits.splice(first, behind, text)
    with pytest.raises(Refused, match=WRONG):
        edits.apply(trees)


def test_a_forgotten_splice_is_refused() -> None:
    edits, trees = edits_of("SELECT a, b FROM t")
    replace(column(trees), parse_expression("1"))
    replace(column(trees, 1), parse_expression("2"))
    edits.splice(1, 2, "1")
    with pytest.raises(Refused, match=WRONG):
        edits.apply(trees)


def test_splices_that_overlap_are_refused() -> None:
    edits, trees = edits_of("SELECT a.b.c FROM t")
    edits.splice(1, 6, "1")
    edits.splice(3, 4, "2")
    with pytest.raises(Refused, match="two changes to it overlap"):
        edits.apply(trees)


def test_splices_may_come_in_any_order() -> None:
    edits, trees = edits_of("SELECT a, b FROM t")
    replace(column(trees), parse_expression("1"))
    replace(column(trees, 1), parse_expression("2"))
    edits.splice(3, 4, "2")
    edits.splice(1, 2, "1")
    assert edits.apply(trees) == b"SELECT  1 ,  2  FROM t"


@pytest.mark.parametrize("off", [-1, 1])
def test_a_relation_taken_for_its_neighbour_is_a_refusal(monkeypatch: pytest.MonkeyPatch, off: int) -> None:
    """An error in where a masked relation stands cannot go out."""
    extent = sources._extent

    def shifted(*arguments: Any) -> tuple[int, int, str, str]:
        first, behind, alias, sample = extent(*arguments)
        return first + off, behind + off, alias, sample

    monkeypatch.setattr(sources, "_extent", shifted)
    found = rewritten("SELECT o.id FROM orders o, users u, orders p")
    assert found.refusal
    assert found.text == b"SELECT o.id FROM orders o, users u, orders p"


def test_a_masked_form_that_is_not_what_was_spliced_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "replace", lambda *_: None)
    assert WRONG in rewritten("SELECT email FROM users").refusal


def test_trees_are_compared_without_their_places() -> None:
    one, other = (
        grammar.parse(b"SELECT a FROM t WHERE b IN (1, 2)"),
        grammar.parse(b"SELECT  a FROM  t WHERE b IN (1,2 )"),
    )
    assert one != other
    assert without_locations(one) == without_locations(other)
    assert without_locations(one) != without_locations(grammar.parse(b"SELECT a FROM t WHERE b IN (1, 3)"))


def test_parts_of_texts_are_parsed_as_parts() -> None:
    assert list(parse_from_item("(SELECT 1) AS x")) == ["RangeSubselect"]
    assert len(parse_targets("a, b AS c")) == 2
    assert list(parse_expression("a + 1")) == ["A_Expr"]
    for text in ("a, b", "a FROM t; SELECT 1"):
        with pytest.raises(ValueError, match="too many values"):
            parse_expression(text)


# ---------------------------------------------------------------- random statements


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            yield node
            pending.extend(node.values())


def _is_gateways_own(subselect: Any) -> bool:
    """Whether a FROM item reads one relation and shows no masked column of it, or is one that stands hidden."""
    body = subselect["subquery"].get("SelectStmt", {})
    if subselect.get("alias", {}).get("aliasname", "").startswith("_interlock_"):
        return True
    shown = [target["ResTarget"]["val"].get("ColumnRef", {}) for target in body.get("targetList", [])]
    names = {node["sval"] for column in shown for node in _nodes(column) if "sval" in node}
    plain = body.keys() <= {"targetList", "fromClause", "limitOption", "op"}
    return (
        plain
        and bool(names)
        and not names & {"email", "salary", "token"}
        and not any("A_Star" in n for n in _nodes(shown))
    )


def relations_in_the_open(trees: list[Any]) -> set[tuple[str, str]]:
    """Every RangeVar outside the gateway's own subqueries and the targets of writes, and what COPY reads."""
    found: set[tuple[str, str]] = set()
    pending: list[Any] = list(trees)
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            if "RangeSubselect" in node and _is_gateways_own(node["RangeSubselect"]):
                continue
            if "RangeVar" in node:
                found.add((node["RangeVar"].get("schemaname", ""), node["RangeVar"]["relname"]))
            if "CopyStmt" in node and "relation" in node["CopyStmt"] and not node["CopyStmt"].get("is_from"):
                found.add((node["CopyStmt"]["relation"].get("schemaname", ""), node["CopyStmt"]["relation"]["relname"]))
            pending.extend(value for key, value in node.items() if key != "lockedRels")
    return found


def common_names(trees: list[Any]) -> set[str]:
    return {node["ctename"] for node in _nodes(trees) if "ctename" in node}


BATCHES, BATCH = 20, 50


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_statements(batch: int) -> None:
    """The result parses, has no masked relation outside the gateway's own subqueries, and is always the same."""
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        check(random_statement(random.Random(seed)))


def check(text: str) -> None:
    found = rewritten(text)
    assert found == rewritten(text)
    assert found.refusal != "The statement could not be masked, so it is refused.", text
    assert "could not be rewritten" not in found.refusal, f"{text}\n{found.refusal}"
    if found.refusal:
        assert found.text == text.encode()
        return
    trees = grammar.parse(found.text)
    masked = {("public", "users"), ("public", "secrets"), ("", "secrets")}
    if "users" not in common_names(trees):
        masked.add(("", "users"))
    assert not relations_in_the_open(trees) & masked, found.text.decode()
    assert found.changed == (found.text != text.encode())


def test_random_statements_are_of_use() -> None:
    """Most are rewritten, some compare real values, and some are refused."""
    outcomes = [rewritten(random_statement(random.Random(seed))) for seed in range(BATCHES * BATCH)]
    assert sum(found.changed for found in outcomes) > len(outcomes) // 2
    assert sum(found.compares for found in outcomes) > len(outcomes) // 20
    assert sum(bool(found.refusal) for found in outcomes) > len(outcomes) // 50


def test_rewriting_twice_is_refused() -> None:
    """What was rewritten has the gateway's own names in it, which no client may use."""
    found = rewritten("SELECT id FROM users WHERE email = 'x'")
    assert "the gateway's own" in rewritten(found.text.decode()).refusal
