"""People who log in at a gateway with a real OpenID provider: in a browser, with the command line, and elsewhere."""

from collections.abc import Iterator

import pytest

from interlock.core.ledger import LoginOpened
from tests.e2e.api_callers import POLICY
from tests.e2e.ledger_files import records_of
from tests.e2e.people import PROVIDER, Site, site
from tests.servers.gateway import GatewayOptions
from tests.servers.oidc_provider import ADA

STAFF = '@id("staff") permit (principal in Group::"g-staff", action == Action::"audit", resource is Gateway);\n'


@pytest.fixture(scope="module")
def people() -> Iterator[Site]:
    with site(GatewayOptions(policy=POLICY + STAFF)) as people:
        yield people


def test_a_person_logs_in_with_a_browser(people: Site) -> None:
    with people.logged_in() as browser:
        assert "You are logged in as ada" in browser.answer.text
        answer = people.as_browser(browser).get("/v1/sessions")
        assert answer.status == 200, answer.body
    opened = records_of(people.gateway, LoginOpened)[-1]
    assert (opened.principal, opened.provider, opened.holder) == (ADA, PROVIDER, "browser")
    assert opened.groups == ("g-oncall", "g-staff")
    assert opened.provider_session
