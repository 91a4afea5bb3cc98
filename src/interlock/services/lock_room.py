"""Carries out the commands about locks, tokens that are taken back, and open sessions."""

import datetime
from collections.abc import Mapping
from typing import Any

from interlock.core.administration import (
    AddLock,
    Command,
    Done,
    EndExemption,
    ExemptFromLock,
    KillSession,
    ListLiveSessions,
    ListLocks,
    LiveSession,
    LiveSessionPage,
    LockPage,
    RemoveLock,
    RevokeToken,
)
from interlock.core.errors import StateUnavailable
from interlock.core.identity import Actor, Principal, everybody, line_of
from interlock.core.ledger import AdministrationChanged
from interlock.core.lock import LockReceipt, SessionReceipt
from interlock.services import live
from interlock.services.administration import Handler
from interlock.services.cascade import Cascade
from interlock.services.lock_exemptions import Exemptions
from interlock.services.locks import Locks
from interlock.services.ports import Clock, Ledger


class LockRoom:
    """Implements ``services.administration.Room``."""

    def __init__(
        self,
        locks: Locks,
        exemptions: Exemptions,
        sessions: live.LiveSessions,
        cascade: Cascade,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._locks = locks
        self._exemptions = exemptions
        self._sessions = sessions
        self._cascade = cascade
        self._ledger = ledger
        self._clock = clock

    @property
    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        """By command."""
        return {
            ListLocks: self._list_locks,
            AddLock: self._add_lock,
            RemoveLock: self._remove_lock,
            ExemptFromLock: self._exempt,
            EndExemption: self._end_exemption,
            RevokeToken: self._revoke_token,
            ListLiveSessions: self._list_sessions,
            KillSession: self._kill_session,
        }

    async def _list_locks(self, command: ListLocks, _actor: Actor) -> LockPage:
        locks = sorted(self._locks.all(), key=lambda lock: lock.id, reverse=True)
        found = [lock for lock in locks if not command.after or lock.id < command.after]
        items = tuple(found[: command.limit])
        return LockPage(items, items[-1].id if len(found) > len(items) else "")

    async def _add_lock(self, command: AddLock, actor: Actor) -> LockReceipt:
        now_s = self._now_s()
        expires_at_s = None if command.expires_in_s is None else now_s + command.expires_in_s
        return await self._locks.add(
            command.subject_kind,
            command.subject,
            command.mode,
            command.reason,
            actor.name,
            expires_at_s=expires_at_s,
            issued_before_s=now_s if command.earlier_proofs else None,
        )

    async def _remove_lock(self, command: RemoveLock, actor: Actor) -> Done:
        lock = await self._locks.remove(command.id, actor, command.reason)
        subject = f"{lock.subject_kind.value} {lock.subject}".rstrip()
        return Done(f"The lock on {subject} is lifted.")

    async def _exempt(self, command: ExemptFromLock, actor: Actor) -> Done:
        exemption = await self._exemptions.add(
            command.id, command.subject_kind, command.subject, command.expires_in_s, command.reason, actor
        )
        end = datetime.datetime.fromtimestamp(exemption.ends_at_s, datetime.UTC).isoformat(timespec="seconds")
        return Done(f"Lock {command.id} does not concern {command.subject_kind.value} {command.subject} until {end}.")

    async def _end_exemption(self, command: EndExemption, actor: Actor) -> Done:
        return await self._exemptions.end(command.id, command.subject_kind, command.subject, command.reason, actor)

    async def _revoke_token(self, command: RevokeToken, actor: Actor) -> LockReceipt:
        return await self._cascade.token_revoked(command.token_id, command.reason, actor)

    async def _list_sessions(self, command: ListLiveSessions, _actor: Actor) -> LiveSessionPage:
        wanted = [
            one
            for one in sorted(self._sessions.all(), key=lambda one: one.session.id, reverse=True)
            if (not command.principal or command.principal in _names(one.session.principal))
            and command.connection in ("", one.session.connection)
            and (not command.after or one.session.id < command.after)
        ]
        items = tuple(map(_view, wanted[: command.limit]))
        return LiveSessionPage(items, items[-1].id if len(wanted) > len(items) else "")

    async def _kill_session(self, command: KillSession, actor: Actor) -> SessionReceipt:
        self._cascade.find(command.id)
        waiting = self._ledger.append(AdministrationChanged(actor.name, "sessions.kill", command.id, command.reason))
        if waiting is not None:
            await waiting
        return await self._cascade.kill(command.id, command.reason, actor)

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise StateUnavailable("the gateway cannot tell the time") from None


def _view(one: live.LiveSession) -> LiveSession:
    session, principal = one.session, one.session.principal
    return LiveSession(
        id=session.id,
        protocol=session.protocol,
        connection=session.connection,
        database=session.database,
        principal_kind=principal.kind.value,
        principal=principal.name,
        owner=principal.owner or "",
        groups=tuple(sorted(principal.groups)),
        client_address=session.client_address,
        application=session.application,
        trace=session.trace,
        token_id=principal.token_id,
        opened_at_s=one.opened_at_s,
        state=one.state,
        doing=one.doing,
        operations=one.operations,
        denied=one.denied,
        rows=one.rows,
        acting=tuple(map(line_of, principal.acting)),
        issuer=principal.issuer,
        subject=principal.subject,
        login=principal.login,
        ancestors=principal.ancestors,
    )


def _names(principal: Principal) -> tuple[str, ...]:
    return tuple(who.name for who in everybody(principal))
