"""What policy says about an operation: permit, hold or deny, with the rules that made it.

Architecture invariant: only ``services.enforcement.judge`` constructs a ``Permit`` or a ``Trial``; bytes of an
operation that are bound for the target need one. A test reads the source tree to keep it so.
"""

import enum

import msgspec

from interlock.core.budget import Allowance
from interlock.core.denial import Denial


class Permit(msgspec.Struct, frozen=True):
    """The operation may be forwarded. ``policy`` is the digest of the policy version that said so.

    With an ``allowance``, every part of the answer has to be asked for there before it goes to the client.
    """

    rules: tuple[str, ...]
    policy: str
    allowance: Allowance | None = None


class ApprovalDemand(msgspec.Struct, frozen=True):
    """What one rule asks of people: how many of which group, and for how long their yes counts."""

    rule: str
    group: str
    approvals: int = 1
    expires_s: float = 600.0
    self_approval: bool = False
    """Whether the people behind the request may answer it, too."""


class BudgetKind(enum.Enum):
    """What a budget counts; the value is the word for it in policy."""

    ROWS = "rows"
    BYTES = "bytes"
    STATEMENTS = "statements"
    DENIALS = "denials"
    TOKENS = "tokens"


class BudgetDemand(msgspec.Struct, frozen=True):
    """An amount up to which one rule does not forbid, for each identity.

    ``per`` is the time that it is for as policy has it (``1h``), ``window_s`` the same in seconds; for a whole run they
    are ``run`` and 0. Once it is spent the rule forbids, saying ``message``, or asks for the ``approval``. ``word`` is
    what policy calls the kind. ``party`` says whose it is: 0 the principal's, 1 that of
    who acts for it, 2 that of who acted before, and so on.
    """

    rule: str
    kind: BudgetKind
    limit: int
    per: str
    window_s: float
    message: str = ""
    approval: ApprovalDemand | None = None
    word: str = ""
    party: int = 0


class Hold(msgspec.Struct, frozen=True):
    """The operation waits for people. All demands must be met before it may be forwarded."""

    demands: tuple[ApprovalDemand, ...]
    message: str
    rules: tuple[str, ...]
    policy: str
    access: str = ""


Decision = Permit | Denial | Hold


class Trial(msgspec.Struct, frozen=True):
    """A held operation may be run in a transaction that is rolled back unless a ``Permit`` follows."""

    number: int


class Verdict(msgspec.Struct, frozen=True):
    """What the policy engine found, before enforcement turns it into a decision.

    ``denial`` wins over ``hold``; with neither, the operation is permitted by ``rules``, as long as none of the
    ``budgets`` is spent. They count for a hold as well. ``budgeted`` has for each of them the first access that it is
    about. ``noun`` is the meaning's.
    """

    policy: str
    rules: tuple[str, ...] = ()
    denial: Denial | None = None
    hold: Hold | None = None
    budgets: tuple[BudgetDemand, ...] = ()
    budgeted: tuple[str, ...] = ()
    noun: str = "statement"
