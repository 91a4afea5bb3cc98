"""``connections scan | harden`` given to a running gateway, and to one that does not run."""

import json
from collections.abc import Iterator

import pytest

from tests.servers import sample
from tests.servers.gateway import GatewayOptions, GatewayServer
from tests.servers.postgres import PostgresServer

OPTIONS = GatewayOptions(connection_extra='masking = { functions = ["public.f"], detect = "report" }')


@pytest.fixture(scope="module")
def gateway(postgres_tls: PostgresServer) -> Iterator[GatewayServer]:
    with GatewayServer(sample.endpoint(postgres_tls), OPTIONS) as gateway:
        yield gateway


def test_a_scan(gateway: GatewayServer, postgres_tls: PostgresServer) -> None:
    result = gateway.command("connections", "scan", "shop", "--json", "--sample-rows", "50")
    report = json.loads(result.stdout)
    found = {(one["column"]["table"], one["column"]["column"]) for one in report["proposals"] if one["by_content"]}
    assert ("customers", "email") in found
    assert report["not_sampled"] == []
    assert "customer1@example.com" not in result.stdout + result.stderr + gateway.log()
    logged = [statement.user for statement in postgres_tls.logged_statements() if "left(" in statement.text]
    assert set(logged) == {"app"}
    assert "connections.scan" in gateway.command("audit", "search", "--kind", "administration", "--json").stdout


def test_a_plan_to_harden(gateway: GatewayServer) -> None:
    column = "public.customers.email"
    result = gateway.command("connections", "harden", "shop", "--column", column, "--role", "reader")
    assert (
        'GRANT SELECT ("id", "name", "card_number", "created_at") ON "public"."customers" TO "reader";' in result.stdout
    )
    assert 'REVOKE SELECT ON "public"."customer_totals" FROM "reader";' in result.stdout
    assert result.stderr == ""
    owner = gateway.command("connections", "harden", "shop", "--column", column)
    assert "warning: app owns public.customers" in owner.stderr


def test_masking_settings_are_shown(gateway: GatewayServer) -> None:
    shown = gateway.command("connections", "show", "shop").stdout
    assert "vouched for:     public.f" in shown
    assert "detection:       report" in shown


def test_without_a_running_gateway(postgres: PostgresServer) -> None:
    with GatewayServer(sample.endpoint(postgres), OPTIONS) as gateway:
        gateway.stop()
        report = json.loads(gateway.command("connections", "scan", "shop", "--json").stdout)
        assert report["tables"] >= 3, "other tests may have made further ones"
        assert any(one["column"]["column"] == "email" for one in report["proposals"])
        gateway.start()
