"""Counting against budgets, in memory: sliding windows, purses that draw on several of them, allowances for answers.

However many sessions spend from a window, and from whatever purses, together they pass what is left of it by less than
one message. Nothing in here reads a clock, keeps anything beyond the process or decides; the module is plain typed
Python that mypyc compiles where a C compiler is at hand.
"""

from collections.abc import Callable, Sequence
from typing import Final

from mypy_extensions import i64

from interlock.core.denial import Denial

BUCKETS: Final = 60
"""Parts of a window. An amount counts for the window's length and at most one part more, never for less."""
_SHARE: Final = 64
"""A purse takes at most this part of what is left in advance."""
_MUCH: Final = 16
"""What is not kept yet becomes urgent when it is this part of a limit."""
_MOST: Final = 1 << 62

Amount = tuple[int, int]
"""A bucket's number (its beginning in Unix time is that many times the bucket's length) and what was counted in it."""


class BookFull(Exception):
    """There are as many windows as there may be."""


class Book:
    """All windows there are, by key: at most ``max_windows``.

    ``touched`` are those that there is something to keep of. ``hurry`` is called when it should be kept soon.
    """

    def __init__(self, max_windows: int, hurry: Callable[[], None] | None = None) -> None:
        self._max_windows = max_windows
        self._windows: dict[str, Window] = {}
        self._unseen: list[Window] = []
        self.hurry = hurry
        self.touched: set[Window] = set()

    def __len__(self) -> int:
        return len(self._windows)

    def window(self, key: str, window_s: float) -> "Window":
        """The window of this key, a new one when there is none. Raises ``BookFull``."""
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= self._max_windows:
                raise BookFull
            window = self._windows[key] = Window(self, key, window_s)
        return window

    def sweep(self, now_s: float, at_most: int) -> "list[Window]":
        """Retire windows in which nothing counts any more, looking at some each time. The retired ones."""
        if not self._unseen:
            self._unseen = list(self._windows.values())
        seen, self._unseen = self._unseen[:at_most], self._unseen[at_most:]
        retired = [window for window in seen if window.count(now_s) == 0 and window.is_settled]
        for window in retired:
            window.retired = True
            del self._windows[window.key]
        return retired


class Window:
    """One counter over a sliding window of time. ``key`` names it in the store.

    A retired window is not in its book any more: somebody else may be counting under its key.
    """

    def __init__(self, book: Book, key: str, window_s: float) -> None:
        self._book = book
        self.key = key
        self._window_s = window_s
        self._width_s = window_s / BUCKETS
        self._amounts: dict[int, int] = {}
        self._unkept: dict[int, int] = {}
        self._unkept_total: i64 = 0
        self._bucket: i64 = 0
        self._total: i64 = 0
        self.borrowers: set[Purse] = set()
        self.retired = False

    def current(self) -> "Window":
        """Itself, or in its stead the window that is in the book now. Raises ``BookFull``."""
        return self._book.window(self.key, self._window_s) if self.retired else self

    def count(self, now_s: float) -> i64:
        """What was counted until now. A time before the latest one counts as that."""
        bucket: i64 = int(now_s / self._width_s)
        if bucket > self._bucket:
            self._turn(bucket)
        return self._total

    def bucket_at(self, at_s: float) -> int:
        """The number of the bucket that a time is in."""
        return int(at_s / self._width_s)

    def watch(self) -> None:
        """Have what others keep under this key looked up with the next keeping."""
        self._book.touched.add(self)

    def bucket_ends_s(self) -> float:
        """When the running bucket ends, in Unix seconds."""
        return float(self._bucket + 1) * self._width_s

    def charge(self, amount: i64, limit: i64) -> i64:
        """Add to the running bucket; its number, for taking something back. ``count`` tells the time."""
        self.correct(self._bucket, amount)
        if self._unkept_total * _MUCH >= limit and self._book.hurry is not None:
            self._book.hurry()
        return self._bucket

    def correct(self, bucket: i64, amount: i64) -> None:
        """Add to a bucket, or take away; a bucket that does not count any more only changes in the store."""
        if bucket >= self._bucket - BUCKETS:
            _add(self._amounts, bucket, amount)
            self._total += amount
        _add(self._unkept, bucket, amount)
        self._unkept_total += amount
        self._book.touched.add(self)

    def room_at_s(self, limit: i64) -> float:
        """When there is room below ``limit`` again if nothing more is counted, in Unix seconds; 0 for now."""
        left: i64 = self._total
        end_s = 0.0
        for bucket in sorted(self._amounts):
            if left < limit:
                break
            left -= self._amounts[bucket]
            end_s = (bucket + BUCKETS + 1) * self._width_s
        return end_s

    def recall(self) -> None:
        """Have everybody give back what they took in advance and have not spent."""
        for purse in list(self.borrowers):
            purse.give_back()

    @property
    def oldest(self) -> int:
        """The oldest bucket that counts."""
        return self._bucket - BUCKETS

    @property
    def is_settled(self) -> bool:
        """Whether nobody has taken anything in advance, and there is nothing to keep."""
        return not self._unkept and not self.borrowers

    def take_unkept(self) -> list[Amount]:
        """What is to be added to the store. It is the caller's from here on."""
        taken = list(self._unkept.items())
        self._unkept = {}
        self._unkept_total = 0
        return taken

    def put_back(self, taken: Sequence[Amount]) -> None:
        """The store has not taken it."""
        for bucket, amount in taken:
            _add(self._unkept, bucket, amount)
            self._unkept_total += amount
        self._book.touched.add(self)

    def is_kept(self, kept: Sequence[Amount], now_s: float) -> None:
        """Take over what the store has: everything that was kept, by whomever, with what came since on top."""
        amounts = {bucket: amount for bucket, amount in kept if amount > 0}
        for bucket, amount in self._unkept.items():
            _add(amounts, bucket, amount)
        self._amounts = amounts
        self._turn(max(self._bucket, int(now_s / self._width_s)))

    def _turn(self, bucket: i64) -> None:
        """Another bucket runs: what is too old does not count any more."""
        self._bucket = bucket
        oldest: i64 = bucket - BUCKETS
        self._amounts = {number: amount for number, amount in self._amounts.items() if number >= oldest}
        self._total = sum(self._amounts.values())


class Purse:
    """Several windows that are charged together, each with its limit.

    A little is taken from all of them in advance, so that most amounts cost a comparison. When a window is nearly
    spent, what others took of it in advance comes back before anybody is told that there is no room.
    """

    def __init__(self, windows: list[Window], limits: list[int], max_lease: int) -> None:
        self._windows = windows
        self._limits = limits
        self._max_lease: i64 = max_lease
        self._buckets: list[int] = []
        """Where what is ``_left`` was taken from; empty when nothing is."""
        self._left: i64 = 0
        self._until_s: float = 0.0

    def ready(self, amount: i64, now_s: float) -> bool:
        """Whether every window has room, so that ``amount`` may be spent: the last one may go beyond a limit.

        Raises ``BookFull``.
        """
        if amount <= self._left and now_s < self._until_s:
            return True
        return self._draw(amount, now_s)

    def spend(self, amount: i64) -> None:
        """To be called only after ``ready`` has said so, for the same amount at the same time."""
        self._left -= amount

    def pay(self, amount: i64, now_s: float) -> None:
        """Spend what cannot be withheld any more, whether there is room or not. Raises ``BookFull``."""
        if self.ready(amount, now_s):
            self._left -= amount
            return
        for place, window in enumerate(self._windows):
            window.count(now_s)
            window.charge(amount, self._limits[place])

    def counted(self, place: int, now_s: float) -> int:
        """What was really spent of a window. Raises ``BookFull``."""
        self._settle()
        window = self._windows[place]
        window.recall()
        return window.count(now_s)

    def room_at_s(self, place: int) -> float:
        """See ``Window.room_at_s``."""
        return self._windows[place].room_at_s(self._limits[place])

    def give_back(self) -> None:
        """What was taken in advance and is not spent goes back where it came from."""
        if not self._buckets:
            return
        for place, window in enumerate(self._windows):
            window.borrowers.discard(self)
            if self._left != 0:
                window.correct(self._buckets[place], -self._left)
        self._buckets = []
        self._left = 0
        self._until_s = 0.0

    def _settle(self) -> None:
        """Give back, and look at the windows that are in the book now."""
        self.give_back()
        for place, window in enumerate(self._windows):
            if window.retired:
                self._windows[place] = window.current()

    def _draw(self, amount: i64, now_s: float) -> bool:
        self._settle()
        room: i64 = self._least_room(amount, now_s)
        if room <= 0:
            return False
        lease: i64 = amount
        if room > amount:
            lease = max(amount, min(amount + (room - amount) // _SHARE, self._max_lease))
        until_s = now_s + 86400.0
        buckets: list[int] = []
        for place, window in enumerate(self._windows):
            buckets.append(window.charge(lease, self._limits[place]))
            window.borrowers.add(self)
            until_s = min(until_s, window.bucket_ends_s())
        self._buckets = buckets
        self._left = lease
        self._until_s = until_s
        return True

    def _least_room(self, wanted: i64, now_s: float) -> i64:
        """The room of the window that has least, once what others took of it in advance has come back."""
        least: i64 = _MOST
        for place, window in enumerate(self._windows):
            room: i64 = self._limits[place] - window.count(now_s)
            if room < wanted and window.borrowers:
                window.recall()
                room = self._limits[place] - window.count(now_s)
            if room <= 0:
                return room
            if room < least:
                least = room
        return least


class Allowance:
    """What the answer to one statement may still take. ``begin`` each part of it, then ask for every message.

    ``clock`` gives Unix seconds; when it fails, nothing more may go out. ``refusal`` says why nothing may.
    """

    def __init__(
        self,
        rows: Purse | None,
        size: Purse | None,
        clock: Callable[[], float],
        refusal: Callable[[], Denial],
        tokens: Purse | None = None,
    ) -> None:
        self._rows = rows
        self._size = size
        self._tokens = tokens
        self._clock = clock
        self._refusal = refusal
        self._now_s: float = 0.0
        self._broken = False

    def begin(self) -> None:
        """More of the answer has come: what is asked for next goes out now."""
        try:
            self._now_s = self._clock()
        except Exception:  # noqa: BLE001 - fail closed: without the time nothing can be counted
            self._broken = True

    def take(self, rows: i64, size: i64) -> bool:
        """Whether a message with so many rows and bytes may go out. It counts when it may."""
        if self._broken:
            return False
        try:
            return self._take(rows, size)
        except Exception:  # noqa: BLE001 - fail closed: what cannot be counted does not go out
            self._broken = True
            return False

    def _take(self, rows: i64, size: i64) -> bool:
        if self._rows is not None and rows > 0 and not self._rows.ready(rows, self._now_s):
            return False
        if self._size is not None:
            if not self._size.ready(size, self._now_s):
                return False
            self._size.spend(size)
        if self._rows is not None and rows > 0:
            self._rows.spend(rows)
        return True

    def note(self, size: i64) -> None:
        """Count a message that goes out in any case."""
        try:
            if self._size is not None:
                self._size.pay(size, self._now_s)
        except Exception:  # noqa: BLE001 - fail closed: nothing that can be withheld goes out from here on
            self._broken = True

    def use_tokens(self, tokens: i64) -> None:
        """Count what a model used for the answer, which is known only now: it counts even beyond the limit."""
        self.begin()
        try:
            if self._tokens is not None and tokens > 0:
                self._tokens.pay(tokens, self._now_s)
        except Exception:  # noqa: BLE001 - fail closed, as above
            self._broken = True

    def refusal(self) -> Denial:
        """Why no more may go out."""
        return self._refusal()


def _add(amounts: dict[int, int], bucket: i64, amount: i64) -> None:
    total = amounts.get(bucket, 0) + amount
    if total == 0:
        amounts.pop(bucket, None)
    else:
        amounts[bucket] = total
