"""Which addresses are public, and what is no host name."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.addresses import Reach, client_source, host_problem, reach_of, read_address

PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
]
UNFIT = [
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fe80::1",
    "febf::1",
    "224.0.0.1",
    "239.255.255.255",
    "ff02::1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "2001:db8::1",
    "2001::1",  # Teredo
    "2001:0:7f00:1:0:0:f5ff:fffe",
    "2002:7f00:1::",  # 6to4 around 127.0.0.1
    "2002:808:808::",
    "::127.0.0.1",  # IPv4-compatible
    "::8.8.8.8",
    "64:ff9b:1::1",  # NAT64 for local use
    "64:ff9b::169.254.169.254",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",  # IPv4-translated
    "5f00::1",
    "100::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("text", PRIVATE)
def test_private(text: str) -> None:
    assert reach_of(ipaddress.ip_address(text))[0] is Reach.PRIVATE


@pytest.mark.parametrize("text", UNFIT)
def test_unfit(text: str) -> None:
    assert reach_of(ipaddress.ip_address(text))[0] is Reach.UNFIT


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text: str) -> None:
    assert reach_of(ipaddress.ip_address(text))[0] is Reach.PUBLIC


def test_what_it_is_is_said() -> None:
    assert reach_of(ipaddress.ip_address("169.254.169.254"))[1] == "a cloud's metadata service"
    assert reach_of(ipaddress.ip_address("::ffff:10.1.2.3"))[1] == "a private address"


@given(st.ip_addresses())
def test_nothing_is_public_that_python_calls_otherwise(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if reach_of(address)[0] is Reach.PUBLIC:
        inner = getattr(address, "ipv4_mapped", None) or address
        if inner in ipaddress.ip_network("64:ff9b::/96"):
            return
        assert inner.is_global
        assert not inner.is_multicast


HOSTS = [
    "localhost",
    "api.example.com",
    "a",
    "xn--bcher-kva.example",
    "my_service",
    "1password.com",
    "10.0.0.1",
    "::1",
    "2001:db8::1",
    "a-b.c-d",
    "0x.example",
    "3.example",
]
NO_HOSTS = [
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "0x7f.0.0.1",
    "127.0.0.1.",
    "1.2.3.4.5",
    "256.0.0.1",
    "a.0x7f",
    "a.1",
    "0x",
    "127.0.0.01",
    "00.0.0.0",
    "example.com.",
    ".",
    "a..b",
    "-a.b",
    "a-.b",
    "a/b",
    "ａ.example",
    "１２７.0.0.1",
    "127。0。0。1",
    "A.example",
    "fe80::1%eth0",
    "[::1]",
    "a@b",
    "a:b",
    "a%2eb",
]


@pytest.mark.parametrize("host", HOSTS)
def test_hosts(host: str) -> None:
    assert host_problem(host) is None


@pytest.mark.parametrize(
    "host", [*NO_HOSTS, "", "a b", "a\x00", "a.example\n", "a" * 64 + ".example", ".".join(["a" * 60] * 5)]
)
def test_no_hosts(host: str) -> None:
    assert host_problem(host)


def test_addresses_in_one_notation_only() -> None:
    assert read_address("127.0.0.1") == ipaddress.ip_address("127.0.0.1")
    assert read_address("0::1") == ipaddress.ip_address("::1")
    for other in ("127.1", "0177.0.0.1", "fe80::1%1", "[::1]", "example.com", ""):
        assert read_address(other) is None


@given(st.from_regex(r"(0x)?[0-9a-fA-F]{1,10}(\.(0x)?[0-9a-fA-F]{0,6}){0,4}", fullmatch=True))
def test_what_the_c_library_takes_for_an_address_is_written_in_one_way(text: str) -> None:
    try:
        meant = socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        return
    assert host_problem(text.lower()) is not None or meant == text


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:5000", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("[2001:db8::1]:5000", "2001:db8::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_the_source_of_a_clients_address(address: str, source: str) -> None:
    assert client_source(address) == source
