"""What the commands may use: services, made on first use by the wiring and handed in through the CLI context.

Commands never build a service themselves and never touch an adapter.
"""

from typing import Protocol

from interlock.core.administration import AnswerT, Command
from interlock.services.evidence import EvidenceService, EvidenceVerifier
from interlock.services.policy.tools import PolicyTools


class Workbench(Protocol):
    """The services behind the commands. Each attribute is built when it is first read."""

    @property
    def policy(self) -> PolicyTools:
        """What the policy commands work with. Raises ``ConfigurationError``."""

    @property
    def evidence(self) -> EvidenceService:
        """The evidence of the configured gateway, running or not. Raises ``ConfigurationError``."""

    @property
    def verifier(self) -> EvidenceVerifier:
        """Checks evidence by its path; needs no configuration."""

    def administer(self, command: Command[AnswerT]) -> AnswerT:
        """Have the running gateway execute a command, or execute it here when none is running.

        Raises ``AdministrationRefused``, ``ConfigurationError``, ``LedgerUnavailable`` or ``StateUnavailable``.
        """

    def serve(self) -> None:
        """Run the gateway until it is told to stop. Raises ``InterlockError`` or ``OSError`` when it cannot start."""
