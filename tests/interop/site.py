"""A gateway whose people and workloads come from a realm of Keycloak, with certificates of one authority."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.e2e.people import Site
from tests.interop.keycloak import Keycloak, Realm
from tests.interop.realms import AUDIENCE, DEVICES, SECRET, WEB, WORKLOAD, Json, realm
from tests.servers.certificates import CertificateAuthority
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, GatewayServer

PROVIDER = "keycloak"
JOB = "job:reports"

OPENID = f"""
[[issuers]]
name = "{PROVIDER}"
url = "{{url}}"
ca_file = "{{ca_file}}"
audience = "{AUDIENCE}"
client_id = "{WEB}"
client_secret = {{{{ file = "client-secret" }}}}
device_client_id = "{DEVICES}"
{{extra}}

[[identities]]
issuer = "{PROVIDER}"
when = {{{{ azp = "{WORKLOAD}" }}}}
identity = "job:{{{{azp}}}}"
groups = ["jobs"]

[[identities]]
issuer = "{PROVIDER}"
when = {{{{ group_ids = "{{group_id}}" }}}}
identity = "kc:{{{{sub}}}}"
kind = "user"
groups_claim = "groups"
"""

SAML = f"""
[[saml]]
name = "{PROVIDER}"
provider_entity_id = "{{url}}"
metadata_url = "{{url}}/protocol/saml/descriptor"
ca_file = "{{ca_file}}"
groups_attribute = "groups"

[[identities]]
issuer = "{PROVIDER}"
when = {{{{ groups = "{{group}}" }}}}
identity = "kc:{{{{sub}}}}"
kind = "user"
groups_claim = "groups"
"""


class CertifiedGateway(GatewayServer):
    """A gateway with a certificate of the authority that Keycloak trusts."""

    def __init__(self, target: Endpoint, options: GatewayOptions, authority: CertificateAuthority) -> None:
        self._authority = authority
        own = authority.issue_server()
        tls = f'tls_certificate = "chain.pem"\ntls_key = "{own.key_file}"'
        super().__init__(target, replace(options, api_public=True, postgres_extra=tls))
        chain = (own.certificate_file, authority.certificate_file)
        (self.directory / "chain.pem").write_bytes(b"".join(file.read_bytes() for file in chain))
        (self.directory / "client-secret").write_text(SECRET)

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
