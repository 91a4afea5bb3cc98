"""The npm packages that tests start, installed once, and the programs that use them."""

import functools
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.servers.process import ServerProcess

_ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def npm_packages() -> Path:
    """The directory with ``node_modules``; the packages are installed when they are not, which takes seconds."""
    subprocess.run([_ROOT / "tools" / "npm.sh"], check=True, capture_output=True)
    return _ROOT / "build" / "npm"


def start_node(script: str, log: Path, environment: Mapping[str, str]) -> ServerProcess:
    """Run a script of this directory; it finds the packages by the variable ``NPM_PACKAGES``."""
    variables = {**os.environ, "NPM_PACKAGES": str(npm_packages()), **environment}
    command: list[str | Path] = ["node", "--no-warnings", Path(__file__).parent / script]
    return ServerProcess(command, log=log, directory=log.parent, environment=variables)
