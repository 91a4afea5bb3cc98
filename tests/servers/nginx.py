"""A throw-away nginx: a web server of independent make to stand behind the gateway, or beside it as a reverse proxy."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

from tests.servers.process import ServerDied, ServerProcess, accepts_connections, free_port, unprivileged_account

_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/server.log warn;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {directory}/bodies;
    proxy_temp_path {directory}/proxied;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 0;
    keepalive_timeout 600;
    keepalive_requests 100000000;
    types {{ text/plain txt; application/json json; application/octet-stream bin; }}
    {http}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {directory}/files;
        {server}
    }}
}}
"""


def nginx_program() -> Path | None:
    """The path of nginx, or None when it is not installed."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    return Path(found) if found else None


class Nginx:
    """One worker on a free port of the loopback. A context manager.

    ``http`` and ``server`` are directives for the blocks of these names; ``files`` are served by their names.
    """

    def __init__(
        self, *, http: str = "", server: str = "", files: dict[str, bytes] | None = None, connections: int = 1024
    ) -> None:
        self._account = unprivileged_account()
        self._temporary = tempfile.TemporaryDirectory(prefix="interlock-nginx-", ignore_cleanup_errors=True)
        self._directory = Path(self._temporary.name)
        self.port = free_port()
        self._log = self._directory / "server.log"
        self._log.touch()
        (self._directory / "files").mkdir()
        for name, content in (files or {}).items():
            (self._directory / "files" / name).write_bytes(content)
        (self._directory / "nginx.conf").write_text(
            _CONFIGURATION.format(
                directory=self._directory, port=self.port, http=http, server=server, connections=connections
            )
        )
        if self._account is not None:
            for path in (self._directory, *self._directory.rglob("*")):
                os.chown(path, self._account.uid, self._account.gid)

    def __enter__(self) -> Self:
        program = nginx_program()
        if program is None:
            raise ServerDied("nginx is not installed")
        self._process = ServerProcess(
            [program, "-e", self._log, "-p", self._directory, "-c", self._directory / "nginx.conf"],
            log=self._log,
            directory=self._directory,
            account=self._account,
        )
        self._process.wait_until(lambda: accepts_connections(self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
        self._temporary.cleanup()

    @property
    def pid(self) -> int:
        """The master process; its worker is its child."""
        return self._process.pid
