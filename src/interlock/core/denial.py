"""A refusal of an operation: why, and what an agent can make of it."""

import enum

import msgspec


class DenialReason(enum.Enum):
    """Why an operation may not go on; the value is shown to clients and kept in the ledger."""

    NO_PERMIT = "no rule permits it"
    FORBIDDEN = "a rule forbids it"
    NEEDS_APPROVAL = "it needs an approval"
    POLICY_ERROR = "policy could not be evaluated"
    UNSUPPORTED = "the gateway cannot carry it safely"
    UNRECORDED = "it could not be recorded"
    LOCKED = "access is locked"
    NOT_APPROVED = "nobody approved it"
    REJECTED = "a person denied it"
    WITHDRAWN = "whoever asked took it back"
    BUDGET_SPENT = "a budget is spent"
    TOOL_NOT_APPROVED = "the tool is not approved"


class Denial(msgspec.Struct, frozen=True):
    """The operation must not be forwarded.

    ``message`` is a sentence an agent can act on, ``hint`` says what to do instead or whom to ask. ``access`` names
    what was refused, as ``action on resource``.
    """

    reason: DenialReason
    message: str
    hint: str = ""
    access: str = ""
    rules: tuple[str, ...] = ()
    policy: str = ""
    code: str = ""
    """The protocol's own code, where the reason does not say it all."""
    position: int = 0
    """The character of the request, counted from 1, that it is about; 0 for none."""
