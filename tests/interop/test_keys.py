"""A real Keycloak changes its signing key: the next one counts at once, and what the last one signed ends with it."""

import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from joserfc import jws

from interlock.core.ledger import SessionCut
from tests.e2e.ledger_files import records_of
from tests.e2e.locking import Statement, all_closed, connect, wait_for
from tests.interop.keycloak import Keycloak
from tests.interop.realms import SECRET, WORKLOAD, new_key, openid_clients
from tests.interop.site import OPENID, KeycloakSite, settings, site
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions

WITHIN_S = 90.0
"""More than ``jwks_ttl_s``, the pause between fetches, and ``recheck_s`` together."""
NEXT = "next"
_KEYS = "org.keycloak.keys.KeyProvider"


@pytest.fixture
def jobs(keycloak: Keycloak, target: Endpoint) -> Iterator[KeycloakSite]:
    openid = settings(OPENID, keycloak, "keys", "jwks_ttl_s = 10")
    options = GatewayOptions(extra=openid + "\n[sessions]\nrecheck_s = 5\n")
    with site(keycloak, target, "keys", options, openid_clients) as running:
        yield running


def token_of(jobs: KeycloakSite) -> str:
    return jobs.provider.client_credentials(WORKLOAD, SECRET)


def key_of(token: str) -> object:
    return jws.extract_compact(token.encode()).headers()["kid"]


def within(attempt: Callable[[], bool], what: str) -> None:
    """Wait for what takes as long as the settings say."""
    deadline_s = time.monotonic() + WITHIN_S
    while not attempt():
        assert time.monotonic() < deadline_s, f"not within {WITHIN_S:g} s: {what}"
        time.sleep(0.2)


def gets_in(jobs: KeycloakSite, token: str) -> bool:
    try:
        with connect(jobs.gateway.endpoint(token)) as session:
            return session.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def test_keys_change(jobs: KeycloakSite) -> None:
    first = token_of(jobs)
    old = connect(jobs.gateway.endpoint(first))
    realm_id = jobs.provider.administer("GET")["id"]
    jobs.provider.administer("POST", "/components", json=new_key(realm_id, NEXT, priority=1000))
    second = token_of(jobs)
    assert key_of(second) != key_of(first)
    within(lambda: gets_in(jobs, second), "a token of the next key is taken")
    assert gets_in(jobs, first), "the last key is still published"
    new = connect(jobs.gateway.endpoint(second))
    with all_closed(old, new):
        statement = Statement(old, "SELECT pg_sleep(120)")
        withdraw_other_keys(jobs)
        assert isinstance(statement.outcome.exception(WITHIN_S), psycopg.errors.AdminShutdown)
        assert not gets_in(jobs, first)
        assert new.execute("SELECT 1").fetchone() == (1,)
    wait_for(lambda: records_of(jobs.gateway, SessionCut), "what was cut is on record")


def withdraw_other_keys(jobs: KeycloakSite) -> None:
    """Disable what signed until the next key came."""
    found = jobs.provider.administer("GET", "/components", params={"type": _KEYS})
    (last,) = (key for key in found if key["providerId"] == "rsa-generated" and key["name"] != NEXT)
    last["config"] |= {"active": ["false"], "enabled": ["false"]}
    jobs.provider.administer("PUT", f"/components/{last['id']}", json=last)
