"""The protocols that this gateway speaks. A new one is a folder beside the others and a line in here."""

from collections.abc import Mapping
from types import MappingProxyType

from interlock.protocols.base import ProtocolModule
from interlock.protocols.http.module import HttpModule
from interlock.protocols.postgres.module import PostgresModule
from interlock.protocols.ssh.module import SshModule

_MODULES: tuple[ProtocolModule, ...] = (PostgresModule(), HttpModule(), SshModule())

PROTOCOLS: Mapping[str, ProtocolModule] = MappingProxyType({module.name: module for module in _MODULES})
