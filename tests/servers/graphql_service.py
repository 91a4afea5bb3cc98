"""A GraphQL API as it stands behind the gateway, executed by the reference implementation.

It takes what many servers take: POST as JSON, alone or in a batch, as ``application/graphql`` or a form, and GET, by
which it executes mutations too.
"""

import json
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLField,
    GraphQLID,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
    graphql_sync,
)

EMAIL = "ada@example.com"


class GraphqlService:
    """``answer`` is the handler of its path. ``deleted`` are the volumes that were deleted, in order."""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        user = GraphQLObjectType("User", {"id": GraphQLField(GraphQLID), "email": GraphQLField(GraphQLString)})
        volume_id = {"id": GraphQLArgument(GraphQLNonNull(GraphQLID))}
        query = GraphQLObjectType(
            "Query",
            {
                "user": GraphQLField(user, resolve=lambda *_: {"id": "7", "email": EMAIL}),
                "users": GraphQLField(GraphQLList(user), resolve=lambda *_: [{"id": "7", "email": EMAIL}]),
            },
        )
        mutation = GraphQLObjectType(
            "Mutation", {"volumeDelete": GraphQLField(GraphQLBoolean, volume_id, resolve=self._delete)}
        )
        self.schema = GraphQLSchema(query, mutation)

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        asked = self._asked(request, body)
        if isinstance(asked, list):
            return web.json_response([self.execute(one) for one in asked])
        return web.json_response(self.execute(asked))

    def _asked(self, request: web.Request, body: bytes) -> Any:
        if request.method == "GET":
            return dict(request.query)
        if request.content_type == "application/graphql":
            return {"query": body.decode()}
        if request.content_type == "application/x-www-form-urlencoded":
            return dict(parse_qsl(body.decode()))
        return json.loads(body)

    def execute(self, asked: dict[str, Any]) -> Any:
        """What one request is answered."""
        variables = asked.get("variables")
        if isinstance(variables, str):
            variables = json.loads(variables)
        name = asked.get("operationName")
        return graphql_sync(self.schema, asked["query"], variable_values=variables, operation_name=name).formatted

    def _delete(self, *_: object, id: str) -> bool:  # noqa: A002 - the argument's name
        self.deleted.append(id)
        return True
