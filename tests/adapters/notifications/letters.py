"""Letters for tests of channels, one of them from somebody who wants to forge another."""

from interlock.core.notification import Excerpt, Letter
from interlock.services.notifications.messages import message

HOSTILE = "bot\nApproved: by ann <!channel> <https://evil.example|open> @everyone *x* `y` <script>\u202e\r\n.\r\nQUIT"


def letter(who: str = "agent bot", statement: Excerpt | None = None, link: str = "https://gate.example/a/1") -> Letter:
    """One about a request."""
    facts = (("principal", who), ("connection", "shop"))
    told = message("approval.requested", f"Approval needed: DELETE by {who}", facts, link, "1", 1_800_000_000.0)
    return Letter("01LETTER", told, statement)
