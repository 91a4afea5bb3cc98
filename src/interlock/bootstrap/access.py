"""What clients are told about connections: where they reach the listeners, from settings and what is listened on."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from interlock.adapters.certificate import private_authority
from interlock.bootstrap.addresses import split_address
from interlock.bootstrap.interpretation import Interpreter
from interlock.bootstrap.node import Node
from interlock.core.addresses import read_address
from interlock.core.settings import PlainHttp, Settings
from interlock.services.access_room import AccessRoom, ListenerPlace
from interlock.services.locks import Locks
from interlock.services.policy.store import PolicyStore
from interlock.services.self_service.knowledge import Knowledge

_PORTS: Final = {"http": 80, "https": 443}
Address = tuple[str, int]


def open_access_room(
    node: Node, policies: PolicyStore, locks: Locks, postgres: Address, http: Address | None, ssh: Address | None
) -> AccessRoom:
    """The addresses are those that are listened on first. Raises ``ConfigurationError``."""
    interpreter = Interpreter(node.connections.find)
    knowledge = Knowledge(node.connections, policies, locks, interpreter, node.clock)
    places = {"postgres": postgres_place(node.settings, postgres)}
    if http is not None:
        places["http"] = http_place(node.settings, http)
    if ssh is not None:
        places["ssh"] = _ssh(node, ssh[1])
    return AccessRoom(knowledge, node.identities, places)


def postgres_place(settings: Settings, bound: Address) -> ListenerPlace:
    public = settings.postgres.public_address
    host, port = split_address(public) if public else (_known_as(settings, bound[0]), bound[1])
    return ListenerPlace(host, port, authority_pem=_authority(settings, None))


def http_place(settings: Settings, bound: Address) -> ListenerPlace:
    http = settings.http
    if http.public_url:
        url = urlsplit(http.public_url)
        host, port, tls = url.hostname or "", url.port or _PORTS[url.scheme], url.scheme == "https"
    else:
        loopback = http.plain is PlainHttp.LOOPBACK and _is_loopback(bound[0])
        tls = not loopback and http.plain is not PlainHttp.ALLOW
        host, port = _known_as(settings, bound[0]), bound[1]
    authority_pem = _authority(settings, http.tls_certificate) if tls else ""
    return ListenerPlace(host, port, tls, urlsplit(http.public_url).path, authority_pem)


def _ssh(node: Node, port: int) -> ListenerPlace:
    names = node.settings.ssh.host_names
    known_hosts = node.ssh_authority.known_hosts_line(names, port)
    return ListenerPlace(names[0], port, tls=False, known_hosts=known_hosts)


def _authority(settings: Settings, certificate: str | None) -> str:
    return private_authority(certificate, settings.postgres, Path(settings.gateway.data_dir))


def _known_as(settings: Settings, host: str) -> str:
    """The host that is listened on; where that is every address, that of links in messages, or nothing."""
    address = read_address(host)
    if not host or (address is not None and address.is_unspecified):
        return urlsplit(settings.api.public_url).hostname or ""
    return host


def _is_loopback(host: str) -> bool:
    address = read_address(host)
    return address is not None and address.is_loopback
