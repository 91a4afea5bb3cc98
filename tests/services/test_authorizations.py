"""Codes for programs: after a yes in the same browser, for the program that asked, once, for a minute."""

import pytest

from interlock.core.authorization import AuthorizationRequest
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal, PrincipalKind
from interlock.services.authorizations import (
    CODE_LIFE_S,
    CONSENT_LIFE_S,
    MAX_REMEMBERED,
    Authorizations,
    CodeReused,
    challenge_of,
)
from tests.clocks import ManualClock

ADA = Principal(PrincipalKind.USER, "ada")
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636, appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
REQUEST = AuthorizationRequest("http://127.0.0.1:4711/", CHALLENGE, "state")
BROWSER = "a-browser"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def authorizations(clock: ManualClock) -> Authorizations:
    return Authorizations(clock)


def code_of(authorizations: Authorizations) -> str:
    question = authorizations.ask(ADA, "corp", REQUEST, BROWSER)
    return authorizations.give(authorizations.answer(question, BROWSER))


def test_the_challenge_is_that_of_the_rfc() -> None:
    assert challenge_of(VERIFIER) == CHALLENGE


def test_a_code_counts_once(authorizations: Authorizations) -> None:
    code = code_of(authorizations)
    grant = authorizations.redeem(code, VERIFIER, REQUEST.redirect_uri)
    assert (grant.principal, grant.provider) == (ADA, "corp")
    grant.login = "the-login"
    with pytest.raises(CodeReused) as caught:
        authorizations.redeem(code, VERIFIER, REQUEST.redirect_uri)
    assert caught.value.grant.login == "the-login"


@pytest.mark.parametrize(
    ("verifier", "redirect_uri"),
    [
        ("A" * 43, REQUEST.redirect_uri),
        ("", REQUEST.redirect_uri),
        (CHALLENGE, REQUEST.redirect_uri),
        ("\ud800", REQUEST.redirect_uri),
        (VERIFIER, "http://127.0.0.1:4712/"),
        (VERIFIER, ""),
    ],
)
def test_a_code_is_for_who_asked_and_a_wrong_try_uses_it_up(
    authorizations: Authorizations, verifier: str, redirect_uri: str
) -> None:
    code = code_of(authorizations)
    with pytest.raises(LoginRefused):
        authorizations.redeem(code, verifier, redirect_uri)
    with pytest.raises(LoginRefused):
        authorizations.redeem(code, VERIFIER, REQUEST.redirect_uri)


def test_a_code_is_over_soon(authorizations: Authorizations, clock: ManualClock) -> None:
    code = code_of(authorizations)
    clock.advance(CODE_LIFE_S)
    with pytest.raises(LoginRefused):
        authorizations.redeem(code, VERIFIER, REQUEST.redirect_uri)
    assert CODE_LIFE_S <= 60


def test_only_the_browser_that_was_asked_answers_and_once(authorizations: Authorizations, clock: ManualClock) -> None:
    question = authorizations.ask(ADA, "corp", REQUEST, BROWSER)
    for other in (None, "", "another"):
        with pytest.raises(LoginRefused):
            authorizations.answer(question, other)
    assert authorizations.answer(question, BROWSER).principal == ADA
    with pytest.raises(LoginRefused):
        authorizations.answer(question, BROWSER)
    question = authorizations.ask(ADA, "corp", REQUEST, BROWSER)
    clock.advance(CONSENT_LIFE_S)
    with pytest.raises(LoginRefused):
        authorizations.answer(question, BROWSER)


def test_what_is_remembered_is_bounded(authorizations: Authorizations) -> None:
    first, *rest = [code_of(authorizations) for _ in range(MAX_REMEMBERED + 1)]
    with pytest.raises(LoginRefused):
        authorizations.redeem(first, VERIFIER, REQUEST.redirect_uri)
    for code in rest:
        assert authorizations.redeem(code, VERIFIER, REQUEST.redirect_uri).principal == ADA


def test_nothing_secret_is_shown(authorizations: Authorizations) -> None:
    question = authorizations.ask(ADA, "corp", REQUEST, BROWSER)
    consent = authorizations.answer(question, BROWSER)
    grant = authorizations.redeem(authorizations.give(consent), VERIFIER, REQUEST.redirect_uri)
    assert "state" not in f"{consent!r} {grant!r} {REQUEST!r}"
