"""Session identifiers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.session import is_session_id, new_session_id, session_id_time_ms

TIMES = st.integers(0, (1 << 48) * 1_000_000 - 1)


@given(TIMES, TIMES, st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_ids_have_one_form_and_sort_by_time(first: int, second: int, one: bytes, two: bytes) -> None:
    earlier, later = new_session_id(first, one), new_session_id(second, two)
    assert is_session_id(earlier)
    assert session_id_time_ms(earlier) == first // 1_000_000
    if first // 1_000_000 < second // 1_000_000:
        assert earlier < later
    if one != two:
        assert earlier != later


@pytest.mark.parametrize("text", ["", "../../../../../etc/passwd1", "0" * 25, "0" * 27, "U" * 26, "0" * 25 + "\n"])
def test_other_text_is_no_id(text: str) -> None:
    assert not is_session_id(text)
    with pytest.raises(ValueError, match="not a session id"):
        session_id_time_ms(text)


def test_the_wrong_entropy_or_time_is_refused() -> None:
    for time_ns, entropy in ((0, b"short"), (-1_000_000, b"0" * 10), (1 << 80, b"0" * 10)):
        with pytest.raises(ValueError, match="a session id needs"):
            new_session_id(time_ns, entropy)
