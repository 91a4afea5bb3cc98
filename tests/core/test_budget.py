"""Counting: windows slide, purses of many sessions share what is left exactly, and nothing is lost on the way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from interlock.core.budget import BUCKETS, Allowance, Book, BookFull, Purse, Window
from interlock.core.denial import Denial, DenialReason

START_S = 1_800_000_000.0
HOUR_S = 3600.0
DENIAL = Denial(DenialReason.BUDGET_SPENT, "spent")


def purse(*windows: Window, limits: list[int], max_lease: int = 1000) -> Purse:
    return Purse(list(windows), limits, max_lease)


class TestWindow:
    def test_an_amount_counts_for_its_time_and_at_most_one_bucket_more(self) -> None:
        window = Book(10).window("w", 60.0)
        assert window.count(START_S) == 0
        window.charge(5, 100)
        assert window.count(START_S + 60.0) == 5
        assert window.count(START_S + 61.0) == 0

    @given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 9)), max_size=80), st.sampled_from([1.0, 90.0, HOUR_S]))
    def test_nothing_is_forgotten_too_early_or_too_late(self, steps: list[tuple[float, int]], window_s: float) -> None:
        window = Book(10).window("w", window_s)
        now_s, charged = START_S, []
        for step, amount in steps:
            now_s += step * window_s / 20
            window.count(now_s)
            window.charge(amount, 1000)
            charged.append((now_s, amount))
            counted = window.count(now_s)
            bucket_s = window_s / BUCKETS
            assert counted >= sum(amount for at_s, amount in charged if at_s > now_s - window_s)
            assert counted <= sum(amount for at_s, amount in charged if at_s >= now_s - window_s - bucket_s - 1e-6)

    @given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 9)), min_size=1, max_size=40), st.integers(1, 50))
    def test_when_there_is_room_again(self, steps: list[tuple[float, int]], limit: int) -> None:
        window = Book(10).window("w", 60.0)
        now_s = START_S
        for step, amount in steps:
            now_s += step
            window.count(now_s)
            window.charge(amount, limit)
        at_s = window.room_at_s(limit)
        if window.count(now_s) < limit:
            assert at_s == 0
            return
        assert at_s > now_s
        assert window.count(at_s - 0.01) >= limit
        assert window.count(at_s) < limit

    def test_time_that_goes_back_counts_as_the_latest(self) -> None:
        window = Book(10).window("w", 60.0)
        window.count(START_S)
        window.charge(5, 100)
        assert window.count(START_S - 1000) == 5
        assert window.count(START_S + 30) == 5

    def test_what_others_keep_is_taken_over_with_what_came_since(self) -> None:
        book = Book(10)
        window = book.window("w", 60.0)
        window.count(START_S)
        window.charge(5, 100)
        taken = window.take_unkept()
        assert taken == [(window.bucket_at(START_S), 5)]
        window.charge(2, 100)
        window.is_kept([(window.bucket_at(START_S), 12), (window.bucket_at(START_S - 30), 3), (7, 100)], START_S)
        assert window.count(START_S) == 17
        assert window.take_unkept() == [(window.bucket_at(START_S), 2)]

    def test_what_could_not_be_kept_is_kept_later(self) -> None:
        book = Book(10)
        window = book.window("w", 60.0)
        window.count(START_S)
        window.charge(5, 100)
        taken = window.take_unkept()
        book.touched.clear()
        window.charge(1, 100)
        window.put_back(taken)
        assert book.touched == {window}
        assert window.take_unkept() == [(window.bucket_at(START_S), 6)]

    def test_much_of_a_limit_is_urgent(self) -> None:
        hurried: list[int] = []
        book = Book(10, lambda: hurried.append(1))
        window = book.window("w", 60.0)
        window.charge(9, 160)
        assert not hurried
        window.charge(1, 160)
        assert hurried


class TestBook:
    def test_it_is_bounded(self) -> None:
        book = Book(2)
        first = book.window("a", 60.0)
        book.window("b", 60.0)
        assert book.window("a", 60.0) is first
        with pytest.raises(BookFull):
            book.window("c", 60.0)

    def test_empty_windows_make_room(self) -> None:
        book = Book(2)
        idle, used = book.window("a", 60.0), book.window("b", 60.0)
        used.count(START_S)
        used.charge(1, 100)
        used.take_unkept()
        assert book.sweep(START_S, 100) == [idle]
        book.window("c", 60.0)
        with pytest.raises(BookFull):
            book.window("d", 60.0)
        assert used in book.sweep(START_S + 120, 100)

    def test_what_is_not_kept_yet_or_taken_in_advance_stays(self) -> None:
        book = Book(9)
        window = book.window("a", 60.0)
        window.count(START_S)
        window.charge(1, 100)
        assert book.sweep(START_S + 120, 100) == []
        lent = book.window("b", 60.0)
        holder = purse(lent, limits=[1000])
        assert holder.ready(1, START_S + 120)
        assert lent not in book.sweep(START_S + 300, 100)

    def test_a_purse_finds_the_window_that_came_after_a_retired_one(self) -> None:
        """Else two would be counted apart."""
        book = Book(9)
        holder = purse(book.window("a", 60.0), limits=[3])
        book.sweep(START_S, 100)
        current = book.window("a", 60.0)
        current.count(START_S)
        current.charge(2, 3)
        assert holder.ready(1, START_S)
        holder.spend(1)
        assert not holder.ready(1, START_S)
        assert current.count(START_S) == 3


class TestPurse:
    def test_the_last_one_may_go_beyond_the_limit(self) -> None:
        window = Book(9).window("a", 60.0)
        holder = purse(window, limits=[10])
        assert holder.ready(7, START_S)
        holder.spend(7)
        assert holder.ready(7, START_S)
        holder.spend(7)
        assert not holder.ready(1, START_S)
        assert holder.counted(0, START_S) == 14

    def test_the_narrowest_window_counts(self) -> None:
        book = Book(9)
        holder = purse(book.window("a", 60.0), book.window("b", 60.0), limits=[100, 2])
        for _ in range(2):
            assert holder.ready(1, START_S)
            holder.spend(1)
        assert not holder.ready(1, START_S)
        assert [holder.counted(place, START_S) for place in (0, 1)] == [2, 2]
        assert holder.room_at_s(0) == 0
        assert holder.room_at_s(1) > START_S

    def test_what_cannot_be_withheld_counts_beyond_the_limit(self) -> None:
        holder = purse(Book(9).window("a", 60.0), limits=[2])
        for _ in range(3):
            holder.pay(5, START_S)
        assert holder.counted(0, START_S) == 15

    def test_what_is_taken_in_advance_is_taken_now(self) -> None:
        """An amount must not count for an earlier time than that of its spending."""
        window = Book(9).window("a", 60.0)
        holder = purse(window, limits=[100_000])
        assert holder.ready(1, START_S)
        assert window.count(START_S) > 1
        later_s = START_S + 30
        assert holder.ready(1, later_s)
        holder.spend(1)
        holder.give_back()
        assert window.count(START_S + 61.5) == 1


class TestAllowance:
    def test_a_row_needs_both(self) -> None:
        book = Book(9)
        rows, size = purse(book.window("r", 60.0), limits=[5]), purse(book.window("b", 60.0), limits=[100])
        allowance = Allowance(rows, size, lambda: START_S, lambda: DENIAL)
        allowance.begin()
        assert allowance.take(1, 60)
        assert allowance.take(1, 60)
        assert not allowance.take(1, 60)
        assert (rows.counted(0, START_S), size.counted(0, START_S)) == (2, 120)
        assert allowance.refusal() is DENIAL

    def test_a_broken_clock_is_the_end(self) -> None:
        broken = [False]

        def clock() -> float:
            if broken[0]:
                raise OSError
            return START_S

        allowance = Allowance(purse(Book(9).window("r", 60.0), limits=[5]), None, clock, lambda: DENIAL)
        allowance.begin()
        assert allowance.take(1, 1)
        broken[0] = True
        allowance.begin()
        assert not allowance.take(1, 1)
        broken[0] = False
        allowance.begin()
        assert not allowance.take(1, 1)

    def test_a_counter_that_is_gone_is_the_end(self) -> None:
        book = Book(1)
        allowance = Allowance(purse(book.window("r", 60.0), limits=[5]), None, lambda: START_S, lambda: DENIAL)
        book.sweep(START_S, 9)
        book.window("other", 60.0)
        allowance.begin()
        assert not allowance.take(1, 1)
        allowance.note(1)
        assert not allowance.take(1, 1)


class Sessions(RuleBasedStateMachine):
    """Sessions spend from purses that share windows, time passes, amounts are kept: never more than the limit."""

    @initialize(
        limits=st.lists(st.integers(1, 400), min_size=2, max_size=3),
        shared=st.lists(st.frozensets(st.integers(0, 1), min_size=1), min_size=2, max_size=5),
        max_lease=st.sampled_from([1, 16, 1000]),
    )
    def begin(self, limits: list[int], shared: list[frozenset[int]], max_lease: int) -> None:
        self.book = Book(99)
        self.now_s = START_S
        self.limits = limits
        self.windows = [self.book.window(str(place), HOUR_S) for place in range(len(limits))]
        self.purses = [
            (
                places,
                Purse([self.windows[at] for at in sorted(places)], [limits[at] for at in sorted(places)], max_lease),
            )
            for places in shared
        ]
        self.spent: list[list[tuple[float, int]]] = [[] for _ in limits]
        self.store: dict[tuple[str, int], int] = {}

    def real(self, at: int) -> int:
        return sum(amount for at_s, amount in self.spent[at] if at_s > self.now_s - HOUR_S)

    @rule(who=st.integers(0, 9), amount=st.integers(1, 40))
    def spend(self, who: int, amount: int) -> None:
        places, holder = self.purses[who % len(self.purses)]
        before = [self.real(at) for at in range(len(self.limits))]
        if not holder.ready(amount, self.now_s):
            spent = [holder.counted(place, self.now_s) >= self.limits[at] for place, at in enumerate(sorted(places))]
            assert any(spent), "refused although there is room"
            return
        holder.spend(amount)
        for at in places:
            assert before[at] < self.limits[at], "allowed although it is spent"
            self.spent[at].append((self.now_s, amount))

    @rule(who=st.integers(0, 9))
    def only_ask(self, who: int) -> None:
        self.purses[who % len(self.purses)][1].ready(1, self.now_s)

    @rule(seconds=st.sampled_from([0.1, 20.0, 61.0, 900.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def keep(self) -> None:
        for window in list(self.book.touched):
            window.recall()
        windows, self.book.touched = self.book.touched, set()
        for window in windows:
            for bucket, amount in window.take_unkept():
                key = (window.key, bucket)
                self.store[key] = self.store.get(key, 0) + amount
            kept = [(bucket, amount) for (key, bucket), amount in self.store.items() if key == window.key]
            window.is_kept(kept, self.now_s)
        for at, window in enumerate(self.windows):
            total = sum(amount for (key, _), amount in self.store.items() if key == window.key)
            assert total == sum(amount for _, amount in self.spent[at]), "what is kept is what was spent"

    @rule()
    def sweep(self) -> None:
        self.book.sweep(self.now_s, 10)

    @invariant()
    def never_beyond_the_limit_by_a_whole_message(self) -> None:
        for at, limit in enumerate(getattr(self, "limits", ())):
            inside = [amount for at_s, amount in self.spent[at] if at_s > self.now_s - HOUR_S]
            assert sum(inside) < limit + max(inside, default=1)


TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
