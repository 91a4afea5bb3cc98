"""What is dialled: the address that was checked, and no other."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from interlock.adapters.credentials import RevealedCredential
from interlock.core.errors import AddressNotPermitted, ConfigurationError
from interlock.core.settings import ConnectionSettings, TlsMode
from interlock.protocols.base import Side
from interlock.runtime.addresses import Trust, look_up, permitted_addresses
from interlock.runtime.dialer import TargetContexts, dial_checked, target_tls_context
from interlock.runtime.tls import TlsPump
from tests.servers.certificates import CertificateAuthority
from tests.servers.process import free_port


class Names:
    """A resolver that gives its answers in turn, the last one again and again, and counts the questions."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = answers
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.asked += 1
        return self._answers[min(self.asked, len(self._answers)) - 1]


class Nobody:
    """Implements ``runtime.peer.PeerOwner`` and cares for nothing."""

    def connected(self, side: Side) -> None: ...

    def data_received(self, side: Side, data: bytes) -> None: ...

    def eof_received(self, side: Side) -> None: ...

    def tls_established(self, side: Side) -> None: ...

    def tls_refused(self, side: Side, reason: str) -> None: ...

    def writing_paused(self, side: Side, paused: bool) -> None: ...

    def connection_lost(self, side: Side) -> None: ...


@contextlib.asynccontextmanager
async def listening(host: str = "127.0.0.1") -> AsyncIterator[tuple[int, list[str]]]:
    """A server's port, and where its clients came from."""
    seen: list[str] = []

    def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("sockname")[0])
        writer.close()

    server = await asyncio.start_server(accept, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


async def test_a_name_that_changes_its_mind_is_asked_once() -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    async with listening() as (port, _):
        peer = await dial_checked("shop.example", port, Trust.WRITTEN, Nobody(), 10, names)
        assert peer.address == f"127.0.0.1:{port}"
        peer.abort()
    assert names.asked == 1


async def test_a_name_that_turns_private_is_not_dialled() -> None:
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    assert await permitted_addresses("evil.example", 80, Trust.PUBLIC, names) == ["8.8.8.8"]
    async with listening() as (port, seen):
        with pytest.raises(AddressNotPermitted, match=r"evil\.example stands for 127\.0\.0\.1, which is a loopback"):
            await dial_checked("evil.example", port, Trust.PUBLIC, Nobody(), 10, names)
        assert seen == []


async def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    names = Names(["8.8.8.8", "::ffff:10.0.0.1"])
    with pytest.raises(AddressNotPermitted, match="a private address"):
        await permitted_addresses("evil.example", 80, Trust.PUBLIC, names)
    assert await permitted_addresses("evil.example", 80, Trust.PRIVATE, names) == ["8.8.8.8", "::ffff:a00:1"]


@pytest.mark.parametrize("trust", list(Trust))
@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1%eth0", "fe80::1", "0.0.0.0", "224.0.0.1", "nonsense"])
async def test_no_name_stands_for_these(trust: Trust, address: str) -> None:
    with pytest.raises(AddressNotPermitted):
        await permitted_addresses("target.example", 80, trust, Names([address]))


async def test_an_address_that_the_operator_wrote_is_dialled() -> None:
    names = Names([])
    assert await permitted_addresses("169.254.169.254", 80, Trust.WRITTEN, names) == ["169.254.169.254"]
    assert names.asked == 0
    for trust in (Trust.PRIVATE, Trust.PUBLIC):
        with pytest.raises(AddressNotPermitted, match="metadata"):
            await permitted_addresses("169.254.169.254", 80, trust, names)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "a b", "example.com.", ""])
async def test_odd_notations_are_not_looked_up(host: str) -> None:
    names = Names(["8.8.8.8"])
    with pytest.raises(AddressNotPermitted):
        await permitted_addresses(host, 80, Trust.WRITTEN, names)
    assert names.asked == 0


async def test_the_next_address_is_tried() -> None:
    async with listening("127.0.0.1") as (port, _):
        peer = await dial_checked("shop.example", port, Trust.WRITTEN, Nobody(), 10, Names(["127.0.0.2", "127.0.0.1"]))
        assert peer.address == f"127.0.0.1:{port}"
        peer.abort()


async def test_no_address_answers() -> None:
    with pytest.raises(OSError):
        await dial_checked("shop.example", free_port(), Trust.WRITTEN, Nobody(), 10, Names(["127.0.0.1", "127.0.0.2"]))
    with pytest.raises(OSError, match="no address"):
        await dial_checked("shop.example", 80, Trust.WRITTEN, Nobody(), 10, Names([]))


async def test_a_resolver_that_never_answers() -> None:
    async def hang(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(TimeoutError):
        await dial_checked("shop.example", 80, Trust.WRITTEN, Nobody(), 0.01, hang)


async def test_the_systems_resolver() -> None:
    assert set(await look_up("localhost", 80)) <= {"127.0.0.1", "::1"}
    with pytest.raises(OSError):
        await look_up("no-such-host.invalid", 80)


def target(**changes: Any) -> ConnectionSettings:
    return ConnectionSettings(**{"protocol": "http", "host": "127.0.0.1", "port": 1, **changes})


def test_a_context_is_made_once_and_anew_when_something_changes(
    certificate_authority: CertificateAuthority, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(certificate_authority.certificate_file.read_bytes())
    client = certificate_authority.issue_client("gateway")
    pems = client.certificate_file.read_bytes(), client.key_file.read_bytes()
    without, with_certificate = RevealedCredential("", None, None, None), RevealedCredential("", "x", *pems)
    settings = target(ca_file=str(ca_file))
    contexts = TargetContexts(max_contexts=2)
    first = contexts.find(settings, without)
    assert contexts.find(settings, without) is first
    second = contexts.find(settings, with_certificate)
    assert second is not first
    assert contexts.find(settings, with_certificate) is second
    third = contexts.find(target(tls=TlsMode.REQUIRE), without)
    assert contexts.find(settings, with_certificate) is second
    assert contexts.find(target(tls=TlsMode.REQUIRE), without) is third
    os.utime(ca_file, ns=(1, 1))
    assert contexts.find(settings, without) is not first
    ca_file.write_text("nonsense")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        contexts.find(settings, without)
    ca_file.unlink()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        contexts.find(settings, without)


@pytest.mark.parametrize(("protocol", "alpn"), [("http", "http/1.1"), ("postgres", "postgresql")])
def test_each_protocol_says_what_it_speaks(
    protocol: str, alpn: str, certificate_authority: CertificateAuthority
) -> None:
    changes = {"databases": ("app",), "user": "app"} if protocol == "postgres" else {}
    settings = target(protocol=protocol, ca_file=str(certificate_authority.certificate_file), **changes)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = certificate_authority.issue_server()
    server.load_cert_chain(files.certificate_file, files.key_file)
    server.set_alpn_protocols(["h2", "http/1.1", "postgresql"])
    context = target_tls_context(settings, RevealedCredential("", None, None, None))
    near, far = TlsPump(context, server_side=False, host="127.0.0.1"), TlsPump(server, server_side=True)
    near.advance()
    for _ in range(4):
        far.receive(near.outgoing())
        near.receive(far.outgoing())
    assert near.established
    assert far.alpn == alpn
