"""The tools of the gateway's own MCP server: what agents read about them, their arguments, and what they do."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from interlock.core.approval import ApprovalRequest, ApprovalStatus
from interlock.core.errors import NotFound
from interlock.core.identity import Principal
from interlock.services.self_service.knowledge import Knowledge
from interlock.services.self_service.queries import HeldNotice, Queries, QueryResult, Statement

MAX_WAIT_S: Final = 50.0

Name = Annotated[str, Meta(min_length=1, max_length=128)]


class Caller(msgspec.Struct, frozen=True):
    """Who calls. ``run`` says whose run it is. ``repr`` leaves the token out."""

    principal: Principal
    token: str
    run: str = ""

    def __repr__(self) -> str:
        return f"Caller(principal={self.principal.name!r})"


class ListConnections(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """List the connections of the access gateway that you may use, and what is spoken on each."""


class WhatMayIDo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask what you may do on a connection, before you try. Nothing is executed."""

    connection: Annotated[str, Meta(max_length=128, description="The connection's name.")]
    request: Annotated[
        str,
        Meta(
            max_length=100_000,
            description="An SQL statement, an HTTP request like 'GET /path' or a command like '$ ls /srv'.",
        ),
    ] = ""


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Run one SQL statement on a PostgreSQL connection and get its rows.

    What you may not see is masked. When a person has to approve the statement, you get the id of the request at once:
    call wait_for_approval with it.
    """

    connection: Annotated[str, Meta(max_length=128, description="The connection's name.")]
    sql: Annotated[str, Meta(min_length=1, max_length=100_000, description="One statement.")]
    database: Annotated[str, Meta(max_length=128, description="Its database; the usual one when absent.")] = ""
    max_rows: Annotated[int, Meta(ge=1, le=1000, description="At most so many rows.")] = 100


class WaitForApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wait for people to answer a request for approval of yours, and get the rows of a query that waited for it."""

    approval: Annotated[str, Meta(min_length=1, max_length=64, description="The id of the request.")]
    wait_s: Annotated[float, Meta(ge=0, le=MAX_WAIT_S, description="At most so many seconds.")] = 3.0


class Said(msgspec.Struct, frozen=True):
    """The answer of a tool. ``failed``: what was asked for was not done."""

    text: str
    failed: bool = False


ToolArguments = ListConnections | WhatMayIDo | Query | WaitForApproval
TOOLS: Final[Mapping[str, type[ToolArguments]]] = {
    "list_connections": ListConnections,
    "what_may_i_do": WhatMayIDo,
    "query": Query,
    "wait_for_approval": WaitForApproval,
}

WaitForAnswer = Callable[[str, float], Awaitable[ApprovalRequest | None]]
"""A request for approval, once it is answered or the time is over; None when there is none."""


class ToolDesk:
    """Carries the tools out. Raises ``InterlockError`` with a text for the caller."""

    def __init__(self, knowledge: Knowledge, queries: Queries, wait_for_answer: WaitForAnswer) -> None:
        self._knowledge = knowledge
        self._queries = queries
        self._wait_for_answer = wait_for_answer

    async def call(self, caller: Caller, arguments: ToolArguments) -> Said:
        """Do what a tool is for."""
        match arguments:
            case ListConnections():
                return _said(self._knowledge.connections(caller.principal))
            case WhatMayIDo(connection, ""):
                return _said(self._knowledge.permissions(caller.principal, connection))
            case WhatMayIDo(connection, request):
                return _said(await self._knowledge.judgement(caller.principal, connection, request))
            case Query():
                return await self._query(caller, arguments)
            case WaitForApproval(approval, wait_s):
                return await self._wait(caller, approval, wait_s)

    async def _query(self, caller: Caller, asked: Query) -> Said:
        statement = Statement(caller.token, asked.connection, asked.database, asked.sql, asked.max_rows, caller.run)
        result = await self._queries.run(caller.principal, statement)
        if isinstance(result, HeldNotice):
            return Said(f"Not executed yet: {result.text} Call wait_for_approval with {result.approval}.", failed=True)
        return _rows(result)

    async def _wait(self, caller: Caller, approval: str, wait_s: float) -> Said:
        request = await self._wait_for_answer(approval, 0)
        if request is None or not self._knowledge.is_own(caller.principal, request):
            raise NotFound(f"there is no request {approval!r} of yours")
        if request.status is ApprovalStatus.PENDING:
            request = await self._wait_for_answer(approval, wait_s) or request
        if request.status is ApprovalStatus.PENDING:
            return Said(f"Request {approval} is not answered yet: call wait_for_approval again.", failed=True)
        result = await self._queries.result(caller.principal, approval, wait_s)
        return _rows(result) if result is not None else Said(_status(request))


def definitions() -> list[dict[str, Any]]:
    """The tools as ``tools/list`` has them."""
    return [
        {"name": name, "description": _prose(kind), "inputSchema": _schema(kind), "annotations": _HINTS[name]}
        for name, kind in TOOLS.items()
    ]


_HINTS: Final[Mapping[str, Mapping[str, bool]]] = {
    "list_connections": {"readOnlyHint": True},
    "what_may_i_do": {"readOnlyHint": True},
    "query": {"readOnlyHint": False, "destructiveHint": True},
    "wait_for_approval": {"readOnlyHint": True},
}


def _prose(kind: type[ToolArguments]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _schema(kind: type[ToolArguments]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components((kind,), ref_template="#/$defs/{name}")
    schema = dict(components[kind.__name__])
    del schema["title"]
    return {name: value for name, value in schema.items() if name != "description"}


def _said(answer: object) -> Said:
    return Said(msgspec.json.format(msgspec.json.encode(answer), indent=1).decode())


def _rows(result: QueryResult) -> Said:
    return _said(result)


def _status(request: ApprovalRequest) -> str:
    reason = f": {request.settled_reason}" if request.settled_reason else ""
    status = f"Request {request.id} is {request.status.value}{reason}."
    if request.status is ApprovalStatus.APPROVED:
        return f"{status} Send the same request again, unchanged."
    return status
