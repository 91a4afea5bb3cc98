"""What the gateway itself tells a client on a channel: sentences for its standard error."""

from typing import Final

from interlock.core.decision import Hold
from interlock.core.denial import Denial
from interlock.core.printable import printable

DENIED_STATUS: Final = 77
"""The exit status of whatever the gateway refuses or ends (``EX_NOPERM`` of sysexits.h)."""


def notice(message: str, hint: str = "", terminal: bool = False) -> bytes:
    """Lines for standard error; ``terminal``: a raw terminal, which needs its carriage returns."""
    end = "\r\n" if terminal else "\n"
    lines = [line for text in (message, hint) if text for line in printable(text).splitlines()]
    return "".join(f"interlock: {line}{end}" for line in lines).encode()


def refusal(decision: Denial | Hold, terminal: bool = False) -> bytes:
    """Why something was refused, and what to do instead."""
    return notice(*_sentences(decision), terminal)


def refusal_line(decision: Denial | Hold) -> bytes:
    """The same in one line."""
    return notice(" ".join(" ".join(_sentences(decision)).split()))


def _sentences(decision: Denial | Hold) -> tuple[str, str]:
    if isinstance(decision, Hold):
        groups = ", ".join(sorted({demand.group for demand in decision.demands}))
        return f"denied: needs approval by {groups}: {decision.message}", f"Ask {groups}."
    return decision.message, decision.hint
