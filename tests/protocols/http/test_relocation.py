"""Redirects of a target, as clients of the gateway get them."""

from urllib.parse import urljoin

import pytest

from interlock.core.settings import ConnectionSettings, TlsMode
from interlock.core.settings.http import HttpTarget
from interlock.protocols.http.relocation import Place

GATEWAY = "http://gateway:8080"
ELSEWHERE = ["https://elsewhere.test/x", "//elsewhere.test/x", "https://crm.test.evil.test/", "mailto:ada@crm.test", ""]


def place(base_path: str = "", path: str = "/a/b", tls: TlsMode = TlsMode.VERIFY_FULL) -> Place:
    target = HttpTarget(base_path=base_path)
    port = 80 if tls is TlsMode.DISABLE else 443
    settings = ConnectionSettings(protocol="http", host="crm.test", port=port, tls=tls, http=target)
    return Place("/c/crm", path, "public.test", settings)


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("/x?a=1#b", "/c/crm/x?a=1#b"),
        ("https://public.test/x", "/c/crm/x"),
        ("HTTPS://Public.Test/x", "/c/crm/x"),
        ("https://crm.test:443/x", "/c/crm/x"),
        ("https://crm.test", "/c/crm/"),
        ("https://crm.test?a=1", "/c/crm/?a=1"),
        ("x/y", "x/y"),
        ("?page=2", "?page=2"),
        ("/x/../../../c/other/y", "/c/crm/c/other/y"),
        ("/%2e%2E/c/other/y", "/c/crm/c/other/y"),
        ("/..\\..\\c/other/y", "/c/crm/c/other/y"),
        ("https://crm.test/../c/other/y?z", "/c/crm/c/other/y?z"),
        ("../../c/other/y", "/c/crm/c/other/y"),
        ("./../x", "/c/crm/x"),
        ("..", "/c/crm/"),
        (".", "/c/crm/a/"),
        ("x?next=/../y", "x?next=/../y"),
    ],
)
def test_references_to_the_target_lead_through_the_gateway(reference: str, told: str) -> None:
    assert place().relocated(reference.encode()).decode() == told


@pytest.mark.parametrize("reference", ELSEWHERE)
def test_references_to_elsewhere_stay(reference: str) -> None:
    assert place().relocated(reference.encode()).decode() == reference


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("/v2/x", "/c/crm/x"),
        ("/v2", "/c/crm/"),
        ("https://crm.test/v2?a=1", "/c/crm/?a=1"),
        ("../x", "/c/crm/x"),
        ("/login", "https://public.test/login"),
        ("/v20/x", "https://public.test/v20/x"),
        ("../../../c/other/y", "https://public.test/c/other/y"),
    ],
)
def test_a_base_path_is_not_put_in_front_twice(reference: str, told: str) -> None:
    assert place("/v2").relocated(reference.encode()).decode() == told


@pytest.mark.parametrize("base_path", ["", "/v2"])
@pytest.mark.parametrize(
    "climb", ["../", "..%2f", "%2e%2e/", ".%2E/", "..\\", "./../", "x/../../", "/../", "//../", "/\\../"]
)
def test_no_reference_climbs_to_another_connection(base_path: str, climb: str) -> None:
    """As clients resolve it that take backslashes for slashes and escaped dots for dots, as browsers do."""
    for times in range(1, 6):
        told = place(base_path).relocated((climb * times + "c/other/y").encode()).decode()
        seen = told.replace("\\", "/").replace("%2e", ".").replace("%2E", ".")
        resolved = urljoin(f"{GATEWAY}/c/crm/a/b", seen)
        assert not resolved.startswith(f"{GATEWAY}/c/other/"), (told, resolved)


def test_clients_of_the_proxy_address_the_target_itself() -> None:
    plain = place(tls=TlsMode.DISABLE)
    direct = Place("", plain.path, plain.host, plain.settings)
    assert direct.relocated(b"/../x") == b"/../x"
