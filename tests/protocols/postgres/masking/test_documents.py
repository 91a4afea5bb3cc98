"""Masks at paths of JSON documents, evaluated by a real server: what is at a path never comes out, the rest does."""

import json
from typing import Any

import psycopg
import pytest

from interlock.core.catalogue import Column
from interlock.core.masking import MaskKind
from interlock.protocols.postgres.masking.documents import masked_document, pointed
from interlock.protocols.postgres.masking.expressions import mask_expression
from tests.servers import sample
from tests.servers.postgres import PostgresServer

PATHS = tuple(map(pointed, ("/contact/email", "/contact/phone", "/cards/number", "/a~1b", '/it\'s/"quoted"')))

DOCUMENTS = [
    ({"contact": {"email": "SECRET", "city": "Ulm"}}, {"contact": {"email": "***", "city": "Ulm"}}),
    ({"contact": {"email": {"home": "SECRET"}}}, {"contact": {"email": "***"}}),
    ({"contact": {"email": ["SECRET"]}, "n": 1}, {"contact": {"email": "***"}, "n": 1}),
    ({"contact": {"email": None}}, {"contact": {"email": None}}),
    ({"contact": {}}, {"contact": {}}),
    ({"contact": None}, {"contact": None}),
    ({"contact": "SECRET"}, {"contact": "***"}),
    ({"contact": ["SECRET", {"phone": "SECRET", "x": 1}]}, {"contact": ["***", {"phone": "***", "x": 1}]}),
    ({"contact": [[{"email": "SECRET"}]]}, {"contact": ["***"]}),
    (
        {"cards": [{"number": 1}, {"number": 2, "type": "v"}]},
        {"cards": [{"number": "***"}, {"number": "***", "type": "v"}]},
    ),
    ({"a/b": "SECRET", "ab": "shown"}, {"a/b": "***", "ab": "shown"}),
    ({"it's": {'"quoted"': "SECRET"}}, {"it's": {'"quoted"': "***"}}),
    ([{"contact": {"email": "SECRET"}}], [{"contact": {"email": "***"}}]),
    (["SECRET"], ["***"]),
    ("SECRET", "***"),
    (5, "***"),
    (None, None),
    ([], []),
    ({}, {}),
    ({"other": "shown"}, {"other": "shown"}),
]


@pytest.mark.parametrize("type_name", ["json", "jsonb"])
@pytest.mark.parametrize(("document", "expected"), DOCUMENTS)
def test_only_what_is_at_the_paths_is_masked(
    postgres: PostgresServer, type_name: str, document: Any, expected: Any
) -> None:
    column = Column(1, "d", "pg_catalog", type_name, "U")
    expression = mask_expression(column, MaskKind.REDACT, '"d"', PATHS)
    statement = f"SELECT {expression}, pg_typeof({expression})::text FROM (SELECT %s::{type_name} AS d) AS t"
    with psycopg.connect(**sample.endpoint(postgres).parameters()) as connection:
        assert connection.execute(statement.encode(), [json.dumps(document)]).fetchone() == (expected, type_name)


def test_no_document_is_no_document(postgres: PostgresServer) -> None:
    expression = mask_expression(Column(1, "d", "pg_catalog", "jsonb", "U"), MaskKind.REDACT, '"d"', PATHS)
    with psycopg.connect(**sample.endpoint(postgres).parameters()) as connection:
        assert connection.execute(f"SELECT {expression} FROM (SELECT NULL::jsonb AS d) AS t".encode()).fetchone() == (
            None,
        )


def test_a_pointer_to_nothing_masks_everything() -> None:
    assert masked_document("d", [()]) == masked_document("d", [])


def test_pointers_are_read_as_rfc_6901_says() -> None:
    assert pointed("/a~1b/m~0n/x y") == ("a/b", "m~n", "x y")
