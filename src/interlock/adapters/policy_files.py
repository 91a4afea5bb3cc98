"""Policy texts in files: reads the configured ones, and notices when they change.

A file is read only after it has looked the same twice, one interval apart, so that a file that is being written is not
taken for a finished one. Replacing a file by renaming a new one over it is safe at any speed.
"""

import asyncio
import glob
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog

from interlock.core.errors import ConfigurationError, InterlockError, PolicyRejected
from interlock.services.policy import PolicySource, PolicyStore

MAX_FILE_BYTES = 4_000_000
MAX_FILES = 1000
POLL_INTERVAL_S = 1.0

Look = tuple[tuple[str, int, int, int], ...] | str
"""What the files look like from outside: name, modification time (ns), size and inode of each; or why none is seen."""

_log = structlog.get_logger(__name__)


class PolicyFiles:
    """The policy files of a configuration: paths and glob patterns, relative ones under ``base``."""

    def __init__(self, patterns: Sequence[str], base: Path) -> None:
        self._patterns = tuple(patterns)
        self._base = base

    def read(self, paths: Sequence[str] = ()) -> tuple[PolicySource, ...]:
        """The texts of ``paths``, or of the configured patterns when there are none, sorted by name.

        Raises ``ConfigurationError`` when a pattern matches nothing or a file cannot be read as UTF-8.
        """
        return tuple(PolicySource(str(path), _text(path)) for path in self._files(paths))

    def look(self) -> Look:
        """What the configured files look like now. Never raises."""
        try:
            return tuple(_appearance(path) for path in self._files())
        except (ConfigurationError, OSError) as error:
            return str(error)

    def _files(self, paths: Sequence[str] = ()) -> list[Path]:
        found: set[Path] = set()
        for pattern in paths or self._patterns:
            # Path.glob takes no absolute patterns before Python 3.13.
            names = glob.glob(pattern, root_dir=self._base, recursive=True)  # noqa: PTH207
            files = [self._base / name for name in names if not (self._base / name).is_dir()]
            if not files:
                raise ConfigurationError(f"no policy file matches {pattern}")
            found.update(files)
        if not found:
            raise ConfigurationError("no policy file is configured")
        if len(found) > MAX_FILES:
            raise ConfigurationError(f"{len(found)} policy files; at most {MAX_FILES} are read")
        return sorted(found)


class PolicyWatch:
    """Puts changed files in force, for as long as it runs. The last good policy stays when they are wrong."""

    def __init__(
        self, files: PolicyFiles, store: PolicyStore, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._files = files
        self._store = store
        self._sleep = sleep
        self._seen: Look = ""
        self._done: Look = ""

    async def run(self, interval_s: float = POLL_INTERVAL_S) -> None:
        """Look at the files every ``interval_s`` seconds until cancelled. The store must have been started."""
        while True:
            await self._sleep(interval_s)
            await self.poll()

    async def poll(self) -> None:
        """Look once; put the files in force if they have changed and now stand still, or if their tags have changed.

        Never raises for a bad file.
        """
        look = self._files.look()
        settled, self._seen = look == self._seen, look
        try:
            if settled and look != self._done:
                await self._activate(look)
            elif self._store.is_stale:
                await self._renew()
        except InterlockError as error:
            _log.error("policy_not_recorded", error=str(error), in_force=self._store.version)

    async def _renew(self) -> None:
        """Another gateway has changed connections."""
        try:
            await self._store.renew(by="connections changed")
        except PolicyRejected as error:
            _log.error("policy_refused", problems=error.problems, in_force=self._store.version)

    async def _activate(self, look: Look) -> None:
        try:
            sources = self._files.read()
            if self._files.look() != look:
                return
            changed = await self._store.activate(sources, by="file change")
        except ConfigurationError as error:
            await self._store.refuse([str(error)])
            _log.error("policy_refused", problems=[str(error)], in_force=self._store.version)
        except PolicyRejected as error:
            _log.error("policy_refused", problems=error.problems, in_force=self._store.version)
        else:
            if changed:
                _log.info("policy_activated", version=self._store.version)
        self._done = look


def _appearance(path: Path) -> tuple[str, int, int, int]:
    seen = path.stat()
    return str(path), seen.st_mtime_ns, seen.st_size, seen.st_ino


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ConfigurationError(f"policy file {path} is larger than {MAX_FILE_BYTES} bytes")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"policy file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"policy file {path} is not UTF-8 (byte {error.start})") from error
