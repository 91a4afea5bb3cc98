"""A Django process that connects and looks at the database, as ``inspectdb`` does. Takes libpq's environment."""

import os

import django
from django.conf import settings
from django.db import connection

DATABASE = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": os.environ["PGDATABASE"],
    "USER": os.environ["PGUSER"],
    "PASSWORD": os.environ["PGPASSWORD"],
    "HOST": os.environ["PGHOST"],
    "PORT": os.environ["PGPORT"],
    "TIME_ZONE": "Europe/Berlin",
}


def main() -> None:
    """Connect, inspect, check the connection."""
    settings.configure(DATABASES={"default": DATABASE}, USE_TZ=True)
    django.setup()
    with connection.cursor() as cursor:
        introspection = connection.introspection
        for name in introspection.table_names(cursor, include_views=True):
            introspection.get_constraints(cursor, name)
            introspection.get_sequences(cursor, name)
            introspection.get_relations(cursor, name)
    assert connection.is_usable()
    connection.close()


if __name__ == "__main__":
    main()
