"""What a request means: its accesses, facts for policy, and the text it came from.

A *meaning* is what a parser says about a text; it is pure, immutable and shared between sessions. An *operation*
is one request of one session: a meaning with the bytes it came from. Names in here are relative to the connection
that the session runs on; enforcement puts the connection and the database in front.
"""

import enum
import hashlib
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from interlock.core.masking import MaskedColumn


class ResourceKind(enum.Enum):
    """Cedar entity types that an access can be about. The value is the entity type's name in the Cedar schema."""

    CONNECTION = "Connection"
    DATABASE = "Database"
    SCHEMA = "Schema"
    TABLE = "Table"
    FUNCTION = "Function"
    ROLE = "Role"
    SETTING = "Setting"
    SERVER_FILE = "ServerFile"
    ENDPOINT = "Endpoint"
    """A named path template of an HTTP connection."""
    HOST = "Host"
    """The far end of a tunnel that the gateway does not look into."""
    GRAPHQL_FIELD = "GraphqlField"
    TOOL = "Tool"
    """A tool of an MCP server."""
    MODEL = "Model"
    HOSTED_TOOL = "HostedTool"
    """A tool that the model's provider runs itself."""
    PROGRAM = "Program"
    """A program that a command on a host runs, by its base name."""
    FILE = "File"
    """A file or directory of a host; its path is one of ``core.file_paths``."""
    GATEWAY = "Gateway"
    """The gateway itself; it is in no connection."""


class Access(msgspec.Struct, frozen=True):
    """One action on one resource.

    ``action`` is a leaf of the Cedar action tree (``select``, ``drop``, ``call`` ...). ``path`` names the resource
    relative to the session's database: ``("public", "users")`` for a table, ``()`` for the connection or database.
    ``columns`` are the columns named by the statement; ``("*",)`` stands for all of them.
    """

    action: str
    kind: ResourceKind
    path: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


Facts = Mapping[str, object]
NO_FACTS: Facts = MappingProxyType({})
HTTP_PARTS = frozenset({"http", "graphql", "mcp", "model"})
"""Keys of facts that are mappings of their own: what is known of an operation that came over HTTP."""
PARTS = HTTP_PARTS | {"ssh"}
"""All keys of facts that are mappings of their own."""
_COMMANDS = frozenset({"exec", "shell"})


class Meaning(msgspec.Struct, frozen=True, eq=False):
    """The parsed meaning of one request; compared by identity so that it can key a cache cheaply.

    ``verb`` is shown to people (``SELECT``, ``DROP TABLE``, ``SELECT; DELETE``). ``facts`` become the protocol's part
    of the Cedar context: flat ones ``sql``, those under ``http``, ``graphql``, ``mcp``, ``model`` and ``ssh`` the parts
    of these names. ``error`` among them says why it could not be understood, and ``unread`` why nobody knows what is in
    its body: it is refused where a rule asks for that. ``refusal`` is set when the gateway itself cannot carry the
    request safely, whatever policy says; it is a sentence for the client. With a ``refusal_code``, the protocol's own,
    it is given only to whom policy does not deny the request anyway; ``refusal_position`` is then the character, from
    1, that it is about (0: none).
    """

    verb: str
    accesses: tuple[Access, ...]
    facts: Facts = NO_FACTS
    refusal: str | None = None
    refusal_code: str = ""
    refusal_position: int = 0

    @property
    def noun(self) -> str:
        """What sentences call the operation."""
        ssh = self.facts.get("ssh")
        if isinstance(ssh, Mapping):
            return "command" if ssh.get("kind") in _COMMANDS else "request"
        return "statement" if HTTP_PARTS.isdisjoint(self.facts) else "request"


class Phase(enum.Enum):
    """Why an operation asks: its text is first handed to the target, or it is about to be executed."""

    PREPARE = "prepare"
    EXECUTE = "execute"


class Operation(msgspec.Struct, frozen=True, eq=False):
    """One request of one session, as it will reach the target.

    ``number`` counts from 1 within the session. ``text`` is the request's exact bytes, ``parameters`` the protocol's
    own encoding of the values bound to it (``b""`` when there are none). ``forwarded`` is what goes to the target in
    the text's place, empty when that is the text itself; ``masked`` are the columns that it is masked in, under the
    masking of the version ``masking``. Of values that are too long to hold, ``parameters`` is the beginning,
    ``parameter_bytes`` the whole length and ``parameters_digest`` SHA-256 over all of them. ``parameter_types`` are
    their types in the protocol's own encoding, as far as they are known.

    ``runs`` is what the text runs by name (``EXECUTE``, ``FETCH``), with the values that are bound to it. ``uncertain``
    says that it may be something else: a name is being given another meaning, or its values are not known.
    ``withheld_digest`` is SHA-256 over what the text does not show because it is secret. ``lasting``: it goes on for as
    long as its client likes (a shell), so of what is said in it as much is kept as of a whole session.
    """

    number: int
    meaning: Meaning
    text: bytes
    parameters: bytes = b""
    phase: Phase = Phase.EXECUTE
    forwarded: bytes = b""
    masked: tuple[MaskedColumn, ...] = ()
    masking: str = ""
    parameter_bytes: int = 0
    parameters_digest: bytes = b""
    parameter_types: bytes = b""
    runs: tuple[tuple[bytes, bytes], ...] = ()
    uncertain: bool = False
    withheld_digest: bytes = b""
    lasting: bool = False

    def digest(self) -> bytes:
        """SHA-256 over text and parameters, length-prefixed so that no two operations share an encoding."""
        hasher = hashlib.sha256(len(self.text).to_bytes(8, "big"))
        hasher.update(self.text)
        hasher.update(self.parameters)
        hasher.update(self.parameters_digest)
        return hasher.digest()


class OutcomeStatus(enum.Enum):
    """How a forwarded operation ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    SUSPENDED = "suspended"
    SKIPPED = "skipped"
    """Permitted, but the target passes over it because something before it failed."""
    INTERRUPTED = "interrupted"
    """The session ended before the target had answered; whether it took effect is not known."""


class Outcome(msgspec.Struct, frozen=True):
    """What came back for one operation: counts and the target's own words, never row values.

    ``tag`` is the target's completion word (``SELECT 5``); ``code`` the target's error code when it failed.
    """

    number: int
    status: OutcomeStatus
    tag: str = ""
    code: str = ""
    rows: int = 0
    bytes_sent: int = 0
    masked_values: int = 0
    """Values that were masked: rows times masked columns that they show, and values that content detection masked."""
    found: tuple[tuple[str, int], ...] = ()
    """What content detection found, by class."""
    tokens: int = 0
    """Tokens that a model used for it, by the model's own count; 0 when it says none."""
