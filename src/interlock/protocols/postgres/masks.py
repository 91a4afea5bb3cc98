"""A session's masks: its principal's masking, and the names that the session has made itself.

Rewritten texts are remembered, for all sessions together, by everything that they depend on.
"""

import threading
from collections import OrderedDict
from functools import lru_cache
from typing import Final

import msgspec

from interlock.core.masking import Masking
from interlock.core.operation import Access, Meaning
from interlock.protocols.postgres import messages
from interlock.protocols.postgres.masking.index import MaskingIndex
from interlock.protocols.postgres.masking.names import Surroundings, relation_names
from interlock.protocols.postgres.masking.rewriting import Rewriting, rewrite
from interlock.protocols.postgres.masking.untouched import passes
from interlock.protocols.postgres.outstanding import Change
from interlock.protocols.postgres.scope import SchemaScope
from interlock.protocols.postgres.statements.interpretation import Interpretation, TransactionControl

UNDOING: Final = (
    TransactionControl.COMMIT,
    TransactionControl.ROLLBACK,
    TransactionControl.ROLLBACK_TO,
    TransactionControl.PREPARE,
)
"""What ends a transaction or undoes a part of it, and with it changes of the search path."""
MAX_REMEMBERED: Final = 2_000
MAX_REMEMBERED_BYTES: Final = 16 << 20
MAX_OWN_NAMES: Final = 10_000
_MAX_RECENT: Final = 256
_MAX_RECENT_BYTES: Final = 4096
_CHANGED: Final = (
    "The statement was prepared under other masks, or while its names meant something else: prepare it again."
)
STALE: Final = Rewriting(b"", refusal=_CHANGED)


class SessionMasks:
    """What is masked in one session. ``index`` is None when no column is: then statements pass as they are."""

    def __init__(self, scope: SchemaScope, masking: Masking | None = None) -> None:
        self._scope = scope
        self.masking = masking
        self.index = _index(masking)
        self.own: frozenset[tuple[str, str]] = frozenset()
        self.has_defined = False
        """The session has changed what the database contains since the masking was determined."""
        self.is_behind = False
        """The target has described what the masking's catalogue does not have."""
        self._around = Surroundings(scope.schemas, scope.certain, self.own)
        self._recent: dict[bytes, Rewriting] = {}
        """Of this session, for the masking and the surroundings in force."""

    @property
    def version(self) -> str:
        """The masking's version, empty without one."""
        return self.masking.version if self.masking is not None else ""

    def change(self, masking: Masking | None, *, in_transaction: bool = False) -> None:
        """Another masking is in force. What the session has changed in an open transaction is not in it."""
        self._recent.clear()
        self.has_defined = self.has_defined and in_transaction
        self.is_behind = False
        self.masking = masking
        self.index = _index(masking)

    def rewrite(self, text: bytes, interpretation: Interpretation) -> Rewriting | None:
        """A text as it may go to the target now; None when there are no masks."""
        if self.index is None:
            return None
        paths = [statement.search_path for statement in interpretation.statements if statement.search_path is not None]
        undone = self._scope.changed_in_transaction and any(
            statement.transaction in UNDOING for statement in interpretation.statements
        )
        if paths or undone:
            around = Surroundings(self._scope.possible(paths, undone), False, self.own)
            return _remembered.get(text, interpretation, self.index, around)
        around = self._surroundings()
        known = self._recent.get(text)
        if known is None:
            known = self._found(text, interpretation, self.index, around)
            if len(self._recent) >= _MAX_RECENT:
                self._recent.clear()
            if len(text) <= _MAX_RECENT_BYTES:
                self._recent[text] = known
        return known

    def _found(
        self, text: bytes, interpretation: Interpretation, index: MaskingIndex, around: Surroundings
    ) -> Rewriting:
        if passes(text, interpretation, index, around):
            return Rewriting(text)
        return _remembered.get(text, interpretation, index, around)

    def _surroundings(self) -> Surroundings:
        """What names mean in the session now; when that has changed, what was found before is forgotten."""
        around, scope = self._around, self._scope
        if around.own is not self.own or around.path is not scope.schemas or around.path_is_certain != scope.certain:
            around = self._around = Surroundings(scope.schemas, scope.certain, self.own)
            self._recent.clear()
        return around

    def still_holds(self, rewriting: Rewriting | None, text: bytes, interpretation: Interpretation) -> Rewriting | None:
        """What was prepared, if its text would be prepared in the same way now, otherwise ``STALE``."""
        now = self.rewrite(text, interpretation)
        before = text if rewriting is None else rewriting.text
        if now is None:
            return None if before == text else STALE
        return now if now.refusal or now.text == before else STALE


class Definition(Change):
    """The session changes what the database contains: no mask is on what it makes, and the catalogue is behind."""

    def __init__(self, masks: SessionMasks, accesses: tuple[Access, ...]) -> None:
        self._masks = masks
        self._made = relation_names(accesses, "create")
        self._gone = relation_names(accesses, "drop")

    def taken(self, idle: bool) -> None:
        masks = self._masks
        masks.has_defined = True
        if len(masks.own) < MAX_OWN_NAMES:
            masks.own = (masks.own - self._gone) | self._made

    def perhaps_taken(self) -> None:
        self.taken(False)


DEFINING: Final = frozenset({"create", "alter", "drop", "create-code", "comment"})


@lru_cache(maxsize=4096)
def refused_meaning(meaning: Meaning, sentence: str, code: str, position: int) -> Meaning:
    """The meaning of a text that masks refuse."""
    return msgspec.structs.replace(
        meaning, refusal=meaning.refusal or sentence, refusal_code=code, refusal_position=position
    )


@lru_cache(maxsize=1024)
def masked_condition_notice(columns: tuple[str, ...]) -> bytes:
    """What a client is told when its condition, order or group sees a mask in the place of values."""
    return messages.notice_response(
        "WARNING",
        "01000",
        f"conditions, order and groups see the mask of {', '.join(columns)} here, not its values",
        "Where policy permits it, WHERE and ON may test such a column for equality with constants and parameters.",
    )


def _index(masking: Masking | None) -> MaskingIndex | None:
    return index_of(masking) if masking is not None and masking.columns else None


@lru_cache(maxsize=64)
def index_of(masking: Masking) -> MaskingIndex:
    """Sessions of one principal share a masking, and so its index."""
    return MaskingIndex(masking)


class _Remembered:
    """Least recently used texts go first."""

    def __init__(self, max_texts: int = MAX_REMEMBERED, max_bytes: int = MAX_REMEMBERED_BYTES) -> None:
        self._max_texts, self._max_bytes = max_texts, max_bytes
        self._entries: OrderedDict[tuple[bytes, MaskingIndex, Surroundings], Rewriting] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, text: bytes, interpretation: Interpretation, index: MaskingIndex, around: Surroundings) -> Rewriting:
        key = (text, index, around)
        with self._lock:
            known = self._entries.get(key)
            if known is not None:
                self._entries.move_to_end(key)
                return known
        known = rewrite(text, interpretation, index, around)
        self._put(key, known)
        return known

    def _put(self, key: tuple[bytes, MaskingIndex, Surroundings], rewriting: Rewriting) -> None:
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = rewriting
            self._bytes += _size(key, rewriting)
            while len(self._entries) > self._max_texts or self._bytes > self._max_bytes:
                dropped, gone = self._entries.popitem(last=False)
                self._bytes -= _size(dropped, gone)


def _size(key: tuple[bytes, MaskingIndex, Surroundings], rewriting: Rewriting) -> int:
    return len(key[0]) + len(rewriting.text)


_remembered = _Remembered()
