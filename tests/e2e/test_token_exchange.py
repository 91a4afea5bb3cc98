"""Session tokens: what they are good for, and that this is never more than what they were exchanged for."""

from collections.abc import Iterator

import psycopg
import pytest

from interlock.core.ledger import ConnectionRefused, SessionOpened, TokenIssued
from tests.e2e.exchange import JWT, ask, exchange, session_token
from tests.e2e.ledger_files import records_of
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import CONNECTION, GatewayOptions, GatewayServer

_OTHER = """
[connections.other]
protocol = "postgres"
host = "127.0.0.1"
port = {port}
user = "{user}"
databases = ["{database}"]
credential = {{ file = "target-password" }}
tls = "disable"
"""


@pytest.fixture(scope="module")
def gateway(target: Endpoint) -> Iterator[GatewayServer]:
    other = _OTHER.format(port=target.port, user=target.user, database=target.database)
    with GatewayServer(target, GatewayOptions(extra=other)) as server:
        yield server


def one(gateway: GatewayServer, token: str, connection: str = CONNECTION) -> object:
    """What a query gives with this token as password."""
    parameters = gateway.endpoint(token).parameters() | {"dbname": connection}
    with psycopg.connect(**parameters) as session:
        row = session.execute("SELECT 1").fetchone()
        assert row is not None
        return row[0]


@pytest.mark.parametrize("fields", [{}, {"requested_token_type": JWT}], ids=["opaque", "jwt"])
def test_a_token_is_for_its_connection_only(gateway: GatewayServer, fields: dict[str, str]) -> None:
    token = session_token(gateway, gateway.token(), CONNECTION, **fields)
    assert one(gateway, token) == 1
    with pytest.raises(psycopg.OperationalError, match='"other" does not exist or agent may not use it'):
        one(gateway, token, "other")
    assert records_of(gateway, ConnectionRefused)[-1].reason == "the token is for something else"


def test_an_opaque_token_is_short_enough_for_ssh(gateway: GatewayServer) -> None:
    assert len(session_token(gateway, gateway.token(), CONNECTION)) <= 255


def test_what_is_given_is_on_record_without_the_token(gateway: GatewayServer) -> None:
    run = "0af7651916cd43dd8448eb211c80319c"
    answer = exchange(gateway, gateway.token(), CONNECTION, run=run, lifetime_s=60).json
    (issued,) = [one for one in records_of(gateway, TokenIssued) if one.token_id == answer["token_id"]]
    assert (issued.principal, issued.audience, issued.run) == ("agent", (f"connection:{CONNECTION}",), run)
    assert 55 <= answer["expires_in"] <= 60
    one(gateway, answer["access_token"])
    opened = records_of(gateway, SessionOpened)[-1]
    assert (opened.token_id, opened.trace) == (issued.token_id, run)
    assert answer["access_token"] not in gateway.log()


def test_a_token_gets_narrower_and_never_wider(gateway: GatewayServer) -> None:
    both = session_token(gateway, gateway.token(), CONNECTION, "other")
    assert one(gateway, both, "other") == 1
    narrow = session_token(gateway, both, CONNECTION)
    for audience in ("other", "api"):
        wider = exchange(gateway, narrow, audience)
        assert (wider.status, wider.json["error"]) == (400, "invalid_target")
    here = session_token(gateway, narrow, source="127.0.0.0/8")
    assert one(gateway, here) == 1
    elsewhere = exchange(gateway, here, source="0.0.0.0/0")
    assert (elsewhere.status, elsewhere.json["error"]) == (400, "invalid_request")


def test_a_token_lives_no_longer_than_the_one_that_it_came_from(gateway: GatewayServer) -> None:
    assert exchange(gateway, gateway.token(ttl_s=40), CONNECTION, lifetime_s=9999).json["expires_in"] <= 40
    assert exchange(gateway, gateway.token(ttl_s=3600), CONNECTION, lifetime_s=9999).json["expires_in"] <= 900


def test_a_token_counts_from_its_networks_only(gateway: GatewayServer) -> None:
    token = session_token(gateway, gateway.token(), CONNECTION, source="192.0.2.0/24")
    with pytest.raises(psycopg.OperationalError, match="does not count from this address"):
        one(gateway, token)
    assert one(gateway, session_token(gateway, gateway.token(), CONNECTION, source="self")) == 1


def test_a_token_for_a_connection_is_none_for_the_api(gateway: GatewayServer) -> None:
    token = session_token(gateway, gateway.token(), CONNECTION)
    assert gateway.api(token).get("/v1/whoami").status == 401
    assert gateway.api(session_token(gateway, gateway.token(), "api")).get("/v1/whoami").status == 200


def test_a_token_falls_with_the_one_that_it_came_from(gateway: GatewayServer) -> None:
    first = exchange(gateway, gateway.token(), CONNECTION).json
    second = session_token(gateway, first["access_token"])
    assert one(gateway, second) == 1
    gateway.command("tokens", "revoke", first["token_id"], "--reason", "stolen")
    with pytest.raises(psycopg.OperationalError, match="locked"):
        one(gateway, second)


def test_keys_and_metadata_are_there_for_everybody(gateway: GatewayServer) -> None:
    (key,) = gateway.api().get("/.well-known/jwks.json").json["keys"]
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("OKP", "Ed25519", "EdDSA", "sig")
    assert "d" not in key
    metadata = gateway.api().get("/.well-known/oauth-authorization-server").json
    assert "urn:ietf:params:oauth:grant-type:token-exchange" in metadata["grant_types_supported"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password", "username": "x"}, "unsupported_grant_type"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange"}, "invalid_request"),
    ],
)
def test_a_form_that_asks_for_something_else(gateway: GatewayServer, fields: dict[str, str], error: str) -> None:
    answer = ask(gateway.api(), fields)
    assert (answer.status, answer.json["error"]) == (400, error)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"subject_token": "not a token"}, "invalid_request", "the password is not a token"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request", "subject_token_type"),
        ({"audience": []}, "invalid_target", "say what the token is for"),
        ({"requested_token_type": "x"}, "invalid_request", "requested_token_type"),
        ({"resource": "https://x"}, "invalid_target", "audience"),
        ({"source": "nowhere"}, "invalid_request", "network"),
        ({"lifetime_s": "-5"}, "invalid_request", "lifetime_s"),
        ({"actor_token": "x"}, "invalid_request", "actor_token_type"),
        ({"run": "x" * 300}, "invalid_request", "run"),
        ({"subject_token": "x" * 20_000}, "invalid_request", "too long"),
    ],
)
def test_a_bad_wish_is_told_what_is_wrong(
    gateway: GatewayServer, changes: dict[str, object], error: str, said: str
) -> None:
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": gateway.token(),
        "subject_token_type": JWT,
        "audience": [CONNECTION],
    }
    answer = ask(gateway.api(), form | changes)
    assert (answer.status, answer.json["error"]) == (400, error)
    assert said in answer.json["error_description"]
