"""Runs PostgreSQL's own programs against an endpoint."""

import os
import subprocess
from dataclasses import dataclass
from typing import Any

from tests.clients.scratch import without_process_ids
from tests.servers.endpoint import Endpoint
from tests.servers.postgres import client_program

_TIMEOUT_S = 60


@dataclass(frozen=True)
class Outcome:
    """What a program left behind, process ids taken out."""

    status: int
    output: str
    errors: str


def popen_arguments(endpoint: Endpoint) -> dict[str, Any]:
    """Arguments for ``subprocess`` with an environment that holds the connection and nothing personal."""
    environment = {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PGCONNECT_TIMEOUT": "20",
        "HOME": "/nonexistent",
    }
    return {"env": environment | endpoint.environment(), "text": True, "cwd": "/"}


def run(endpoint: Endpoint, program: str, *arguments: str, script: str = "") -> Outcome:
    """Run a program to its end, with ``script`` as its input."""
    result = subprocess.run(
        [client_program(program), *arguments],
        input=script,
        capture_output=True,
        check=False,
        timeout=_TIMEOUT_S,
        **popen_arguments(endpoint),
    )
    return Outcome(result.returncode, without_process_ids(result.stdout), without_process_ids(result.stderr))
