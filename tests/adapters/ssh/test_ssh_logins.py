"""Keys and certificates as proofs: they let in whom a token would, and refuse what a token would be refused for."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.adapters.identity.registry import Registry
from interlock.adapters.identity.ssh_logins import SshLogins
from interlock.adapters.ssh_authority import SshAuthority, open_ssh_authority
from interlock.adapters.ssh_key_files import public_line
from interlock.core.errors import LoginRefused, StateUnavailable
from interlock.core.identity import Principal, PrincipalKind, RegisteredIdentity
from interlock.core.settings.ssh import SshSettings
from interlock.core.ssh_key import RegisteredSshKey, read_ssh_key
from tests.clocks import ManualClock

FROM = "192.0.2.7:40000"
ISSUER = "https://issuer.example"
KEY = read_ssh_key(public_line(Ed25519PrivateKey.generate()))


class Known:
    """Identities and keys in memory; ``broken`` makes them impossible to look up."""

    def __init__(self) -> None:
        self.identities: dict[str, RegisteredIdentity] = {}
        self.keys: dict[str, RegisteredSshKey] = {}
        self.broken = False

    def find(self, name: str) -> RegisteredIdentity | None:
        if self.broken:
            raise StateUnavailable("broken")
        return self.identities.get(name)

    def register(self, name: str, **changes: object) -> None:
        self.identities[name] = msgspec.structs.replace(RegisteredIdentity(name, PrincipalKind.AGENT), **changes)

    def add_key(self, identity: str, expires_at_s: float | None = None) -> None:
        self.keys[KEY.fingerprint] = RegisteredSshKey(identity, KEY, "root", 0.0, expires_at_s)


class KnownKeys:
    def __init__(self, known: Known) -> None:
        self._known = known

    def find(self, fingerprint: str) -> RegisteredSshKey | None:
        if self._known.broken:
            raise StateUnavailable("broken")
        return self._known.keys.get(fingerprint)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
def authority(tmp_path: Path, clock: ManualClock) -> SshAuthority:
    return open_ssh_authority(tmp_path, SshSettings(), clock)


@pytest.fixture
def issuers() -> set[str]:
    """Whose tokens are accepted."""
    return {ISSUER}


@pytest.fixture
def logins(authority: SshAuthority, known: Known, clock: ManualClock, issuers: set[str]) -> SshLogins:
    return SshLogins(authority, KnownKeys(known), Registry(known), issuers.__contains__, clock)


@pytest.fixture
def principal(clock: ManualClock) -> Principal:
    return Principal(
        kind=PrincipalKind.AGENT,
        name="bot",
        groups=frozenset({"ci"}),
        owner="ada",
        issuer=ISSUER,
        subject="repo:acme/crm",
        token_id="token-1",
        expires_at_s=clock.now_s() + 3600,
        claims=(("repository", "acme/crm"), ("zone", "eu")),
    )


@pytest.fixture
def certificate(authority: SshAuthority, principal: Principal) -> str:
    return authority.sign_user(KEY, principal, 600).certificate


def refusal(call: Callable[[], Principal]) -> LoginRefused:
    with pytest.raises(LoginRefused) as caught:
        call()
    return caught.value


# ---------------------------------------------------------------- certificates


def test_a_certificate_stands_for_its_token(
    logins: SshLogins, authority: SshAuthority, principal: Principal, certificate: str
) -> None:
    found = logins.certificate_principal(certificate, FROM)
    assert msgspec.structs.replace(found, claims=principal.claims) == principal
    evidence = dict(found.claims)
    assert evidence.pop("ssh_key") == KEY.fingerprint
    assert evidence.pop("ssh_certificate") == str(authority.read_user(certificate, FROM)[1].serial)
    assert evidence == dict(principal.claims)
    assert found == logins.certificate_principal(certificate, FROM)


def test_what_is_registered_counts_as_it_is_now(logins: SshLogins, known: Known, certificate: str) -> None:
    known.register("bot", groups=frozenset({"on-call"}), owner="grace")
    found = logins.certificate_principal(certificate, FROM)
    assert (set(found.groups), found.owner) == ({"ci", "on-call"}, "grace")
    known.register("bot")
    found = logins.certificate_principal(certificate, FROM)
    assert (set(found.groups), found.owner) == ({"ci"}, "ada")


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"disabled": True}, "disabled"), ({"kind": PrincipalKind.USER}, "not accepted")],
)
def test_an_identity_that_may_not_log_in(
    logins: SshLogins, known: Known, certificate: str, changes: dict[str, object], message: str
) -> None:
    known.register("bot", **changes)
    assert message in str(refusal(lambda: logins.certificate_principal(certificate, FROM)))


def test_an_issuer_that_is_not_trusted_any_more(logins: SshLogins, issuers: set[str], certificate: str) -> None:
    issuers.clear()
    assert refusal(lambda: logins.certificate_principal(certificate, FROM)).reason == "unknown issuer"


def test_a_certificate_ends(logins: SshLogins, clock: ManualClock, certificate: str) -> None:
    clock.advance(600)
    assert "get a new one" in str(refusal(lambda: logins.certificate_principal(certificate, FROM)))


def test_a_session_lasts_as_the_token_does(logins: SshLogins, principal: Principal, certificate: str) -> None:
    assert logins.certificate_principal(certificate, FROM).expires_at_s == principal.expires_at_s


def test_a_certificate_without_an_end_of_its_token_is_none(
    logins: SshLogins, authority: SshAuthority, principal: Principal
) -> None:
    endless = msgspec.structs.replace(principal, expires_at_s=None)
    signed = authority.sign_user(KEY, endless, 600)
    assert refusal(lambda: logins.certificate_principal(signed.certificate, FROM)).reason == "exp is past"


# ---------------------------------------------------------------- registered keys


def test_a_registered_key(logins: SshLogins, known: Known, clock: ManualClock) -> None:
    known.register("bot", groups=frozenset({"ci"}), owner="ada")
    known.add_key("bot", clock.now_s() + 60)
    assert logins.key_principal(KEY.fingerprint) == Principal(
        kind=PrincipalKind.AGENT,
        name="bot",
        groups=frozenset({"ci"}),
        owner="ada",
        issuer="interlock",
        subject="bot",
        token_id=KEY.fingerprint,
        expires_at_s=clock.now_s() + 60,
    )
    clock.advance(60)
    assert refusal(lambda: logins.key_principal(KEY.fingerprint)).reason == "key expired"


def test_a_key_without_end(logins: SshLogins, known: Known, clock: ManualClock) -> None:
    known.register("bot")
    known.add_key("bot")
    clock.advance(1e9)
    assert logins.key_principal(KEY.fingerprint).expires_at_s is None


def test_a_key_of_nobody(logins: SshLogins, known: Known) -> None:
    assert refusal(lambda: logins.key_principal(KEY.fingerprint)).reason == "no such key"
    known.add_key("gone")
    assert refusal(lambda: logins.key_principal(KEY.fingerprint)).reason == "no such key"


def test_a_key_of_a_disabled_identity(logins: SshLogins, known: Known) -> None:
    known.register("bot", disabled=True)
    known.add_key("bot")
    assert refusal(lambda: logins.key_principal(KEY.fingerprint)).reason == "identity disabled"


# ---------------------------------------------------------------- what breaks


def test_without_a_store_nobody_gets_in(logins: SshLogins, known: Known, certificate: str) -> None:
    known.broken = True
    for call in (
        lambda: logins.key_principal(KEY.fingerprint),
        lambda: logins.certificate_principal(certificate, FROM),
    ):
        assert refusal(call).reason == "state store"


def test_without_a_clock_nobody_gets_in(logins: SshLogins, known: Known, clock: ManualClock, certificate: str) -> None:
    known.register("bot")
    known.add_key("bot", 1e12)
    clock.broken = True
    for call in (
        lambda: logins.key_principal(KEY.fingerprint),
        lambda: logins.certificate_principal(certificate, FROM),
    ):
        assert refusal(call).reason == "no clock"
