"""Attempts to sign in: one browser, one provider, one use, a few minutes, and no way out of this site."""

import pytest

from interlock.core.errors import LoginRefused
from interlock.services.sign_in import LIFE_S, MAX_ATTEMPTS_OF_SOURCE, Attempts, is_local_path
from tests.clocks import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def attempts(clock: ManualClock) -> Attempts:
    return Attempts(clock)


def test_an_attempt_counts_once(attempts: Attempts) -> None:
    attempt, browser = attempts.begin("corp", None, "192.0.2.1", "/there")
    assert attempts.take("corp", attempt.state, browser) == attempt
    with pytest.raises(LoginRefused):
        attempts.take("corp", attempt.state, browser)


def test_it_belongs_to_one_browser(attempts: Attempts) -> None:
    attempt, browser = attempts.begin("corp", None, "192.0.2.1")
    _, other = attempts.begin("corp", None, "192.0.2.2")
    for wrong in (None, "", other, browser[:-1]):
        with pytest.raises(LoginRefused, match="another browser"):
            attempts.take("corp", attempt.state, wrong)
    assert attempts.take("corp", attempt.state, browser) == attempt


def test_it_belongs_to_one_provider(attempts: Attempts) -> None:
    attempt, browser = attempts.begin("corp", None, "192.0.2.1")
    for _ in range(2):
        with pytest.raises(LoginRefused):
            attempts.take("evil", attempt.state, browser)


def test_it_is_over_after_a_while(attempts: Attempts, clock: ManualClock) -> None:
    attempt, browser = attempts.begin("corp", None, "192.0.2.1")
    clock.advance(LIFE_S)
    with pytest.raises(LoginRefused, match="over"):
        attempts.take("corp", attempt.state, browser)


def test_windows_of_one_browser_sign_in_beside_one_another(attempts: Attempts) -> None:
    first, browser = attempts.begin("corp", None, "192.0.2.1")
    second, same = attempts.begin("corp", browser, "192.0.2.1")
    assert browser == same
    assert attempts.take("corp", first.state, browser) == first
    assert attempts.take("corp", second.state, browser) == second


def test_one_host_with_many_addresses_is_one_source(attempts: Attempts) -> None:
    for number in range(MAX_ATTEMPTS_OF_SOURCE):
        attempts.begin("corp", None, f"2001:db8::{number:x}")
    with pytest.raises(LoginRefused, match="too many"):
        attempts.begin("corp", None, "2001:db8::ffff")
    attempts.begin("corp", None, "2001:db8:0:1::1")


def test_no_value_of_somebody_elses_choice_binds_an_attempt(attempts: Attempts) -> None:
    for planted in ("A" * 43, "", "x", "é" * 43):
        assert attempts.begin("corp", planted, "192.0.2.1")[1] != planted


def test_one_source_cannot_take_all_the_room(attempts: Attempts, clock: ManualClock) -> None:
    for _ in range(MAX_ATTEMPTS_OF_SOURCE):
        attempts.begin("corp", None, "192.0.2.1")
    with pytest.raises(LoginRefused, match="too many"):
        attempts.begin("corp", None, "192.0.2.1")
    attempts.begin("corp", None, "192.0.2.2")
    clock.advance(LIFE_S)
    attempts.begin("corp", None, "192.0.2.1")


def test_nothing_that_must_stay_secret_is_shown(attempts: Attempts) -> None:
    attempt, browser = attempts.begin("corp", None, "192.0.2.1")
    shown = repr(attempt)
    assert not any(secret in shown for secret in (attempt.state, attempt.nonce, attempt.verifier, browser))


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example.org/",
        "//evil.example.org",
        "/\\evil.example.org",
        "\\\\evil.example.org",
        "/\t/evil.example.org",
        "/\n/evil.example.org",
        " /x",
        "javascript:alert(1)",
        "",
        "x",
        "/é",
        "/" + "a" * 3000,
        "/a\r\nSet-Cookie: x=y",
    ],
)
def test_next_stays_on_this_site(attempts: Attempts, path: str) -> None:
    assert not is_local_path(path)
    with pytest.raises(LoginRefused):
        attempts.begin("corp", None, "192.0.2.1", path)


@pytest.mark.parametrize("path", ["/", "/approvals/1?x=y#z", "/a//b", "/%5cevil"])
def test_next_may_be_any_path_here(path: str) -> None:
    assert is_local_path(path)
