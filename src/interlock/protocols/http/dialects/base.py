"""What a dialect is: how requests to a kind of HTTP API are read, refused, and their answers looked at.

A *dialect* knows one API language (plain HTTP, GraphQL, a model API, MCP). It is pure and belongs to one connection of
the settings, whose clients all share it. It never sees a credential and never decides: it says what a request means.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import msgspec

from interlock.core.denial import Denial
from interlock.core.masking import Masking
from interlock.core.operation import Meaning
from interlock.core.tool import ToolDefinition
from interlock.protocols.http.websocket.values import Filtered
from interlock.protocols.http.wire.messages import Headers, ResponseHead

NO_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Request(msgspec.Struct, frozen=True):
    """A parsed request as it is going to be forwarded.

    ``path``, ``query`` and ``query_keys`` are canonical (``wire.targets``); ``path`` is relative to the connection.
    ``headers`` have lower-cased names and no credentials. ``content_type`` is the media type in lower case, without
    parameters. ``body`` is None when it is not held: it streams, is too long, or there is none (``has_body``).
    """

    method: str
    path: str
    query: str
    query_keys: tuple[str, ...]
    headers: Headers
    host: str
    content_type: str
    body: bytes | None = None
    has_body: bool = False


class Reply(msgspec.Struct, frozen=True):
    """An answer that the gateway gives itself. ``headers`` are without framing."""

    status: int
    headers: Headers
    body: bytes


class Reading(msgspec.Struct, frozen=True):
    """What a dialect says of one request.

    ``body`` goes to the target in the place of the request's, None when that goes as it came. With a ``reply`` nothing
    is forwarded: a permitted request is answered with it. ``note`` is the dialect's own state for this exchange.
    ``fields`` says under which selectors of this answer (an alias) stands what policy knows by others; see
    ``answer_fields.masking_with``.
    ``bound`` stands for the body in what a person's yes is bound to, None for the body itself: what is asked again may
    differ in a number that counts messages.
    """

    meaning: Meaning
    body: bytes | None = None
    reply: Reply | None = None
    note: object = None
    fields: Mapping[str, tuple[str, ...]] = NO_FIELDS
    bound: bytes | None = None


class AnswerFilter(Protocol):
    """Looks at one answer's decoded body on its way, before it is masked. Raises ``BodyRefused`` to cut it off.

    One that is a ``MaskingFilter`` masks, too.

    While ``listed`` is not empty the answer waits: the effect ``ReviewTools`` asks which of them the caller may see,
    and its answer goes to ``reviewed``. What is fed meanwhile is kept (bounded), and ``finish`` does not end the answer
    before. Filters of languages without tools inherit both from ``NoTools``.
    """

    @property
    def usage(self) -> int:
        """Tokens that the answer says it used, or an estimate for so far as it does not say; 0 for none."""

    def feed(self, data: bytes) -> bytes:
        """What may go on of ``data`` and of what was kept."""

    def finish(self) -> bytes:
        """The body is over: the rest."""

    @property
    def listed(self) -> tuple[ToolDefinition, ...]:
        """Tools of the answer that wait for their review; asked after each ``feed``, ``finish`` and ``reviewed``."""

    def reviewed(self, shown: Sequence[bool]) -> bytes:
        """What may go on, once it is said for each of ``listed`` whether it may be shown."""


@runtime_checkable
class MaskingFilter(AnswerFilter, Protocol):
    """A filter that masks the answer itself, so that nobody else does: masks made twice would be others."""

    @property
    def masked_values(self) -> int:
        """How many values were replaced so far."""

    @property
    def found(self) -> tuple[tuple[str, int], ...]:
        """What content detection has found so far, by class."""


class NoTools:
    """What a filter inherits whose answers list no tools."""

    @property
    def listed(self) -> tuple[ToolDefinition, ...]:
        return ()

    def reviewed(self, shown: Sequence[bool]) -> bytes:
        return b""


class Dialect(Protocol):
    """One API language on one connection."""

    def wants_body(self, request: Request) -> bool:
        """Whether the body is needed to read the request; asked before there is one."""

    def read(self, request: Request, masking: Masking | None) -> Reading:
        """What the request means. Never raises for what a client sent; equal requests give the identical meaning."""

    def refuse(self, request: Request, reading: Reading, denial: Denial, link: str, approval: str = "") -> Reply | None:
        """A denial in the API's own words, None for an ordinary one (403, ``application/problem+json``).

        ``link`` is where a person can see what the request waits for, and ``approval`` the id of that; both are empty
        when it waits for nobody.
        """

    def answer(
        self, request: Request, reading: Reading, head: ResponseHead, masking: Masking | None
    ) -> AnswerFilter | None:
        """What looks at the answer's body, None when nobody needs to."""


@runtime_checkable
class AmendingDialect(Dialect, Protocol):
    """A dialect that can take what policy denies out of a request, where the settings want that."""

    def amend(self, request: Request, reading: Reading, denial: Denial, masking: Masking | None) -> Reading | None:
        """The request without what was denied, to be decided instead; None: it stays refused.

        Asked for every denial of a request, each time with the reading that was denied; the readings get fewer
        accesses, so that this comes to an end.
        """


class MessageFilter(Protocol):
    """Looks at the texts that a target sends over one WebSocket connection."""

    @property
    def usage(self) -> int:
        """Tokens that all answers so far say they used."""

    @property
    def masked_values(self) -> int:
        """How many values were replaced so far."""

    @property
    def found(self) -> tuple[tuple[str, int], ...]:
        """What content detection has found so far, by class."""

    def mask_as(self, masking: Masking | None) -> None:
        """What is masked from here on."""

    def take(self, text: bytes) -> Filtered | str:
        """What goes on in the place of a text, masked; or why nothing must go on."""


@runtime_checkable
class MessageDialect(Dialect, Protocol):
    """A dialect in which every text that a client sends over WebSocket is a request of its own."""

    def has_messages(self, request: Request) -> bool:
        """Whether the connection that this request opens is one of these."""

    def read_message(self, request: Request, text: bytes, masking: Masking | None) -> Reading:
        """What a text of the client means; as ``read``, and ``body`` goes to the target in its place."""

    def amend_message(
        self, request: Request, text: bytes, reading: Reading, denial: Denial, masking: Masking | None
    ) -> Reading | None:
        """As ``AmendingDialect.amend``."""

    def refuse_message(self, request: Request, text: bytes, reading: Reading, denial: Denial, link: str) -> bytes:
        """The text that tells the client of a denial; ``link`` as for ``refuse``."""

    def answer_messages(self, request: Request, masking: Masking | None) -> MessageFilter:
        """What looks at the texts that the target sends."""
