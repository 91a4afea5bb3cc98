"""What the commands may use: services, made on first use by the wiring and handed in through the CLI context.

Commands never build a service themselves and never touch an adapter.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from interlock.core.administration import AnswerT, Command
from interlock.core.chain import Entry
from interlock.core.checkpoint import VerifierKey
from interlock.core.client import GatewayAddress
from interlock.core.recording import TranscriptLine
from interlock.core.terminal_event import TerminalEvent
from interlock.services.client.gateway_client import GatewayClient
from interlock.services.client.ports import Redirection
from interlock.services.evidence import (
    AuditQuery,
    EvidenceService,
    EvidenceVerifier,
    OperationView,
    SearchHit,
    SearchQuery,
    SessionFilter,
    SessionSummary,
    VerificationReport,
)
from interlock.services.policy.tools import PolicyTools


class EvidenceReader(Protocol):
    """What can be read of evidence, here or through an API; see ``EvidenceService``. Raises ``InterlockError``."""

    def sessions(self, wanted: SessionFilter, limit: int, /) -> list[SessionSummary]: ...

    def resolve(self, prefix: str, /) -> str: ...

    def summary(self, session: str, /) -> SessionSummary: ...

    def operations(self, session: str, /) -> Iterator[OperationView]: ...

    def transcript(self, session: str, /) -> Iterator[TranscriptLine]: ...

    def has_terminal(self, session: str, /) -> bool: ...

    def terminal(self, session: str, /) -> Iterator[TerminalEvent]: ...

    def search(self, query: SearchQuery, /) -> Iterator[SearchHit]: ...

    def audit(self, query: AuditQuery, /) -> Iterator[Entry]: ...

    def verify(self, key: VerifierKey | None, pinned: Sequence[str], /) -> VerificationReport: ...


class Workbench(Protocol):
    """The services behind the commands. Each attribute is built when it is first read."""

    @property
    def policy(self) -> PolicyTools:
        """What the policy commands work with. Raises ``ConfigurationError``."""

    @property
    def evidence(self) -> EvidenceService:
        """The evidence in the configured data directory, whether its gateway runs or not.

        Raises ``ConfigurationError``, also when a gateway elsewhere is meant (``--api``).
        """

    @property
    def reading(self) -> EvidenceReader:
        """The same for reading only, or what the API of a gateway elsewhere shows. Raises ``ConfigurationError``."""

    @property
    def verifier(self) -> EvidenceVerifier:
        """Checks evidence by its path; needs no configuration."""

    def client(
        self,
        token: str = "",
        subject_file: Path | None = None,
        actor_file: Path | None = None,
        at: GatewayAddress | None = None,
    ) -> GatewayClient:
        """The gateway that is meant, for whoever this machine can prove to be: by the token in a file, a token, what
        runs this machine, or the login that is kept here. ``actor_file`` has the token of whoever acts for them.

        Raises ``ConfigurationError``, also when no gateway is named and none was logged in at.
        """

    def administer(self, command: Command[AnswerT], token: str = "") -> AnswerT:
        """Have the running gateway execute a command, or execute it here when none is running.

        A gateway elsewhere is asked for whoever this machine can prove to be. ``token`` says on whose behalf, in the
        place of this machine's account; that takes a running gateway.
        Raises ``AdministrationRefused``, ``ConfigurationError``, ``LedgerUnavailable`` or ``StateUnavailable``.
        """

    def redirection(self, state: str) -> Redirection:
        """Makes ready for the answer that a browser brings to this machine. Raises ``ConfigurationError``."""

    def serve(self) -> None:
        """Run the gateway until it is told to stop. Raises ``InterlockError`` or ``OSError`` when it cannot start."""
