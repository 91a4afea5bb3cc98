"""Changes to the gateway while it runs: connections, credentials; its rooms know how to change the rest.

Every command is let through by ``services.authority`` first, reading too. Every change is on the ledger before it is
made, with who made it. No answer holds a stored secret, and nothing in here writes one to a log or a record.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol, cast

import msgspec

from interlock.core.administration import (
    AddConnection,
    AnswerT,
    Command,
    ConnectionView,
    Done,
    HardenConnection,
    HardeningPlan,
    IssuedToken,
    IssueToken,
    ListConnections,
    RemoveConnection,
    ScanConnection,
    ScanReport,
    SetCredential,
    ShowConnection,
    TestConnection,
)
from interlock.core.errors import AdministrationRefused, CatalogueUnavailable, InvalidCommand, NotFound
from interlock.core.identity import Actor
from interlock.core.ledger import AdministrationChanged
from interlock.core.settings import ConnectionSettings
from interlock.services.authority import Authority
from interlock.services.cascade import Cascade, told
from interlock.services.discovery import Discovery
from interlock.services.policy.connection_tags import connection_tags
from interlock.services.policy.store import PolicyStore
from interlock.services.policy.tags import tag_problems
from interlock.services.ports import Clock, ColumnGrants, Ledger
from interlock.services.state import ConnectionStore, CredentialKeeper, TargetProbe, TokenIssuer

Handler = Callable[[Any, Actor], Awaitable[object]]


class Room(Protocol):
    """A service that carries out commands of its own. They are not kept waiting by others."""

    @property
    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        """What carries out each of its commands; see ``Administration.execute`` for what they raise."""


class Administration:
    """Executes commands. Changes of connections go one at a time: each sees the one before it."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        connections: ConnectionStore,
        credentials: CredentialKeeper,
        probe: TargetProbe,
        discovery: Discovery,
        grants: ColumnGrants,
        cascade: Cascade,
        protocols: tuple[str, ...],
        token_issuer: TokenIssuer | None = None,
        authority: Authority | None = None,
        rooms: Iterable[Room] = (),
        policies: PolicyStore | None = None,
    ) -> None:
        """Without an ``authority`` only the gateway's own operators may do anything.

        ``policies`` take the tags of connections into account as soon as these change.
        """
        self._ledger = ledger
        self._clock = clock
        self._connections = connections
        self._credentials = credentials
        self._probe = probe
        self._discovery = discovery
        self._grants = grants
        self._cascade = cascade
        self._protocols = protocols
        self._token_issuer = token_issuer
        self._authority = authority or Authority(ledger, clock, node="")
        self._policies = policies
        self._one_at_a_time = asyncio.Lock()
        self._handlers: dict[type[Command[Any]], Handler] = {
            ListConnections: self._list_connections,
            ShowConnection: self._show_connection,
            AddConnection: self._add_connection,
            SetCredential: self._set_credential,
            RemoveConnection: self._remove_connection,
            TestConnection: self._test_connection,
            HardenConnection: self._harden_connection,
            IssueToken: self._issue_token,
        }
        self._beside: dict[type[Command[Any]], Handler] = {ScanConnection: self._scan_connection}
        for room in (self._authority, *rooms):
            self._beside |= room.handlers

    async def execute(self, command: Command[AnswerT], actor: Actor) -> AnswerT:
        """Do what the command says on behalf of ``actor``.

        Raises AdministrationRefused when it cannot be done or the actor may not (which is on record), LedgerUnavailable
        when it cannot be recorded, StateUnavailable when it cannot be kept.
        """
        await self._authority.check(command, actor)
        _check(command)
        if (beside := self._beside.get(type(command))) is not None:
            return cast(AnswerT, await beside(command, actor))
        handler = self._handlers.get(type(command))
        if handler is None:
            raise AdministrationRefused("this takes a running gateway, and none is running here")
        async with self._one_at_a_time:
            return cast(AnswerT, await handler(command, actor))

    # ------------------------------------------------------------ connections

    async def _list_connections(self, _command: ListConnections, _actor: Actor) -> tuple[ConnectionView, ...]:
        return tuple(self._view(name, settings) for name, settings in self._connections.all().items())

    async def _show_connection(self, command: ShowConnection, _actor: Actor) -> ConnectionView:
        return self._view(command.name, self._connection(command.name))

    async def _add_connection(self, command: AddConnection, actor: Actor) -> Done:
        if command.settings.protocol not in self._protocols:
            allowed = ", ".join(self._protocols)
            raise InvalidCommand(f"unknown protocol {command.settings.protocol!r}; allowed: {allowed}")
        self._refuse_configured(command.name)
        if self._connections.find(command.name) is not None and not command.replace:
            raise AdministrationRefused(f"connection {command.name!r} exists already; replace it with --replace")
        if problems := tag_problems(connection_tags({command.name: command.settings})):
            raise InvalidCommand(problems[0])
        await self._record(actor, "connections.add", command.name, _describe(command.settings))
        await self._connections.save(command.name, command.settings)
        await self._renew_tags("connections.add")
        return Done(f"Connection {command.name!r} is ready for policy to permit.")

    async def _set_credential(self, command: SetCredential, actor: Actor) -> Done:
        reference = self._connection(command.name).credential
        if reference is None or not reference.sealed:
            raise AdministrationRefused(f"connection {command.name!r} has no sealed credential; it is kept elsewhere")
        await self._record(actor, "connections.set-credential", command.name, "")
        await self._credentials.seal(command.name, command.password)
        return Done(f"The credential of {command.name!r} is sealed. Nothing shows it again.")

    async def _remove_connection(self, command: RemoveConnection, actor: Actor) -> Done:
        self._connection(command.name)
        self._refuse_configured(command.name)
        await self._record(actor, "connections.remove", command.name, "")
        cut = await self._cascade.connection_removed(command.name, actor)  # the target is looked at with its credential
        await self._connections.remove(command.name)
        await self._renew_tags("connections.remove")
        late = await self._cascade.connection_removed(command.name, actor)
        text = f"Connection {command.name!r} is removed, and its sealed credential with it."
        return told(text, msgspec.structs.replace(cut, sessions=cut.sessions + late.sessions))

    async def _renew_tags(self, by: str) -> None:
        if self._policies is not None and self._policies.is_stale:
            await self._policies.renew(by)

    async def _test_connection(self, command: TestConnection, _actor: Actor) -> Done:
        return Done(await self._probe.probe(command.name, self._connection(command.name)))

    async def _scan_connection(self, command: ScanConnection, actor: Actor) -> ScanReport:
        database = self._database(command.name, command.database)
        detail = f"database {database}, up to {command.sample_rows} rows of each table"
        await self._record(actor, "connections.scan", command.name, detail)
        try:
            return await self._discovery.scan(command.name, database, command.sample_rows)
        except CatalogueUnavailable as error:
            raise AdministrationRefused(str(error)) from None

    async def _harden_connection(self, command: HardenConnection, actor: Actor) -> HardeningPlan:
        database = self._database(command.name, command.database)
        role = command.role or self._connection(command.name).user
        try:
            plan = await self._grants.plan(command.name, database, role, command.columns)
            if not command.agreed:
                return plan
            if plan.statements != command.agreed:
                raise AdministrationRefused("the grants are not what they were when you agreed; look at them again")
            detail = f"database {database}, role {role}, columns {', '.join(map(str, command.columns))}"
            await self._record(actor, "connections.harden", command.name, detail)
            await self._grants.apply(command.name, database, plan, command.columns)
        except CatalogueUnavailable as error:
            raise AdministrationRefused(str(error)) from None
        return msgspec.structs.replace(plan, applied=True)

    def _database(self, name: str, database: str | None) -> str:
        """The database that a command is about: one of the connection's, without a name the first."""
        allowed = self._connection(name).databases
        if not allowed:
            raise AdministrationRefused(f"connection {name!r} has no databases: only PostgreSQL targets have")
        if database is not None and database not in allowed:
            raise NotFound(f"connection {name!r} has no database {database!r}; it has {', '.join(allowed) or 'none'}")
        if not allowed:
            raise AdministrationRefused(f"connection {name!r} is none to a database")
        return database or allowed[0]

    def _connection(self, name: str) -> ConnectionSettings:
        settings = self._connections.find(name)
        if settings is None:
            raise NotFound(f"there is no connection {name!r}")
        return settings

    def _refuse_configured(self, name: str) -> None:
        if self._connections.is_configured(name):
            raise AdministrationRefused(f"connection {name!r} is in the settings file; change it there")

    def _view(self, name: str, settings: ConnectionSettings) -> ConnectionView:
        origin = "file" if self._connections.is_configured(name) else "command"
        return ConnectionView(name, origin, self._credential_place(name, settings), settings)

    def _credential_place(self, name: str, settings: ConnectionSettings) -> str:
        reference = settings.credential
        if reference is None:
            return "none"
        if reference.sealed:
            return "sealed" if self._credentials.has(name) else "sealed, not set"
        return f"environment variable {reference.env}" if reference.env else f"file {reference.file}"

    # ------------------------------------------------------------ tokens

    async def _issue_token(self, command: IssueToken, actor: Actor) -> IssuedToken:
        if self._token_issuer is None:
            raise AdministrationRefused(
                "no development issuer is running: get a token from your identity provider, "
                'or set issuer = "127.0.0.1:0" under [development] to try things out'
            )
        await self._record(actor, "token.issue", command.name, f"kind {command.kind.value}, {command.ttl_s} s")
        token = self._token_issuer.issue_token(
            command.name, command.kind.value, command.groups, command.owner, command.ttl_s
        )
        return IssuedToken(token, command.ttl_s)

    async def _record(self, actor: Actor, action: str, subject: str, detail: str) -> None:
        """Put a change on the ledger and wait until it is accepted. Raises LedgerUnavailable."""
        accepted = self._ledger.append(AdministrationChanged(actor.name, action, subject, detail))
        if accepted is not None:
            await accepted


def _check(command: Command[Any]) -> None:
    """Hold a command that was made in this process to the same rules as one that was decoded."""
    try:
        msgspec.convert(msgspec.to_builtins(command), type(command))
    except msgspec.ValidationError as error:
        raise InvalidCommand(f"the command is not valid: {error}") from None


def _describe(settings: ConnectionSettings) -> str:
    """A connection in one line, for the ledger."""
    if settings.protocol == "ssh":
        return _describe_host(settings)
    login = f" as {settings.user}" if settings.user else ""
    databases = f", databases {', '.join(settings.databases)}" if settings.databases else ""
    shown = f", credential as {settings.http.credential_as}" if settings.protocol == "http" else ""
    return f"{settings.protocol}://{settings.host}:{settings.port}{login}{databases}, tls {settings.tls.value}{shown}"


def _describe_host(settings: ConnectionSettings) -> str:
    ssh, logins = settings.ssh, ", ".join(settings.places)
    known_by = f"{len(ssh.host_keys)} host keys and {len(ssh.host_authorities)} authorities"
    return f"ssh://{settings.host}:{settings.port} as {logins} with {ssh.authenticate.value}, known by {known_by}"
