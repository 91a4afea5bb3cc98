"""Trying a token: what an administrator is told of each check and each rule, by the code that lets callers in."""

from pathlib import Path
from typing import Any

import pytest

from interlock.adapters.identity.rules import NO_RULE
from interlock.adapters.identity.token_tester import TokenTester
from interlock.core.administration import CheckResult, TokenExamination
from interlock.core.errors import InvalidCommand, LoginRefused
from tests.adapters.identity.test_trust import REFUSED
from tests.adapters.identity.vendor_tokens import GITHUB, VENDORS, ScriptedIssuer, Vendor
from tests.clocks import ManualClock

ADDRESS = "192.0.2.1:5000"
CHECKS = [
    "form", "issuer", "typ", "alg", "key", "signature", "iss", "sub", "purpose", "binding", "aud", "exp", "iat, nbf",
    "exp - iat", "rule", "registration",
]  # fmt: skip


def failed(examination: TokenExamination) -> list[str]:
    return [check.name for check in examination.checks if not check.holds]


async def examine(issuer: ScriptedIssuer, token: str, keys: str = "") -> TokenExamination:
    return await TokenTester(issuer.authenticator()).examine(token, keys)


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.trust.value)
async def test_a_genuine_token_passes_every_check(vendor: Vendor, clock: ManualClock, tmp_path: Path) -> None:
    issuer = ScriptedIssuer(vendor, tmp_path, clock)
    examination = await examine(issuer, issuer.token())
    assert examination.accepted
    assert (examination.identity, examination.kind, examination.reason) == (vendor.name, "agent", "")
    assert examination.expires_at_s == clock.now_s() + vendor.life_s
    assert [check.name for check in examination.checks] == CHECKS
    assert failed(examination) == []
    (rule,) = examination.rules
    assert rule.applies
    assert all(condition.holds for condition in rule.conditions)


@pytest.mark.parametrize(("vendor", "changes", "reason"), REFUSED.values(), ids=REFUSED.keys())
async def test_it_says_of_a_refused_token_what_the_ledger_says(
    vendor: Vendor, changes: dict[str, Any], reason: str, clock: ManualClock, tmp_path: Path
) -> None:
    issuer = ScriptedIssuer(vendor, tmp_path, clock)
    token = issuer.token(changes)
    with pytest.raises(LoginRefused) as caught:
        await issuer.authenticator().prove(token, ADDRESS)
    examination = await examine(issuer, token)
    assert not examination.accepted
    assert examination.identity == ""
    assert (examination.reason, examination.message) == (caught.value.reason, str(caught.value))
    assert reason in examination.reason
    if reason == NO_RULE:
        assert [condition for rule in examination.rules for condition in rule.conditions if not condition.holds]


async def test_it_names_the_condition_that_failed(clock: ManualClock, tmp_path: Path) -> None:
    issuer = ScriptedIssuer(GITHUB, tmp_path, clock)
    examination = await examine(issuer, issuer.token({"ref": "refs/heads/wip", "event_name": "pull_request_target"}))
    (rule,) = examination.rules
    wrong = [condition for condition in rule.conditions if not condition.holds]
    assert wrong[0] == CheckResult("ref", False, "refs/heads/main", "refs/heads/wip")
    assert {condition.name for condition in wrong} == {
        "ref",
        "event_name",
    }
    assert wrong[1].expected == "none of pull_request_target"
    assert wrong[1].found == "pull_request_target"


async def test_it_goes_on_after_a_check_that_fails(clock: ManualClock, tmp_path: Path) -> None:
    issuer = ScriptedIssuer(GITHUB, tmp_path, clock)
    token = issuer.token({"aud": "https://github.com/octo-org", "exp": 1, "ref": "x"}, kid="k2", typ="logout+jwt")
    assert failed(await examine(issuer, token)) == ["form"]
    token = issuer.token({"aud": "https://github.com/octo-org", "exp": 1, "ref": "x"}, kid="k2")
    examination = await examine(issuer, token)
    assert failed(examination) == ["key", "aud", "exp", "rule"]
    assert examination.reason == "the issuer publishes no such key"


async def test_keys_that_are_given_stand_for_the_issuer(clock: ManualClock, tmp_path: Path) -> None:
    issuer = ScriptedIssuer(GITHUB, tmp_path, clock)
    keys = issuer.keys_file.read_text()
    issuer.keys_file.unlink()
    token = issuer.token()
    assert failed(await examine(issuer, token)) == ["key"]
    assert (await examine(issuer, token, keys)).accepted
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    assert failed(await examine(issuer, forged, keys)) in (["signature"], ["form"])
    for wrong in ("{", "[]", '{"keys": []}'):
        with pytest.raises(InvalidCommand, match="keys: "):
            await examine(issuer, token, wrong)


@pytest.mark.parametrize("token", ["x", "a.b.c", "ilk_0123456789", "é", "x" * 20_000])
async def test_what_is_no_token(token: str, clock: ManualClock, tmp_path: Path) -> None:
    examination = await examine(ScriptedIssuer(GITHUB, tmp_path, clock), token)
    assert failed(examination) == ["form"]
    assert not examination.accepted


async def test_no_answer_holds_the_token(clock: ManualClock, tmp_path: Path) -> None:
    issuer = ScriptedIssuer(GITHUB, tmp_path, clock)
    token = issuer.token()
    said = repr(await examine(issuer, token))
    assert not any(part in said for part in token.split("."))
