"""The sample database with values that must never come out, in two versions that differ in nothing else.

What a client is told in one *world* must equal what it is told in the other: then it cannot depend on those values.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from tests.servers.postgres import PostgresServer

ROLE = "keeper"
EXTENSIONS = (
    "citext",
    "dblink",
    "fuzzystrmatch",
    "hstore",
    "intarray",
    "pageinspect",
    "pg_trgm",
    "pgcrypto",
    "pgrowlocks",
    "tablefunc",
    "tsm_system_rows",
    "unaccent",
    "xml2",
)
# Not those of the system, whose statistics would differ between the worlds.
_ANALYZED = "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p', 'm') AND oid >= 16384"
_SCHEMA = Path(__file__).with_name("sample.sql")
_STATE = _SCHEMA.with_name("state.sql")

MASKED = {
    "public.users.email",
    "public.users.ssn",
    "public.users.salary",
    "public.users.birth",
    "public.users.card",
    "public.users.token",
    "public.users.avatar",
    "public.users.profile",
    "public.users.aliases",
    "public.users.home",
    "public.users.score",
    "public.users.reach",
    "public.users.pin",
    "public.users.seen",
    "public.logins.email",
    "public.audit.old_row",
    "public.events.payload",
    "public.people.email",
    "vault.secrets.code",
    "public.Weird Table.E-Mail",
    "public.Weird Table.naïve ☕",
    "public.Weird Table.select",
    "Odd Schema.users.email",
}
"""The columns that policy tags. Everything derived from them is for the gateway to find."""


@dataclass(frozen=True)
class Person:
    """The secrets of one row of ``users``."""

    id: int
    email: str
    ssn: str
    salary: str
    birth: str
    card: str
    token: str
    avatar: str
    alias: str
    street: str
    score: int
    pin: int
    seen: str
    nickname: str

    def row(self) -> tuple[object, ...]:
        profile = json.dumps({"nick": self.nickname, "contact": {"email": self.email}, "pins": [self.pin]})
        return (
            *(self.email, self.ssn, self.salary, self.birth, self.card, self.token, bytes.fromhex(self.avatar)),
            *(profile, [self.alias], self.street, f"[{self.score},{self.score + 3})", self.email),
            *(self.pin, self.seen),
        )


@dataclass(frozen=True)
class World:
    """One version of the secrets. ``words`` are the single secrets of the other tables, by where they are.

    ``schema`` is the empty database that it is made from.
    """

    database: str
    people: Sequence[Person]
    words: dict[str, str]
    schema: str = "sample_schema"

    def markers(self) -> dict[str, str]:
        """Every planted value and the name of its place: ``email 1``, ``payload``."""
        found = dict(self.words)
        for person in self.people:
            texts = ("email", "ssn", "birth", "card", "token", "avatar", "alias", "street", "nickname")
            found |= {f"{name} {person.id}": str(getattr(person, name)) for name in texts}
            found[f"salary {person.id}"] = person.salary.removesuffix(".00")
            found |= {f"{name} {person.id}": str(getattr(person, name)) for name in ("score", "pin")}
            found[f"seen {person.id}"] = person.seen.removesuffix("+00")
        return found


_PUBLIC = (
    (1, "Ada Lovelace", "London", True, "happy"),
    (2, "Grace Hopper", "New York", True, "ok"),
    (3, "Alan Turing", "London", False, "sad"),
    (4, "Edsger Dijkstra", "Austin", True, "ok"),
)

_A = (
    Person(1, "zora.quill@mailhaven.test", "811-42-7093", "731846.00", "1971-08-23", "4539148803436467",
           "5b1cf0a2-7d3e-4c86-9a41-e8d27730b6c5", "c0ffee5ab1e7d00d9173", "quillfeather", "17 Vexley Row",
           7310421, 907351, "2025-11-03 04:17:39+00", "zoraquix"),
    Person(2, "bram.oxley@mailhaven.test", "462-90-3158", "284517.00", "1983-02-14", "4716059297841302",
           "91e4d7c3-08ab-4f52-b6d9-3a5c1f70e284", "deadfa11b0a710ad6627", "oxbowlad", "402 Murrow Lane",
           2845193, 418826, "2025-09-21 19:48:02+00", "bramblox"),
    Person(3, "ilka.venn@posthollow.test", "739-15-8264", "905362.00", "1966-12-05", "4024007153829046",
           "3fd80b9e-c215-4e67-a8f3-60b7d94c12ae", "facade0ddba11c0de438", "vennilka", "9 Harrowgate Mews",
           9053627, 563974, "2025-07-30 11:05:56+00", "ilkavexa"),
    Person(4, "tovi.marchetti@posthollow.test", "580-27-6491", "417093.00", "1992-05-27", "4556737586899855",
           "c7a25e18-46f9-4d03-8b7e-f1932da0654b", "5eedba5eba11ca11f00d", "marchhare", "88 Quince Terrace",
           4170938, 729405, "2025-12-12 23:31:14+00", "tovimarx"),
)  # fmt: skip
_B = (
    Person(1, "ward.ulm@mailhaven.test", "226-71-7093", "562978.00", "1958-03-11", "4485295718206467",
           "e80d4b67-1fa9-4283-bc50-47d91e63fa28", "ba5eba11f01dab1e2856", "ulmward", "5 Tansy Court",
           5629784, 335692, "2025-02-17 08:52:21+00", "wardulmo"),
    Person(2, "yves.kettering@mailhaven.test", "918-33-3158", "843206.00", "1999-10-30", "4532867190451302",
           "06b9f3d1-a7e4-4c38-92f5-d80c6b21e47f", "a11ab0a7dea1ed1e9d52", "kettlepot", "61 Sorrel Wharf",
           8432061, 671230, "2025-05-06 13:24:45+00", "yveskett"),
    Person(3, "nell.osgood@posthollow.test", "354-86-8264", "139485.00", "1974-01-19", "4916338506199046",
           "b24f7e90-53d8-4a16-87cb-1ec5a093d7f6", "5ca1ab1ec0a1e5ce7a90", "goodnell", "230 Bracken Hill",
           1394856, 184507, "2025-10-28 02:39:33+00", "nellosgo"),
    Person(4, "pia.dunmore@posthollow.test", "607-94-6491", "675319.00", "1987-07-08", "4539578763629855",
           "7a13c5f8-e06b-4d92-a1b4-92fd68c70e35", "ab5ce55ed1a1b0de3c41", "dunmorepia", "14 Fennel Dock",
           6753190, 852147, "2025-03-25 16:07:50+00", "piadunmo"),
)  # fmt: skip

_PLACES = (
    "payload 2025",
    "payload 2026",
    "people",
    "contractor",
    "agent",
    "code",
    "weird mail",
    "weird coffee",
    "weird select",
    "odd",
)
_WORDS_A = (
    *(
        "cobaltwren",
        "gildedstoat",
        "mira@peoplebox.test",
        "joss@agencybox.test",
        "kim@agentbox.test",
        "vault-tangerine",
    ),
    *("rex@weirdbox.test", "mochaswirl", "pluckedstring", "una@oddbox.test"),
)
_WORDS_B = (
    *("amberlynx", "ruddyotter", "theo@peoplebox.test", "fern@agencybox.test", "lou@agentbox.test", "vault-persimmon"),
    *("max@weirdbox.test", "lattefoams", "bowedcellos", "kit@oddbox.test"),
)

WORLD_A = World("world_a", _A, dict(zip(_PLACES, _WORDS_A, strict=True)))
WORLD_B = World("world_b", _B, dict(zip(_PLACES, _WORDS_B, strict=True)))
HOSTILE_A = replace(WORLD_A, database="hostile_a", schema="hostile_schema")
HOSTILE_B = replace(WORLD_B, database="hostile_b", schema="hostile_schema")
ALL_WORLDS = (WORLD_A, WORLD_B, HOSTILE_A, HOSTILE_B)


def template_of(world: World) -> str:
    return f"{world.database}_template"


def build(server: PostgresServer, world: World) -> None:
    """Make the world's database and the template that ``restore`` makes it from again."""
    template = template_of(world)
    server.execute(f"CREATE DATABASE {template} TEMPLATE {world.schema} OWNER {ROLE}")
    with psycopg.connect(**server.endpoint(database=template).parameters(), autocommit=True) as connection:
        connection.execute("SET search_path = public")
        with connection.transaction():
            _fill(connection, world)
        for (name,) in connection.execute(_ANALYZED).fetchall():
            connection.execute(f"VACUUM ANALYZE {name}".encode())
    restore(server, world)


def build_schemas(server: PostgresServer) -> None:
    """The empty databases that worlds are made from, so that the objects of both have the same oids."""
    server.execute(f"CREATE ROLE {ROLE} SUPERUSER LOGIN PASSWORD '{ROLE}'")
    server.execute("CREATE ROLE clerk")
    server.execute(f"GRANT clerk TO {ROLE}")
    server.execute(f"CREATE DATABASE sample_schema OWNER {ROLE}")
    available = {name for (name,) in server.execute("SELECT name FROM pg_available_extensions")}
    with psycopg.connect(**server.endpoint(database="sample_schema").parameters(), autocommit=True) as connection:
        connection.execute(f"SET ROLE {ROLE}".encode())
        for extension in EXTENSIONS:
            if extension in available:
                connection.execute(f"CREATE EXTENSION {extension}".encode())
        connection.execute(_SCHEMA.read_bytes())
        connection.execute("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO clerk")
    server.execute(f"CREATE DATABASE hostile_schema TEMPLATE sample_schema OWNER {ROLE}")
    with psycopg.connect(**server.endpoint(database="hostile_schema").parameters(), autocommit=True) as connection:
        connection.execute(f"SET ROLE {ROLE}".encode())
        connection.execute(_SCHEMA.with_name("hostile.sql").read_bytes())


def restore(server: PostgresServer, world: World) -> None:
    """Put the world's database, and the gateway's role, back to how they were built. Sessions in it are ended."""
    server.execute(f"ALTER ROLE {ROLE} RESET ALL")
    server.execute(f"DROP DATABASE IF EXISTS {world.database} WITH (FORCE)")
    server.execute(f"CREATE DATABASE {world.database} TEMPLATE {template_of(world)} OWNER {ROLE}")


def state(server: PostgresServer, world: World) -> str:
    """A value that is another one when the world has changed."""
    try:
        ((found,),) = server.execute(_STATE.read_text(encoding="utf-8"), database=world.database)
    except psycopg.Error:
        return "a table is missing"
    return str(found)


def _fill(connection: psycopg.Connection[tuple[object, ...]], world: World) -> None:
    cursor = connection.cursor()
    cursor.executemany(
        "INSERT INTO users (id, name, city, active, mood, email, ssn, salary, birth, card, token, avatar, profile,"
        " aliases, home, score, reach, pin, seen) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
        " ROW(%s, '12345')::place, %s, %s, %s, %s)",
        [public + person.row() for public, person in zip(_PUBLIC, world.people, strict=True)],
    )
    cursor.execute("SELECT setval('users_id_seq', 100)")
    cursor.executemany(
        "INSERT INTO logins (id, email, at) VALUES (%s, %s, '2026-01-02 03:04:05+00')",
        [(number, world.people[number % 3].email) for number in range(1, 7)],
    )
    cursor.execute("UPDATE users SET city = city WHERE id = 4")
    cursor.execute(
        "INSERT INTO orders (user_id, total, status, items, note) SELECT 1 + n % 4, n * 1.25,"
        " (ARRAY['new', 'open', 'paid'])[1 + n % 3],"
        " jsonb_build_array(jsonb_build_object('sku', 'sku' || n, 'count', n)),"
        " CASE WHEN n % 5 = 0 THEN NULL ELSE 'order ' || n END FROM generate_series(1, 40) n"
    )
    cursor.execute(
        "INSERT INTO products (name, price, tags, details, picture)"
        " SELECT 'product ' || n, n * 0.75, ARRAY['t' || n % 3, 'x'],"
        " jsonb_build_object('weight', n, 'colour', (ARRAY['red', 'blue'])[1 + n % 2]), decode('0aff', 'hex')"
        " FROM generate_series(1, 12) n"
    )
    words = world.words
    cursor.execute(
        "INSERT INTO events VALUES (1, 1, 'click', %s, '2025-05-01'), (2, 2, 'view', %s, '2026-05-01')",
        [words["payload 2025"], words["payload 2026"]],
    )
    cursor.execute("INSERT INTO people VALUES (1, 'Mira', %s)", [words["people"]])
    cursor.execute("INSERT INTO contractors VALUES (2, 'Joss', %s, 'Temps')", [words["contractor"]])
    cursor.execute("INSERT INTO hr.users VALUES (1, 'Office', 'office@public.test'), (2, 'Desk', 'desk@public.test')")
    cursor.execute("INSERT INTO vault.secrets VALUES (1, 'the fruit', %s)", [words["code"]])
    weird = [words["weird mail"], words["weird coffee"], words["weird select"]]
    cursor.execute('INSERT INTO "Weird Table" VALUES (1, %s, %s, %s)', weird)
    cursor.execute('INSERT INTO "Odd Schema".users VALUES (1, %s)', [words["odd"]])
    cursor.execute("INSERT INTO agents VALUES (3, 'Kim', %s, 'Temps', 'k')", [words["agent"]])
    cursor.execute("REFRESH MATERIALIZED VIEW mv_contacts")
    cursor.execute("REFRESH MATERIALIZED VIEW mv_called")
    cursor.execute("REFRESH MATERIALIZED VIEW mv_cities")
