"""Where a PostgreSQL client connects: one value for a real server, a pooler and the gateway alike.

It never opens a connection; drivers and programs take from it what they need.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Endpoint:
    """Everything a client needs to connect. Derive others with ``dataclasses.replace``.

    ``sslmode`` and ``sslrootcert`` have libpq's meaning; ``password`` is not shown by ``repr``.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    sslmode: str = "disable"
    sslrootcert: Path | None = None

    def parameters(self) -> dict[str, Any]:
        """The connection as libpq keywords (``psycopg.connect(**endpoint.parameters())``)."""
        parameters: dict[str, Any] = {
            "host": self.host,
            "port": str(self.port),
            "user": self.user,
            "password": self.password,
            "dbname": self.database,
            "sslmode": self.sslmode,
            "gssencmode": "disable",
        }
        if self.sslrootcert is not None:
            parameters["sslrootcert"] = str(self.sslrootcert)
        return parameters

    def environment(self) -> dict[str, str]:
        """The connection as environment variables of libpq programs, to be merged into a clean environment."""
        environment = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.database,
            "PGSSLMODE": self.sslmode,
            "PGGSSENCMODE": "disable",
        }
        if self.sslrootcert is not None:
            environment["PGSSLROOTCERT"] = str(self.sslrootcert)
        return environment
