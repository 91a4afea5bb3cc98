"""The development issuer."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.development import DevelopmentIssuer, TokenRequest
from interlock.adapters.identity.registry import Registry
from interlock.core.errors import ConfigurationError
from interlock.core.identity import PrincipalKind
from interlock.core.settings import IdentityKind
from tests.adapters.identity.conftest import KnownIdentities
from tests.clocks import ManualClock


@pytest.fixture
async def development(tmp_path: Path, clock: ManualClock) -> AsyncIterator[DevelopmentIssuer]:
    issuer = DevelopmentIssuer("127.0.0.1:0", "interlock", tmp_path / "development.key", clock)
    await issuer.start()
    yield issuer
    await issuer.stop()


async def test_its_tokens_log_in(
    development: DevelopmentIssuer, clock: ManualClock, identities: KnownIdentities
) -> None:
    authenticator = TokenAuthenticator(
        [development.issuer_settings()], development.identity_rules(), Registry(identities), clock
    )
    body = {"name": "ada", "kind": "user", "groups": ["dba"], "owner": "grace", "ttl_s": 60}
    async with aiohttp.ClientSession() as session, session.post(f"{development.url}/token", json=body) as response:
        token = (await response.json())["token"]
    principal = await authenticator.authenticate(token, "x")
    assert (principal.name, principal.kind, principal.owner) == ("ada", PrincipalKind.USER, "grace")
    assert principal.groups == {"dba"}
    assert principal.expires_at_s == clock.now_s() + 60
    agent = await authenticator.authenticate(development.issue(TokenRequest("bot")), "x")
    assert (agent.name, agent.kind, agent.owner) == ("bot", PrincipalKind.AGENT, None)
    await authenticator.close()


async def test_its_discovery_is_followed(
    development: DevelopmentIssuer, clock: ManualClock, identities: KnownIdentities
) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{development.url}/.well-known/openid-configuration") as response:
            assert (await response.json())["jwks_uri"] == f"{development.url}/jwks"
        async with session.get(f"{development.url}/jwks") as response:
            assert "d" not in (await response.json())["keys"][0]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"name": "a"}', {"Content-Type": "text/plain"}, 415),
        (b"name=a", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b'{"name": "a b"}', {"Content-Type": "application/json"}, 400),
        (b'{"name": "a", "ttl_s": 999999}', {"Content-Type": "application/json"}, 400),
        (b'{"name": "a", "kind": "root"}', {"Content-Type": "application/json"}, 400),
        (b'{"name": "a", "x": 1}', {"Content-Type": "application/json"}, 400),
        (b'{"name"', {"Content-Type": "application/json"}, 400),
        (b'{"name": "a"}', {"Content-Type": "application/json", "Host": "attacker.example"}, 403),
        (b'{"name": "' + b"a" * 20_000 + b'"}', {"Content-Type": "application/json"}, 413),
    ],
)
async def test_what_it_does_not_take(
    body: bytes, headers: dict[str, str], status: int, development: DevelopmentIssuer
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{development.url}/token", data=body, headers=headers) as response,
    ):
        assert response.status == status


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:0", "192.0.2.1:80", "[::]:0", "example.org:80", ":0", "127.0.0.1", "127.0.0.1:x"]
)
def test_it_listens_on_loopback_only(listen: str, tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(ConfigurationError, match="nothing but loopback"):
        DevelopmentIssuer(listen, "interlock", tmp_path / "key", clock)


def test_its_key_is_private_and_kept(tmp_path: Path, clock: ManualClock) -> None:
    file = tmp_path / "key"
    first = DevelopmentIssuer("127.0.0.1:0", "interlock", file, clock)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    second = DevelopmentIssuer("127.0.0.1:0", "interlock", file, clock)
    assert first.issue(TokenRequest("a")).split(".")[0] == second.issue(TokenRequest("a")).split(".")[0]
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        DevelopmentIssuer("127.0.0.1:0", "interlock", file, clock)


def test_a_token_for_whoever_asks(tmp_path: Path, clock: ManualClock) -> None:
    issuer = DevelopmentIssuer("[::1]:0", "interlock", tmp_path / "key", clock)
    assert issuer.issue_token("bot", IdentityKind.AGENT.value, (), None, 60).count(".") == 2
    with pytest.raises(ValueError, match="name"):
        issuer.issue_token("", IdentityKind.AGENT.value, (), None, 60)
