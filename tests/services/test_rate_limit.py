"""Token buckets: how many at once, how many later, and in how much memory."""

from interlock.services.rate_limit import RateLimit
from tests.clocks import ManualClock


def test_so_many_at_once_and_then_one_at_a_time() -> None:
    clock = ManualClock()
    limit = RateLimit(6, clock)
    assert [limit.take("ada") for _ in range(7)] == [0, 0, 0, 0, 0, 0, 10]
    clock.advance(9)
    assert limit.take("ada") == 1
    clock.advance(1)
    assert [limit.take("ada"), limit.take("ada")] == [0, 10]
    clock.advance(100_000)
    assert [limit.take("ada") for _ in range(7)].count(0) == 6


def test_each_has_their_own() -> None:
    limit = RateLimit(1, ManualClock())
    assert [limit.take("ada"), limit.take("bob"), limit.take("ada"), limit.take("bob")] == [0, 0, 60, 60]


def test_looking_uses_nothing_up_and_remembers_nobody() -> None:
    limit = RateLimit(1, ManualClock(), max_keys=1)
    assert [limit.wait_s("ada") for _ in range(3)] == [0, 0, 0]
    assert limit.take("ada") == 0
    assert limit.wait_s("bob") == 0
    assert limit.wait_s("ada") == 60


def test_who_asked_longest_ago_is_forgotten() -> None:
    limit = RateLimit(1, ManualClock(), max_keys=2)
    for name in ("ada", "bob", "ada", "eve"):
        limit.take(name)
    assert [limit.wait_s(name) for name in ("ada", "bob", "eve")] == [60, 0, 60]


def test_a_clock_that_stands_still_gives_nothing() -> None:
    limit = RateLimit(2, ManualClock())
    assert [limit.take("ada") for _ in range(5)] == [0, 0, 30, 30, 30]
