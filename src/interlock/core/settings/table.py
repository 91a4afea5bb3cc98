"""What all tables of the settings have in common."""

import re
from typing import Final

import msgspec

PATH: Final = {"path": True}
"""Marks a field whose value is a path (or a list of paths), through ``Meta(extra=PATH)``."""

NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all settings tables. Subclasses raise ``ValueError`` for values that contradict one another."""


def check_tls_files(certificate: str | None, key: str | None) -> None:
    """Raises ``ValueError`` when a listener has one of the two without the other."""
    if (certificate is None) != (key is None):
        raise ValueError("tls_certificate and tls_key are given together, or neither")


def addresses_of(listen: str | tuple[str, ...]) -> tuple[str, ...]:
    """``listen`` as a tuple, however it was written; without the empty address, which stands for none."""
    return tuple(filter(None, (listen,) if isinstance(listen, str) else listen))
