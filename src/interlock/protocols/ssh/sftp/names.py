"""Names of files as clients write them, to the one form in which policy and the host are told of them.

A name is absolute and normal here: no ``.``, no ``..``, no doubled or trailing slash. ``..`` is taken out by the text,
before links are followed, so that what is decided on is what is sent. What cannot be said without doubt is refused.
"""

import posixpath
from dataclasses import dataclass
from typing import Final

MAX_NAME_BYTES: Final = 4096
"""``PATH_MAX`` of Linux."""


class UnclearName(Exception):
    """It is not certain which file is meant. The text is a sentence for the client."""


@dataclass(frozen=True, slots=True)
class Names:
    """Reads names. ``home`` is the directory that relative ones begin in; None while the host has not told."""

    home: str | None = None

    def read(self, written: bytes) -> str:
        """The absolute, normal name. Raises ``UnclearName``."""
        text = text_of(written)
        if text.startswith("/"):
            return normal(text)
        if self.home is None:
            raise UnclearName("The host does not say which directory names begin in; write the name from the root.")
        return normal(f"{self.home}/{text}")

    def forms(self, name: str) -> tuple[str, ...]:
        """How a name may stand in a rule: from the root, and from ``~`` when it is in the home."""
        if self.home is None:
            return (name,)
        if name == self.home:
            return (name, "~")
        home = self.home.rstrip("/") + "/"
        return (name, f"~/{name.removeprefix(home)}") if name.startswith(home) else (name,)


def told(path: bytes) -> str:
    """A name that the host has told. Raises ``UnclearName`` when it is not an absolute one."""
    text = text_of(path)
    if not text.startswith("/"):
        raise UnclearName("The host tells a name that does not begin at the root.")
    return normal(text)


def normal(absolute: str) -> str:
    """An absolute name without detours."""
    return "/" + posixpath.normpath(absolute).lstrip("/")


def parted(name: str) -> tuple[str, str]:
    """The directory that a name is in, and its last part, which is empty for the root."""
    return posixpath.split(name)


def joined(directory: str, last: str) -> str:
    """The name of something in a directory."""
    return normal(f"{directory}/{last}")


def text_of(written: bytes) -> str:
    """What a client or the host has written as a name. Raises ``UnclearName``."""
    if not written:
        raise UnclearName("The name is empty.")
    if len(written) > MAX_NAME_BYTES:
        raise UnclearName(f"The name has {len(written)} bytes; {MAX_NAME_BYTES} is the limit.")
    if b"\0" in written:
        raise UnclearName("The name has a NUL character.")
    try:
        return written.decode()
    except UnicodeDecodeError:
        raise UnclearName("The name is not UTF-8, so that no rule can speak of it.") from None
