"""The sample cluster that most tests talk to: two databases, a few roles, a few rows.

``app`` owns the databases and is what a gateway would use as target credential; ``reader`` may only read.
"""

from tests.servers.endpoint import Endpoint
from tests.servers.postgres import PostgresServer

DATABASES = ("shop", "warehouse")
PASSWORDS = {"app": "app-password-Õ", "reader": "reader-password"}

_ROLES = "\n".join(f"CREATE ROLE {role} LOGIN PASSWORD '{password}';" for role, password in PASSWORDS.items())

_SHOP = """
CREATE TABLE customers (
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    email text NOT NULL UNIQUE,
    card_number text,
    created_at timestamptz NOT NULL DEFAULT '2026-01-01 00:00:00+00'
);
CREATE TABLE orders (
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    customer_id integer NOT NULL REFERENCES customers,
    total numeric(12, 2) NOT NULL,
    note text
);
CREATE VIEW customer_totals AS
    SELECT c.email, sum(o.total) AS total FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.email;
INSERT INTO customers (name, email, card_number)
    SELECT 'Customer ' || n, 'customer' || n || '@example.com', '4000-0000-0000-' || to_char(n, 'FM0000')
    FROM generate_series(1, 100) n;
INSERT INTO orders (customer_id, total, note)
    SELECT 1 + n % 100, n * 1.25, 'order ' || n FROM generate_series(1, 1000) n;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
ALTER TABLE customers OWNER TO app;
ALTER TABLE orders OWNER TO app;
ALTER VIEW customer_totals OWNER TO app;
"""


def fill(server: PostgresServer) -> None:
    """Create the sample roles, databases and rows on a fresh server."""
    server.execute(_ROLES)
    for database in DATABASES:
        server.execute(f"CREATE DATABASE {database} OWNER app")
    server.execute(_SHOP, database="shop")


def endpoint(server: PostgresServer, role: str = "app", database: str = "shop") -> Endpoint:
    """Where one of the sample roles connects directly."""
    return server.endpoint(role, PASSWORDS[role], database)
