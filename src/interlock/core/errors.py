"""Errors that cross rooms.

    InterlockError
    ├── ConfigurationError     a file or setting is wrong; the text says where and what is allowed
    ├── LoginRefused           the caller's proof is not accepted
    ├── PolicyRejected         a policy does not validate and will not become active
    ├── LedgerUnavailable      the ledger cannot take a record; the request must be refused
    ├── CredentialUnavailable  a target's credential cannot be had
    ├── AddressNotPermitted    a host stands for an address that may not be dialled
    ├── CatalogueUnavailable   what a target contains cannot be read; what depends on it must be refused
    ├── MaskingUnavailable     what a principal must not see cannot be determined; its sessions must be refused
    ├── StateUnavailable       the state store cannot answer or take a change
    ├── BudgetsUnavailable     what was used of budgets cannot be counted; what they would limit must be refused
    ├── AdministrationRefused  a command asks for what cannot be done; the text says what can
    │   ├── NotFound           what it names is not there
    │   ├── NotAllowed         whoever gave it may not
    │   └── InvalidCommand     it is not well formed
    └── EvidenceError          stored evidence is damaged, missing or was changed
        └── UnknownSession     it has no such session, or what was asked for could be several

Messages are written for people and never hold a secret.
"""


class InterlockError(Exception):
    """Base of everything the gateway raises on purpose."""


class ConfigurationError(InterlockError):
    """A setting is wrong. The text names the place and what is allowed there."""


class LoginRefused(InterlockError):
    """A caller's proof is not accepted.

    ``str(error)`` is what the caller may read; ``reason`` names the failing check for the ledger only.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class PolicyRejected(InterlockError):
    """A policy does not validate. ``problems`` has one line for each finding."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class LedgerUnavailable(InterlockError):
    """The ledger cannot accept a record now."""


class CredentialUnavailable(InterlockError):
    """A target's credential cannot be read, unsealed or fetched."""


class AddressNotPermitted(InterlockError):
    """A host stands for an address that may not be dialled. The text names both, and what the address is."""


class CatalogueUnavailable(InterlockError):
    """A target's catalogue cannot be read, is too large, or is too old to rely on."""


class MaskingUnavailable(InterlockError):
    """What a principal must not see cannot be determined. Nothing may be shown to it."""


class StateUnavailable(InterlockError):
    """The state store cannot answer, or cannot take a change."""


class BudgetsUnavailable(InterlockError):
    """What identities use of their budgets cannot be counted now. Nothing may be allowed within a budget."""


class AdministrationRefused(InterlockError):
    """A command asks for what cannot be done as things stand. The text is for the person who gave it."""


class NotFound(AdministrationRefused):
    """What a command names is not there."""


class NotAllowed(AdministrationRefused):
    """Whoever gave a command may not give it. The text says which permission is missing."""


class InvalidCommand(AdministrationRefused):
    """A command is not well formed, whatever the state of things. The text names the field and what is allowed."""


class EvidenceError(InterlockError):
    """Stored evidence is damaged, incomplete or was changed."""


class UnknownSession(EvidenceError):
    """Stored evidence has no session with this id or beginning of one, or has several."""
