"""The commands about SSH keys and certificates: what they give to whom, and that it is on record first."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.adapters.ssh_authority import SshAuthority, open_ssh_authority
from interlock.adapters.ssh_key_files import private_text, public_line
from interlock.adapters.store.database import Database
from interlock.adapters.store.identities import IdentityTable
from interlock.adapters.store.ssh_keys import SshKeyTable
from interlock.core.administration import (
    AddIdentity,
    AddSshKey,
    IssueSshCertificate,
    ListSshKeys,
    RemoveIdentity,
    RemoveSshKey,
    ShowSshGateway,
)
from interlock.core.errors import (
    AdministrationRefused,
    InvalidCommand,
    LedgerUnavailable,
    NotAllowed,
    NotFound,
    StateUnavailable,
)
from interlock.core.identity import Actor, Principal, PrincipalKind, RegisteredIdentity, local_actor
from interlock.core.ledger import AdministrationChanged
from interlock.core.settings import IdentityKind
from interlock.core.settings.ssh import SshSettings
from interlock.core.ssh_key import read_ssh_key
from interlock.services.ssh_room import SshRoom
from tests.services.administration_bench import AdministrationBench

SETTINGS = SshSettings(host_names=("gateway.example",), certificate_lifetime_s=600)
KEY = public_line(Ed25519PrivateKey.generate())
FINGERPRINT = read_ssh_key(KEY).fingerprint
ROOT = local_actor("root")


class SshBench(AdministrationBench):
    """Administration with a room for SSH, over a state store in a file."""

    def __init__(self, directory: Path, port: int = 2222) -> None:
        self.database = Database(directory / "state.db")
        self.identities = identities = IdentityTable(self.database)
        super().__init__(identities=identities)
        self.authority: SshAuthority = open_ssh_authority(directory, SETTINGS, self.clock)
        room = SshRoom(
            lambda: self.authority,
            SshKeyTable(self.database),
            identities,
            self.locking.cascade,
            self.ledger,
            self.clock,
            SETTINGS,
            lambda: port,
        )
        self.add_room(room)

    @property
    def details(self) -> list[tuple[str, str, str, str]]:
        records = [record for record in self.ledger.records if isinstance(record, AdministrationChanged)]
        return [(record.actor, record.action, record.subject, record.detail) for record in records]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[SshBench]:
    bench = SshBench(tmp_path)
    yield bench
    bench.database.close()


def holder(bench: SshBench, **changes: object) -> Actor:
    """An agent with a token that lives for an hour."""
    principal = Principal(
        PrincipalKind.AGENT,
        "bot",
        frozenset({"ci"}),
        issuer="https://issuer.example",
        subject="1",
        token_id="token-1",
        expires_at_s=bench.clock.now_s() + 3600,
    )
    return Actor(msgspec.structs.replace(principal, **changes), client_address="192.0.2.1")


# ---------------------------------------------------------------- certificates


async def test_whoever_has_a_token_gets_a_certificate_for_themselves(bench: SshBench) -> None:
    issued = await bench.administration.execute(IssueSshCertificate(KEY), holder(bench))
    principal, signed = bench.authority.read_user(issued.certificate, "192.0.2.1:5000")
    assert principal == holder(bench).principal
    assert (issued.identity, issued.serial, issued.fingerprint) == ("bot", signed.serial, FINGERPRINT)
    assert issued.ends_at_s == bench.clock.now_s() + 600
    assert issued.gateway.port == 2222
    ((actor, action, subject, detail),) = bench.details
    assert (actor, action, subject) == ("bot", "ssh-cert", "bot")
    assert f"serial {issued.serial}, key {FINGERPRINT}, until 20" in detail


@pytest.mark.parametrize(("asked_s", "given_s"), [(60, 60), (86_400, 600), (None, 600)])
async def test_it_lives_as_long_as_settings_say_at_most(bench: SshBench, asked_s: int | None, given_s: int) -> None:
    issued = await bench.administration.execute(IssueSshCertificate(KEY, asked_s), holder(bench))
    assert issued.ends_at_s == bench.clock.now_s() + given_s


async def test_it_ends_with_the_token(bench: SshBench) -> None:
    short = holder(bench, expires_at_s=bench.clock.now_s() + 45)
    issued = await bench.administration.execute(IssueSshCertificate(KEY), short)
    assert issued.ends_at_s == bench.clock.now_s() + 45
    bench.clock.advance(45)
    with pytest.raises(NotAllowed, match="the token has expired"):
        await bench.administration.execute(IssueSshCertificate(KEY), short)


async def test_groups_that_are_registered_are_not_in_it(bench: SshBench) -> None:
    """They count as they are at login: one that is taken away is gone at once."""
    await bench.identities.save(RegisteredIdentity("bot", PrincipalKind.AGENT, groups=frozenset({"on-call"})))
    actor = holder(bench, groups=frozenset({"ci", "on-call"}))
    issued = await bench.administration.execute(IssueSshCertificate(KEY), actor)
    assert bench.authority.read_user(issued.certificate, "192.0.2.1:5000")[0].groups == {"ci"}


async def test_who_acts_is_in_it_without_what_is_registered(bench: SshBench) -> None:
    await bench.identities.save(RegisteredIdentity("crm", PrincipalKind.AGENT, groups=frozenset({"on-call"})))
    crm = Principal(PrincipalKind.AGENT, "crm", frozenset({"ci", "on-call"}), token_id="t-crm")
    issued = await bench.administration.execute(IssueSshCertificate(KEY), holder(bench, acting=(crm,)))
    (actor,) = bench.authority.read_user(issued.certificate, "192.0.2.1:5000")[0].acting
    assert (actor.name, actor.groups, actor.token_id) == ("crm", frozenset({"ci"}), "t-crm")
    assert bench.details[0][3].endswith(", by agent crm")


async def test_networks_are_in_it(bench: SshBench) -> None:
    command = IssueSshCertificate(KEY, addresses=("192.0.2.0/24", "2001:db8::7"))
    issued = await bench.administration.execute(command, holder(bench))
    bench.authority.read_user(issued.certificate, "192.0.2.9:5000")
    assert bench.details[0][3].endswith("from 192.0.2.0/24, 2001:db8::7/128")
    with pytest.raises(InvalidCommand, match="'home' is not a network"):
        await bench.administration.execute(IssueSshCertificate(KEY, addresses=("home",)), holder(bench))


async def test_the_machines_operators_have_no_token_to_show(bench: SshBench) -> None:
    with pytest.raises(AdministrationRefused, match="INTERLOCK_TOKEN"):
        await bench.administration.execute(IssueSshCertificate(KEY), ROOT)
    assert not bench.details


@pytest.mark.parametrize("key", ["nonsense", private_text(Ed25519PrivateKey.generate()).decode()])
async def test_what_is_no_public_key(bench: SshBench, key: str) -> None:
    await bench.administration.execute(AddIdentity("bot", IdentityKind.AGENT), ROOT)
    with pytest.raises(InvalidCommand) as asked:
        await bench.administration.execute(IssueSshCertificate(key), holder(bench))
    with pytest.raises(InvalidCommand) as added:
        await bench.administration.execute(AddSshKey("bot", key), ROOT)
    assert key not in f"{asked.value} {added.value}"


async def test_none_is_given_that_cannot_be_recorded(bench: SshBench) -> None:
    bench.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await bench.administration.execute(IssueSshCertificate(KEY), holder(bench))


async def test_none_is_given_without_a_clock(bench: SshBench) -> None:
    actor = holder(bench)
    bench.clock.broken = True
    with pytest.raises(NotAllowed):
        await bench.administration.execute(IssueSshCertificate(KEY), actor)
    endless = Actor(msgspec.structs.replace(actor.principal, expires_at_s=None))
    with pytest.raises(StateUnavailable):
        await bench.administration.execute(IssueSshCertificate(KEY), endless)


async def test_none_is_given_without_a_store(bench: SshBench) -> None:
    bench.database.close()
    with pytest.raises(StateUnavailable):
        await bench.administration.execute(IssueSshCertificate(KEY), holder(bench))


# ---------------------------------------------------------------- registered keys


async def test_a_key_is_registered_and_removed(bench: SshBench) -> None:
    await bench.administration.execute(AddIdentity("bot", IdentityKind.AGENT), ROOT)
    view = await bench.administration.execute(AddSshKey("bot", f"{KEY} bot@host", 3600), ROOT)
    assert (view.identity, view.fingerprint, view.comment, view.by) == ("bot", FINGERPRINT, "bot@host", "os:root")
    assert view.expires_at_s == bench.clock.now_s() + 3600
    assert await bench.administration.execute(ListSshKeys(), ROOT) == (view,)
    assert await bench.administration.execute(ListSshKeys("other"), ROOT) == ()
    await bench.administration.execute(RemoveSshKey(FINGERPRINT), ROOT)
    assert await bench.administration.execute(ListSshKeys(), ROOT) == ()
    added, removed = bench.details[1:]
    assert added[1:3] == ("ssh-keys.add", "bot")
    assert added[3].startswith(f"ssh-ed25519 {FINGERPRINT}, until 20")
    assert removed[1:] == ("ssh-keys.remove", "bot", FINGERPRINT)


async def test_a_key_needs_an_identity_and_is_nobody_elses(bench: SshBench) -> None:
    with pytest.raises(NotFound, match="interlock identities add"):
        await bench.administration.execute(AddSshKey("bot", KEY), ROOT)
    for name in ("bot", "ada"):
        await bench.administration.execute(AddIdentity(name, IdentityKind.USER), ROOT)
    await bench.administration.execute(AddSshKey("bot", KEY), ROOT)
    recorded = len(bench.details)
    with pytest.raises(AdministrationRefused, match="belongs to 'bot' already"):
        await bench.administration.execute(AddSshKey("ada", KEY), ROOT)
    with pytest.raises(NotFound):
        await bench.administration.execute(RemoveSshKey("SHA256:unknown"), ROOT)
    assert len(bench.details) == recorded


async def test_a_removed_key_cuts_its_sessions_only(bench: SshBench) -> None:
    await bench.administration.execute(AddIdentity("bot", IdentityKind.AGENT), ROOT)
    await bench.administration.execute(AddSshKey("bot", KEY), ROOT)
    by_key = bench.locking.sessions.add(Principal(PrincipalKind.AGENT, "bot", token_id=FINGERPRINT))
    by_token = bench.locking.sessions.add(Principal(PrincipalKind.AGENT, "bot", token_id="token-1"))
    done = await bench.administration.execute(RemoveSshKey(FINGERPRINT), ROOT)
    assert [receipt.session for receipt in done.sessions] == [by_key.session.id]
    assert by_key.done
    assert not by_token.done


async def test_a_removed_identity_has_no_keys(bench: SshBench) -> None:
    await bench.administration.execute(AddIdentity("bot", IdentityKind.AGENT), ROOT)
    await bench.administration.execute(AddSshKey("bot", KEY), ROOT)
    await bench.administration.execute(RemoveIdentity("bot"), ROOT)
    assert await bench.administration.execute(ListSshKeys(), ROOT) == ()


async def test_no_key_is_changed_that_cannot_be_recorded(bench: SshBench) -> None:
    await bench.administration.execute(AddIdentity("bot", IdentityKind.AGENT), ROOT)
    bench.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await bench.administration.execute(AddSshKey("bot", KEY), ROOT)
    bench.ledger.broken = False
    assert await bench.administration.execute(ListSshKeys(), ROOT) == ()
    await bench.administration.execute(AddSshKey("bot", KEY), ROOT)
    bench.ledger.broken = True
    with pytest.raises(LedgerUnavailable):
        await bench.administration.execute(RemoveSshKey(FINGERPRINT), ROOT)
    (kept,) = await bench.administration.execute(ListSshKeys(), ROOT)
    assert kept.fingerprint == FINGERPRINT


# ---------------------------------------------------------------- what is trusted


async def test_the_gateways_public_keys(bench: SshBench) -> None:
    view = await bench.administration.execute(ShowSshGateway(), holder(bench))
    assert view.known_hosts == bench.authority.known_hosts_line(["gateway.example"], 2222)
    assert view.target_authority == bench.authority.target_authority_public()
    assert view.target_authority != view.user_authority
    assert "PRIVATE" not in str(msgspec.to_builtins(view))


async def test_a_gateway_that_does_not_listen(tmp_path: Path) -> None:
    bench = SshBench(tmp_path, port=0)
    view = await bench.administration.execute(ShowSshGateway(), ROOT)
    assert (view.port, view.known_hosts) == (0, "")
    bench.database.close()
