"""People who log in at a gateway with a real SAML provider, and what attackers bring instead of its answers."""

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from lxml import etree

from interlock.core.ledger import ConnectionRefused, LoginClosed, LoginOpened
from tests.adapters.identity.saml.forgeries import EVIL, FORGERIES
from tests.adapters.identity.saml.test_real_provider import PUBLISHED
from tests.e2e.api_callers import POLICY
from tests.e2e.ledger_files import records_of
from tests.e2e.people import COOKIE, Program
from tests.e2e.people import Site as OpenIdSite
from tests.servers.browser import Browser
from tests.servers.gateway import NO_DATABASE, GatewayOptions, GatewayServer
from tests.servers.saml_provider import ADA, SamlProvider

STAFF = '@id("staff") permit (principal in Group::"g-staff", action == Action::"audit", resource is Gateway);\n'
REFUSAL = "You are not logged in: the provider's answer is not accepted; begin the login again.\n"
_SETTINGS = """
[[saml]]
name = "corp"
provider_entity_id = "{provider.entity_id}"
metadata_url = "{provider.metadata_url}"
groups_attribute = "groups"
allow_http_loopback = true

[[saml]]
name = "portal"
provider_entity_id = "{provider.entity_id}"
metadata_url = "{provider.metadata_url}"
allow_http_loopback = true
allow_idp_initiated = true
clock_skew_s = 0

[[saml]]
name = "gone"
provider_entity_id = "https://gone.example"
metadata_file = "gone.xml"

[[identities]]
issuer = "portal"
when = {{}}
identity = "portal:{{sub}}"
kind = "user"

[[identities]]
issuer = "corp"
when = {{ groups = "g-staff" }}
identity = "corp:{{sub}}"
kind = "user"
groups_claim = "groups"
"""


class Signing(SamlProvider):
    """Its people go on to the gateway when they have signed in."""

    def sign_in(self, browser: Browser, person: str) -> httpx.Response:
        super().sign_in(browser, person)
        return browser.submit()


@dataclass
class Site:
    """The gateway and its provider."""

    gateway: GatewayServer
    provider: Signing

    def browser(self) -> Browser:
        return Browser(self.gateway.certificate_file)

    def begin(self, browser: Browser, signs: str = "assertion") -> bytes:
        """Sign in up to the page that posts the response."""
        self.provider.change(signs=signs)
        browser.open(f"{self.gateway.api_url}/login?provider=corp")
        SamlProvider.sign_in(self.provider, browser, ADA)
        return base64.b64decode(browser.forms[0].fields["SAMLResponse"])

    def reason(self) -> str:
        """Why the last one was refused."""
        return records_of(self.gateway, ConnectionRefused)[-1].reason

    @contextlib.contextmanager
    def logged_in(self) -> Iterator[Browser]:
        with self.browser() as browser:
            browser.open(f"{self.gateway.api_url}/login?provider=corp")
            self.provider.sign_in(browser, ADA)
            assert "You are logged in as corp:ada-4711" in browser.answer.text
            yield browser


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Signing() as provider:
        options = GatewayOptions(policy=POLICY + STAFF, api_public=True, extra=_SETTINGS.format(provider=provider))
        with GatewayServer(NO_DATABASE, options) as gateway:
            answer = gateway.api().get("/saml/corp/metadata")
            assert answer.headers["content-type"] == "application/samlmetadata+xml"
            provider.trust(answer.body)
            yield Site(gateway, provider)


@pytest.mark.parametrize("signs", ["assertion", "response", "both"])
def test_a_person_logs_in(site: Site, signs: str) -> None:
    with site.browser() as browser:
        site.begin(browser, signs)
        browser.submit()
        assert "You are logged in as corp:ada-4711" in browser.answer.text
        cookie = {"Cookie": f"{COOKIE}={browser.cookie(COOKIE)}"}
        own = {"Origin": site.gateway.api_url, "Interlock-CSRF": "1"}
        assert browser.client.get(f"{site.gateway.api_url}/v1/sessions", headers=cookie | own).status_code == 200
    opened = records_of(site.gateway, LoginOpened)[-1]
    assert (opened.principal, opened.provider, opened.issuer) == ("corp:ada-4711", "corp", site.provider.entity_id)
    assert opened.groups == ("g-oncall", "g-staff")
    assert opened.provider_session.startswith("_session-")


def test_the_command_line_logs_in_until_the_provider_logs_it_out(site: Site) -> None:
    program = Program(OpenIdSite(site.gateway, site.provider))  # type: ignore[arg-type]
    with site.browser() as browser:
        browser.leave_at = ("http://127.0.0.1:" + program.redirect_uri.split(":")[2],)
        browser.open(program.url())
        browser.open(f"{site.gateway.api_url}{_link(browser, 'corp')}")
        site.provider.sign_in(browser, ADA)
        browser.submit({"answer": "allow"})
        tokens = program.redeem(program.answer(browser)["code"]).json
    api = site.gateway.api(tokens["access_token"])
    assert api.get("/v1/sessions").status == 200
    opened = records_of(site.gateway, LoginOpened)[-1]
    assert opened.holder == "interlock-cli"
    with site.browser() as browser:
        browser.open(f"{site.provider.url}/logout/{opened.provider_session}?binding=HTTP-Redirect")
    over = api.get("/v1/sessions")
    assert over.status == 401
    assert b"the login that this came from has ended" in over.body


def _link(browser: Browser, text: str) -> str:
    page = etree.HTML(browser.answer.text)
    return next(str(link.get("href")) for link in page.iter("a") if link.text == text)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_forgery_is_refused(site: Site, name: str) -> None:
    """The page says nothing of what is wrong; the ledger does."""
    forgery = FORGERIES[name]
    with site.browser() as browser:
        genuine = site.begin(browser, forgery.signed)
        browser.submit({"SAMLResponse": base64.b64encode(forgery.forge(genuine)).decode()})
        assert (browser.answer.status_code, browser.answer.text) == (403, REFUSAL)
        assert browser.cookie(COOKIE) is None
    assert forgery.reason in site.reason()
    assert EVIL not in site.reason()


def test_a_response_is_for_the_browser_that_asked(site: Site) -> None:
    with site.browser() as victim, site.browser() as attacker:
        site.begin(attacker)
        form = attacker.forms[0]
        site.begin(victim)
        answer = victim.client.post(form.action, data=form.fields)
        assert answer.status_code == 403
        assert "the attempt to sign in belongs to another browser" in site.reason()
        mixed = victim.forms[0].fields | {"SAMLResponse": form.fields["SAMLResponse"]}
        assert victim.client.post(form.action, data=mixed).text == REFUSAL
        assert "InResponseTo is not what this browser asked" in site.reason()
        assert victim.cookie(COOKIE) is None


def test_a_response_counts_once(site: Site) -> None:
    with site.browser() as browser:
        site.begin(browser)
        form = browser.forms[0]
        browser.submit()
        assert browser.cookie(COOKIE) is not None
        again = browser.client.post(form.action, data=form.fields)
        assert (again.status_code, site.reason()) == (403, "no such attempt to sign in")


def test_a_response_that_nobody_asked_for(site: Site) -> None:
    with site.browser() as browser, site.browser() as other:
        site.begin(browser)
        form = browser.forms[0]
        answer = other.client.post(form.action, data={"SAMLResponse": form.fields["SAMLResponse"]})
        assert (answer.status_code, site.reason()) == (403, "no such attempt to sign in")
        portal = form.action.replace("/corp", "/portal")
        answer = other.client.post(portal, data={"SAMLResponse": form.fields["SAMLResponse"]})
        assert (answer.status_code, answer.text) == (403, REFUSAL)
        assert site.reason() == "saml: Destination is another place"


def test_a_login_that_begins_at_the_provider(site: Site) -> None:
    site.provider.trust(site.gateway.api().get("/saml/portal/metadata").body)
    try:
        with site.browser() as browser:
            browser.open(f"{site.provider.url}/sso")
            site.provider.sign_in(browser, ADA)
            assert "You are logged in as portal:ada-4711" in browser.answer.text
    finally:
        site.provider.trust(site.gateway.api().get("/saml/corp/metadata").body)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"SAMLResponse": "x" * 400_000}, "saml: larger than"),
        ({"SAMLResponse": "%%%"}, "saml: not base64"),
        ({"SAMLResponse": ""}, "saml: not well-formed XML"),
    ],
    ids=["oversized", "not base64", "empty"],
)
def test_what_is_no_response(site: Site, fields: dict[str, str], reason: str) -> None:
    with site.browser() as browser:
        site.begin(browser)
        browser.submit(fields)
        assert (browser.answer.status_code, browser.answer.text) == (403, REFUSAL)
    assert reason in site.reason()


def test_more_than_is_read_at_all(site: Site) -> None:
    with site.browser() as browser:
        site.begin(browser)
        browser.submit({"SAMLResponse": "x" * 600_000})
        assert browser.answer.status_code == 413


def test_answers_do_not_come_in_urls(site: Site) -> None:
    assert site.gateway.api().get("/login/callback/corp?SAMLResponse=x").status == 405


def test_there_is_no_other_provider(site: Site) -> None:
    assert site.gateway.api().get("/saml/other/metadata").status == 404
    assert site.gateway.api().get("/saml/other/slo?SAMLRequest=x").status == 403


@pytest.mark.parametrize("binding", ["HTTP-Redirect", "HTTP-POST"])
def test_the_provider_logs_somebody_out(site: Site, binding: str) -> None:
    with site.logged_in() as browser:
        opened = records_of(site.gateway, LoginOpened)[-1]
        browser.open(f"{site.provider.url}/logout/{opened.provider_session}?binding={binding}")
        if binding == "HTTP-POST":
            assert browser.forms[0].action.startswith(site.gateway.api_url)
            browser.submit()
        assert browser.url.startswith(f"{site.provider.url}/slo"), browser.answer.text
        assert browser.answer.status_code == 200, browser.answer.text
        browser.open(f"{site.gateway.api_url}/v1/sessions")
        assert browser.answer.status_code == 401
    closed = records_of(site.gateway, LoginClosed)[-1]
    assert (closed.login, closed.by, closed.reason) == (
        opened.login,
        "provider:corp",
        "the provider has logged the person out",
    )


def test_a_logout_request_that_is_not_the_providers(site: Site) -> None:
    with site.logged_in() as browser:
        answer = browser.client.get(f"{site.gateway.api_url}/saml/corp/slo?SAMLRequest=x&SigAlg=y&Signature=z")
        assert answer.status_code == 403
        assert "saml" not in answer.text
        assert site.reason() == "saml: the signature's algorithm is not accepted"
        browser.open(f"{site.gateway.api_url}/login")
        assert "You are logged in as corp:ada-4711" in browser.answer.text


def test_nobody_logs_in_without_the_provider(site: Site) -> None:
    answer = site.gateway.api().get("/login?provider=gone")
    assert answer.status == 403
    assert b"the provider of logins cannot be reached; try again later" in answer.body
    refused = records_of(site.gateway, ConnectionRefused)[-1]
    assert (refused.protocol, refused.reason) == ("login", "no current metadata of the provider")
