"""The Django ORM: schema editor, round trip, iterator() with its server-side cursor, introspection."""

import contextlib
from collections.abc import Iterator
from typing import Any

import django
from django.conf import settings
from django.core.management.color import no_style
from django.db import IntegrityError, connections, models, transaction

from tests.clients.scratch import Scenario
from tests.servers.endpoint import Endpoint

_ALIAS = "target"

if not settings.configured:
    settings.configure(DATABASES={}, INSTALLED_APPS=["tests.clients.bookshop"], USE_TZ=True, TIME_ZONE="UTC")
    django.setup()


from tests.clients.bookshop.models import Author, Book  # noqa: E402 - models need Django to be set up

_MODELS = (Author, Book)


@contextlib.contextmanager
def database(endpoint: Endpoint) -> Iterator[Any]:
    """Point Django's alias at the endpoint, with the models' tables present."""
    options = {name: value for name, value in endpoint.parameters().items() if name in ("sslmode", "sslrootcert")}
    connections.settings[_ALIAS] = connections.configure_settings(
        {
            "default": {},
            _ALIAS: {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": endpoint.host,
                "PORT": endpoint.port,
                "USER": endpoint.user,
                "PASSWORD": endpoint.password,
                "NAME": endpoint.database,
                "OPTIONS": options,
            },
        }
    )[_ALIAS]
    connection = connections[_ALIAS]
    try:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS bookshop_book, bookshop_author")
        with connection.schema_editor() as editor:
            for model in _MODELS:
                editor.create_model(model)
        yield connection
        with connection.schema_editor() as editor:
            for model in reversed(_MODELS):
                editor.delete_model(model)
    finally:
        connection.close()
        del connections[_ALIAS]
        del connections.settings[_ALIAS]


def _write() -> None:
    for n in range(30):
        author = Author.objects.using(_ALIAS).create(name=f"author {n}", facts={"n": n, "text": "ü'%s"})
        Book.objects.using(_ALIAS).bulk_create(
            Book(title=f"book {n}.{m}", price=n + m / 4, author=author) for m in range(3)
        )


def _titles(author: Author) -> list[str]:
    return sorted(book.title for book in author.books.all())


def round_trip(endpoint: Endpoint) -> object:
    with database(endpoint):
        _write()
        authors = Author.objects.using(_ALIAS)
        books = Book.objects.using(_ALIAS)
        found: list[object] = [
            [
                (a.name, a.facts, sorted(b.title for b in a.books.all()))
                for a in authors.prefetch_related("books").order_by("id")
            ],
            list(books.filter(author__facts__n__gt=25).values_list("title", "price").order_by("id")),
            books.aggregate(total=models.Sum("price"), mean=models.Avg("price")),
            books.filter(price__lt=3).update(price=models.F("price") + 1),
            authors.filter(name__contains="1").delete(),
            authors.get_or_create(name="new", defaults={"facts": {}})[1],
        ]
        try:
            with transaction.atomic(using=_ALIAS):
                authors.create(name="new")
        except IntegrityError as error:
            found.append(str(error))
        with transaction.atomic(using=_ALIAS):
            found.append(authors.select_for_update().get(name="new").name)
            with transaction.atomic(using=_ALIAS):
                authors.all().delete()
                transaction.set_rollback(True, using=_ALIAS)
        found.append(authors.count())
        return found


def iterates(endpoint: Endpoint) -> object:
    """iterator() declares a cursor WITH HOLD outside a transaction, and one without it inside."""
    with database(endpoint):
        _write()
        books = Book.objects.using(_ALIAS).order_by("id")
        outside = [book.title for book in books.iterator(chunk_size=7)]
        with transaction.atomic(using=_ALIAS):
            return outside, [book.title for book in books.iterator(chunk_size=50)]


def introspects(endpoint: Endpoint) -> object:
    with database(endpoint) as connection, connection.cursor() as cursor:
        introspection = connection.introspection
        found: list[object] = [sorted(introspection.table_names(cursor, include_views=True))]
        for table in ("bookshop_author", "bookshop_book", "customers"):
            found += [
                [tuple(column) for column in introspection.get_table_description(cursor, table)],
                introspection.get_relations(cursor, table),
                introspection.get_constraints(cursor, table),
                introspection.get_sequences(cursor, table),
            ]
        return found


def resets_sequences_and_explains(endpoint: Endpoint) -> object:
    with database(endpoint) as connection:
        _write()
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), _MODELS):
                cursor.execute(statement)
        plan = Book.objects.using(_ALIAS).filter(id=1).explain(costs=False)
        raw = Book.objects.using(_ALIAS).raw("SELECT * FROM bookshop_book WHERE id = %s", [1])
        return plan, [book.title for book in raw]


SCENARIOS: tuple[Scenario, ...] = (round_trip, iterates, introspects, resets_sequences_and_explains)
