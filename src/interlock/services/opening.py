"""Opens and closes sessions: who is it, may it use this connection, and is that on record.

A caller who may not use a connection gets the same answer as for one that does not exist.
"""

import functools
import secrets
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from interlock.core.decision import Hold
from interlock.core.denial import DenialReason
from interlock.core.errors import InterlockError, LedgerUnavailable, LoginRefused, MaskingUnavailable
from interlock.core.identity import Principal, by_actors, connection_audience, line_of
from interlock.core.ledger import ActingIdentity, AnyRecord, ConnectionRefused, SessionClosed, SessionOpened
from interlock.core.operation import Meaning
from interlock.core.run import run_in
from interlock.core.session import Session, SessionStatus, new_session_id
from interlock.core.settings import ConnectionSettings
from interlock.services.enforcement import Enforcement, SessionGuard
from interlock.services.hosts import Hosts
from interlock.services.masking import Maskings, SessionMasking
from interlock.services.policy.store import PolicyStore
from interlock.services.policy.viewpoint import ClientFacts
from interlock.services.ports import (
    Authenticator,
    CertificateLogins,
    Clock,
    Ledger,
    LocksInForce,
    Recordings,
    SessionIndex,
    SessionRecorder,
    SshLogins,
)

log = structlog.get_logger()

FindConnection = Callable[[str], ConnectionSettings | None]

_CONNECT = Meaning("CONNECT", ())
_HOW_TO_NAME_IT: Final = {
    "postgres": "The database name of the connection string is CONNECTION or CONNECTION/DATABASE",
    "http": "The path begins with /c/CONNECTION",
    "ssh": "The user name is CONNECTION or LOGIN+CONNECTION",
    "proxy": "The proxy reaches the hosts of connections only",
}


class Caller(msgspec.Struct, frozen=True):
    """What a client has shown of itself: exactly one of ``token``, ``scram_user``, ``ssh_key``, ``ssh_certificate``,
    ``certificate``.

    That it holds the secret, or the private key, has been proved by the protocol's driver. ``ssh_key`` is a fingerprint
    (``SHA256:…``), ``ssh_certificate`` a line as in a ``-cert.pub`` file. ``repr`` leaves the token out.
    """

    protocol: str
    target: str
    client_address: str
    token: str = ""
    scram_user: str = ""
    application: str = ""
    host: str = ""
    by_proxy: bool = False
    """``host``, as ``name:port``, stands for a connection where there is no ``target``; see ``services.hosts``."""
    ssh_key: str = ""
    ssh_certificate: str = ""
    certificate: tuple[bytes, ...] = ()
    """The client's certificate and those behind it, in DER."""

    def __repr__(self) -> str:
        return f"Caller(protocol={self.protocol!r}, target={self.target!r}, client_address={self.client_address!r})"


class NotAdmitted(InterlockError):
    """The caller may not open a session. Its text and ``hint`` are for the caller, ``code`` is an SQLSTATE."""

    def __init__(self, message: str, reason: str, principal: str = "", hint: str = "", code: str = "42501") -> None:
        super().__init__(message)
        self.reason = reason
        self.principal = principal
        self.hint = hint
        self.code = code


class OpenSession:
    """A session that is on record as open, and what belongs to it."""

    def __init__(
        self, session: Session, settings: ConnectionSettings, guard: SessionGuard, recorder: SessionRecorder
    ) -> None:
        self.session = session
        self.settings = settings
        self.guard = guard
        self.recorder = recorder


class Reception:
    """Where sessions begin and end."""

    def __init__(
        self,
        authenticator: Authenticator,
        find_connection: FindConnection,
        policies: PolicyStore,
        enforcement: Enforcement,
        recordings: Recordings,
        ledger: Ledger,
        index: SessionIndex,
        clock: Clock,
        maskings: Maskings | None = None,
        locks: LocksInForce | None = None,
        hosts: Hosts | None = None,
        ssh_logins: SshLogins | None = None,
        certificate_logins: CertificateLogins | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._find_connection = find_connection
        self._policies = policies
        self._enforcement = enforcement
        self._recordings = recordings
        self._ledger = ledger
        self._index = index
        self._clock = clock
        self._maskings = maskings
        self._locks = locks
        self._hosts = hosts
        self._ssh_logins = ssh_logins
        self._certificate_logins = certificate_logins

    def scram_verifier(self, user: str) -> str | None:
        """See ``ports.Authenticator``."""
        return self._authenticator.scram_verifier(user)

    def accepts_ssh_key(self, fingerprint: str) -> bool:
        """Whether it is worth asking a client to prove that it holds this key. Never raises."""
        try:
            return self._ssh_logins is not None and bool(self._ssh_logins.key_principal(fingerprint))
        except Exception:  # noqa: BLE001 - whatever breaks, the key is not asked for
            return False

    async def open(self, caller: Caller) -> OpenSession:
        """Authenticate, decide, record. Raises ``NotAdmitted``, which is on record by then."""
        acting: tuple[str, ...] = ()
        try:
            principal = await self._authenticate(caller)
            acting = tuple(map(line_of, principal.acting))
            return await self._open(caller, principal)
        except NotAdmitted as error:
            refused = error
        except LedgerUnavailable as error:
            log.error("session not recorded", error=str(error))
            refused = NotAdmitted("the gateway cannot record this session now", "ledger unavailable", code="58030")
        except Exception as error:  # noqa: BLE001 - whatever breaks on the way in keeps the caller out
            log.error("session not opened", error=type(error).__name__)
            refused = NotAdmitted("the gateway cannot open this session now", type(error).__name__, code="58000")
        wanted = caller.target or caller.host
        await self.refused(caller.protocol, caller.client_address, wanted, refused.principal, refused.reason, acting)
        raise refused

    async def refused(
        self,
        protocol: str,
        client_address: str,
        target: str,
        principal: str,
        reason: str,
        acting: tuple[str, ...] = (),
    ) -> None:
        """Keep on record that a client was turned away; when even that fails, say so loudly."""
        log.warning("connection refused", client=client_address, target=target, principal=principal, reason=reason)
        try:
            await self._accept(ConnectionRefused(protocol, client_address, target[:256], principal, reason, acting))
        except LedgerUnavailable as error:
            log.error("refusal not recorded", client=client_address, error=str(error))

    def still_admits(self, opened: OpenSession) -> bool:
        """Whether a session that is open may go on with its client's next request. Never raises."""
        expires_at_s = opened.session.principal.expires_at_s
        try:
            return expires_at_s is None or self._clock.now_s() < expires_at_s
        except OSError:
            return False

    def close(self, opened: OpenSession, status: SessionStatus, reason: str, received: int, sent: int) -> None:
        """The session has ended. Called exactly once; never raises."""
        guard, session_id = opened.guard, opened.session.id
        try:
            opened.recorder.close()
            self._ledger.note(
                SessionClosed(
                    session_id, status.value, reason, guard.operations, guard.denied, guard.rows, received, sent
                )
            )
        except (LedgerUnavailable, OSError) as error:
            log.error("end of session not recorded", session=session_id, error=str(error))
        self._index.closed(session_id, status.value, self._clock.now_s(), guard.operations, guard.denied, guard.rows)

    async def _open(self, caller: Caller, principal: Principal) -> OpenSession:
        target = caller.target or self._connection_of(caller, principal)
        name, _, database = target.partition("/")
        settings = self._find_connection(name)
        if settings is None or settings.protocol != caller.protocol:
            raise self._no_such(caller, principal, "no such connection")
        if not principal.may_use(connection_audience(name)):
            raise self._no_such(caller, principal, "the token is for something else")
        if not principal.counts_from(caller.client_address):
            raise NotAdmitted("the token does not count from this address", "source", principal.name)
        database = database or settings.places[0]
        if database not in settings.places:
            raise self._no_such(caller, principal, "no such database on this connection")
        run = principal.run or run_in(caller.application)
        client = ClientFacts(caller.client_address.rpartition(":")[0], caller.application, run)
        policy = self._policies.engine.for_session(principal, name, database, client)
        verdict = policy.decide(_CONNECT, self._clock.now_s())
        refusal = self._enforcement.judge_connect(principal, run, verdict)
        if refusal is not None and not isinstance(refusal, Hold) and refusal.reason is not DenialReason.BUDGET_SPENT:
            raise self._no_such(caller, principal, f"connect refused: {refusal.message}")
        self._refuse_locked(principal, name, run)
        if isinstance(refusal, Hold):
            raise self._held(principal, refusal)
        if refusal is not None:
            raise NotAdmitted(refusal.message, "connect refused: budget spent", principal.name, refusal.hint, "53400")
        session_id = new_session_id(int(self._clock.now_s() * 1e9), secrets.token_bytes(10))
        recorder = self._recordings.open(session_id, caller.protocol)
        session = Session(
            id=session_id,
            protocol=caller.protocol,
            connection=name,
            database=database,
            principal=principal,
            client_address=caller.client_address,
            application=caller.application,
            trace=run,
        )
        masking = await self._masking(session, client)
        await self._accept(_opened(session, recorder, verdict.policy, verdict.rules))
        self._index.opened(session, self._clock.now_s())
        guard = self._enforcement.guard(session, recorder, masking)
        guard.note_use = functools.partial(self._note_use, session)
        opened = OpenSession(session, settings, guard, recorder)
        await self._refuse_overtaken(opened, caller)
        return opened

    def _note_use(self, session: Session, action: str) -> None:
        self._index.used(session, action, self._clock.now_s())

    def _connection_of(self, caller: Caller, principal: Principal) -> str:
        found = self._hosts.find(caller.host, caller.by_proxy) if self._hosts is not None else None
        if found is None:
            raise self._no_such(caller, principal, "no connection has this host")
        return found

    def _refuse_locked(self, principal: Principal, connection: str, run: str) -> None:
        restriction = self._locks.restriction(principal, connection, run) if self._locks is not None else None
        if restriction is not None and restriction.keeps_out:
            reason = f"locked by {', '.join(restriction.locks)}"
            raise NotAdmitted(restriction.message, reason, principal.name, "Only a responder can lift the lock.")

    async def _refuse_overtaken(self, opened: OpenSession, caller: Caller) -> None:
        """What came while the session was on its way in could not cut it yet: a lock, a changed identity."""
        session = opened.session
        try:
            if (
                await self._authenticate(caller) != session.principal
                or self._find_connection(session.connection) is None
            ):
                raise NotAdmitted(
                    "what you may use has just changed: log in again", "changed during login", session.principal.name
                )
            self._refuse_locked(session.principal, session.connection, session.trace)
        except Exception as error:
            self.close(opened, SessionStatus.KILLED, str(error), 0, 0)
            raise

    async def _masking(self, session: Session, client: ClientFacts) -> SessionMasking | None:
        if self._maskings is None:
            return None
        try:
            return await self._maskings.open(session, client)
        except MaskingUnavailable as error:
            raise NotAdmitted(
                "the gateway cannot tell what is masked for you on this connection, so it does not open",
                f"masking: {error}",
                session.principal.name,
                "Try again later; the gateway's operator sees in the log what is wrong.",
                "58000",
            ) from error

    async def _authenticate(self, caller: Caller) -> Principal:
        proofs = (caller.token, caller.scram_user, caller.ssh_key, caller.ssh_certificate, caller.certificate)
        try:
            if sum(map(bool, proofs)) > 1:
                raise LoginRefused("log in with one proof, not with several", "several proofs")
            if caller.scram_user:
                return self._authenticator.scram_principal(caller.scram_user)
            if caller.ssh_key or caller.ssh_certificate:
                return self._ssh_principal(caller)
            if caller.certificate:
                return await self._certificate_principal(caller)
            return await self._authenticator.authenticate(caller.token, caller.client_address)
        except LoginRefused as refused:
            raise NotAdmitted(str(refused), refused.reason, code="28P01") from refused

    def _ssh_principal(self, caller: Caller) -> Principal:
        if self._ssh_logins is None:
            raise LoginRefused("this gateway takes no SSH keys", "no SSH logins")
        if caller.ssh_key:
            return self._ssh_logins.key_principal(caller.ssh_key)
        return self._ssh_logins.certificate_principal(caller.ssh_certificate, caller.client_address)

    async def _certificate_principal(self, caller: Caller) -> Principal:
        if self._certificate_logins is None:
            raise LoginRefused("this gateway takes no client certificates", "no trust domains")
        return await self._certificate_logins.certificate_principal(caller.certificate)

    def _no_such(self, caller: Caller, principal: Principal, reason: str) -> NotAdmitted:
        """The same, whether it is not there or may not be used."""
        who = by_actors(principal.name, tuple(map(line_of, principal.acting)))
        if caller.host:
            message = f'"{caller.host[:64]}" is the host of no connection that {who} may use'
        else:
            name = caller.target.partition("/")[0][:64]
            message = f'connection "{name}" does not exist or {who} may not use it'
        how = _HOW_TO_NAME_IT["proxy" if caller.by_proxy else caller.protocol]
        hint = f"{how}; ask the gateway's operator which connections this identity may use."
        return NotAdmitted(message, reason, principal.name, hint)

    def _held(self, principal: Principal, hold: Hold) -> NotAdmitted:
        groups = ", ".join(sorted({demand.group for demand in hold.demands}))
        return NotAdmitted(f"connecting needs an approval by {groups}", "connect held", principal.name)

    async def _accept(self, record: AnyRecord) -> None:
        waiting = self._ledger.append(record)
        if waiting is not None:
            await waiting


def _opened(session: Session, recorder: SessionRecorder, policy: str, rules: tuple[str, ...]) -> SessionOpened:
    principal = session.principal
    return SessionOpened(
        session=session.id,
        protocol=session.protocol,
        connection=session.connection,
        database=session.database,
        principal_kind=principal.kind.value,
        principal=principal.name,
        groups=tuple(sorted(principal.groups)),
        owner=principal.owner or "",
        issuer=principal.issuer,
        subject=principal.subject,
        token_id=principal.token_id,
        claims=principal.claims,
        client_address=session.client_address,
        application=session.application,
        trace=session.trace,
        policy=policy,
        rules=rules,
        wrapped_key=recorder.wrapped_key,
        login=principal.login,
        ancestors=principal.ancestors,
        acting=tuple(map(_acting, principal.acting)),
    )


def _acting(actor: Principal) -> ActingIdentity:
    return ActingIdentity(
        actor.kind.value,
        actor.name,
        tuple(sorted(actor.groups)),
        actor.owner or "",
        actor.issuer,
        actor.subject,
        actor.token_id,
        actor.login,
        actor.ancestors,
    )
