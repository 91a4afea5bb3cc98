"""What all visits send, and how they tell what came."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

PATH: Final = "/echo/a%20b/%C3%A9"
FIELDS: Final = {"name": "Ada Lovelace", "town": "Zürich", "sum": "1+1=2&more"}
DOCUMENT: Final[dict[str, Any]] = {"id": 7, "tags": ["a", "b"], "name": "Zürich", "nothing": None}
FILE: Final = "a file\r\nwith two lines, and \0 and ü".encode()
LINES: Final = [b"line %d" % number for number in range(100)]
_TOLD: Final = ("content-type", "content-length", "x-told", "etag", "location", "content-encoding")


def summary(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> tuple[object, ...]:
    """What of an answer must be the same on every way."""
    lower = {name.lower(): value for name, value in headers}
    return status, {name: lower[name] for name in _TOLD if name in lower}, hashlib.sha256(body).hexdigest()
