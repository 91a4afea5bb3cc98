"""People of a real Keycloak by SAML: metadata both ways, logging in, and logging out there."""

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
from tests.interop.site import PROVIDER, SAML, KeycloakSite, site
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
    extra = SAML.format(url=f"{keycloak.url}/realms/saml", ca_file=keycloak.ca_file, group=STAFF)
    with site(keycloak, target, "saml", GatewayOptions(policy=POLICY + ACCESS, extra=extra)) as running:
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


def test_signing_out_at_keycloak_ends_sessions_here(people: KeycloakSite) -> None:
    with people.browser() as adas:
        ada = Person(people, adas, ADA)
        session = ada.connect()
        with all_closed(session):
            statement = Statement(session, "SELECT pg_sleep(120)")
            people.provider.sign_out(adas)
            while adas.forms:  # the request to the gateway, and its answer
                adas.submit()
            assert isinstance(statement.error(), psycopg.errors.AdminShutdown)
        assert adas.url.startswith(people.provider.url), adas.answer.text
        assert adas.answer.status_code == 200
        assert ada.renew() == ""
    closed = records_of(people.gateway, LoginClosed)[-1]
    assert (closed.by, closed.reason) == (f"provider:{PROVIDER}", "the provider has logged the person out")
