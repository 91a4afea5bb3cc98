"""Opens byte streams to targets, with the TLS context that a connection's settings ask for."""

import asyncio
import os
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path

from interlock.core.errors import ConfigurationError
from interlock.core.settings import ConnectionSettings, TlsMode
from interlock.protocols.base import Side
from interlock.runtime.addresses import LookUp, Trust, look_up, permitted_addresses
from interlock.runtime.client_peer import PeerOwner
from interlock.runtime.peer import Peer
from interlock.services.ports import TargetCredential


def target_tls_context(settings: ConnectionSettings, credential: TargetCredential) -> ssl.SSLContext:
    """The client-side context for a target. Raises ``ConfigurationError`` for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1" if settings.protocol == "http" else "postgresql"])
    try:
        if settings.tls in (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL):
            context.check_hostname = settings.tls is TlsMode.VERIFY_FULL
            context.load_verify_locations(cafile=settings.ca_file) if settings.ca_file else context.load_default_certs()
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        _load_client_certificate(context, credential)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"TLS files of the connection cannot be used: {error}") from error
    return context


def _load_client_certificate(context: ssl.SSLContext, credential: TargetCredential) -> None:
    """``ssl`` reads chains from files only: a private one, gone before this returns."""
    if credential.certificate_pem is None or credential.private_key_pem is None:
        return
    descriptor, name = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(credential.certificate_pem + b"\n" + credential.private_key_pem)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()


class TargetContexts:
    """TLS contexts for targets, kept for as long as nothing that they are made of changes: making one takes long."""

    def __init__(self, max_contexts: int = 256) -> None:
        self._max_contexts = max_contexts
        self._contexts: dict[_ContextKey, ssl.SSLContext] = {}

    def find(self, settings: ConnectionSettings, credential: TargetCredential) -> ssl.SSLContext:
        """The context for a target. Raises ``ConfigurationError`` for files that cannot be used."""
        key = _context_key(settings, credential)
        context = self._contexts.get(key)
        if context is None:
            if len(self._contexts) >= self._max_contexts:
                del self._contexts[next(iter(self._contexts))]
            context = self._contexts[key] = target_tls_context(settings, credential)
        return context


_ContextKey = tuple[str, TlsMode, str | None, int, bytes | None, bytes | None]


def _context_key(settings: ConnectionSettings, credential: TargetCredential) -> _ContextKey:
    try:
        changed_ns = os.stat(settings.ca_file).st_mtime_ns if settings.ca_file else 0  # noqa: PTH116
    except OSError:
        changed_ns = -1
    own = credential.certificate_pem, credential.private_key_pem
    return (settings.protocol, settings.tls, settings.ca_file, changed_ns, *own)


async def dial(settings: ConnectionSettings, owner: PeerOwner, timeout_s: float) -> Peer:
    """A connected peer for the target. Raises ``OSError`` (also when it takes too long)."""
    async with asyncio.timeout(timeout_s):
        return await _connect(settings.host, settings.port, owner)


async def dial_checked(
    host: str, port: int, trust: Trust, owner: PeerOwner, timeout_s: float, look_up: LookUp = look_up
) -> Peer:
    """A connected peer for a host, by one of the addresses that were checked, which are tried in order.

    Raises ``AddressNotPermitted``; ``OSError`` when it cannot be reached, also when all of it takes too long.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_s) as limit:
        addresses = await permitted_addresses(host, port, trust, look_up)
        while True:
            address, left_s = addresses.pop(0), (limit.when() or 0.0) - loop.time()
            try:
                async with asyncio.timeout(left_s / (1 + len(addresses))):
                    return await _connect(address, port, owner)
            except OSError:
                if not addresses:
                    raise


async def _connect(host: str, port: int, owner: PeerOwner) -> Peer:
    make: Callable[[], Peer] = lambda: Peer(owner, Side.TARGET)  # noqa: E731
    _, peer = await asyncio.get_running_loop().create_connection(make, host, port)
    return peer
