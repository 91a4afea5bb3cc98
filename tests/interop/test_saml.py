"""People of a real Keycloak by SAML: metadata both ways, logging in, and logging out there."""

import contextlib
from collections.abc import Iterator

import httpx
import psycopg
import pytest

from interlock.core.ledger import ConnectionRefused, LoginClosed, LoginOpened
from tests.e2e.api_callers import POLICY
from tests.e2e.ledger_files import records_of
from tests.e2e.locking import Statement, all_closed
from tests.e2e.people import COOKIE
from tests.e2e.test_provider_logout import Person
from tests.interop.keycloak import Keycloak, Realm
from tests.interop.realms import ADA, BOB, ONCALL, STAFF, saml_client
from tests.interop.site import PROVIDER, SAML, KeycloakSite, settings, site
from tests.servers.browser import Browser
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions

ACCESS = f'@id("staff") permit (principal in Group::"{STAFF}", action, resource);\n'


class PostingRealm(Realm):
    """Its pages go on to the gateway by forms that a script would send."""

    def sign_in(self, browser: Browser, person: str) -> httpx.Response:
        super().sign_in(browser, person)
        return browser.submit()


@pytest.fixture(scope="module")
def people(keycloak: Keycloak, target: Endpoint) -> Iterator[KeycloakSite]:
    options = GatewayOptions(policy=POLICY + ACCESS, extra=settings(SAML, keycloak, "saml"))
    with site(keycloak, target, "saml", options) as running:
        running.provider = PostingRealm(keycloak, running.provider.name)
        metadata = running.gateway.api().get(f"/saml/{PROVIDER}/metadata").body
        imported = running.provider.administer("POST", "/client-description-converter", content=metadata)
        running.provider.administer("POST", "/clients", json=saml_client(imported))
        yield running


def test_a_person_logs_in_with_a_browser(people: KeycloakSite) -> None:
    with people.logged_in(ADA) as browser:
        name = people.as_browser(browser).get("/v1/whoami").json["name"]
    opened = records_of(people.gateway, LoginOpened)[-1]
    assert (opened.principal, opened.issuer, opened.provider) == (name, people.provider.url, PROVIDER)
    assert opened.groups == (STAFF, ONCALL)
    assert opened.provider_session
    with people.logged_in(ADA) as browser:
        assert people.as_browser(browser).get("/v1/whoami").json["name"] == name, "the NameID stays"


def test_a_person_gets_to_the_database(people: KeycloakSite) -> None:
    with people.browser() as browser, Person(people, browser, BOB).connect() as session:
        assert session.execute("SELECT 6 * 7").fetchone() == (42,)


def test_an_answer_that_was_tampered_with(people: KeycloakSite) -> None:
    with people.browser() as browser:
        browser.open(f"{people.gateway.api_url}/login")
        Realm.sign_in(people.provider, browser, ADA)
        genuine = browser.forms[0].fields["SAMLResponse"]
        browser.submit({"SAMLResponse": genuine.swapcase()})
        assert browser.answer.status_code == 403
        assert browser.cookie(COOKIE) is None
    assert records_of(people.gateway, ConnectionRefused)[-1].reason.startswith("saml: ")


def test_keycloak_refuses_requests_of_others(people: KeycloakSite) -> None:
    """Requests have to be signed by the gateway's key."""
    with people.browser() as browser:
        browser.leave_at = (people.provider.url,)
        browser.open(f"{people.gateway.api_url}/login")
        url = httpx.URL(browser.left_for)
        answer = browser.client.get(url.copy_set_param("RelayState", "another"))
        assert answer.status_code == 400, answer.text
        assert browser.client.get(url).status_code == 200


def test_an_administrator_of_keycloak_ends_sessions_here(people: KeycloakSite) -> None:
    """Without a browser: Keycloak posts the request itself."""
    with people.browser() as bobs, running_for(people, bobs, BOB) as statement:
        people.provider.administer("POST", f"/users/{people.provider.user(BOB)}/logout")
        assert isinstance(statement.error(), psycopg.errors.AdminShutdown)
    closed = records_of(people.gateway, LoginClosed)[-1]
    assert (closed.by, closed.reason) == (f"provider:{PROVIDER}", "the provider has logged the person out")


@pytest.mark.parametrize("front_channel", [False, True], ids=["by Keycloak", "by the browser"])
def test_signing_out_at_keycloak_ends_sessions_here(people: KeycloakSite, front_channel: bool) -> None:
    set_front_channel(people, front_channel)
    with people.browser() as adas, running_for(people, adas, ADA) as statement:
        people.provider.sign_out(adas)
        assert bool(adas.forms) == front_channel
        while adas.forms:  # the request to the gateway, and its answer
            adas.submit()
        assert isinstance(statement.error(), psycopg.errors.AdminShutdown)
        assert adas.url.startswith(people.provider.url), adas.answer.text
        assert adas.answer.status_code == 200


@contextlib.contextmanager
def running_for(people: KeycloakSite, browser: Browser, person: str) -> Iterator[Statement]:
    """A statement of somebody who has logged in, and who in the end is logged in no more."""
    somebody = Person(people, browser, person)
    session = somebody.connect()
    with all_closed(session):
        yield Statement(session, "SELECT pg_sleep(120)")
    assert somebody.renew() == ""


def set_front_channel(people: KeycloakSite, front_channel: bool) -> None:
    entity_id = f"{people.gateway.api_url}/saml/{PROVIDER}/metadata"
    (client,) = people.provider.administer("GET", "/clients", params={"clientId": entity_id})
    changed = client | {"frontchannelLogout": front_channel}
    people.provider.administer("PUT", f"/clients/{client['id']}", json=changed)
