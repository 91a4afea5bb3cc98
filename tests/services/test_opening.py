"""Opening a session fails closed: whatever breaks on the way in keeps the caller out, and that is on record."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from interlock.core.errors import LedgerUnavailable, LoginRefused, StateUnavailable
from interlock.core.identity import Principal
from interlock.core.ledger import AnyRecord, ConnectionRefused, SessionOpened
from interlock.core.session import Session
from interlock.core.settings import ConnectionSettings
from interlock.services.enforcement import Enforcement
from interlock.services.opening import Caller, NotAdmitted, Reception
from interlock.services.policy import PolicyStore
from interlock.services.ports import CertificateLogins
from tests.clocks import ManualClock
from tests.services.policy.examples import agent, source, user

POLICY = '@id("all") permit (principal, action, resource in Connection::"shop");'
CALLER = Caller("postgres", "shop", "127.0.0.1:5000", token="secret-token")
SHOP = ConnectionSettings(protocol="postgres", host="db", databases=("shop",), user="app")


class Parts:
    """Everything that a reception needs; ``broken`` names the parts that fail, and how."""

    def __init__(self) -> None:
        self.broken: dict[str, Exception] = {}
        self.records: list[AnyRecord] = []
        self.clock = ManualClock()
        self.policies = PolicyStore(self)
        self.ssh = True
        self.principal = agent("ci-bots")
        self.asked: list[tuple[str, str]] = []

    def _may_fail(self, part: str) -> None:
        if part in self.broken:
            raise self.broken[part]

    def append(self, record: AnyRecord) -> asyncio.Future[None] | None:
        self._may_fail("ledger")
        self.records.append(record)
        return None

    def note(self, record: AnyRecord) -> None:
        self.append(record)

    async def authenticate(self, token: str, client_address: str) -> Principal:
        self._may_fail("authenticator")
        return self.principal

    def scram_verifier(self, user: str) -> str | None:
        return None

    def scram_principal(self, user: str) -> Principal:
        raise AssertionError("nobody logs in so")

    def find_connection(self, name: str) -> ConnectionSettings | None:
        self._may_fail("connections")
        return SHOP if name == "shop" else None

    def open(self, session_id: str, protocol: str) -> Any:
        self._may_fail("recordings")
        return _Recorder()

    def opened(self, session: Session, at_s: float) -> None: ...

    def closed(self, *_: object) -> None: ...

    def used(self, session: Session, action: str, at_s: float) -> None: ...

    def key_principal(self, fingerprint: str) -> Principal:
        self._may_fail("SSH logins")
        return agent("ci-bots")

    def certificate_principal(self, certificate: str, client_address: str) -> Principal:
        self._may_fail("SSH logins")
        self.asked.append((certificate, client_address))
        return agent("ci-bots")

    def reception(self, certificates: CertificateLogins | None = None) -> Reception:
        enforcement = Enforcement(self.policies, self, self.clock)
        parts = (self, self.find_connection, self.policies, enforcement, self, self, self, self.clock)
        return Reception(*parts, ssh_logins=self if self.ssh else None, certificate_logins=certificates)

    @property
    def refusals(self) -> list[ConnectionRefused]:
        return [record for record in self.records if isinstance(record, ConnectionRefused)]


class _Recorder:
    wrapped_key = b"wrapped"


@pytest.fixture
async def parts() -> Parts:
    parts = Parts()
    await parts.policies.start([source(POLICY)])
    return parts


async def test_a_session_is_on_record_before_it_is_given_out(parts: Parts) -> None:
    opened = await parts.reception().open(CALLER)
    assert opened.session.database == "shop"
    assert type(parts.records[-1]).__name__ == "SessionOpened"
    assert "secret-token" not in repr(CALLER) + repr(parts.records)


BOTH = """
@id("people") permit (principal is User, action, resource in Connection::"shop");
@id("crm") permit (principal == Agent::"crm", action, resource in Connection::"shop");
"""


async def test_who_acts_is_on_record(parts: Parts) -> None:
    await parts.policies.activate([source(BOTH)], "test")
    parts.principal = user("sales", name="ada", acting=(agent("crm-agents", name="crm", owner="lee"),))
    await parts.reception().open(CALLER)
    record = parts.records[-1]
    assert isinstance(record, SessionOpened)
    assert (record.who, record.rules) == ("ada, by agent crm", ("crm", "people"))
    (actor,) = record.acting
    assert (actor.kind, actor.name, actor.groups, actor.owner) == ("Agent", "crm", ("crm-agents",), "lee")


@pytest.mark.parametrize("acting", ["web", "crm"])
async def test_both_have_to_be_let_in(parts: Parts, acting: str) -> None:
    policy = BOTH if acting == "web" else BOTH.replace("is User", 'in Group::"sales"')
    await parts.policies.activate([source(policy)], "test")
    parts.principal = user(name="ada", acting=(agent(name=acting),))
    with pytest.raises(NotAdmitted, match=f"ada, by agent {acting} may not use it"):
        await parts.reception().open(CALLER)
    (refused,) = parts.refusals
    assert (refused.principal, refused.acting) == ("ada", (f"agent {acting}",))


@pytest.mark.parametrize(
    ("part", "error", "code"),
    [
        ("authenticator", LoginRefused("the token has expired", "exp"), "28P01"),
        ("authenticator", RuntimeError("secret"), "58000"),
        ("connections", StateUnavailable("secret"), "58000"),
        ("recordings", LedgerUnavailable("no room"), "58030"),
        ("recordings", OSError("secret"), "58000"),
    ],
)
async def test_what_breaks_keeps_the_caller_out(parts: Parts, part: str, error: Exception, code: str) -> None:
    parts.broken[part] = error
    with pytest.raises(NotAdmitted) as caught:
        await parts.reception().open(CALLER)
    assert caught.value.code == code
    (refused,) = parts.refusals
    assert refused.reason
    assert "secret" not in f"{caught.value} {caught.value.reason} {refused}"


async def test_broken_clock_keeps_the_caller_out(parts: Parts) -> None:
    parts.clock.broken = True
    with pytest.raises(NotAdmitted):
        await parts.reception().open(CALLER)
    assert len(parts.refusals) == 1


async def test_broken_ledger_keeps_the_caller_out(parts: Parts) -> None:
    parts.broken["ledger"] = LedgerUnavailable("the disk is full")
    with pytest.raises(NotAdmitted, match="cannot record") as caught:
        await parts.reception().open(CALLER)
    assert caught.value.code == "58030"


@pytest.mark.parametrize("target", ["nowhere", "shop/other", ""])
async def test_what_is_not_there_and_what_is_not_allowed_look_alike(parts: Parts, target: str) -> None:
    with pytest.raises(NotAdmitted, match="does not exist or ci-1 may not use it") as caught:
        await parts.reception().open(Caller("postgres", target, "127.0.0.1:5000", token="t"))
    assert caught.value.code == "42501"
    assert parts.refusals[0].principal == "ci-1"


KEY = Caller("postgres", "shop", "127.0.0.1:5000", ssh_key="SHA256:key")
CERTIFICATE = Caller("postgres", "shop", "127.0.0.1:5000", ssh_certificate="ssh-ed25519-cert-v01@openssh.com AAAA")


@pytest.mark.parametrize("caller", [KEY, CERTIFICATE])
async def test_what_an_ssh_client_holds_opens_a_session(parts: Parts, caller: Caller) -> None:
    opened = await parts.reception().open(caller)
    assert opened.session.principal == agent("ci-bots")
    assert all(asked == (caller.ssh_certificate, caller.client_address) for asked in parts.asked)


@pytest.mark.parametrize("caller", [KEY, CERTIFICATE])
@pytest.mark.parametrize(
    ("error", "code"),
    [(LoginRefused("this identity is disabled", "disabled"), "28P01"), (RuntimeError("secret"), "58000")],
)
async def test_what_breaks_keeps_ssh_clients_out(parts: Parts, caller: Caller, error: Exception, code: str) -> None:
    parts.broken["SSH logins"] = error
    with pytest.raises(NotAdmitted) as caught:
        await parts.reception().open(caller)
    assert caught.value.code == code
    assert "secret" not in f"{caught.value} {parts.refusals}"
    assert not parts.reception().accepts_ssh_key("SHA256:key")


@pytest.mark.parametrize("caller", [KEY, CERTIFICATE])
async def test_a_gateway_without_ssh_takes_no_keys(parts: Parts, caller: Caller) -> None:
    assert parts.reception().accepts_ssh_key("SHA256:key")
    parts.ssh = False
    assert not parts.reception().accepts_ssh_key("SHA256:key")
    with pytest.raises(NotAdmitted, match="takes no SSH keys"):
        await parts.reception().open(caller)


async def test_several_proofs_are_none(parts: Parts) -> None:
    several = Caller("postgres", "shop", "127.0.0.1:5000", token="secret-token", ssh_key="SHA256:key")
    with pytest.raises(NotAdmitted, match="one proof"):
        await parts.reception().open(several)


async def test_an_ssh_identity_that_changes_during_login_is_cut(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    principals = [agent("ci-bots"), agent("others")]
    monkeypatch.setattr(parts, "key_principal", lambda _: principals.pop(0))
    monkeypatch.setattr(_Recorder, "close", lambda _: None, raising=False)
    with pytest.raises(NotAdmitted, match="has just changed"):
        await parts.reception().open(KEY)
    assert type(parts.records[-2]).__name__ == "SessionClosed"


class _Certificates:
    """Knows one certificate."""

    async def certificate_principal(self, chain: Sequence[bytes]) -> Principal:
        if chain[0] != b"known":
            raise LoginRefused("the client certificate is not accepted", "unknown trust domain")
        return agent("ci-bots")


def _with_certificate(*chain: bytes, token: str = "") -> Caller:
    return Caller("postgres", "shop", "127.0.0.1:5000", token=token, certificate=chain)


async def test_a_client_certificate_is_a_proof(parts: Parts) -> None:
    reception = parts.reception(_Certificates())
    assert (await reception.open(_with_certificate(b"known", b"authority"))).session.connection == "shop"
    with pytest.raises(NotAdmitted, match="not accepted") as caught:
        await reception.open(_with_certificate(b"other"))
    assert (caught.value.code, parts.refusals[-1].reason) == ("28P01", "unknown trust domain")
    with pytest.raises(NotAdmitted, match="one proof"):
        await reception.open(_with_certificate(b"known", token="secret-token"))
    with pytest.raises(NotAdmitted, match="takes no client certificates"):
        await parts.reception().open(_with_certificate(b"known"))
