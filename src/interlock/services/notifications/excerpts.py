"""The beginning of the statement that a request for approval is about, for channels that are to have it.

It is read from the sealed question whenever it is sent: no message on disk holds it.
"""

from typing import Final

import structlog

from interlock.core.errors import InterlockError
from interlock.core.notification import Excerpt
from interlock.services.approvals.board import Approvals

MAX_LENGTH: Final = 2000
"""In characters; what follows is left out, and said to be."""

log = structlog.get_logger()


class ApprovalExcerpts:
    """Implements ``services.notifications.ports.Excerpts``."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    def excerpt(self, approval: str) -> Excerpt | None:
        """See ``Excerpts``."""
        try:
            found = self._approvals.question(approval)
        except InterlockError as error:
            log.warning("a message goes without its statement", approval=approval, error=type(error).__name__)
            return None
        if found is None:
            return None
        question = found[1]
        shown = question.text.decode(errors="replace")[:MAX_LENGTH]
        return Excerpt(shown, max(0, question.text_bytes - len(shown.encode())))
