"""What is found not to be well with an agent, and what is not."""

from typing import Any

import msgspec
import pytest

from interlock.core.access_review import (
    DAY_S,
    RISKS,
    Flag,
    Grant,
    OwnerState,
    ReviewTerms,
    SeenIdentity,
    Subject,
    Use,
    findings_of,
    risk_of,
)
from interlock.core.identity import Handover, Principal, PrincipalKind, RegisteredIdentity

NOW_S = 1_800_000_000.0
TERMS = ReviewTerms(NOW_S, 90 * DAY_S, 180 * DAY_S)
BOT = Principal(PrincipalKind.AGENT, "bot", owner="ada")
REGISTERED = RegisteredIdentity("bot", PrincipalKind.AGENT, "ada", created_at_s=NOW_S - 300 * DAY_S)


def ago(days: float) -> float:
    return NOW_S - days * DAY_S


def seen(last_days_ago: float) -> SeenIdentity:
    return SeenIdentity(BOT, ago(200), ago(last_days_ago), 3)


WELL = Subject(
    BOT,
    OwnerState.PRESENT,
    REGISTERED,
    seen(1),
    (Use("crm", "connect", ago(1)), Use("crm", "select", ago(1))),
    (Grant("crm", ("select",)),),
    keys=(ago(100),),
)


def found(**changes: Any) -> dict[Flag, str]:
    subject = msgspec.structs.replace(WELL, **changes)
    return {finding.flag: finding.text for finding in findings_of(subject, TERMS)}


def test_there_may_be_nothing_to_say() -> None:
    assert found() == {}


@pytest.mark.parametrize(
    ("changes", "flag", "text"),
    [
        ({"owner_state": OwnerState.NONE}, Flag.NO_OWNER, "nobody answers for it"),
        ({"owner_state": OwnerState.GONE}, Flag.OWNER_GONE, "its owner ada is disabled or locked"),
        (
            {"owner_state": OwnerState.UNKNOWN},
            Flag.OWNER_UNKNOWN,
            "nobody called ada is registered or has had a session",
        ),
        ({"registered": None}, Flag.NOT_REGISTERED, "it is known from its tokens only"),
        ({"seen": None}, Flag.NEVER_USED, "never used since it was registered 300 days ago"),
        ({"seen": seen(91)}, Flag.UNUSED, "not used for 91 days"),
        (
            {"wide_rules": ("all", "bots")},
            Flag.WIDE_RULE,
            "everything is permitted to it by all, bots",
        ),
        ({"keys": (ago(10), ago(181))}, Flag.OLD_KEY, "it has an SSH key that is 181 days old"),
        (
            {"registered": msgspec.structs.replace(REGISTERED, scram_verifier="v", secret_made_at_s=ago(200))},
            Flag.OLD_SECRET,
            "its secret is 200 days old",
        ),
        (
            {"registered": msgspec.structs.replace(REGISTERED, scram_verifier="v")},
            Flag.OLD_SECRET,
            "its secret is up to 300 days old",
        ),
        (
            {"registered": msgspec.structs.replace(REGISTERED, handover=Handover("root", ("eve",)))},
            Flag.OWNER_UNCONFIRMED,
            "that ada answers for it is not confirmed",
        ),
        (
            {"grants": (Grant("crm", ("select", "insert")), Grant("hr", ("select",)))},
            Flag.BREADTH,
            "used 1 of 2 connections and 1 of 3 actions on them in the last 90 days",
        ),
    ],
)
def test_what_is_not_well(changes: dict[str, Any], flag: Flag, text: str) -> None:
    assert found(**changes) == {flag: text}


def test_a_new_secret_of_an_old_agent_is_not_old() -> None:
    assert found(registered=msgspec.structs.replace(REGISTERED, scram_verifier="v", secret_made_at_s=ago(1))) == {}


@pytest.mark.parametrize(
    "uses",
    [
        (),
        (Use("crm", "connect", ago(91)), Use("crm", "select", ago(91))),
        (Use("elsewhere", "connect", ago(1)), Use("elsewhere", "select", ago(1))),
    ],
)
def test_only_what_was_used_lately_and_is_granted_counts_as_used(uses: tuple[Use, ...]) -> None:
    assert found(uses=uses)[Flag.BREADTH].startswith("used 0 of 1 connections and 0 of 1 actions")


def test_the_worst_comes_first_and_risks_add_up() -> None:
    subject = msgspec.structs.replace(WELL, owner_state=OwnerState.GONE, registered=None, seen=seen(100))
    findings = findings_of(subject, TERMS)
    assert [finding.flag for finding in findings] == [Flag.OWNER_GONE, Flag.UNUSED, Flag.NOT_REGISTERED]
    assert risk_of(findings) == sum(RISKS[finding.flag] for finding in findings)


def test_every_flag_counts() -> None:
    assert set(RISKS) == set(Flag)
    assert min(RISKS.values()) > 0


def test_a_clock_that_went_back_makes_nothing_older() -> None:
    assert found(seen=seen(-5), keys=(NOW_S + DAY_S,)) == {}
