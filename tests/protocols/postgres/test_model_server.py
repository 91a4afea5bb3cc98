"""The reference server of ``test_session_model`` against a real one: both answer random conversations alike.

Compared are the kinds of the answers, the SQLSTATEs and the transaction states. Texts are translated on the way to the
real server, so that ``SELECT n`` gives n rows there as well and nothing is ever written.
"""

import os
import re
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tests.protocols.postgres import wire
from tests.protocols.postgres.model_server import ModelServer
from tests.protocols.postgres.test_session_model import PORTAL, PREPARED, STATEMENT
from tests.servers.postgres import PostgresServer

_SCHEMA = "".join(
    f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.t AS SELECT 1 AS n; CREATE TABLE {schema}.u AS SELECT 1 AS n;"
    for schema in "ab"
)

EXAMPLES = 1500 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 100

MESSAGES = st.one_of(
    st.lists(STATEMENT, max_size=3).map(lambda statements: [wire.query("; ".join(statements))]),
    st.builds(lambda sql, name: [wire.parse(sql, name)], STATEMENT, PREPARED),
    st.builds(lambda statement, portal: [wire.bind(statement, portal)], PREPARED, PORTAL),
    st.builds(lambda portal, limit: [wire.execute(portal, limit)], PORTAL, st.sampled_from([0, 0, 1, 2])),
    st.builds(lambda name, kind: [wire.close(name, kind)], PREPARED, st.sampled_from("SP")),
    st.builds(
        lambda sql, name, portal: [wire.parse(sql, name), wire.bind(name, portal), wire.execute(portal), wire.SYNC],
        STATEMENT,
        PREPARED,
        PORTAL,
    ),
    st.just([wire.SYNC]),
    st.just([wire.FLUSH]),
)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with PostgresServer(hba_lines=["host all all 127.0.0.1/32 trust"]) as server:
        server.execute(_SCHEMA + "CREATE ROLE tester LOGIN SUPERUSER")
        yield server.port


def translated(message: bytes) -> bytes:
    """The same message with texts that do on a real server what they do in the model."""
    if message[:1] not in (b"Q", b"P"):
        return message
    body = message[5:].decode()
    body = re.sub(r"SELECT 0 FROM (\S+?)(?=[;\0 ]|$)", r"SELECT 1 / (random() * 0)::int FROM \1", body)
    body = re.sub(r"SELECT ([1-9]) FROM (\S+?)(?=[;\0 ]|$)", r"SELECT \1 FROM \2, generate_series(1, \1)", body)
    body = body.replace("VALUES (1)", "SELECT 1 WHERE false")
    return wire.message(message[:1].decode(), body.encode())


def real_answers(port: int, sent: list[bytes]) -> list[str]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(wire.startup(user="tester", database="postgres", search_path="a"))
        connection.sendall(b"".join([*map(translated, sent), wire.SYNC, wire.TERMINATE]))
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    return shown(received[received.index(wire.ready()) + 6 :])


def model_answers(sent: list[bytes]) -> list[str]:
    server = ModelServer(drops_unnamed=True)
    answers = []
    for message in [*sent, wire.SYNC]:
        server.feed(message)
        answers.append(server.step() or b"")
    return shown(b"".join(answers))


def shown(stream: bytes) -> list[str]:
    """Kinds, SQLSTATEs and states. Notices and descriptions are left out, as the model has none or fixed ones."""
    found = []
    for message in wire.split(stream):
        kind = chr(message[0])
        if kind == "E":
            found.append("E " + wire.fields(message)["C"].replace("55000", "34000"))  # a portal that cannot run
        elif kind == "Z":
            found.append("Z " + chr(message[5]))
        elif kind not in "NST":
            found.append(kind)
    return found


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(MESSAGES, max_size=12))
@example([[wire.parse("SELECT 3 FROM t"), wire.bind("", "p"), wire.execute("p", 1), wire.execute("p", 1), wire.SYNC]])
@example([[wire.parse("DEALLOCATE ALL", "s"), wire.parse("SELECT 1 FROM t"), wire.bind("s"), wire.execute(), wire.SYNC,
           wire.bind(), wire.execute(), wire.SYNC]])  # fmt: skip
@example([[wire.parse("SELECT 1 FROM t"), wire.SYNC, wire.bind("nothing"), wire.parse("SELECT 2 FROM t"), wire.SYNC,
           wire.bind(), wire.execute(), wire.SYNC]])  # fmt: skip
@example([[wire.query("SET search_path TO b; ROLLBACK"), wire.query("SELECT 1 FROM t")]])
@example([[wire.query("PREPARE s AS SELECT 1 FROM t; EXECUTE s"), wire.query("DEALLOCATE s; ROLLBACK; EXECUTE s")]])
def test_model_and_server_answer_alike(port: int, conversation: list[list[bytes]]) -> None:
    sent = [message for messages in conversation for message in messages]
    expected = model_answers(sent)
    assume("E 0A000" not in expected)  # EXECUTE of EXECUTE and the like, which the model does not follow
    assert expected == real_answers(port, sent)


def test_names_are_compared_by_63_bytes(port: int) -> None:
    """Why the session refuses longer ones."""
    long_name = "x" * 63
    sent = [wire.parse("SELECT 1 FROM t", long_name + "1"), wire.bind(long_name + "2"), wire.execute()]
    assert real_answers(port, sent) == ["1", "2", "D", "C", "Z I"]


def test_negotiation_answer_has_the_whole_version(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(wire.startup(99, user="postgres", database="postgres") + wire.TERMINATE)
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    first = wire.split(received)[0]
    assert first[:1] == b"v"
    assert struct.unpack_from(">H", first, 5) == (3,)
