"""What a client is told so that it reaches a connection: variables of its environment, and files beside them.

No token is in a command line or in a file that others may read.
"""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from interlock.core.addresses import host_problem
from interlock.core.administration import ConnectionAccess
from interlock.core.client import GatewayAddress
from interlock.core.errors import AdministrationRefused
from interlock.core.printable import one_line
from interlock.services.client.ports import WriteFile

_LOOPBACK: Final = "127.0.0.1"
_SYSTEM_AUTHORITIES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


class Environment(msgspec.Struct, frozen=True):
    """Variables to set, and those that would come in their way."""

    variables: dict[str, str]
    unset: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Environment({', '.join(self.variables)})"

    def over(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """What a program's environment is with these."""
        kept = {name: value for name, value in inherited.items() if name not in self.unset}
        return kept | self.variables


def host_of(access: ConnectionAccess, address: GatewayAddress) -> str:
    """Where the gateway is reached: where it says, or where its API is. Raises AdministrationRefused."""
    host = access.host or urlsplit(address.url).hostname or _LOOPBACK
    if host_problem(host.lower()) is not None:
        raise AdministrationRefused(f"the gateway says that clients reach it at {one_line(host)!r}, which is no host")
    return host


def database_name(access: ConnectionAccess, database: str) -> str:
    """The connection as clients name it, with the database behind it where that is not the first."""
    return f"{access.name}/{database}" if database and database != access.databases[0] else access.name


def base_url(access: ConnectionAccess, address: GatewayAddress) -> str:
    """Where HTTP clients begin."""
    host = host_of(access, address)
    shown = f"[{host}]" if ":" in host else host
    return f"http{'s' if access.tls else ''}://{shown}:{access.port}{access.path}"


def system_authorities() -> str:
    """The file with the authorities that this machine trusts, empty when it is not known."""
    known = (ssl.get_default_verify_paths().cafile or "", *_SYSTEM_AUTHORITIES)
    return next((file for file in known if file and Path(file).is_file()), "")


def authority_pem(access: ConnectionAccess, address: GatewayAddress) -> str:
    """Who vouches for the listener: whom the gateway names, or who does for its API; empty: the system's authorities.

    Raises AdministrationRefused.
    """
    if access.authority_pem or not address.ca_file:
        return access.authority_pem
    try:
        return Path(address.ca_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise AdministrationRefused(f"{address.ca_file} cannot be read; name the CA with --api-ca") from None


def postgres_environment(
    access: ConnectionAccess, address: GatewayAddress, database: str, write: WriteFile, password_file: Path
) -> Environment:
    """For everything on libpq, and asyncpg."""
    if vouching := authority_pem(access, address):
        authority = str(write(f"{access.name}.pem", vouching.encode()))
    else:
        authority = system_authorities() or "system"
    variables = {
        "PGHOST": host_of(access, address),
        "PGPORT": str(access.port),
        "PGUSER": access.user,
        "PGDATABASE": database_name(access, database),
        "PGPASSFILE": str(password_file),
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": authority,
    }
    return Environment(variables, ("PGPASSWORD", "PGHOSTADDR", "PGSERVICE", "PGREQUIREAUTH", "PGCHANNELBINDING"))


def http_environment(access: ConnectionAccess, address: GatewayAddress, token: str, write: WriteFile) -> Environment:
    """For clients that take a base URL; those of model APIs by the names that they look for."""
    url, name = base_url(access, address), variable_name(access.name)
    variables = {f"{name}_BASE_URL": url, f"{name}_TOKEN": token}
    if access.speaks == "openai":
        variables |= {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": token, "OPENAI_AGENTS_DISABLE_TRACING": "1"}
    if vouching := authority_pem(access, address):
        authorities = write(f"{access.name}.pem", _with_system(vouching))
        variables |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), str(authorities))
    return Environment(variables)


def ssh_environment(access: ConnectionAccess, address: GatewayAddress, login: str, write: WriteFile) -> Environment:
    """Where SSH clients go and whom they know there. They prove themselves by a certificate, or by the token."""
    name = variable_name(access.name)
    known_hosts = write(f"{access.name}.known_hosts", access.known_hosts.encode())
    variables = {
        f"{name}_SSH_HOST": host_of(access, address),
        f"{name}_SSH_PORT": str(access.port),
        f"{name}_SSH_USER": ssh_user(access, login),
        f"{name}_SSH_KNOWN_HOSTS": str(known_hosts),
    }
    return Environment(variables)


def ssh_user(access: ConnectionAccess, login: str) -> str:
    """What clients log in as. Raises AdministrationRefused for a login that the host does not offer."""
    if login and login not in access.logins:
        raise AdministrationRefused(f"{access.name!r} has no login {login!r}; it has {', '.join(access.logins)}")
    return f"{login}+{access.name}" if login and login != access.logins[0] else access.name


def variable_name(connection: str) -> str:
    """A connection's name as a part of a variable's."""
    name = re.sub(r"[^A-Z0-9]", "_", connection.upper())
    return f"_{name}" if name[0].isdigit() else name


def _with_system(authority_pem: str) -> bytes:
    """With the authorities that the machine trusts, since clients trust nothing but what is in such a file."""
    system = system_authorities()
    return (Path(system).read_bytes() if system else b"") + authority_pem.encode()
