"""JWT-SVIDs: tokens without an issuer, which their subject's trust domain vouches for."""

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.kept import COOLDOWN_S
from interlock.adapters.identity.registry import Registry
from interlock.adapters.identity.trust_domain import TrustDomain
from interlock.core.errors import LoginRefused
from interlock.core.settings import IdentityRule, TrustDomainSettings
from interlock.core.spiffe import parse_spiffe_id, workload_id
from tests.adapters.identity.conftest import KnownIdentities
from tests.adapters.identity.spire import AUDIENCE, WORKLOAD, Spire
from tests.clocks import ManualClock
from tests.servers.certificates import CertificateAuthority
from tests.servers.http_service import HttpService

ADDRESS = "192.0.2.1:5000"
RULE = IdentityRule(
    issuer="spiffe://example.org",
    when={"sub": "spiffe://example.org/ns/agents/*"},
    identity="spiffe:crm-reader",
)


@pytest.fixture
def spire(clock: ManualClock) -> Spire:
    return Spire(clock.now_s())


@pytest.fixture
def settings(spire: Spire, tmp_path: Path) -> TrustDomainSettings:
    return spire.settings(tmp_path / "bundle.json")


def trusting(settings: TrustDomainSettings, clock: ManualClock) -> TokenAuthenticator:
    return TokenAuthenticator(
        [], [RULE], Registry(KnownIdentities()), clock, trust_domains=[TrustDomain(settings, clock)]
    )


async def reason(authenticator: TokenAuthenticator, token: str) -> str:
    with pytest.raises(LoginRefused) as caught:
        await authenticator.authenticate(token, ADDRESS)
    return caught.value.reason


async def test_a_workload_gets_in_by_its_trust_domain(
    spire: Spire, settings: TrustDomainSettings, clock: ManualClock
) -> None:
    authenticator = trusting(settings, clock)
    principal = await authenticator.authenticate(spire.token(), ADDRESS)
    assert (principal.name, principal.issuer, principal.subject) == ("spiffe:crm-reader", RULE.issuer, WORKLOAD)
    assert principal.expires_at_s == clock.now_s() + 300
    assert authenticator.trusts(RULE.issuer)


FORGERIES: dict[str, tuple[dict[str, object], str]] = {
    "another trust domain": ({"sub": "spiffe://example.com/ns/agents/sa/x"}, "unknown issuer"),
    "the trust domain in capitals": ({"sub": "spiffe://EXAMPLE.org/ns/agents/sa/x"}, "no iss claim"),
    "another scheme": ({"sub": "SPIFFE://example.org/ns/agents/sa/x"}, "no iss claim"),
    "the trust domain itself": ({"sub": "spiffe://example.org"}, "no iss claim"),
    "a slash at the end": ({"sub": f"{WORKLOAD}/"}, "no iss claim"),
    "a way up": ({"sub": "spiffe://example.org/ns/agents/../admin"}, "no iss claim"),
    "an encoded way up": ({"sub": "spiffe://example.org/ns/agents/%2e%2e/admin"}, "no iss claim"),
    "an empty segment": ({"sub": "spiffe://example.org//ns/agents/sa/x"}, "no iss claim"),
    "a query": ({"sub": f"{WORKLOAD}?a=b"}, "no iss claim"),
    "a fragment": ({"sub": f"{WORKLOAD}#a"}, "no iss claim"),
    "a port": ({"sub": "spiffe://example.org:443/ns/agents/sa/x"}, "no iss claim"),
    "a user": ({"sub": "spiffe://a@example.org/ns/agents/sa/x"}, "no iss claim"),
    "a line break": ({"sub": f"{WORKLOAD}\n"}, "no iss claim"),
    "too long": ({"sub": f"spiffe://example.org/ns/agents/{'a' * 2048}"}, "no iss claim"),
    "no subject": ({"sub": None}, "no iss claim"),
    "a subject of another domain behind the issuer": (
        {"iss": "spiffe://example.org", "sub": "spiffe://example.com/ns/agents/sa/x"},
        "sub is no SPIFFE ID of a workload of the trust domain",
    ),
    "a path that begins alike": ({"sub": "spiffe://example.org/ns/agents-x/sa/y"}, "no identity rule applies"),
    "another audience": ({"aud": ["spiffe://example.org/other"]}, "aud does not name this gateway"),
    "no audience": ({"aud": None}, "aud does not name this gateway"),
    "no end": ({"exp": None}, "no exp claim"),
    "an issuer that is not known": ({"iss": "https://spire.example.org"}, "unknown issuer"),
}


@pytest.mark.parametrize(("changes", "expected"), FORGERIES.values(), ids=FORGERIES.keys())
async def test_what_is_no_svid_for_here(
    changes: dict[str, object], expected: str, spire: Spire, settings: TrustDomainSettings, clock: ManualClock
) -> None:
    assert expected in await reason(trusting(settings, clock), spire.token("jwt-1", None, **changes))


async def test_one_trust_domain_does_not_sign_for_another(
    spire: Spire, settings: TrustDomainSettings, clock: ManualClock, tmp_path: Path
) -> None:
    other = Spire(clock.now_s(), "example.com")
    domains = [TrustDomain(each, clock) for each in (settings, other.settings(tmp_path / "other.json"))]
    authenticator = TokenAuthenticator([], [RULE], Registry(KnownIdentities()), clock, trust_domains=domains)
    assert await reason(authenticator, other.token()) == "the signature does not hold"
    assert (await authenticator.authenticate(spire.token(), ADDRESS)).subject == WORKLOAD


async def test_algorithms_that_svids_do_not_have(
    spire: Spire, settings: TrustDomainSettings, clock: ManualClock
) -> None:
    for algorithm in ("none", "HS256", "EdDSA"):
        token = spire.token(header={"alg": algorithm})
        assert await reason(trusting(settings, clock), token) == "alg is not one of the issuer's"


async def test_a_trust_domain_without_an_audience_gives_no_tokens(
    spire: Spire, clock: ManualClock, tmp_path: Path
) -> None:
    authenticator = trusting(spire.settings(tmp_path / "b.json", audience=""), clock)
    for audience in (["x"], "", None):
        assert await reason(authenticator, spire.token(aud=audience)) == "aud does not name this gateway"


async def test_a_bundle_is_read_again(
    spire: Spire, settings: TrustDomainSettings, clock: ManualClock, tmp_path: Path
) -> None:
    authenticator = trusting(settings, clock)
    old = spire.token()
    await authenticator.authenticate(old, ADDRESS)
    keys, spire.token_keys = spire.token_keys, Spire(0).token_keys
    spire.write_bundle(tmp_path / "bundle.json")
    await authenticator.authenticate(old, ADDRESS)
    clock.advance(COOLDOWN_S)
    assert await reason(authenticator, old) == "the signature does not hold"
    await authenticator.authenticate(spire.token(), ADDRESS)
    spire.token_keys = keys


async def test_a_bundle_endpoint(spire: Spire, clock: ManualClock, certificate_authority: CertificateAuthority) -> None:
    async def bundle(_request: web.Request, _body: bytes) -> web.Response:
        return web.json_response(spire.bundle(spiffe_refresh_hint=60))

    async def elsewhere(_request: web.Request, _body: bytes) -> web.Response:
        raise web.HTTPFound("/bundle")

    files = certificate_authority.issue_server()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(files.certificate_file, files.key_file)
    with HttpService(tls, bundle=bundle, elsewhere=elsewhere) as service:
        place: dict[str, Any] = {
            "name": "example.org",
            "audience": AUDIENCE,
            "ca_file": str(certificate_authority.certificate_file),
        }
        url = f"https://127.0.0.1:{service.port}"
        authenticator = trusting(TrustDomainSettings(bundle_url=f"{url}/bundle", **place), clock)
        assert (await authenticator.authenticate(spire.token(), ADDRESS)).subject == WORKLOAD
        spire.token_keys["jwt-2"] = Spire(0).token_keys["jwt-1"]
        clock.advance(COOLDOWN_S)
        assert (await authenticator.authenticate(spire.token("jwt-2"), ADDRESS)).subject == WORKLOAD
        asked = len(service.received)
        clock.advance(30)
        await authenticator.authenticate(spire.token(), ADDRESS)
        assert len(service.received) == asked
        clock.advance(30)
        await authenticator.authenticate(spire.token(), ADDRESS)
        assert len(service.received) == asked + 1
        moved = trusting(TrustDomainSettings(bundle_url=f"{url}/elsewhere", **place), clock)
        assert await reason(moved, spire.token()) == "no current keys of the issuer"
        stranger = TrustDomainSettings(bundle_url=f"{url}/bundle", name="example.org", audience=AUDIENCE)
        untrusted = trusting(stranger, clock)
        assert await reason(untrusted, spire.token()) == "no current keys of the issuer"
        for each in (authenticator, moved, untrusted):
            await each.close()


async def test_an_empty_bundle_trusts_nobody(
    spire: Spire, settings: TrustDomainSettings, clock: ManualClock, tmp_path: Path
) -> None:
    (tmp_path / "bundle.json").write_text('{"keys": []}')
    assert await reason(trusting(settings, clock), spire.token()) == "the issuer publishes no such key"


async def test_a_bundle_that_cannot_be_read_stays_in_use_for_a_while(
    spire: Spire, settings: TrustDomainSettings, clock: ManualClock, tmp_path: Path
) -> None:
    authenticator = trusting(settings, clock)
    await authenticator.authenticate(spire.token(), ADDRESS)
    (tmp_path / "bundle.json").write_text("{")
    clock.advance(60)
    await authenticator.authenticate(spire.token(), ADDRESS)
    clock.advance(settings.max_stale_s)
    assert await reason(authenticator, spire.token()) == "no current keys of the issuer"


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"keys": {}},
        {"keys": [{"use": "x509-svid"}]},
        {"keys": [{"use": "x509-svid", "x5c": []}]},
        {"keys": [{"use": "x509-svid", "x5c": ["AAAA", "AAAA"]}]},
        {"keys": [{"use": "x509-svid", "x5c": ["*"]}]},
        {"keys": [{}] * 101},
    ],
)
async def test_what_is_no_bundle(
    document: object, spire: Spire, settings: TrustDomainSettings, clock: ManualClock, tmp_path: Path
) -> None:
    (tmp_path / "bundle.json").write_text(json.dumps(document))
    assert await reason(trusting(settings, clock), spire.token()) == "no current keys of the issuer"


async def test_keys_for_other_uses_do_not_sign_tokens(
    spire: Spire, settings: TrustDomainSettings, clock: ManualClock, tmp_path: Path
) -> None:
    bundle = spire.bundle()
    for use in ("x509-svid", "sig", None):
        keys = [{**key, "use": use, "x5c": None} for key in bundle["keys"] if key["use"] == "jwt-svid"]  # type: ignore[attr-defined]
        kept = [{name: value for name, value in key.items() if value is not None} for key in keys]
        (tmp_path / "bundle.json").write_text(json.dumps({"keys": kept}))
        refused = await reason(trusting(settings, clock), spire.token())
        assert refused in ("the issuer publishes no such key", "no current keys of the issuer")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Example.org"},
        {"name": "spiffe://example.org"},
        {"name": "example.org/x"},
        {"bundle_url": "https://spire.example.org/bundle"},
        {"bundle_file": None},
        {"bundle_file": None, "bundle_url": "http://spire.example.org/bundle"},
        {"bundle_file": None, "bundle_url": "https://a@spire.example.org/bundle"},
        {"bundle_file": None, "authorities_file": "a.pem"},
    ],
)
def test_settings_that_cannot_be(changes: dict[str, str | None]) -> None:
    with pytest.raises(ValueError, match=r"name|bundle|audience"):
        TrustDomainSettings(**{"name": "example.org", "bundle_file": "b.json", "audience": AUDIENCE, **changes})  # type: ignore[arg-type]


def test_ids() -> None:
    assert str(parse_spiffe_id(WORKLOAD)) == WORKLOAD
    root = parse_spiffe_id("spiffe://example.org")
    assert root is not None
    assert (root.trust_domain, root.path) == ("example.org", "")
    assert workload_id("spiffe://example.org") is None
