"""The tables of the state store, as migrations that are applied once, in order. A released one is never edited."""

from typing import Final

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE identities (
            name TEXT PRIMARY KEY,
            kind TEXT NOT NULL,
            owner TEXT,
            groups TEXT NOT NULL,
            disabled INTEGER NOT NULL,
            created_at_s REAL NOT NULL,
            scram_verifier TEXT
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE TABLE connections (name TEXT PRIMARY KEY, settings TEXT NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE credentials (connection TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID",
        """
        CREATE TABLE sessions (
            id TEXT PRIMARY KEY,
            protocol TEXT NOT NULL,
            connection TEXT NOT NULL,
            database TEXT NOT NULL,
            principal_kind TEXT NOT NULL,
            principal TEXT NOT NULL,
            owner TEXT NOT NULL,
            client_address TEXT NOT NULL,
            application TEXT NOT NULL,
            trace TEXT NOT NULL,
            opened_at_s REAL NOT NULL,
            status TEXT NOT NULL,
            closed_at_s REAL,
            operations INTEGER NOT NULL,
            denied INTEGER NOT NULL,
            rows INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX sessions_by_status ON sessions (status, id)",
        "CREATE INDEX sessions_by_principal ON sessions (principal, id)",
    ),
    (
        """
        CREATE TABLE locks (
            id TEXT PRIMARY KEY,
            subject_kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            mode TEXT NOT NULL,
            reason TEXT NOT NULL,
            by TEXT NOT NULL,
            created_at_s REAL NOT NULL,
            expires_at_s REAL,
            cause TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE approvals (
            id TEXT PRIMARY KEY,
            digest TEXT NOT NULL,
            status TEXT NOT NULL,
            request TEXT NOT NULL,
            sealed BLOB NOT NULL,
            expires_at_s REAL NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX approvals_by_digest ON approvals (digest, status)",
        "CREATE INDEX approvals_by_status ON approvals (status, id)",
        """
        CREATE TABLE budgets (
            key TEXT NOT NULL,
            bucket INTEGER NOT NULL,
            amount INTEGER NOT NULL,
            PRIMARY KEY (key, bucket)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE incidents (
            id TEXT PRIMARY KEY,
            incident TEXT NOT NULL,
            closed INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        *(
            f"ALTER TABLE sessions ADD COLUMN {column} TEXT NOT NULL DEFAULT ''"
            for column in ("issuer", "subject", "token_id")
        ),
        "CREATE INDEX sessions_by_owner ON sessions (owner, id)",
        "CREATE INDEX sessions_by_token ON sessions (token_id, id)",
        "CREATE INDEX sessions_by_trace ON sessions (trace, id)",
    ),
    (
        """
        CREATE TABLE outbox (
            id TEXT PRIMARY KEY,
            channel TEXT NOT NULL,
            due_at_s REAL NOT NULL,
            gathering INTEGER NOT NULL,
            outgoing TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX outbox_by_channel ON outbox (channel, due_at_s, id)",
    ),
    (
        """
        CREATE TABLE exemptions (
            lock TEXT NOT NULL,
            subject_kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            reason TEXT NOT NULL,
            by TEXT NOT NULL,
            begins_at_s REAL NOT NULL,
            ends_at_s REAL NOT NULL,
            PRIMARY KEY (lock, subject_kind, subject)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE tools (
            connection TEXT NOT NULL,
            tool TEXT NOT NULL,
            approved TEXT NOT NULL,
            approved_text BLOB NOT NULL,
            by TEXT NOT NULL,
            approved_at_s REAL NOT NULL,
            seen TEXT NOT NULL,
            seen_text BLOB NOT NULL,
            seen_at_s REAL NOT NULL,
            PRIMARY KEY (connection, tool)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE ssh_keys (
            fingerprint TEXT PRIMARY KEY,
            identity TEXT NOT NULL,
            algorithm TEXT NOT NULL,
            blob TEXT NOT NULL,
            comment TEXT NOT NULL,
            by TEXT NOT NULL,
            added_at_s REAL NOT NULL,
            expires_at_s REAL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX ssh_keys_by_identity ON ssh_keys (identity, added_at_s)",
    ),
    (
        "ALTER TABLE locks ADD COLUMN issued_before_s REAL",
        "ALTER TABLE sessions ADD COLUMN login TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE sessions ADD COLUMN ancestors TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX sessions_by_subject ON sessions (issuer || ' ' || subject)",
        "CREATE INDEX sessions_by_login ON sessions (issuer || ' ' || login) WHERE login <> ''",
    ),
    (
        """
        CREATE TABLE session_tokens (
            digest BLOB PRIMARY KEY,
            token BLOB NOT NULL,
            expires_at_s REAL NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX session_tokens_by_end ON session_tokens (expires_at_s)",
        """
        CREATE TABLE spent_tokens (
            issuer TEXT NOT NULL,
            token TEXT NOT NULL,
            expires_at_s REAL NOT NULL,
            PRIMARY KEY (issuer, token)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX spent_tokens_by_end ON spent_tokens (expires_at_s)",
    ),
    (
        """
        CREATE TABLE logins (
            id TEXT PRIMARY KEY,
            family BLOB NOT NULL UNIQUE,
            secret BLOB NOT NULL,
            spent BLOB NOT NULL,
            renewed_at_s REAL NOT NULL,
            issuer TEXT NOT NULL,
            subject TEXT NOT NULL,
            sid TEXT NOT NULL,
            name TEXT NOT NULL,
            ends_at_s REAL NOT NULL,
            login TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX logins_by_session ON logins (issuer, sid)",
        "CREATE INDEX logins_by_subject ON logins (issuer, subject)",
        "CREATE INDEX logins_by_name ON logins (name)",
        "CREATE INDEX logins_by_end ON logins (ends_at_s)",
    ),
    (
        "ALTER TABLE identities ADD COLUMN purpose TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE identities ADD COLUMN issuers TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE identities ADD COLUMN handover TEXT",
        "ALTER TABLE identities ADD COLUMN secret_made_at_s REAL",
    ),
    (
        """
        CREATE TABLE identities_seen (
            principal_kind TEXT NOT NULL,
            principal TEXT NOT NULL,
            owner TEXT NOT NULL,
            issuer TEXT NOT NULL,
            groups TEXT NOT NULL,
            first_at_s REAL NOT NULL,
            last_at_s REAL NOT NULL,
            sessions INTEGER NOT NULL,
            PRIMARY KEY (principal_kind, principal)
        ) STRICT, WITHOUT ROWID
        """,
        """
        INSERT INTO identities_seen
            SELECT principal_kind, principal, owner, issuer, '[]',
                (SELECT min(opened_at_s) FROM sessions AS first
                    WHERE first.principal = last.principal AND first.principal_kind = last.principal_kind),
                max(opened_at_s), count(*)
            FROM sessions AS last GROUP BY principal_kind, principal
        """,
        """
        CREATE TABLE identity_uses (
            principal_kind TEXT NOT NULL,
            principal TEXT NOT NULL,
            connection TEXT NOT NULL,
            action TEXT NOT NULL,
            last_at_s REAL NOT NULL,
            PRIMARY KEY (principal_kind, principal, connection, action)
        ) STRICT, WITHOUT ROWID
        """,
        """
        INSERT INTO identity_uses
            SELECT principal_kind, principal, connection, 'connect', max(opened_at_s)
            FROM sessions GROUP BY principal_kind, principal, connection
        """,
        """
        CREATE TABLE attestations (
            identity TEXT PRIMARY KEY,
            by TEXT NOT NULL,
            at_s REAL NOT NULL,
            note TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE received_events (
            issuer TEXT NOT NULL,
            event TEXT NOT NULL,
            until_s REAL NOT NULL,
            PRIMARY KEY (issuer, event)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX received_events_by_end ON received_events (until_s)",
    ),
    (
        """
        CREATE TABLE session_actors (
            id TEXT NOT NULL,
            place INTEGER NOT NULL,
            principal_kind TEXT NOT NULL,
            principal TEXT NOT NULL,
            owner TEXT NOT NULL,
            issuer TEXT NOT NULL,
            subject TEXT NOT NULL,
            token_id TEXT NOT NULL,
            login TEXT NOT NULL,
            ancestors TEXT NOT NULL,
            trace TEXT NOT NULL,
            PRIMARY KEY (id, place)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX session_actors_by_principal ON session_actors (principal, id)",
        "CREATE INDEX session_actors_by_owner ON session_actors (owner, id)",
        "CREATE INDEX session_actors_by_token ON session_actors (token_id, id)",
        "CREATE INDEX session_actors_by_trace ON session_actors (trace, id)",
        "CREATE INDEX session_actors_by_subject ON session_actors (issuer || ' ' || subject)",
        "CREATE INDEX session_actors_by_login ON session_actors (issuer || ' ' || login) WHERE login <> ''",
    ),
)
