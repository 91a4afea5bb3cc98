"""Opens byte streams to targets, with the TLS context that a connection's settings ask for."""

import asyncio
import functools
import os
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from interlock.core.errors import ConfigurationError
from interlock.core.settings import ConnectionSettings, TlsMode
from interlock.protocols.base import Side
from interlock.runtime.addresses import LookUp, Trust, look_up, permitted_addresses
from interlock.runtime.peer import Peer, PeerOwner
from interlock.services.ports import TargetCredential

_ALPN: Final = {"postgres": "postgresql", "http": "http/1.1"}


def target_tls_context(settings: ConnectionSettings, credential: TargetCredential) -> ssl.SSLContext:
    """The client-side context for a target. Raises ``ConfigurationError`` for files that cannot be used.

    It is the same one as long as nothing changes: reading the system's authorities takes tens of milliseconds.
    """
    try:
        changed = Path(settings.ca_file).stat().st_mtime_ns if settings.ca_file else 0
        return _context(
            _ALPN[settings.protocol],
            settings.tls,
            settings.ca_file,
            changed,
            credential.certificate_pem,
            credential.private_key_pem,
        )
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"TLS files of the connection cannot be used: {error}") from error


@functools.lru_cache(maxsize=256)
def _context(
    alpn: str, tls: TlsMode, ca_file: str | None, _changed: int, certificate_pem: bytes | None, key_pem: bytes | None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([alpn])
    if tls in (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL):
        context.check_hostname = tls is TlsMode.VERIFY_FULL
        context.load_verify_locations(cafile=ca_file) if ca_file else context.load_default_certs()
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate_pem is not None and key_pem is not None:
        _load_client_certificate(context, certificate_pem + b"\n" + key_pem)
    return context


def _load_client_certificate(context: ssl.SSLContext, pem: bytes) -> None:
    """``ssl`` reads chains from files only: a private one, gone before this returns."""
    descriptor, name = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()


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
