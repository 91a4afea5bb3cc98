"""A person who signs out at a real OpenID provider: what came from that session ends here, and nothing else."""

from collections.abc import Iterator

import psycopg
import pytest

from interlock.adapters.identity.proofs import TAKEN_BACK
from interlock.core.ledger import (
    LockAdded,
    LoginClosed,
    SecurityEventReceived,
    SecurityEventRefused,
    SessionCut,
    SessionOpened,
)
from interlock.core.security_event import BACK_CHANNEL_LOGOUT
from tests.e2e.exchange import ask
from tests.e2e.ledger_files import records_of
from tests.e2e.locking import Statement, all_closed, connect, wait_for
from tests.e2e.people import OPAQUE_WORKLOAD, PROVIDER, Program, Site, site
from tests.servers.browser import Browser
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import CONNECTION, GatewayOptions
from tests.servers.oidc_provider import ADA, BOB

INTROSPECTION = f"""
[issuers.introspection]
client_id = "{OPAQUE_WORKLOAD}"
client_secret = {{ file = "client-secret" }}
cache_s = 0
opaque = true
on_error = "allow-until-expiry"
"""
RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%until logout%' AND pid <> pg_backend_pid()"


@pytest.fixture(scope="module")
def people(target: Endpoint) -> Iterator[Site]:
    options = GatewayOptions(extra="\n[sessions]\nrecheck_s = 5\n")
    with site(options, target, INTROSPECTION) as people:
        yield people


class Person:
    """Somebody who has logged in for the command line, in a browser that stays open."""

    def __init__(self, people: Site, browser: Browser, name: str) -> None:
        self.people, self.browser, self.name = people, browser, name
        program = Program(people)
        self.refresh_token: str = program.redeem(program.code(browser, name)).json["refresh_token"]
        self.session_token = self.renew()

    def renew(self) -> str:
        """A session token for the database; empty when there is none any more."""
        answer = self.people.refresh(self.refresh_token, audience=CONNECTION)
        if answer.status != 200:
            return ""
        self.refresh_token = answer.json["refresh_token"]
        token: str = answer.json["access_token"]
        return token

    def connect(self) -> psycopg.Connection[object]:
        return connect(self.people.gateway.endpoint(self.session_token))


def test_signing_out_at_the_provider_ends_sessions_here(people: Site, target: Endpoint) -> None:
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
            wait_for(lambda: admin.execute(RUNNING).fetchone() == (0,), "the target has ended it")
            assert other.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="login that this came from has ended"):
            ada.connect()
        assert (ada.renew(), bool(bob.renew())) == ("", True)
        again = Person(people, adas, ADA)
        with again.connect() as fresh:
            assert fresh.execute("SELECT 1").fetchone() == (1,)
    wait_for(lambda: records_of(gateway, SessionCut), "what was cut is on record")
    (event,) = records_of(gateway, SecurityEventReceived)
    assert (event.issuer, event.event, event.effect) == (people.provider.url, BACK_CHANNEL_LOGOUT, "end")
    causes = {record.cause for record in records_of(gateway, LockAdded)}
    assert causes == {f"session ended by security event {event.token_id}", "session ended with its login"}
    assert {record.principal for record in records_of(gateway, LoginClosed)} == {ADA}


def test_an_opaque_token_that_is_taken_back_at_the_provider(people: Site) -> None:
    token = people.provider.client_credentials(OPAQUE_WORKLOAD)
    assert token.count(".") == 0
    with connect(people.gateway.endpoint(token)) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
        people.provider.revoke(OPAQUE_WORKLOAD, token)
        with pytest.raises(psycopg.OperationalError, match="not accepted"):
            connect(people.gateway.endpoint(token))
        error = Statement(session, "SELECT pg_sleep(120)").error()
    assert isinstance(error, psycopg.errors.AdminShutdown), error
    assert TAKEN_BACK in str(error)
    opened = records_of(people.gateway, SessionOpened)[-1]
    assert (opened.principal, opened.subject) == (f"job:{OPAQUE_WORKLOAD}", OPAQUE_WORKLOAD)


def test_a_forged_logout_token_ends_nothing(people: Site) -> None:
    form = {"logout_token": "eyJhbGciOiJub25lIn0.e30."}
    answer = ask(people.gateway.api(), form, f"/logout/backchannel/{PROVIDER}")
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    (refused,) = records_of(people.gateway, SecurityEventRefused)
    assert refused.reason not in str(answer.json)
