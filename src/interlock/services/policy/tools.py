"""What the policy commands work with."""

import dataclasses

from interlock.services.policy.check import KnownNames
from interlock.services.policy.interpreter import Interpreter
from interlock.services.policy.sources import PolicyReader, Tags
from interlock.services.ports import Clock


@dataclasses.dataclass(frozen=True)
class PolicyTools:
    """Handed to the commands by the wiring: the configured policy's surroundings, but no running gateway.

    ``node`` is the configured gateway's name.
    """

    reader: PolicyReader
    tags: Tags
    names: KnownNames
    interpreter: Interpreter
    clock: Clock
    node: str = "gateway"
