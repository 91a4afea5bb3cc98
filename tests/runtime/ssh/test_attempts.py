"""Failed logins are counted by source, and a source that failed too often has to wait."""

import pytest

from interlock.runtime.ssh.attempts import LoginAttempts
from tests.clocks import ManualClock

PER_MINUTE = 3


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def attempts(clock: ManualClock) -> LoginAttempts:
    return LoginAttempts(PER_MINUTE, clock)


def fail_too_often(attempts: LoginAttempts, source: str) -> None:
    for _ in range(PER_MINUTE):
        assert attempts.may_try(source)
        attempts.failed(source)


def test_a_source_that_failed_too_often_waits(attempts: LoginAttempts, clock: ManualClock) -> None:
    fail_too_often(attempts, "192.0.2.1")
    assert not attempts.may_try("192.0.2.1")
    clock.advance(60 / PER_MINUTE)
    assert attempts.may_try("192.0.2.1")
    attempts.failed("192.0.2.1")
    assert not attempts.may_try("192.0.2.1")


def test_asking_costs_nothing(attempts: LoginAttempts) -> None:
    attempts.failed("192.0.2.1")
    assert all(attempts.may_try("192.0.2.1") for _ in range(100))


@pytest.mark.parametrize("other", ["192.0.2.2", "2001:db8::1", "unknown"])
def test_other_sources_are_not_concerned(attempts: LoginAttempts, other: str) -> None:
    fail_too_often(attempts, "192.0.2.1")
    assert attempts.may_try(other)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"),
        ("fe80::1%eth0", "fe80::2%eth1"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
    ],
)
def test_addresses_that_one_host_has_are_one_source(attempts: LoginAttempts, first: str, second: str) -> None:
    fail_too_often(attempts, first)
    assert not attempts.may_try(second)


def test_another_network_is_another_source(attempts: LoginAttempts) -> None:
    fail_too_often(attempts, "2001:db8:1:2::1")
    assert attempts.may_try("2001:db8:1:3::1")
