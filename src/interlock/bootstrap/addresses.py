"""Addresses to listen on, as settings write them."""

from interlock.core.errors import ConfigurationError


def split_address(address: str) -> tuple[str, int]:
    """``host:port`` (IPv6 in brackets). Raises ``ConfigurationError``."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise ConfigurationError(f"{address!r} is not an address: write host:port")
    return host.strip("[]"), int(port)
