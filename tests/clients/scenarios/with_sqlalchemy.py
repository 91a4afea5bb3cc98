"""SQLAlchemy on psycopg, psycopg2 and asyncpg: start-up, reflection, ORM round trip, streaming."""

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from tests.clients.scenarios.with_asyncpg import arguments as asyncpg_arguments
from tests.clients.scratch import Scenario, fresh_schema
from tests.servers.endpoint import Endpoint

_SYNCHRONOUS_DRIVERS = ("psycopg", "psycopg2")


class Base(DeclarativeBase):
    metadata = sa.MetaData(schema="scratch")


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40), unique=True)
    facts: Mapped[dict[str, Any]] = mapped_column(postgresql.JSONB)
    books: Mapped[list["Book"]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("scratch.authors.id"))
    author: Mapped[Author] = relationship(back_populates="books")


def round_trip(bind: sa.Connection) -> object:
    """Make tables, write objects, read them back, violate a constraint, change and remove."""
    Base.metadata.create_all(bind)
    with Session(bind, join_transaction_mode="create_savepoint") as session:
        session.add_all(
            Author(name=f"author {n}", facts={"n": n}, books=[Book(title=f"book {n}.{m}") for m in range(3)])
            for n in range(40)
        )
        session.commit()
        authors = session.scalars(sa.select(Author).options(selectinload(Author.books)).order_by(Author.id)).all()
        read = [(a.id, a.name, a.facts, [(b.id, b.title) for b in a.books]) for a in authors]
        authors[0].name = "renamed"
        session.delete(authors[1])
        session.commit()
        counted = session.execute(sa.select(sa.func.count(), sa.func.max(Author.name)).select_from(Author)).one()
        failed = _unique_violation(session)
        session.rollback()
        updated = session.execute(sa.update(Book).where(Book.id < 10).values(title="x").returning(Book.id)).all()
    Base.metadata.drop_all(bind)
    return read, tuple(counted), failed, [tuple(row) for row in updated]


def _unique_violation(session: Session) -> str:
    session.add(Author(name="renamed", facts={}))
    try:
        session.flush()
    except sa.exc.IntegrityError as error:
        return str(error.orig).splitlines()[0]
    return ""


def reflect(bind: sa.Connection) -> object:
    """Everything the inspector can tell of a schema, and a table made from it."""
    warnings.filterwarnings("ignore", "Did not recognize type 'scratch.place'", sa.exc.SAWarning)
    inspector = sa.inspect(bind)
    found: list[object] = [inspector.get_schema_names(), inspector.get_view_names("scratch")]
    for table in sorted(inspector.get_table_names("scratch")):
        found += [
            table,
            [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(table, "scratch")],
            inspector.get_pk_constraint(table, "scratch"),
            inspector.get_foreign_keys(table, "scratch"),
            inspector.get_unique_constraints(table, "scratch"),
            inspector.get_indexes(table, "scratch"),
        ]
    parts = sa.Table("parts", sa.MetaData(), schema="scratch", autoload_with=bind)
    found.append([tuple(row) for row in bind.execute(sa.select(parts).order_by(parts.c.id))])
    return found


def stream(bind: sa.Connection) -> object:
    """A server-side cursor where the driver has one."""
    query = sa.text("SELECT n, n::text FROM generate_series(1, 3000) n")
    rows = bind.execution_options(stream_results=True, yield_per=500).execute(query)
    return [len(partition) for partition in rows.partitions()]


USES: tuple[Callable[[sa.Connection], object], ...] = (round_trip, reflect, stream)


def _url(endpoint: Endpoint, driver: str) -> sa.URL:
    return sa.URL.create(
        f"postgresql+{driver}",
        endpoint.user,
        endpoint.password,
        endpoint.host,
        endpoint.port,
        endpoint.database,
    )


def _synchronous(driver: str, use: Callable[[sa.Connection], object]) -> Scenario:
    def scenario(endpoint: Endpoint) -> object:
        fresh_schema(endpoint)
        names = ("sslmode", "sslrootcert", "gssencmode")
        options = {name: value for name, value in endpoint.parameters().items() if name in names}
        engine = sa.create_engine(_url(endpoint, driver), connect_args=options, pool_pre_ping=True)
        try:
            with engine.connect() as warm_up:
                warm_up.execute(sa.text("SELECT 1"))
            with engine.begin() as connection:
                return use(connection)
        finally:
            engine.dispose()

    scenario.__name__ = f"{driver}_{use.__name__}"
    return scenario


def _asynchronous(use: Callable[[sa.Connection], object]) -> Scenario:
    async def with_engine(endpoint: Endpoint) -> object:
        options = {"ssl": asyncpg_arguments(endpoint)["ssl"]}
        engine = create_async_engine(_url(endpoint, "asyncpg"), connect_args=options, pool_pre_ping=True)
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(use)
        finally:
            await engine.dispose()

    def scenario(endpoint: Endpoint) -> object:
        fresh_schema(endpoint)
        return asyncio.run(with_engine(endpoint))

    scenario.__name__ = f"asyncpg_{use.__name__}"
    return scenario


SCENARIOS: tuple[Scenario, ...] = (
    *(_synchronous(driver, use) for driver in _SYNCHRONOUS_DRIVERS for use in USES),
    *(_asynchronous(use) for use in USES),
)
