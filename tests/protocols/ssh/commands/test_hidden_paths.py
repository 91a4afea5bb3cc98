"""A directory is touched, and a host contacted, however it is spelled.

Each line of the corpus reads, writes or removes ``/srv/secret/f`` or the directory that it is in: the reading says so,
says that a path is not known, or is opaque.
"""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from interlock.protocols.ssh.commands.invocation import UNKNOWN_PATH, CommandClass, PathUse, TouchedPath
from interlock.protocols.ssh.commands.reading import read_command

_CORPUS = Path(__file__).parent / "corpus" / "secret" / "paths.txt"
_SECRET = ("srv", "secret", "f")
_USES = {
    "read": frozenset(PathUse),
    "write": frozenset({PathUse.WRITE, PathUse.REMOVE}),
    "remove": frozenset({PathUse.WRITE, PathUse.REMOVE}),
}


def _lines() -> list[tuple[str, str]]:
    pairs = (line.partition("\t") for line in _CORPUS.read_text().splitlines())
    return [(use, line) for use, _, line in pairs]


def _covers(touched: TouchedPath) -> bool:
    """The path, a directory above whose contents are touched as well, or something below the secret directory."""
    if touched.path == UNKNOWN_PATH:
        return True
    parts = [part for part in touched.path.split("/") if part]
    if not touched.path.startswith("/"):
        return False
    if "**" in touched.path:
        return True
    same = all(fnmatchcase(name, part) for name, part in zip(_SECRET[:2], parts, strict=False))
    return same and (len(parts) >= 2 or touched.deep)


@pytest.mark.parametrize(("use", "line"), _lines())
def test_a_secret_directory_is_touched_however_it_is_spelled(use: str, line: str) -> None:
    reading = read_command(line, 16384)
    named = any(touched.use in _USES[use] and _covers(touched) for touched in reading.paths)
    assert named or CommandClass.OPAQUE in reading.classes


@pytest.mark.parametrize(
    "line",
    [
        "curl --resolve good:443:evil https://good/",
        "curl --connect-to ::evil:443 https://good/",
        "curl -x evil:80 http://good/",
        "curl http://good@evil/",
        "curl 'http://good\\@evil/'",
        "http_proxy=http://evil curl http://good",
        "ALL_PROXY=evil; curl http://good",
        "wget -e http_proxy=evil http://good",
        "ssh -o HostName=evil good id",
        "ssh -J evil good id",
        "ssh -W evil:22 good",
        "rsync -e 'ssh -o HostName=evil' a good:b",
        "git -c url.http://evil/.insteadOf=http://good/ fetch http://good/x",
        "nc -x evil:1 good 1",
        "openssl s_client evil:1",
        "psql 'host=good hostaddr=evil' -c 'select 1'",
        "psql 'postgresql:///x?host=evil' -c 'select 1'",
        "PGHOST=evil psql -c 'select 1'",
        "ping good evil",
        "getent hosts evil.example",
        "docker pull evil:5000/x",
    ],
)
def test_a_host_is_named_however_it_is_spelled(line: str) -> None:
    reading = read_command(line, 16384)
    assert any("evil" in host for host in reading.hosts) or CommandClass.OPAQUE in reading.classes
