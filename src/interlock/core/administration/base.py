"""What every command has in common: who may give it, and where the HTTP API takes it.

A command is the same whether it is executed in the process that gives it or sent to a running gateway through the API.
Answers never hold a stored secret.
"""

import enum
from typing import ClassVar, Final, Generic, TypeVar, get_args

import msgspec

from interlock.core.lock import SessionReceipt

SOCKET_FILE: Final = "admin.sock"
"""Where a running gateway answers its own operators, in its data directory."""

AnswerT = TypeVar("AnswerT")


class Permission(enum.Enum):
    """What policy grants people on the gateway itself; the value is the action's name in the Cedar schema."""

    ADMINISTER = "administer"
    REVIEW = "review"
    RESPOND = "respond"
    AUDIT = "audit"
    DEVELOP = "develop"


class Route(msgspec.Struct, frozen=True):
    """Where the API takes a command: ``path`` has the names of the command's fields in braces.

    Whoever has any of ``permissions`` may give it; with none named, whoever is known. Fields that are not in the path
    are query parameters of a GET and the members of the JSON body of everything else.
    """

    method: str
    path: str
    permissions: tuple[Permission, ...]


class Done(msgspec.Struct, frozen=True):
    """It was done; ``text`` is a sentence for people.

    ``sessions`` is what became of open sessions by it, ``warnings`` what could not be verified of that.
    """

    text: str
    sessions: tuple[SessionReceipt, ...] = ()
    voided_approvals: int = 0
    warnings: tuple[str, ...] = ()


class Command(msgspec.Struct, Generic[AnswerT], frozen=True, tag_field="command", forbid_unknown_fields=True):
    """Base of all commands; the parameter is the type of the answer, which comes within ``answer_timeout_s``."""

    answer_timeout_s: ClassVar[float] = 60.0
    route: ClassVar[Route]


def answer_type(command: Command[AnswerT] | type[Command[AnswerT]]) -> type[AnswerT]:
    """The type of a command's answer, for whoever decodes it."""
    kind = command if isinstance(command, type) else type(command)
    bases: tuple[object, ...] = kind.__orig_bases__  # type: ignore[attr-defined]
    answer: type[AnswerT] = get_args(bases[0])[0]
    return answer
