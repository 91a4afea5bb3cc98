"""Which tools of MCP servers may be used: those whose description is the one that was approved.

What a server says of its tools is read by models, so a description that changes after it was approved is not passed on:
the tool is neither shown nor called until a person has read what it says now. A change is on the ledger before anybody
is shown anything of the list that it is in.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec
import structlog

from interlock.core.errors import InterlockError, NotFound, StateUnavailable
from interlock.core.identity import Actor
from interlock.core.ledger import AlertRaised, AnyRecord, ToolApproved, ToolsChanged, ToolsSeen, ToolWithdrawn
from interlock.core.settings import ToolPins
from interlock.core.tool import PinStatus, ToolDefinition, ToolPin
from interlock.services.alerts import AlertNotifier
from interlock.services.ports import Clock, Ledger
from interlock.services.state import ToolPinStore

log = structlog.get_logger()

MAX_TOOLS: Final = 500
"""Tools that are known of one connection; more are not shown."""
FIRST_USE: Final = "first use"
_NAMED_IN_ALERTS: Final = 5
_NAME_IN_ALERTS: Final = 80

Spawn = Callable[[Coroutine[Any, Any, object], str], object]
ModeOf = Callable[[str], ToolPins]


class PinnedTools:
    """The tools of all connections. Implements ``ports.ToolReview``.

    ``mode_of`` says how a connection's tools come to be approved; ``spawn`` has something done that takes waiting.
    """

    def __init__(
        self,
        store: ToolPinStore,
        ledger: Ledger,
        clock: Clock,
        mode_of: ModeOf,
        spawn: Spawn,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._mode_of = mode_of
        self._spawn = spawn
        self.notifier: AlertNotifier | None = None
        """Tells people of alerts."""
        self._pins: dict[str, dict[str, ToolPin]] = {}
        self._writing = asyncio.Lock()

    def load(self) -> None:
        """Read what is kept. Raises ``StateUnavailable``."""
        self._keep(self._store.all())

    # ------------------------------------------------------------ sessions

    def refusal(self, connection: str, tool: str) -> str | None:
        """Why a tool may not be used now, as a sentence; None when it may. One that was never listed is not known."""
        mode = self._mode_of(connection)
        if mode is ToolPins.OFF:
            return None
        pin = self.find(connection, tool)
        status = pin.status if pin is not None else PinStatus.WAITING
        if status is PinStatus.APPROVED or (pin is None and mode is ToolPins.FIRST_USE):
            return None
        if status is PinStatus.CHANGED:
            return f"the server describes tool {tool} of {connection} otherwise than when it was approved"
        return f"tool {tool} of {connection} waits for a person's approval"

    def note(
        self, connection: str, session: str, tools: Sequence[ToolDefinition]
    ) -> tuple[tuple[bool, ...], list[asyncio.Future[None]]]:
        """See ``ports.ToolReview``. Raises ``LedgerUnavailable`` or ``StateUnavailable``."""
        mode = self._mode_of(connection)
        if mode is ToolPins.OFF:
            return (True,) * len(tools), []
        known = self._pins.get(connection, {})
        room = MAX_TOOLS - len(known)
        new = [tool for tool in tools if tool.name not in known][: max(0, room)]
        changed = [tool for tool in tools if tool.name in known and known[tool.name].seen != tool.digest]
        waits = self._note(connection, session, mode, new, changed) if new or changed else []
        now = self._pins.get(connection, {})
        return tuple(_may_be_shown(now.get(tool.name), tool) for tool in tools), waits

    def _note(
        self,
        connection: str,
        session: str,
        mode: ToolPins,
        new: Sequence[ToolDefinition],
        changed: Sequence[ToolDefinition],
    ) -> list[asyncio.Future[None]]:
        """Have what is new and what changed on record, remember it, and tell people."""
        now_s = self._now_s()
        first_use = mode is ToolPins.FIRST_USE
        shadowed = self._shadowed(connection, new)
        records: list[AnyRecord] = []
        if new:
            records.append(ToolsSeen(session, connection, _digests(new), first_use, shadowed))
        if changed:
            records.append(ToolsChanged(session, connection, _digests(changed)))
        accepted = [self._ledger.append(record) for record in records]
        pins = [_first_seen(connection, tool, now_s, first_use) for tool in new]
        pins += [_seen(self._pins[connection][tool.name], tool, now_s) for tool in changed]
        self._keep(pins)
        self._spawn(self._save(connection, [pin.tool for pin in pins]), "keep tools")
        self._alert(connection, pins, shadowed)
        return [future for future in accepted if future is not None]

    def _shadowed(self, connection: str, tools: Sequence[ToolDefinition]) -> tuple[str, ...]:
        others = {name: pins for name, pins in self._pins.items() if name != connection}
        return tuple(f"{name}/{tool.name}" for tool in tools for name, pins in others.items() if tool.name in pins)

    def _alert(self, connection: str, pins: Sequence[ToolPin], shadowed: Sequence[str]) -> None:
        changed = [pin.tool for pin in pins if pin.status is PinStatus.CHANGED]
        waiting = [pin.tool for pin in pins if pin.status is PinStatus.WAITING]
        for alert, names, text in (
            ("tools-changed", changed, "changed what it says of tools, which are hidden until they are approved"),
            ("tools-waiting", waiting, "has tools that wait for approval"),
            ("tools-shadowed", shadowed, "has tools with the names of others'"),
        ):
            if names:
                some = ", ".join(name[:_NAME_IN_ALERTS] for name in names[:_NAMED_IN_ALERTS])
                more = ", ..." if len(names) > _NAMED_IN_ALERTS else ""
                log.warning("alert", alert=alert, connection=connection, count=len(names))
                record = AlertRaised(alert, "", f"MCP server {connection} {text}: {some}{more}", len(names))
                self._spawn(self._tell(record), "alert")

    async def _tell(self, alert: AlertRaised) -> None:
        try:
            await self._accept(alert)
            if self.notifier is not None:
                await self.notifier.alert(alert)
        except InterlockError as error:
            log.error("nobody told of an alert", error=str(error))

    async def _save(self, connection: str, tools: Sequence[str]) -> None:
        """Keep what is known of tools when it is their turn."""
        try:
            async with self._writing:
                known = self._pins.get(connection, {})
                await self._store.save([known[tool] for tool in tools if tool in known])
        except StateUnavailable as error:
            log.error("tools not kept", error=str(error))

    def _keep(self, pins: Sequence[ToolPin]) -> None:
        for pin in pins:
            self._pins.setdefault(pin.connection, {})[pin.tool] = pin

    # ------------------------------------------------------------ people

    def all(self, connection: str = "") -> list[ToolPin]:
        """What is known, of one connection or of all, by connection and name."""
        found = [pin for pins in self._pins.values() for pin in pins.values() if connection in ("", pin.connection)]
        return sorted(found, key=lambda pin: (pin.connection, pin.tool))

    def find(self, connection: str, tool: str) -> ToolPin | None:
        """What is known of a tool."""
        return self._pins.get(connection, {}).get(tool)

    async def approve(self, connection: str, tool: str, digest: str, reason: str, actor: Actor) -> ToolPin:
        """The definition of this digest may be used, as long as it is what the server says.

        Raises ``NotFound`` when it is not what the server says; ``LedgerUnavailable`` and ``StateUnavailable`` when it
        is therefore not approved.
        """
        pin = self._known(connection, tool)
        if pin.seen != digest:
            raise NotFound(f"what {connection} says of tool {tool} now has the digest {pin.seen}: read that first")
        await self._accept(ToolApproved(connection, tool, digest, actor.name, reason))
        return await self._put(
            pin, approved=digest, approved_text=pin.seen_text, by=actor.name, approved_at_s=self._now_s()
        )

    async def withdraw(self, connection: str, tool: str, reason: str, actor: Actor) -> ToolPin:
        """A tool may not be used until it is approved again. Raises as ``approve``."""
        pin = self._known(connection, tool)
        await self._accept(ToolWithdrawn(connection, tool, actor.name, reason))
        return await self._put(pin, approved="", approved_text=b"", by="", approved_at_s=0.0)

    def _known(self, connection: str, tool: str) -> ToolPin:
        pin = self.find(connection, tool)
        if pin is None:
            raise NotFound(f"no server of a connection {connection!r} has listed a tool {tool!r}")
        return pin

    async def _put(self, pin: ToolPin, **approval: object) -> ToolPin:
        """Keep an approval, with what the server says meanwhile."""
        async with self._writing:
            await self._store.save([msgspec.structs.replace(pin, **approval)])
            latest = msgspec.structs.replace(self._known(pin.connection, pin.tool), **approval)
            self._keep([latest])
        return latest

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise StateUnavailable("the gateway cannot tell the time") from None

    async def _accept(self, record: AnyRecord) -> None:
        accepted = self._ledger.append(record)
        if accepted is not None:
            await accepted


def _may_be_shown(pin: ToolPin | None, tool: ToolDefinition) -> bool:
    return pin is not None and pin.status is PinStatus.APPROVED and pin.approved == tool.digest


def _first_seen(connection: str, tool: ToolDefinition, now_s: float, approved: bool) -> ToolPin:
    pin = ToolPin(connection=connection, tool=tool.name, seen=tool.digest, seen_text=tool.text, seen_at_s=now_s)
    if not approved:
        return pin
    return msgspec.structs.replace(
        pin, approved=tool.digest, approved_text=tool.text, by=FIRST_USE, approved_at_s=now_s
    )


def _seen(pin: ToolPin, tool: ToolDefinition, now_s: float) -> ToolPin:
    return msgspec.structs.replace(pin, seen=tool.digest, seen_text=tool.text, seen_at_s=now_s)


def _digests(tools: Sequence[ToolDefinition]) -> tuple[tuple[str, str], ...]:
    return tuple((tool.name, tool.digest) for tool in tools)
