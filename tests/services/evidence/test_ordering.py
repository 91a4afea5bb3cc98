"""What was said never comes before what was decided, whatever the clocks say."""

from interlock.core.recording import Direction, Frame
from interlock.services.evidence.ordering import in_order


def said(*frames: tuple[int, int]) -> list[Frame]:
    return [Frame(at_us, Direction.ANSWER, number, b"") for at_us, number in frames]


def shown(asked: list[tuple[int, int, int, str]], frames: list[Frame]) -> list[object]:
    return [item.number if isinstance(item, Frame) else item for _, item in in_order(asked, frames)]


def test_by_time() -> None:
    asked = [(10, 1, 0, "one"), (30, 2, 0, "two"), (50, 0, 2, "gap")]
    assert shown(asked, said((20, 1), (40, 2), (50, 0))) == ["one", 1, "two", 2, 0, "gap"]


def test_a_clock_that_is_ahead_shows_no_answer_before_its_question() -> None:
    asked = [(1000, 1, 0, "one"), (1000, 0, 2, "gap"), (3000, 2, 0, "two"), (5000, 3, 0, "three")]
    assert shown(asked, said((20, 1), (25, 0), (40, 2))) == ["one", 1, 0, "gap", "two", 2, "three"]


def test_times_never_run_backwards_before_a_frame() -> None:
    asked = [(1000, 1, 0, "one")]
    assert [at_us for at_us, _ in in_order(asked, said((20, 1), (30, 1)))] == [20, 20, 30]
