"""Tunnels that the gateway does not look into: by a rule only, to checked addresses only, and on record."""

import ssl
from collections.abc import Iterator

import pytest

from interlock.core.ledger import OperationCompleted, OperationDecided
from tests.e2e.forward import Forward, running_forward
from tests.e2e.ledger_files import session_records
from tests.e2e.proxy_wire import basic
from tests.servers.certificates import CertificateAuthority


@pytest.fixture(scope="module")
def forward(certificate_authority: CertificateAuthority) -> Iterator[Forward]:
    with running_forward(certificate_authority) as running:
        yield running


def trusting_the_target(authority: CertificateAuthority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.certificate_file)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_tunnel(forward: Forward, certificate_authority: CertificateAuthority, host: str) -> None:
    token = forward.gateway.token()
    with forward.wire(token) as wire:
        assert wire.connect(f"{host}:{forward.blind.port}", f"User-Agent: to-{host}").status == 200
        wire.start_tls(trusting_the_target(certificate_authority), host)
        for number in range(3):
            assert wire.get(f"/hidden/{number}", "anything.example").json["path"] == f"/hidden/{number}"
    assert token not in str([received.headers for received in forward.blind.received])
    found = session_records(forward.gateway, f"to-{host}")
    (decided,) = (record for record in found if isinstance(record, OperationDecided))
    (completed,) = (record for record in found if isinstance(record, OperationCompleted))
    assert (decided.verb, decided.decision) == ("CONNECT", "allowed")
    assert decided.accesses == (f"http-tunnel on Host {host}",)
    assert completed.bytes_sent > 500
    assert "hidden" not in str(found)


def test_a_host_that_no_rule_permits(forward: Forward) -> None:
    before = len(forward.blind.received)
    with forward.wire() as wire:
        answer = wire.connect(f"127.0.0.2:{forward.blind.port}")
        assert answer.status == 403
        assert "http-tunnel" in answer.json["detail"]
    assert len(forward.blind.received) == before


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
def test_an_address_that_is_not_public(forward: Forward, host: str) -> None:
    with forward.wire() as wire:
        answer = wire.connect(f"{host}:{forward.fenced.port}")
        assert answer.status == 403
        assert "address" in answer.json["detail"]
        assert wire.connect(f"localhost:{forward.blind.port}").status == 200
    assert forward.fenced.received == []
    assert f"{host} stands for" in forward.gateway.log()


def test_a_plain_request_to_a_host_of_tunnels(forward: Forward) -> None:
    field = f"Proxy-Authorization: {basic(forward.gateway.token())}"
    host = f"localhost:{forward.blind.port}"
    with forward.wire(None) as wire:
        answer = wire.get(f"http://{host}/hello", host, field)
        assert answer.status == 403
        assert "CONNECT" in answer.body.decode()


def test_a_target_that_is_not_there(forward: Forward) -> None:
    with forward.wire() as wire:
        answer = wire.connect(f"nowhere.internal:{forward.blind.port}")
        assert answer.status == 502


def test_a_lock_cuts_a_tunnel(forward: Forward, certificate_authority: CertificateAuthority) -> None:
    with forward.wire(forward.gateway.token("tunneller")) as wire:
        assert wire.connect(f"localhost:{forward.blind.port}").status == 200
        wire.start_tls(trusting_the_target(certificate_authority), "localhost")
        assert wire.get("/hidden", "localhost").status == 200
        locked = forward.gateway.command("lock", "add", "agent", "tunneller", "--reason", "test", "--for", "1h")
        assert "cut" in locked.stdout
        assert wire.is_closed()
    with forward.wire(forward.gateway.token("tunneller")) as wire:
        assert wire.connect(f"localhost:{forward.blind.port}").status == 403
