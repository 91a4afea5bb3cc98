"""What the commands may use: services, made on first use by the wiring and handed in through the CLI context.

Commands never build a service themselves and never touch an adapter.
"""

from typing import Protocol

from interlock.services.policy.tools import PolicyTools


class Workbench(Protocol):
    """The services behind the commands. Each attribute is built when it is first read."""

    @property
    def policy(self) -> PolicyTools:
        """What the policy commands work with. Raises ``ConfigurationError``."""
