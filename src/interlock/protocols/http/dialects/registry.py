"""The API languages that the gateway reads, by the word that a connection's settings have for each."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from interlock.core.settings.http import HttpApi, HttpTarget
from interlock.protocols.http.dialects.base import Dialect
from interlock.protocols.http.dialects.mcp import McpDialect
from interlock.protocols.http.dialects.openai import OpenAiDialect
from interlock.protocols.http.dialects.plain import PlainDialect


def _graphql(target: HttpTarget) -> Dialect:
    from interlock.protocols.http.dialects.graphql import GraphqlDialect  # its grammar takes long to load

    return GraphqlDialect(target)


DIALECTS: Mapping[HttpApi, Callable[[HttpTarget], Dialect]] = MappingProxyType(
    {HttpApi.HTTP: PlainDialect, HttpApi.GRAPHQL: _graphql, HttpApi.OPENAI: OpenAiDialect, HttpApi.MCP: McpDialect}
)


def new_dialect(target: HttpTarget) -> Dialect:
    """The dialect of one connection, for all of its clients.

    Raises ``ValueError`` with what is wrong in the connection's settings.
    """
    return DIALECTS[target.api](target)
