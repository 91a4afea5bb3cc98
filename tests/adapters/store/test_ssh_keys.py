"""SSH keys in the state store: one identity each, gone with their identity."""

import pytest

from interlock.adapters.store.database import Database
from interlock.adapters.store.identities import IdentityTable
from interlock.adapters.store.ssh_keys import SshKeyTable
from interlock.core.errors import AdministrationRefused, NotFound, StateUnavailable
from interlock.core.identity import PrincipalKind, RegisteredIdentity
from interlock.core.ssh_key import RegisteredSshKey, SshPublicKey

KEYS = [SshPublicKey("ssh-ed25519", blob, "a comment") for blob in ("AAAA", "AAAB", "AAAC")]


@pytest.fixture
def keys(database: Database) -> SshKeyTable:
    return SshKeyTable(database)


@pytest.fixture
async def identities(database: Database) -> IdentityTable:
    identities = IdentityTable(database)
    for name in ("ada", "bot"):
        await identities.save(RegisteredIdentity(name, PrincipalKind.USER))
    return identities


def of(name: str, number: int, expires_at_s: float | None = None) -> RegisteredSshKey:
    return RegisteredSshKey(name, KEYS[number], "root", 1000.0 + number, expires_at_s)


async def test_keys_are_found_by_fingerprint_and_identity(keys: SshKeyTable, identities: IdentityTable) -> None:
    for registered in (of("bot", 0), of("ada", 1, 2000.0), of("ada", 2)):
        await keys.add(registered)
    assert keys.find(KEYS[1].fingerprint) == of("ada", 1, 2000.0)
    assert keys.find("SHA256:unknown") is None
    assert keys.all() == [of("ada", 1, 2000.0), of("ada", 2), of("bot", 0)]
    assert keys.all("bot") == [of("bot", 0)]
    await keys.remove(KEYS[1].fingerprint)
    await keys.remove(KEYS[1].fingerprint)
    assert keys.all("ada") == [of("ada", 2)]


@pytest.mark.parametrize("name", ["ada", "bot"])
async def test_a_key_belongs_to_one_identity(keys: SshKeyTable, identities: IdentityTable, name: str) -> None:
    await keys.add(of("ada", 0))
    with pytest.raises(AdministrationRefused, match="belongs to 'ada' already"):
        await keys.add(of(name, 0))
    assert keys.all() == [of("ada", 0)]


async def test_a_key_needs_an_identity(keys: SshKeyTable, identities: IdentityTable) -> None:
    with pytest.raises(NotFound, match="no registered identity 'eve'"):
        await keys.add(of("eve", 0))


async def test_keys_go_with_their_identity_and_do_not_come_back(keys: SshKeyTable, identities: IdentityTable) -> None:
    await keys.add(of("ada", 0))
    await keys.add(of("bot", 1))
    await identities.save(RegisteredIdentity("ada", PrincipalKind.USER, disabled=True))
    assert keys.all("ada") == [of("ada", 0)]
    await identities.remove("ada")
    await identities.save(RegisteredIdentity("ada", PrincipalKind.USER))
    assert keys.all() == [of("bot", 1)]


async def test_a_closed_store_has_no_answer(database: Database, keys: SshKeyTable) -> None:
    database.close()
    with pytest.raises(StateUnavailable):
        keys.find("SHA256:x")
