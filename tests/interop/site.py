"""A gateway whose people and workloads come from a realm of Keycloak, with certificates of one authority."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.docs.markdown import blocks
from tests.e2e.people import Site
from tests.interop.keycloak import Keycloak, Realm
from tests.interop.realms import PAGE, REALM_URL, SECRET, Json, realm
from tests.servers.certificates import CertificateAuthority
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer

PROVIDER = "keycloak"
JOB = "job:reports"
OPENID, SAML = (block.text for block in blocks(PAGE, "toml"))
"""Settings of the page."""


def settings(shown: str, keycloak: Keycloak, realm_name: str, extra: str = "") -> str:
    """The page's, for this realm; ``extra`` is about the provider. What the API needs, the gateway has."""
    own = f'name = "{PROVIDER}"\nca_file = "{keycloak.ca_file}"\n{extra}'
    provider = shown.partition("\n\n")[2].replace(f'name = "{PROVIDER}"', own)
    return provider.replace(REALM_URL, f"{keycloak.url}/realms/{realm_name}")


class CertifiedGateway(GatewayServer):
    """A gateway with a certificate of the authority that Keycloak trusts."""

    def __init__(self, target: Endpoint, options: GatewayOptions, authority: CertificateAuthority) -> None:
        self._authority = authority
        own = authority.issue_server()
        tls = f'tls_certificate = "chain.pem"\ntls_key = "{own.key_file}"'
        super().__init__(target, replace(options, api_public=True, postgres_extra=tls))
        chain = (own.certificate_file, authority.certificate_file)
        (self.directory / "chain.pem").write_bytes(b"".join(file.read_bytes() for file in chain))
        (self.directory / "keycloak-client-secret").write_text(SECRET)

    @property
    def certificate_file(self) -> Path:
        return self._authority.certificate_file


@dataclass
class KeycloakSite(Site):
    """The gateway and its realm."""

    provider: Realm  # type: ignore[assignment] # does what tests of people ask of a provider


@contextlib.contextmanager
def site(
    keycloak: Keycloak,
    target: Endpoint,
    name: str,
    options: GatewayOptions,
    clients: Callable[[str], Sequence[Json]] = lambda _: (),
) -> Iterator[KeycloakSite]:
    """The two, for a while. ``clients`` are those of the realm, for the gateway's ``public_url``."""
    gateway = CertifiedGateway(target, options, keycloak.authority)
    provider = keycloak.add_realm(realm(name, *clients(gateway.api_url)))
    with gateway:
        yield KeycloakSite(gateway, provider)
