"""Holds the policy in force.

Architecture invariant: a policy takes effect only after its activation is on the ledger. A policy that does not
validate never takes effect: the last good one stays, and the refusal is recorded and kept in ``problems``.
"""

import asyncio
from collections.abc import Callable, Sequence

from interlock.core.errors import ConfigurationError, PolicyRejected
from interlock.core.ledger import AnyRecord, PolicyActivated, PolicyRefused
from interlock.services.policy.engine import PolicyEngine
from interlock.services.policy.sources import NO_TAGS, PolicySource, Tags
from interlock.services.policy.tags import joined
from interlock.services.ports import Ledger


class PolicyStore:
    """The engine in force, and the only way to replace it.

    ``epoch`` grows with every change: a session that has another one than the store's asks for a new session policy.
    """

    def __init__(self, ledger: Ledger, tags: Tags = NO_TAGS, declared: Callable[[], Tags] = lambda: NO_TAGS) -> None:
        """``tags`` are those of the configuration, ``declared`` gives those of the connections that there are now."""
        self._ledger = ledger
        self._tags = tags
        self._declared = declared
        self._declared_seen: Tags = NO_TAGS
        self._sources: tuple[PolicySource, ...] = ()
        self._engine: PolicyEngine | None = None
        self._turn = asyncio.Lock()
        self.epoch = 0
        self.problems: tuple[str, ...] = ()
        """What was wrong with the last text offered, empty when it is in force."""

    @property
    def engine(self) -> PolicyEngine:
        """The engine in force. Raises ``ConfigurationError`` before ``start``: without a policy nothing is decided."""
        if self._engine is None:
            raise ConfigurationError("no policy is in force")
        return self._engine

    @property
    def version(self) -> str:
        """The digest of the policy in force, empty before ``start``."""
        return self._engine.version if self._engine else ""

    async def start(self, sources: Sequence[PolicySource]) -> None:
        """Put the first policy in force.

        Raises ``ConfigurationError`` when it does not validate: the gateway must not start without one.
        """
        try:
            await self.activate(sources, by="start")
        except PolicyRejected as rejected:
            raise ConfigurationError("the policy does not validate:\n" + "\n".join(rejected.problems)) from rejected

    @property
    def is_stale(self) -> bool:
        """Whether connections declare other tags than when this was last put in force, or refused.

        Raises ``StateUnavailable``.
        """
        return self._engine is not None and self._declared() != self._declared_seen

    async def renew(self, by: str) -> bool:
        """Put the same texts in force with the tags that are declared now. As ``activate``."""
        return await self.activate(self._sources, by)

    async def activate(self, sources: Sequence[PolicySource], by: str) -> bool:
        """Validate, record, then put in force; False when this version is in force already.

        ``by`` says who asked for it. Raises ``PolicyRejected`` (recorded, too), ``LedgerUnavailable`` or
        ``StateUnavailable``; the policy in force is then still the one before.
        """
        async with self._turn:
            declared = self._declared()
            try:
                engine = await asyncio.to_thread(PolicyEngine, tuple(sources), joined(self._tags, declared))
            except PolicyRejected as rejected:
                await self._refuse(rejected.problems)
                self._declared_seen = declared
                raise
            changed = engine.version != self.version
            if changed:
                await self._record(PolicyActivated(engine.version, engine.text, by))
                self._engine = engine
                self.epoch += 1
            self.problems = ()
            self._sources, self._declared_seen = tuple(sources), declared
            return changed

    async def refuse(self, problems: Sequence[str]) -> None:
        """Note that a new policy could not even be read. Raises ``LedgerUnavailable``."""
        async with self._turn:
            await self._refuse(problems)

    async def _refuse(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        await self._record(PolicyRefused(self.version, self.problems))

    async def _record(self, record: AnyRecord) -> None:
        accepted = self._ledger.append(record)
        if accepted is not None:
            await accepted
