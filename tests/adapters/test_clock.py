"""The system's clock."""

import datetime

from interlock.adapters.clock import SystemClock


def test_it_tells_the_time() -> None:
    before = datetime.datetime.now(datetime.UTC).timestamp()
    now_s = SystemClock().now_s()
    assert before <= now_s <= datetime.datetime.now(datetime.UTC).timestamp()


def test_it_measures_forward() -> None:
    clock = SystemClock()
    assert clock.monotonic_s() <= clock.monotonic_s()
