"""What an identity may know about itself: its connections, what policy says to it, and its own requests for approval.

It is told nothing about others, and nothing about connections that it may not use: not even that they are there.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from interlock.core.approval import ApprovalRequest
from interlock.core.errors import ConfigurationError, NotFound
from interlock.core.identity import Principal
from interlock.core.operation import Access, Meaning, ResourceKind
from interlock.core.settings import ConnectionSettings, HttpApi
from interlock.services.approvals.terms import asker_of
from interlock.services.policy.delegated import AnyPolicy
from interlock.services.policy.interpreter import Interpreter
from interlock.services.policy.session import Outcome
from interlock.services.policy.store import PolicyStore
from interlock.services.policy.viewpoint import ClientFacts
from interlock.services.ports import Clock, LocksInForce
from interlock.services.state import ConnectionStore

WORDS: Final[Mapping[Outcome, str]] = {Outcome.ALLOW: "allowed", Outcome.HOLD: "needs approval", Outcome.DENY: "denied"}

_CONNECT: Final = Meaning("CONNECT", ())
_ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "postgres": ("select", "insert", "update", "delete", "truncate", "create", "alter", "drop", "call", "copy-out"),
    HttpApi.HTTP.value: ("http-get", "http-post", "http-put", "http-patch", "http-delete", "http-websocket"),
    HttpApi.GRAPHQL.value: ("graphql-query", "graphql-mutation", "graphql-subscription"),
    HttpApi.OPENAI.value: ("model-call", "model-tool"),
    HttpApi.MCP.value: ("mcp-list", "mcp-read", "mcp-call"),
    "ssh": (
        *("ssh-read", "ssh-write", "ssh-destructive", "ssh-network", "ssh-privilege", "ssh-persistence", "ssh-opaque"),
        *("file-list", "file-read", "file-write", "file-remove"),
        *("shell", "forward"),
    ),
}
"""What is asked about a connection as a whole, by what is spoken on it."""


def speaks_of(settings: ConnectionSettings) -> str:
    """What is spoken on a connection: its protocol or, over HTTP, what its API is."""
    return settings.http.api.value if settings.protocol == "http" else settings.protocol


def actions_asked(settings: ConnectionSettings) -> tuple[str, ...]:
    """What can be asked about a connection as a whole."""
    return _ACTIONS.get(speaks_of(settings), ())


class UsableConnection(msgspec.Struct, frozen=True):
    """A connection that the identity may use. ``speaks`` is the ``protocol`` or, over HTTP, what its API is.

    Of a host there are no databases, but ``logins``.
    """

    name: str
    speaks: str
    connecting: str
    databases: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()
    protocol: str = ""


class Permission(msgspec.Struct, frozen=True, omit_defaults=True):
    """What policy says about one thing: ``what`` is an action, or an action on a resource."""

    what: str
    answer: str
    why: str = ""


class Knowledge:
    """Answers one identity at a time; the answers are those of this moment, and are no decisions."""

    def __init__(
        self,
        connections: ConnectionStore,
        policies: PolicyStore,
        locks: LocksInForce,
        interpreter: Interpreter,
        clock: Clock,
    ) -> None:
        self._connections = connections
        self._policies = policies
        self._locks = locks
        self._interpreter = interpreter
        self._clock = clock

    def connections(self, who: Principal) -> tuple[UsableConnection, ...]:
        """Those that the identity may use, if need be with an approval. Raises ``StateUnavailable``."""
        found = (self._usable(who, name, settings) for name, settings in self._connections.all().items())
        return tuple(one for one in found if one is not None)

    def usable(self, who: Principal, connection: str) -> UsableConnection:
        """One of them. Raises ``NotFound`` for one that the identity may not use, ``StateUnavailable``."""
        settings = self._connections.find(connection)
        usable = self._usable(who, connection, settings) if settings is not None else None
        if usable is None:
            raise NotFound(f"there is no connection {connection!r} that you may use: ask for list_connections")
        return usable

    def permissions(self, who: Principal, connection: str) -> tuple[Permission, ...]:
        """What may be done on a connection as a whole; rules about parts of it may say otherwise.

        Raises ``NotFound`` for one that the identity may not use, ``StateUnavailable``.
        """
        speaks = self.usable(who, connection).speaks
        accesses = tuple(Access(action, ResourceKind.CONNECTION) for action in _ACTIONS.get(speaks, ()))
        policy = self._policy(who, connection, "")
        findings = policy.examine(Meaning("WHAT MAY I DO", accesses), self._clock.now_s())
        return tuple(Permission(found.access.action, WORDS[found.outcome]) for found in findings)

    async def judgement(self, who: Principal, connection: str, request: str) -> tuple[Permission, ...]:
        """What policy says about a statement, or a request or command as it is written for ``policy explain``.

        It is neither sent nor recorded. Raises as ``permissions``.
        """
        self.usable(who, connection)
        return await asyncio.to_thread(self._judge, who, connection, request)

    def _judge(self, who: Principal, connection: str, request: str) -> tuple[Permission, ...]:
        """In a worker thread, as the request can be long."""
        try:
            meaning = self._interpreter.interpret(connection, request)
        except ConfigurationError as error:
            raise NotFound(str(error)) from None
        policy, now_s = self._policy(who, connection, ""), self._clock.now_s()
        verdict = policy.decide(meaning, now_s)
        said = verdict.denial or verdict.hold
        outcome = Outcome.DENY if verdict.denial else Outcome.HOLD if verdict.hold else Outcome.ALLOW
        whole = Permission("the whole request", WORDS[outcome], said.message if said else "")
        findings = policy.examine(meaning, now_s)
        return (whole, *(Permission(found.line, WORDS[found.outcome]) for found in findings))

    def is_own(self, who: Principal, request: ApprovalRequest) -> bool:
        """Whether it was this identity that asked, with the same one acting for it."""
        return asker_of(request).asker == who.asker

    def _usable(self, who: Principal, name: str, settings: ConnectionSettings) -> UsableConnection | None:
        restriction = self._locks.restriction(who, name, "")
        if restriction is not None and restriction.keeps_out:
            return None
        verdict = self._policy(who, name, settings.places[0]).decide(_CONNECT, self._clock.now_s())
        if verdict.denial is not None:
            return None
        speaks = speaks_of(settings)
        connecting = WORDS[Outcome.HOLD if verdict.hold else Outcome.ALLOW]
        logins = settings.places if settings.protocol == "ssh" else ()
        return UsableConnection(name, speaks, connecting, settings.databases, logins, settings.protocol)

    def _policy(self, who: Principal, connection: str, database: str) -> AnyPolicy:
        if not database:
            settings = self._connections.find(connection)
            database = settings.places[0] if settings is not None else ""
        return self._policies.engine.for_session(who, connection, database, ClientFacts())
