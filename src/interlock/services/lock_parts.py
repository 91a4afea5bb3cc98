"""What locks, and exemptions from them, are made with: the same for both, and one value of it."""

from typing import NamedTuple

from interlock.services.cutting import Cutting
from interlock.services.kinship import Kinship
from interlock.services.live import ApprovalVoider, LiveSessions
from interlock.services.ports import Clock, Ledger
from interlock.services.state import LockStore


class LockParts(NamedTuple):
    """Where locks are kept, whom they are on, and what carries them out."""

    store: LockStore
    live: LiveSessions
    cutting: Cutting
    kinship: Kinship
    approvals: ApprovalVoider
    ledger: Ledger
    clock: Clock
