"""What is kept of gateways, in ``$XDG_STATE_HOME/interlock`` (XDG base directories): a directory for each gateway.

    current              the address of the gateway that was logged in at last
    gateways/NAME/
        lock             held by whoever changes something
        login.json       the login's secret
        authority.pem    what vouches for the gateway's certificate, where the system's authorities do not
        tokens/KEY.json  session tokens, until they end
        files/           what programs are given: password files, authorities, keys of hosts
        run/             the same for one program, as long as it runs

Directories have mode 0700, files 0600. What others may reach is not used.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from interlock.adapters.private_file import make_private_directory, read_private, replace_private
from interlock.core.client import ClientLogin, GatewayAddress, HeldToken
from interlock.core.errors import ConfigurationError
from interlock.services.client.ports import LoginDamaged, ShelfUnusable, WriteFile

MAX_FILE_BYTES: Final = 1 << 20
LEFT_OVER_S: Final = 86_400.0
"""What a program was given is removed by the next one when it is older than this, should its own have been killed."""
_CURRENT: Final = "current"
_LOGIN: Final = "login.json"
_AUTHORITY: Final = "authority.pem"
_TOKENS: Final = "tokens"
_FILES: Final = "files"
_RUN: Final = "run"
_NAME_CHARACTERS: Final = 32

KeptT = TypeVar("KeptT")


def state_directory(environment: Mapping[str, str]) -> Path:
    """Where everything is kept. Raises ConfigurationError."""
    given = environment.get("XDG_STATE_HOME", "")
    if given.startswith("/"):  # others are to be ignored
        return Path(given) / "interlock"
    try:
        return Path.home() / ".local" / "state" / "interlock"
    except RuntimeError:
        raise ConfigurationError("there is no home directory to keep a login in: set XDG_STATE_HOME") from None


def current_gateway(directory: Path) -> str:
    """The address of the gateway that was logged in at last, empty when there is none. Raises ConfigurationError."""
    with _telling(directory):
        try:
            return read_private(directory / _CURRENT).decode("utf-8", "replace").strip()
        except FileNotFoundError:
            return ""


def kept_authority(directory: Path, address: GatewayAddress) -> str:
    """The file with what vouches for the gateway's certificate, empty when there is none."""
    file = _place(directory, address) / _AUTHORITY
    return str(file) if file.is_file() else ""


class FileShelf:
    """Implements ``services.client.ports.Shelf`` below a directory."""

    def __init__(self, directory: Path, address: GatewayAddress) -> None:
        self._all = directory
        self._address = address
        self._directory = _place(directory, address)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes away; waits for them."""
        with _telling(self._directory):
            self._make(self._directory)
            descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def login(self) -> ClientLogin | None:
        """The login that is kept."""
        file = self._directory / _LOGIN
        try:
            return self._read(file, ClientLogin)
        except msgspec.DecodeError:
            raise LoginDamaged(f"{file}: it is damaged; log in again: interlock login") from None

    def keep_login(self, login: ClientLogin) -> None:
        """Keep a login in the place of the one before, and forget the tokens that came of that."""
        with _telling(self._directory):
            shutil.rmtree(self._directory / _TOKENS, ignore_errors=True)
            replace_private(self._directory / _LOGIN, msgspec.json.encode(login))
            if self._address.ca_file:
                replace_private(self._directory / _AUTHORITY, Path(self._address.ca_file).read_bytes())
            replace_private(self._all / _CURRENT, self._address.url.encode())

    def renew_login(self, login: ClientLogin) -> None:
        """Keep the same login with another secret."""
        with _telling(self._directory):
            replace_private(self._directory / _LOGIN, msgspec.json.encode(login))

    def forget(self) -> None:
        """Remove login, tokens and files."""
        with _telling(self._directory):
            (self._directory / _LOGIN).unlink(missing_ok=True)
            for name in (_TOKENS, _FILES):
                shutil.rmtree(self._directory / name, ignore_errors=True)
        if current_gateway(self._all) == self._address.url:
            (self._all / _CURRENT).unlink(missing_ok=True)

    def token(self, key: str) -> HeldToken | None:
        """The token that was kept by this key."""
        try:
            return self._read(self._directory / _TOKENS / f"{key}.json", HeldToken)
        except msgspec.DecodeError:
            return None

    def keep_token(self, key: str, token: HeldToken, now_s: float) -> None:
        """Keep a token; those that have ended are forgotten."""
        with _telling(self._directory):
            self._make(self._directory / _TOKENS)
            replace_private(self._directory / _TOKENS / f"{key}.json", msgspec.json.encode(token))
            for file in (self._directory / _TOKENS).glob("*.json"):
                kept = self.token(file.stem)
                if kept is None or kept.ends_at_s <= now_s:
                    file.unlink(missing_ok=True)

    def write_file(self, name: str, content: bytes) -> Path:
        """Write a file that stays, as a whole or not at all; where it is."""
        with _telling(self._directory):
            self._make(self._directory / _FILES)
        return self._write_in(self._directory / _FILES, name, content)

    @contextlib.contextmanager
    def temporary(self) -> Iterator[WriteFile]:
        """What writes files that are removed in the end."""
        with _telling(self._directory):
            self._make(self._directory / _RUN)
            made = Path(tempfile.mkdtemp(dir=self._directory / _RUN))
            _remove_left_over(made)
        try:
            yield functools.partial(self._write_in, made)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _write_in(self, directory: Path, name: str, content: bytes) -> Path:
        with _telling(directory):
            replace_private(directory / name, content)
        return directory / name

    def _make(self, directory: Path) -> None:
        """Have a directory and those above it, up to the one for all gateways, each for this account only."""
        for place in (self._all, self._all / "gateways", self._directory, directory):
            make_private_directory(place)
            _require_own(place)

    def _read(self, file: Path, kind: type[KeptT]) -> KeptT | None:
        """Raises msgspec.DecodeError."""
        with _telling(self._directory):
            try:
                return msgspec.json.decode(read_private(file, MAX_FILE_BYTES), type=kind)
            except FileNotFoundError:
                return None


def _place(directory: Path, address: GatewayAddress) -> Path:
    name = hashlib.sha256(address.label.encode()).hexdigest()[:_NAME_CHARACTERS]
    return directory / "gateways" / name


def _require_own(directory: Path) -> None:
    """Raises ConfigurationError when others may reach the directory."""
    status = directory.stat()
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigurationError(f"{directory}: must be a directory that only its owner may reach (chmod 700)")


def _remove_left_over(new: Path) -> None:
    """Remove what is beside a new directory and much older."""
    oldest_s = new.stat().st_mtime - LEFT_OVER_S
    for place in new.parent.iterdir():
        if place.stat().st_mtime < oldest_s:
            shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def _telling(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ShelfUnusable(f"{error.filename or directory}: {error.strerror or error}") from None
