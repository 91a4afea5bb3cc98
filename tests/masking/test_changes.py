"""What an identity under a mask must not destroy, and must not be shown for long when others change the schema."""

import time
from collections.abc import Iterator

import pytest

from tests.masking.servers import Masked, Worlds, policy, run_gateway
from tests.masking.session import Answer, Way
from tests.masking.world import MASKED, WORLD_A, WORLD_B

_DEADLINE_S = 30
_FINGERPRINT = "SELECT md5(string_agg(u::text, '' ORDER BY id)) FROM users u"

MASKED_WRITES = (
    ("UPDATE users SET email = '***' WHERE id = 1", ()),
    ("UPDATE users SET email = '***', city = 'x' WHERE id = 1", ()),
    ("UPDATE users SET ssn = '***' || ''", ()),
    ("UPDATE users SET profile = '\"***\"' WHERE id = 2", ()),
    ("UPDATE users SET profile = '{\"nick\": \"***\"}' WHERE id = 2", ()),
    ("UPDATE users SET email = email", ()),
    ("UPDATE users SET email = upper(email)", ()),
    ("UPDATE users SET salary = salary * 2", ()),
    ("UPDATE users u SET email = x.email FROM users x WHERE x.id = u.id", ()),
    ("UPDATE users SET (email, ssn) = ('***', '***')", ()),
    ("UPDATE users SET (email, ssn) = (SELECT v.email, v.ssn FROM v_users v WHERE v.id = users.id)", ()),
    ("UPDATE v_users SET ssn = '***'", ()),
    ("UPDATE v_contacts SET contact = '***' WHERE id = 1", ()),
    ("INSERT INTO users (id, name, ssn) VALUES (1, 'x', '***') ON CONFLICT (id) DO UPDATE SET ssn = excluded.ssn", ()),
    ("INSERT INTO users (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET email = users.email || 'x'", ()),
    ("INSERT INTO users (id, name, email) SELECT id + 50, name, email FROM users", ()),
    ("MERGE INTO users u USING users v ON u.id = v.id WHEN MATCHED THEN UPDATE SET ssn = v.ssn", ()),
    ("MERGE INTO users u USING (VALUES (1)) v(id) ON u.id = v.id WHEN MATCHED THEN UPDATE SET ssn = '***'", ()),
    ("UPDATE users SET ssn = $1 WHERE id = 1", ("***",)),
    ("UPDATE users SET ssn = $1 WHERE id = $2", ("***", "1")),
    ("UPDATE users SET profile = $1 WHERE id = 1", ('"***"',)),
    ("UPDATE users SET aliases = $1 WHERE id = 1", ("{***}",)),
)  # fmt: skip
"""Statements of an honest agent that saves what it was shown."""


@pytest.fixture
def pristine(worlds: Worlds) -> Iterator[Worlds]:
    yield worlds
    worlds.restore([WORLD_A, WORLD_B])


@pytest.mark.parametrize(("statement", "parameters"), MASKED_WRITES)
def test_a_mask_is_not_written_over_the_value(
    statement: str, parameters: tuple[str, ...], worlds: Worlds, redacting: Masked
) -> None:
    before = worlds.server.execute(_FINGERPRINT, database=WORLD_A.database)
    with redacting.open(WORLD_A) as session:
        answer = session.send(statement, Way.EXTENDED if parameters else Way.SIMPLE, parameters)
        assert answer.errors
        assert session.simple("SELECT 1").rows == [(b"1",)]
    assert worlds.server.execute(_FINGERPRINT, database=WORLD_A.database) == before


@pytest.mark.parametrize("form", ["", " (FORMAT csv)"])
def test_a_copied_mask_is_not_loaded(form: str, worlds: Worlds, redacting: Masked) -> None:
    """What was copied out comes back in: the masks in it do not."""
    before = worlds.server.execute(_FINGERPRINT, database=WORLD_A.database)
    with redacting.open(WORLD_A) as session:
        out = session.simple(f"COPY (SELECT id + 50, name, email, ssn FROM users) TO STDOUT{form}")
        copied = b"".join(body for kind, body in out.messages if kind == b"d").decode()
        assert "***" in copied
        answer = session.send(f"COPY users (id, name, email, ssn) FROM STDIN{form}", Way.SIMPLE, copied=copied)
        assert answer.errors
    assert worlds.server.execute(_FINGERPRINT, database=WORLD_A.database) == before


@pytest.mark.parametrize(
    ("change", "question"),
    [
        ("CREATE OR REPLACE VIEW v_clean AS SELECT id, email AS name, city FROM users", "SELECT name FROM v_clean"),
        ("ALTER TABLE users RENAME name TO x; ALTER TABLE users RENAME ssn TO name", "SELECT name FROM users"),
        ("ALTER TABLE scratch RENAME TO plain; ALTER TABLE logins RENAME TO scratch", "SELECT * FROM scratch"),
        ("ALTER TABLE orders ADD copy text GENERATED ALWAYS AS (note) STORED", "SELECT max(copy) FROM orders"),
        ("DROP VIEW v_orders; CREATE VIEW v_orders AS SELECT email FROM people", "SELECT * FROM v_orders"),
        ("CREATE OR REPLACE FUNCTION double(integer) RETURNS integer LANGUAGE sql AS "
         "'SELECT pin FROM public.users WHERE id = 1'", "SELECT double(4)"),
    ],
)  # fmt: skip
def test_a_change_by_others_is_noticed(change: str, question: str, pristine: Worlds) -> None:
    """Sooner or later nothing comes out any more, in a session that was there before, too."""
    quickly = "[connections.shop.masking]\nrefresh_s = 1\n"
    with run_gateway(pristine.server, policy(), settings=quickly) as masked, masked.open(WORLD_A) as session:
        session.simple(question)
        with pristine.outside(WORLD_A) as outside:
            outside(change)
        deadline = time.monotonic() + _DEADLINE_S
        while _is_shown(session.simple(question)):
            assert time.monotonic() < deadline, "the change was never noticed"


def _is_shown(answer: Answer) -> bool:
    """Whether a clear value is in the answer."""
    shown = {value.encode() for value in WORLD_A.markers().values()}
    return any(value in answer.output for value in shown)


def test_a_dropped_column_leaves_the_session_usable(pristine: Worlds, redacting: Masked) -> None:
    with redacting.open(WORLD_A) as session:
        assert not session.simple("SELECT * FROM people").errors
        with pristine.outside(WORLD_A) as outside:
            outside("ALTER TABLE people DROP COLUMN email CASCADE")
        first = session.simple("SELECT * FROM people")
        assert first.status == "I"
        deadline = time.monotonic() + _DEADLINE_S
        while session.simple("SELECT * FROM people").errors:
            assert time.monotonic() < deadline, "the column is still asked for"


COLUMN = "ALTER TABLE plain ADD secret text DEFAULT 'cobaltwren'"
NEW_COLUMNS = (
    "SELECT * FROM plain",
    "TABLE plain",
    "SELECT secret FROM plain",
    "SELECT upper(plain.secret) FROM plain",
    "SELECT (p).secret FROM plain p",
    "SELECT (p).* FROM plain p",
    "SELECT id FROM plain WHERE secret LIKE 'cobalt%'",
    "SELECT count(*) FROM (SELECT secret FROM plain) s WHERE lower(s.secret) = 'cobaltwren'",
    "SELECT * FROM (SELECT * FROM plain) s",
    "SELECT json_agg(s) FROM (SELECT * FROM plain) s",
    "SELECT upper(s.secret) FROM (SELECT * FROM plain) s",
    "SELECT * FROM plain UNION ALL SELECT * FROM plain",
    "CREATE TEMP TABLE mine AS SELECT * FROM plain; TABLE mine",
    "WITH s AS (TABLE plain) SELECT * FROM s",
    "UPDATE plain SET id = id RETURNING *",
    "UPDATE plain SET id = id RETURNING secret",
    "COPY plain TO STDOUT",
    "COPY plain (secret) TO STDOUT",
    "COPY (SELECT secret FROM plain) TO STDOUT",
)


def test_a_column_that_others_add_is_never_shown(pristine: Worlds) -> None:
    """The catalogue is not read again by the clock here, but each time because a statement asks for what is new."""
    seldom = "[connections.shop.masking]\nrefresh_s = 3600\nmax_stale_s = 3600\n"
    secret = {*MASKED, "public.plain.secret"}
    with run_gateway(pristine.server, policy(), secrets=secret, settings=seldom) as masked:
        for way in (Way.SIMPLE, Way.EXTENDED):
            for question in NEW_COLUMNS if way is Way.SIMPLE else NEW_COLUMNS[:6]:
                with pristine.outside(WORLD_A) as outside, masked.open(WORLD_A) as session:
                    outside("DROP TABLE IF EXISTS plain CASCADE; CREATE TABLE plain AS SELECT 1 AS id")
                    session.simple("SELECT secret FROM plain")
                    outside(COLUMN)
                    answers = [session.send(question, way) for _ in range(2)]
                    assert not session.ended, question
                    assert not any(b"cobaltwren" in answer.output.lower() for answer in answers), question
                    refused = [error["M"] for error in answers[1].errors]
                    assert all("masked and may not be copied" in reason for reason in refused), question
