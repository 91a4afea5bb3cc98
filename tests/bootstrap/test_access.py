"""Where clients are told to come, as settings say."""

import ssl
from pathlib import Path

import msgspec
import pytest

from interlock.adapters.certificate import listener_tls
from interlock.bootstrap.access import http_place, postgres_place
from interlock.core.errors import ConfigurationError
from interlock.core.settings import Settings
from tests.servers.certificates import CertificateAuthority


def settings(directory: Path, **tables: object) -> Settings:
    """With the certificate that the gateway makes itself."""
    made = msgspec.convert({"gateway": {"data_dir": str(directory)}, **tables}, Settings)
    if made.postgres.tls_certificate is None:
        listener_tls(made.postgres, directory, 1_800_000_000.0)
    return made


@pytest.mark.parametrize(
    ("postgres", "url", "host", "port"),
    [
        ({}, "", "10.0.0.5", 6432),
        ({"public_address": "db.example.org:5432"}, "", "db.example.org", 5432),
        ({"public_address": "[2001:db8::1]:5432"}, "", "2001:db8::1", 5432),
    ],
)
def test_postgres_clients(tmp_path: Path, postgres: object, url: str, host: str, port: int) -> None:
    place = postgres_place(settings(tmp_path, postgres=postgres), ("10.0.0.5", 6432))
    assert (place.host, place.port) == (host, port)


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::", ""])
def test_every_address_is_the_one_that_people_know(tmp_path: Path, everywhere: str) -> None:
    assert postgres_place(settings(tmp_path), (everywhere, 6432)).host == ""
    known = settings(tmp_path, api={"public_url": "https://gw.example.org/console"})
    assert postgres_place(known, (everywhere, 6432)).host == "gw.example.org"


@pytest.mark.parametrize(
    ("http", "bound", "shown"),
    [
        ({}, "127.0.0.1", ("127.0.0.1", 8080, False, "")),
        ({}, "10.0.0.5", ("10.0.0.5", 8080, True, "")),
        ({"plain": "refuse"}, "127.0.0.1", ("127.0.0.1", 8080, True, "")),
        ({"plain": "allow"}, "10.0.0.5", ("10.0.0.5", 8080, False, "")),
        ({"public_url": "https://gw.example.org/x"}, "127.0.0.1", ("gw.example.org", 443, True, "/x")),
        ({"public_url": "http://gw.example.org:81"}, "127.0.0.1", ("gw.example.org", 81, False, "")),
    ],
)
def test_http_clients(tmp_path: Path, http: object, bound: str, shown: tuple[str, int, bool, str]) -> None:
    place = http_place(settings(tmp_path, http=http), (bound, 8080))
    assert (place.host, place.port, place.tls, place.path) == shown
    assert bool(place.authority_pem) == place.tls


def test_authorities_are_shown_as_far_as_they_are_private(tmp_path: Path) -> None:
    made = settings(tmp_path)
    assert postgres_place(made, ("127.0.0.1", 1)).authority_pem == (tmp_path / "listener.crt").read_text()
    authority = CertificateAuthority(tmp_path)
    issued = authority.issue_server()
    files = {"tls_certificate": str(issued.certificate_file), "tls_key": str(issued.key_file)}
    assert postgres_place(settings(tmp_path, postgres=files), ("127.0.0.1", 1)).authority_pem == ""
    chain = tmp_path / "chain.pem"
    chain.write_text(issued.certificate_file.read_text() + authority.certificate_file.read_text())
    files["tls_certificate"] = str(chain)
    pem = postgres_place(settings(tmp_path, postgres=files), ("127.0.0.1", 1)).authority_pem
    ssl.create_default_context(cadata=pem)
    assert pem.strip() == authority.certificate_file.read_text().strip()


def test_a_certificate_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    made = settings(tmp_path)
    (tmp_path / "listener.crt").unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        postgres_place(made, ("127.0.0.1", 1))
