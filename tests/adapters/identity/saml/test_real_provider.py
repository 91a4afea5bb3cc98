"""Signing in at a real provider (npm samlp), and what an attacker makes of its responses."""

import base64
import re
from collections.abc import Iterator

import pytest

from interlock.adapters.clock import SystemClock
from interlock.adapters.identity.rules import Rules
from interlock.adapters.identity.saml.metadata_source import COOLDOWN_S, MetadataSource
from interlock.adapters.identity.saml.own_messages import OwnPlaces
from interlock.adapters.identity.saml.provider import SamlProvider as Party
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal
from interlock.core.settings import IdentityKind, IdentityRule, SamlSettings
from interlock.services.ports import Clock
from interlock.services.sign_in import Attempt, Attempts, Redirect
from tests.adapters.identity.saml.forgeries import EVIL, FORGERIES
from tests.adapters.identity.saml.test_provider import own_keys
from tests.servers.browser import Browser
from tests.servers.saml_provider import ADA, SamlProvider

PLACES = OwnPlaces(*(f"https://gateway.example/saml/corp/{name}" for name in ("metadata", "acs", "slo")))
RULE = IdentityRule(issuer="corp", when={}, identity="corp:{sub}", kind=IdentityKind.USER, groups_claim="groups")
PUBLISHED = ["xsw1", "xsw2", "xsw3", "xsw4", "xsw5", "xsw6", "xsw7", "xsw8", "tampered", "comment in the NameID"]
PUBLISHED += ["without signature", "foreign key", "doctype", "stray assertion"]


@pytest.fixture(scope="module")
def provider() -> Iterator[SamlProvider]:
    with SamlProvider() as provider:
        provider.trust(party(provider).metadata)
        yield provider


class SteppedClock(SystemClock):
    """It measures only what it is told to."""

    def __init__(self) -> None:
        self.steps_s = 0.0

    def monotonic_s(self) -> float:
        return self.steps_s


def party(provider: SamlProvider, clock: Clock | None = None) -> Party:
    settings = SamlSettings(
        name="corp",
        provider_entity_id=provider.entity_id,
        metadata_url=provider.metadata_url,
        allow_http_loopback=True,
        groups_attribute="groups",
    )
    clock = clock or SystemClock()
    return Party(settings, PLACES, own_keys(), Rules([RULE], {}), MetadataSource(settings, clock), clock)


async def respond(party: Party, provider: SamlProvider, signs: str = "assertion") -> tuple[Attempt, bytes]:
    provider.change(signs=signs)
    attempt = Attempts(SystemClock()).begin("corp", None, "192.0.2.1")[0]
    place = await party.begin(attempt)
    assert isinstance(place, Redirect)
    with Browser() as browser:
        browser.open(place.url)
        provider.sign_in(browser, ADA)
        form = browser.forms[0]
    assert (form.action, form.fields["RelayState"]) == (PLACES.consumer_url, attempt.state)
    return attempt, base64.b64decode(form.fields["SAMLResponse"])


async def complete(party: Party, attempt: Attempt, response: bytes) -> Principal:
    return await party.complete(attempt, {"SAMLResponse": base64.b64encode(response).decode()})


@pytest.mark.parametrize("signs", ["assertion", "response", "both"])
async def test_a_genuine_login(provider: SamlProvider, signs: str) -> None:
    corp = party(provider)
    principal = await complete(corp, *await respond(corp, provider, signs))
    assert (principal.name, principal.issuer) == ("corp:ada-4711", provider.entity_id)
    assert principal.groups == {"g-staff", "g-oncall"}
    assert principal.login.startswith("_session-")


@pytest.mark.parametrize("name", PUBLISHED)
async def test_a_forgery_is_refused(provider: SamlProvider, name: str) -> None:
    corp, forgery = party(provider), FORGERIES[name]
    attempt, genuine = await respond(corp, provider, forgery.signed)
    forged = forgery.forge(genuine)
    assert forged != genuine
    with pytest.raises(LoginRefused) as refused:
        await complete(corp, attempt, forged)
    assert forgery.reason in refused.value.reason
    assert EVIL not in f"{refused.value}{refused.value.reason}"
    assert (await complete(corp, attempt, genuine)).name == "corp:ada-4711"


async def test_the_provider_takes_no_changed_request(provider: SamlProvider) -> None:
    corp = party(provider)
    place = await corp.begin(Attempts(SystemClock()).begin("corp", None, "192.0.2.1")[0])
    assert isinstance(place, Redirect)
    with Browser() as browser:
        browser.open(re.sub("RelayState=[^&]*", "RelayState=x", place.url))
        assert provider.sign_in(browser, ADA).status_code >= 400


async def test_keys_that_change_while_people_sign_in(provider: SamlProvider) -> None:
    clock = SteppedClock()
    corp = party(provider, clock)
    await complete(corp, *await respond(corp, provider))
    provider.change(signing=1)
    try:
        attempt, response = await respond(corp, provider)
        with pytest.raises(LoginRefused, match="not accepted"):
            await complete(corp, attempt, response)
        clock.steps_s += COOLDOWN_S
        assert (await complete(corp, attempt, response)).name == "corp:ada-4711"
    finally:
        provider.change(signing=0)
