"""What requests over HTTP mean: bodies of every type that is read, and GraphQL in every form.

The first byte chooses the type, the second whether it is GraphQL. A request is never an error, its facts are what
policy can be given, and reading it again gives the same.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["interlock.protocols.http.dialects"]):
    import msgspec

    from interlock.core.settings.http import EndpointSettings, HttpTarget
    from interlock.protocols.http.dialects.base import Dialect
    from interlock.protocols.http.dialects.graphql import GraphqlDialect
    from interlock.protocols.http.dialects.plain import PlainDialect
    from tests.protocols.http.dialects.requests import request

from tests.fuzz.target import run

TARGET = HttpTarget(endpoints={"volume": EndpointSettings(path="/volumes/{id}")})
DIALECTS: tuple[Dialect, ...] = (PlainDialect(TARGET), GraphqlDialect(TARGET))
TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "application/graphql",
    "text/plain",
)
CODINGS = ((), ((b"content-encoding", b"gzip"),))


def test_one_input(data: bytes) -> None:
    kind, choice, body = (data[0], data[1], data[2:]) if len(data) > 1 else (0, 0, data)
    asked = request(
        "POST",
        "/graphql" if choice & 1 else "/volumes/1",
        content_type=TYPES[kind % len(TYPES)],
        body=body,
        headers=CODINGS[choice >> 1 & 1],
    )
    dialect = DIALECTS[choice & 1]
    meaning, again = dialect.read(asked, None).meaning, dialect.read(asked, None).meaning
    assert meaning.accesses
    encoded = msgspec.json.encode(meaning.facts)
    assert encoded == msgspec.json.encode(again.facts)
    assert len(encoded) < 4 << 20


if __name__ == "__main__":
    run("http_meaning", test_one_input)
