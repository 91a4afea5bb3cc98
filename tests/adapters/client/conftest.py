"""A gateway that is scripted, and the certificate that it has."""

import ssl
from collections.abc import Iterator

import pytest

from interlock.core.client import GatewayAddress
from tests.servers.authorization_server import ScriptedAuthorizationServer
from tests.servers.certificates import CertificateAuthority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def gateway(authority: CertificateAuthority) -> Iterator[ScriptedAuthorizationServer]:
    certificate = authority.issue_server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    with ScriptedAuthorizationServer(context) as server:
        yield server


@pytest.fixture
def address(gateway: ScriptedAuthorizationServer, authority: CertificateAuthority) -> GatewayAddress:
    return GatewayAddress(gateway.url, str(authority.certificate_file))
