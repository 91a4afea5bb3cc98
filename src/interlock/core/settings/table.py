"""What all tables of the settings have in common."""

import re
from typing import Final

import msgspec

PATH: Final = {"path": True}
"""Marks a field whose value is a path (or a list of paths), through ``Meta(extra=PATH)``."""

NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all settings tables. Subclasses raise ``ValueError`` for values that contradict one another."""
