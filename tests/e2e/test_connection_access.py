"""How clients reach a connection: told to whoever may use it, and to nobody else."""

import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer, http_target

POLICY = """
@id("shop") permit (principal in Group::"testers", action, resource in Connection::"shop");
@id("llm") permit (principal in Group::"testers", action, resource in Connection::"llm");
"""
EXTRA = http_target("llm", 9, 'api = "openai"') + http_target("hidden", 9)


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayServer]:
    options = GatewayOptions(policy=POLICY, extra=EXTRA, http=True, ssh=True)
    with GatewayServer(NO_DATABASE, options) as server:
        yield server


def access(gateway: GatewayServer, connection: str, **token: Any) -> Any:
    answer = gateway.api(gateway.token(**token)).get(f"/v1/connections/{connection}/access")
    assert answer.status == 200, answer.json
    return answer.json


def test_a_database(gateway: GatewayServer) -> None:
    shown = access(gateway, "shop")
    assert (shown["host"], shown["port"], shown["user"]) == ("127.0.0.1", gateway.port, "agent")
    assert (shown["protocol"], shown["databases"]) == ("postgres", [NO_DATABASE.database])
    assert shown["authority_pem"] == gateway.certificate_file.read_text()
    ssl.create_default_context(cadata=shown["authority_pem"])


def test_a_model_api(gateway: GatewayServer) -> None:
    shown = access(gateway, "llm")
    assert (shown["speaks"], shown["host"], shown["port"]) == ("openai", "127.0.0.1", gateway.http_port)
    assert (shown["tls"], shown["path"], shown["authority_pem"]) == (False, "/c/llm", "")


def test_others_are_as_if_they_were_not_there(gateway: GatewayServer) -> None:
    api = gateway.api(gateway.token())
    answers = [api.get(f"/v1/connections/{connection}/access") for connection in ("hidden", "absent")]
    assert [answer.status for answer in answers] == [404, 404]
    hidden, absent = (answer.json["detail"].replace("hidden", "absent") for answer in answers)
    assert hidden == absent
    stranger = gateway.api(gateway.token("stranger", groups=())).get("/v1/connections/shop/access")
    assert stranger.status == 404
    assert gateway.api().get("/v1/connections/shop/access").status == 401


def test_whose_name_stands_for_a_secret_logs_in_as_another(gateway: GatewayServer) -> None:
    gateway.command("identities", "add", "batch")
    assert access(gateway, "shop", name="batch")["user"] == "batch"
    gateway.command("identities", "secret", "batch")
    assert access(gateway, "shop", name="batch")["user"] == "token"
