"""What the settings of connections say of their resources: the tags of connections, endpoints and fields.

A field that is declared without a tag is among them, too: then it is one of those that are asked about.
"""

from collections.abc import Iterator, Mapping, Sequence

from interlock.core.settings import ConnectionSettings
from interlock.services.policy.resources import escape
from interlock.services.policy.sources import Tags


def connection_tags(connections: Mapping[str, ConnectionSettings]) -> Tags:
    """The tags by pattern, for ``TagRules``."""
    return {pattern: tags for name, settings in connections.items() for pattern, tags in _given(escape(name), settings)}


def _given(connection: str, settings: ConnectionSettings) -> Iterator[tuple[str, Sequence[str]]]:
    if settings.tags:
        yield f"Connection::{connection}", settings.tags
    for name, endpoint in settings.http.endpoints.items():
        if endpoint.tags:
            yield f"Endpoint::{connection}/{escape(name)}", endpoint.tags
    for selector, tags in settings.http.fields.items():
        yield f"Field::{connection}/{escape(selector)}", tags
