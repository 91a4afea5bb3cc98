"""People and workloads of a real Keycloak by OpenID Connect: logging in, getting to a database, and losing it again."""

import json
import os
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from interlock.core.ledger import LoginClosed, LoginOpened, SecurityEventReceived, SessionCut, SessionOpened
from interlock.core.security_event import BACK_CHANNEL_LOGOUT
from tests.e2e.api_callers import POLICY
from tests.e2e.exchange import session_token
from tests.e2e.ledger_files import records_of
from tests.e2e.locking import Statement, all_closed, connect, wait_for
from tests.e2e.people import COOKIE
from tests.e2e.test_own_machine import TIMEOUT_S, Machine
from tests.e2e.test_provider_logout import RUNNING, Person
from tests.interop.keycloak import Keycloak
from tests.interop.realms import ADA, BOB, ONCALL, SECRET, STAFF, WORKLOAD, openid_clients
from tests.interop.site import JOB, OPENID, PROVIDER, KeycloakSite, settings, site
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import CONNECTION, GatewayOptions

ACCESS = f"""
@id("staff") permit (principal in Group::"{STAFF}", action, resource);
@id("jobs") permit (principal in Group::"jobs", action, resource);
"""


@pytest.fixture(scope="module")
def people(keycloak: Keycloak, target: Endpoint) -> Iterator[KeycloakSite]:
    options = GatewayOptions(policy=POLICY + ACCESS, extra=settings(OPENID, keycloak, "openid"))
    with site(keycloak, target, "openid", options, openid_clients) as running:
        yield running


@pytest.fixture
def machine(people: KeycloakSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(people, tmp_path)
    monkeypatch.setattr(webbrowser, "open", made.open_browser)
    return made


def name_of(people: KeycloakSite, person: str) -> str:
    return f"kc:{people.provider.user(person)}"


def test_a_person_logs_in_with_a_browser(people: KeycloakSite) -> None:
    with people.logged_in(ADA) as browser:
        assert people.as_browser(browser).get("/v1/whoami").json["name"] == name_of(people, ADA)
    opened = records_of(people.gateway, LoginOpened)[-1]
    assert (opened.issuer, opened.provider, opened.holder) == (people.provider.url, PROVIDER, "browser")
    assert opened.groups == (STAFF, ONCALL)
    assert opened.provider_session


def test_a_person_gets_to_the_database(people: KeycloakSite, machine: Machine) -> None:
    result = machine.log_in()
    assert result.exit_code == 0, result.output
    done = machine.program("connect", CONNECTION, "--", "-Atc", "SELECT 6 * 7")
    assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr
    opened = records_of(people.gateway, SessionOpened)[-1]
    assert (opened.principal, set(opened.groups)) == (name_of(people, ADA), {STAFF, ONCALL})


def test_a_person_signs_in_elsewhere(people: KeycloakSite, machine: Machine) -> None:
    gateway = people.gateway
    words = [sys.executable, "-u", "-m", "interlock", "login", "--api", gateway.api_url, "--device"]
    with subprocess.Popen(
        [*words, "--api-ca", str(gateway.certificate_file)],
        env=os.environ | machine.environment,
        cwd=machine.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        link = next(line.strip() for line in process.stdout if line.startswith("  http"))
        with people.browser() as browser:
            people.provider.confirm_device(browser, link, BOB)
        rest = process.stdout.read()
        assert process.wait(TIMEOUT_S) == 0, rest
    assert json.loads(machine.run("whoami", "--json").stdout)["name"] == name_of(people, BOB)


@pytest.mark.parametrize("exchanged", [False, True], ids=["as it is", "exchanged"])
def test_a_service_account_gets_to_the_database(people: KeycloakSite, exchanged: bool) -> None:
    token = people.provider.client_credentials(WORKLOAD, SECRET)
    if exchanged:
        token = session_token(people.gateway, token, CONNECTION)
    with connect(people.gateway.endpoint(token)) as session:
        assert session.execute("SELECT 6 * 7").fetchone() == (42,)
    opened = records_of(people.gateway, SessionOpened)[-1]
    assert (opened.principal, opened.groups) == (JOB, ("jobs",))


def test_logging_out_goes_on_to_keycloak(people: KeycloakSite) -> None:
    with people.logged_in(ADA) as browser:
        browser.submit()
        assert browser.url.startswith(f"{people.provider.url}/protocol/openid-connect/logout")
        assert browser.cookie(COOKIE) is None
        people.provider.sign_out(browser)
        browser.open(f"{people.gateway.api_url}/login")
        assert "username" in browser.forms[0].fields, "Keycloak asks who it is"
    assert records_of(people.gateway, LoginClosed)[-1].reason == "logged out"


def test_signing_out_at_keycloak_ends_sessions_here(people: KeycloakSite, target: Endpoint) -> None:
    gateway = people.gateway
    with people.browser() as adas, people.browser() as bobs, connect(target) as admin:
        ada, bob = Person(people, adas, ADA), Person(people, bobs, BOB)
        session, other = ada.connect(), bob.connect()
        with all_closed(session, other):
            statement = Statement(session, "SELECT pg_sleep(120) /* until logout */")
            wait_for(lambda: admin.execute(RUNNING).fetchone() == (1,), "the statement runs")
            people.provider.sign_out(adas)
            error = statement.error()
            assert isinstance(error, psycopg.errors.AdminShutdown), error
            assert "your identity provider has ended what you came in with" in str(error)
            assert other.execute("SELECT 1").fetchone() == (1,)
        assert (ada.renew(), bool(bob.renew())) == ("", True)
    wait_for(lambda: records_of(gateway, SessionCut), "what was cut is on record")
    event = records_of(gateway, SecurityEventReceived)[-1]
    assert (event.issuer, event.event, event.effect) == (people.provider.url, BACK_CHANNEL_LOGOUT, "end")


def test_an_administrator_of_keycloak_ends_sessions_here(people: KeycloakSite) -> None:
    with people.browser() as adas:
        ada = Person(people, adas, ADA)
        with all_closed(ada.connect()) as _, ada.connect() as session:
            statement = Statement(session, "SELECT pg_sleep(120)")
            people.provider.administer("POST", f"/users/{people.provider.user(ADA)}/logout")
            assert isinstance(statement.error(), psycopg.errors.AdminShutdown)
        assert ada.renew() == ""
