"""Whom a registration keeps out, whatever proof it brings."""

from typing import Any

import msgspec
import pytest

from interlock.adapters.identity.registry import Registry
from interlock.core.errors import LoginRefused, StateUnavailable
from interlock.core.identity import Handover, Principal, PrincipalKind, RegisteredIdentity
from interlock.core.login import logins_behind
from interlock.core.settings import AgentSettings
from tests.adapters.identity.conftest import KnownIdentities

ISSUER = "https://ci.example"
BOT = Principal(PrincipalKind.AGENT, "bot", frozenset({"ci"}), "ada", issuer=ISSUER, subject="1")
PERSON = Principal(PrincipalKind.USER, "ada", issuer=ISSUER, subject="2")


class Desk(KnownIdentities):
    """A registry and what is registered."""

    def __init__(self, **settings: bool) -> None:
        super().__init__()
        self.registry = Registry(self, AgentSettings(**settings), {ISSUER: "ci"})

    def register(self, name: str = "bot", kind: PrincipalKind = PrincipalKind.AGENT, **changes: Any) -> None:
        self.by_name[name] = msgspec.structs.replace(RegisteredIdentity(name, kind), **changes)

    def refusal(self, principal: Principal = BOT) -> tuple[str, str]:
        with pytest.raises(LoginRefused) as caught:
            self.registry.admit(principal)
        return str(caught.value), caught.value.reason


def test_what_is_not_registered_is_taken_at_its_word() -> None:
    assert Desk().registry.admit(BOT) is BOT


def test_an_agent_has_to_be_registered_where_settings_say_so() -> None:
    desk = Desk(require_registration=True)
    assert desk.refusal() == (
        "the agent 'bot' is not registered with the gateway: ask its operator to do that",
        "not registered",
    )
    assert desk.registry.admit(PERSON) is PERSON
    desk.register()
    assert desk.registry.admit(BOT) == BOT


def test_somebody_has_to_answer_for_an_agent_where_settings_say_so() -> None:
    desk = Desk(require_owner=True)
    assert desk.registry.admit(BOT) == BOT  # its rule says who does
    nobodys = msgspec.structs.replace(BOT, owner=None)
    assert desk.refusal(nobodys)[1] == "no owner"
    assert desk.registry.admit(PERSON) is PERSON
    desk.register(owner="grace")
    assert desk.registry.admit(nobodys).owner == "grace"


@pytest.mark.parametrize("issuers", [{ISSUER}, {"ci"}, {"other", "ci"}, set()])
def test_issuers_whose_tokens_may_have_the_name(issuers: set[str]) -> None:
    desk = Desk()
    desk.register(issuers=frozenset(issuers))
    assert desk.registry.admit(BOT).name == "bot"


@pytest.mark.parametrize("issuers", [{"other"}, {"https://ci.example/"}, {"CI"}, {""}])
def test_tokens_of_another_issuer_are_refused(issuers: set[str]) -> None:
    desk = Desk()
    desk.register(issuers=frozenset(issuers))
    message, reason = desk.refusal()
    assert (message, reason) == ("the token is not accepted", "the name is registered for tokens of other issuers")


def test_an_issuer_without_a_name_is_not_the_empty_one() -> None:
    desk = Desk()
    desk.register(issuers=frozenset({""}))
    desk.refusal(msgspec.structs.replace(BOT, issuer="https://unnamed.example"))


def test_an_owner_who_is_not_confirmed_keeps_the_agent_out() -> None:
    desk = Desk()
    desk.register(owner="grace", handover=Handover("root", ("ada",)), scram_verifier="v")
    assert desk.refusal()[1] == "owner not confirmed"
    with pytest.raises(LoginRefused, match="which nobody has confirmed"):
        desk.registry.own(desk.by_name["bot"])


def test_who_acts_at_the_moment_is_looked_at_too() -> None:
    desk = Desk(require_registration=True)
    earlier = msgspec.structs.replace(BOT, name="earlier")
    delegated = msgspec.structs.replace(PERSON, acting=(BOT, earlier))
    assert desk.refusal(delegated)[1] == "not registered"
    desk.register(groups=frozenset({"night"}))
    acting = desk.registry.admit(delegated).acting
    assert acting[0].groups == {"ci", "night"}
    assert acting[1] == earlier
    desk.register(disabled=True)
    assert desk.refusal(delegated)[1] == "identity disabled"


@pytest.mark.parametrize("settings", [{}, {"require_registration": True}, {"require_owner": True}])
def test_without_an_answer_nobody_gets_in(settings: dict[str, bool]) -> None:
    desk = Desk(**settings)
    desk.broken = True
    for principal in (BOT, PERSON):
        message, reason = desk.refusal(principal)
        assert (message, reason) == ("the gateway cannot look identities up; try again later", "state store")
    with pytest.raises(StateUnavailable):
        desk.find("bot")


class EndedLogins:
    """All of them are over; ``broken`` makes them impossible to look up."""

    def __init__(self) -> None:
        self.broken = False

    def has_ended(self, principal: Principal) -> bool:
        if self.broken:
            raise StateUnavailable("broken")
        return bool(logins_behind(principal))


def test_nobody_comes_in_by_a_login_that_is_over() -> None:
    """Whatever was made of it while it lasted: session tokens, certificates for SSH keys, tokens of who acts for it."""
    logins = EndedLogins()
    registry = Registry(KnownIdentities(), logins=logins)
    from_login = msgspec.structs.replace(PERSON, token_id="t", ancestors=("login:1",))
    by_bot = msgspec.structs.replace(from_login, acting=(BOT,))
    for principal in (from_login, by_bot, msgspec.structs.replace(BOT, acting=(from_login,))):
        with pytest.raises(LoginRefused, match="has ended"):
            registry.admit(principal)
    assert registry.admit(PERSON) is PERSON
    logins.broken = True
    with pytest.raises(LoginRefused, match="look logins up"):
        registry.admit(PERSON)
