"""People who log in at a gateway with a real OpenID provider: in a browser, with the command line, and elsewhere."""

import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace

import pytest

from interlock.core.ledger import ConnectionRefused, LoginClosed, LoginOpened
from tests.e2e.api_callers import POLICY
from tests.e2e.exchange import ask
from tests.e2e.ledger_files import records_of
from tests.e2e.people import CLI, COOKIE, DEVICE_GRANT, PROVIDER, Program, Site, site
from tests.servers.gateway import GatewayOptions
from tests.servers.oidc_provider import ADA, BOB, SECRET

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


def test_what_a_browser_changes_is_asked_for_by_the_gateways_own_pages(people: Site) -> None:
    command = ("PUT", "/v1/identities/agent:x", {"kind": "agent"})
    with people.logged_in() as browser:
        api = people.as_browser(browser)
        own = dict(api.headers)
        for missing in ({"Origin": "https://evil.example.org"}, {"Origin": ""}, {"Interlock-CSRF": "0"}):
            answer = replace(api, headers=own | missing).request(*command)
            assert (answer.status, "Interlock-CSRF" in answer.json["detail"]) == (403, True)
        mine = api.request(*command)
        assert (mine.status, "Interlock-CSRF" in mine.json["detail"]) == (403, False)


def test_logging_out_ends_the_login_here_and_at_the_provider(people: Site) -> None:
    with people.logged_in() as browser:
        cookie = {"Cookie": f"{COOKIE}={browser.cookie(COOKIE)}"}
        elsewhere = people.gateway.api().request("POST", "/logout", b"", Origin="https://evil.example.org", **cookie)
        assert elsewhere.status == 403
        assert people.as_browser(browser).get("/v1/sessions").status == 200
        browser.submit()
        assert browser.url.startswith(f"{people.provider.url}/session/end")
        assert replace(people.gateway.api(), headers=cookie).get("/v1/sessions").status == 401
        people.provider.sign_out(browser)
        assert browser.url.startswith(people.provider.url), "the gateway asks for a new sign-in"
    closed = records_of(people.gateway, LoginClosed)[-1]
    assert (closed.principal, closed.by, closed.reason) == (ADA, ADA, "logged out")


def test_a_disabled_person_is_out_at_once(people: Site) -> None:
    with people.logged_in(BOB) as browser:
        assert people.as_browser(browser).get("/v1/sessions").status == 200
        tokens = people.log_in(BOB)
        people.gateway.command("identities", "add", BOB, "--kind", "user")
        people.gateway.command("identities", "disable", BOB)
        try:
            assert people.as_browser(browser).get("/v1/sessions").status == 401
            assert people.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
            again = browser.open(f"{people.gateway.api_url}/login?provider={PROVIDER}")
            assert (again.status_code, "disabled" in again.text) == (403, True)
        finally:
            people.gateway.command("identities", "enable", BOB)


def test_the_command_line_logs_in_with_a_browser(people: Site) -> None:
    tokens = people.log_in()
    assert people.gateway.api(tokens["access_token"]).get("/v1/sessions").status == 200
    assert tokens["audience"] == ["api"]
    renewed = people.refresh(tokens["refresh_token"], audience="shop").json
    assert renewed["audience"] == ["connection:shop"]
    assert renewed["refresh_token"] != tokens["refresh_token"]
    assert people.gateway.api(renewed["access_token"]).get("/v1/sessions").status == 401
    assert people.refresh(renewed["refresh_token"]).status == 200


def test_the_cookie_is_no_refresh_token_and_a_refresh_token_no_bearer(people: Site) -> None:
    with people.logged_in() as browser:
        cookie = browser.cookie(COOKIE) or ""
        assert people.refresh(cookie).json["error"] == "invalid_grant"
        assert people.as_browser(browser).get("/v1/sessions").status == 200
        assert people.gateway.api(cookie).get("/v1/sessions").status == 401
    tokens = people.log_in()
    assert people.gateway.api(tokens["refresh_token"]).get("/v1/sessions").status == 401
    as_cookie = {"Cookie": f"{COOKIE}={tokens['refresh_token']}"}
    assert replace(people.gateway.api(), headers=as_cookie).get("/v1/sessions").status == 401


def test_a_code_counts_once_and_a_second_time_ends_the_login(people: Site) -> None:
    program = Program(people)
    with people.browser() as browser:
        code = program.code(browser)
    assert program.redeem(code, code_verifier="A" * 43).json["error"] == "invalid_grant"
    assert program.redeem(code).json["error"] == "invalid_grant", "a wrong try has used it up"
    with people.browser() as browser:
        code = program.code(browser)
    tokens = program.redeem(code).json
    assert people.refresh(tokens["refresh_token"]).status == 200
    assert program.redeem(code).json["error"] == "invalid_grant"
    assert records_of(people.gateway, LoginClosed)[-1].reason == "its code was used again"


@pytest.mark.parametrize("change", ["redirect_uri", "client_id"])
def test_a_code_is_for_the_program_that_asked(people: Site, change: str) -> None:
    program = Program(people)
    with people.browser() as browser:
        code = program.code(browser)
    answer = program.redeem(code, **{change: "http://127.0.0.1:9/done"})
    assert answer.json["error"] in ("invalid_grant", "invalid_client")


def test_nobody_acts_for_a_person_who_did_not_begin(people: Site) -> None:
    program = Program(people)
    with people.browser() as browser:
        browser.leave_at = (program.redirect_uri,)
        browser.open(program.url())
        people.provider.sign_in(browser, ADA)
        question = browser.forms[0].fields
        with people.logged_in(BOB) as other:
            stolen = other.client.post(
                f"{people.gateway.api_url}/oauth2/authorize",
                data=question | {"answer": "allow"},
                headers={"Origin": people.gateway.api_url},
            )
            assert stolen.status_code == 403
        browser.submit({"answer": "deny"})
        assert program.answer(browser)["error"] == "access_denied"
        assert browser.client.post(browser.url.partition("?")[0], data=question).status_code == 403


@pytest.mark.parametrize(
    "redirect_uri",
    [
        None,
        "https://evil.example.org/",
        "http://127.0.0.1.evil.example.org:80/",
        "http://127.0.0.1@evil.example.org:80/",
        "http://127.0.0.1:80@evil.example.org/",
        "http://localhost:8000/",
        "http://127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:8000/?x=y",
        "http://127.0.0.1:8000/#x",
        "http://127.0.0.1:8000/\r\nSet-Cookie: x=y",
        "http://127.0.0.2:8000/",
        "javascript:alert(1)//127.0.0.1:8000/",
    ],
)
def test_codes_and_errors_go_to_loopback_only(people: Site, redirect_uri: str | None) -> None:
    with people.browser() as browser:
        answer = browser.open(Program(people).url(redirect_uri=redirect_uri))
        assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
        assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"provider": "nobody"}, "access_denied"),
    ],
)
def test_other_errors_go_to_the_program(people: Site, changes: dict[str, str | None], error: str) -> None:
    program = Program(people)
    with people.browser() as browser:
        browser.leave_at = (program.redirect_uri,)
        browser.open(program.url(**changes))
        answer = program.answer(browser)
    assert (answer["error"], answer["state"], answer["iss"]) == (error, program.state, people.gateway.api_url)


def test_a_person_signs_in_elsewhere(people: Site) -> None:
    begun = ask(people.gateway.api(), {"client_id": CLI}, "/oauth2/device_authorization").json
    poll = {"grant_type": DEVICE_GRANT, "device_code": begun["device_code"]}
    assert people.token(poll).json["error"] == "slow_down"
    with people.browser() as browser:
        people.provider.confirm_device(browser, begun["verification_uri_complete"], BOB)
    deadline = time.monotonic() + 60
    while (answer := people.token(poll)).status != 200:
        assert answer.json["error"] in ("slow_down", "authorization_pending"), answer.body
        assert time.monotonic() < deadline
        time.sleep(begun["interval"])
    assert people.gateway.api(answer.json["access_token"]).get("/v1/sessions").status == 200
    assert people.token(poll).json["error"] == "expired_token"
    assert people.refresh(answer.json["refresh_token"]).status == 200


def test_a_provider_that_is_away_is_said_to_be(people: Site) -> None:
    """Nothing but the login fails: whoever is logged in stays so."""
    tokens = people.log_in()
    people.provider.stop()
    try:
        assert people.refresh(tokens["refresh_token"]).status == 200
        with people.browser() as browser:
            browser.leave_at = (people.provider.url,)
            browser.open(f"{people.gateway.api_url}/login")
            state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(browser.left_for).query))["state"]
            query = urllib.parse.urlencode({"state": state, "code": "x", "iss": people.provider.url})
            answer = browser.open(f"{people.gateway.api_url}/login/callback/{PROVIDER}?{query}")
        assert (answer.status_code, "cannot be reached" in answer.text) == (403, True)
    finally:
        people.provider.start()
    assert records_of(people.gateway, ConnectionRefused)[-1].reason == "openid: the issuer cannot be asked"


def test_secrets_are_written_nowhere(people: Site) -> None:
    with people.logged_in() as browser:
        cookie = browser.cookie(COOKIE) or ""
        codes = [url.partition("code=")[2].partition("&")[0] for url in browser.visited if "code=" in url]
    tokens = people.log_in()
    secrets = [cookie, *codes, tokens["refresh_token"], tokens["access_token"], SECRET]
    assert all(len(secret) > 20 for secret in secrets)
    written = [people.gateway.log().encode()]
    written += [file.read_bytes() for file in people.gateway.data_dir.rglob("*") if file.is_file()]
    for secret in secrets:
        assert not any(secret.encode() in content for content in written)


def test_a_browser_goes_on_to_where_it_wanted(people: Site) -> None:
    with people.browser() as browser:
        browser.open(f"{people.gateway.api_url}/login?next=/openapi.json")
        people.provider.sign_in(browser, ADA)
        assert browser.url == f"{people.gateway.api_url}/openapi.json"
        for elsewhere in ("https://evil.example.org/", "//evil.example.org", "/%5Cevil.example.org"):
            answer = browser.open(f"{people.gateway.api_url}/login?next={elsewhere}")
            assert (answer.status_code, "location" in answer.headers) == (403, False)


def test_an_answer_counts_in_the_browser_that_began_and_once(people: Site) -> None:
    with people.browser() as victim, people.browser() as attacker:
        callback = f"{people.gateway.api_url}/login/callback/{PROVIDER}"
        attacker.leave_at = (callback,)
        attacker.open(f"{people.gateway.api_url}/login")
        people.provider.sign_in(attacker, BOB)
        planted = victim.open(attacker.left_for)
        assert (planted.status_code, victim.cookie(COOKIE)) == (403, None)
        stolen, attacker.leave_at = attacker.left_for, ()
        assert "logged in as bob" in attacker.open(stolen).text
        assert attacker.open(stolen).status_code == 403
        assert attacker.client.post(callback, data={"state": "x"}).status_code == 405
    assert "another browser" in " ".join(one.reason for one in records_of(people.gateway, ConnectionRefused))


def test_the_cookies_are_for_this_host_over_tls_and_not_for_scripts(people: Site) -> None:
    with people.browser() as browser:
        browser.leave_at = (people.provider.url,)
        begun = browser.open(f"{people.gateway.api_url}/login").headers["set-cookie"]
        browser.leave_at = ()
        browser.open(browser.left_for)
        browser.leave_at = (f"{people.gateway.api_url}/login",)
        people.provider.sign_in(browser, ADA)
        kept = browser.client.get(browser.left_for).headers["set-cookie"]
    for cookie, same_site in ((begun, "none"), (kept, "lax")):
        name, *attributes = cookie.split("; ")
        assert name.startswith(COOKIE)
        assert {"HttpOnly", "Secure", "Path=/", f"SameSite={same_site}"} <= set(attributes)
        assert not any(attribute.startswith("Domain") for attribute in attributes)


def test_whoever_fails_over_and_over_is_not_heard(people: Site) -> None:
    with people.browser() as browser:
        statuses = {browser.open(f"{people.gateway.api_url}/login/callback/{PROVIDER}").status_code for _ in range(70)}
        assert statuses == {403, 429}
        assert browser.open(f"{people.gateway.api_url}/login").status_code == 429
