"""Where targets' credentials come from, and that they go nowhere else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.adapters.credentials import Vault
from interlock.adapters.sealing import Sealer
from interlock.adapters.store.connections import ConnectionTable, SealedCredentialTable
from interlock.adapters.store.database import Database
from interlock.core.errors import CredentialUnavailable
from interlock.core.settings import ConnectionSettings, CredentialReference

SECRET = "planted-secret-ü"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "state.db")
    yield database
    database.close()


def vault(database: Database, key: bytes = bytes(32), **changes: Any) -> Vault:
    """A vault for two connections, ``crm`` and ``other``, made with these settings."""
    options = {"protocol": "postgres", "host": "db", "databases": ("app",), "user": "gateway", **changes}
    settings = ConnectionSettings(**options)
    connections = ConnectionTable(database, {"crm": settings, "other": settings})
    return Vault(connections, SealedCredentialTable(database), Sealer(key))


def everything_in(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.iterdir())


async def test_a_sealed_credential(database: Database, tmp_path: Path) -> None:
    sealing = vault(database, credential=CredentialReference(sealed=True))
    assert not sealing.has("crm")
    with pytest.raises(CredentialUnavailable, match="not set"):
        await sealing.reveal("crm")
    await sealing.seal("crm", SECRET)
    assert sealing.has("crm")
    revealed = await sealing.reveal("crm")
    assert (revealed.user, revealed.password) == ("gateway", SECRET)
    assert SECRET not in repr(revealed) + str(revealed)
    assert SECRET.encode() not in everything_in(tmp_path)


async def test_a_sealed_credential_moved_to_another_connection_does_not_open(database: Database) -> None:
    sealing = vault(database, credential=CredentialReference(sealed=True))
    await sealing.seal("crm", SECRET)
    table = SealedCredentialTable(database)
    await table.save("other", table.find("crm") or b"")
    with pytest.raises(CredentialUnavailable):
        await sealing.reveal("other")


async def test_a_sealed_credential_needs_its_key(database: Database) -> None:
    reference = CredentialReference(sealed=True)
    await vault(database, credential=reference).seal("crm", SECRET)
    with pytest.raises(CredentialUnavailable):
        await vault(database, key=b"x" * 32, credential=reference).reveal("crm")


async def test_a_credential_in_the_environment_is_read_at_each_use(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = vault(database, credential=CredentialReference(env="CRM_PASSWORD"))
    for password in (SECRET, "changed"):
        monkeypatch.setenv("CRM_PASSWORD", password)
        assert (await reading.reveal("crm")).password == password
    monkeypatch.delenv("CRM_PASSWORD")
    with pytest.raises(CredentialUnavailable, match="empty"):
        await reading.reveal("crm")


@pytest.mark.parametrize(
    ("content", "password"), [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), (" a \n\n", " a \n"), (SECRET, SECRET)]
)
async def test_a_credential_in_a_file(content: str, password: str, database: Database, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(content.encode())
    reading = vault(database, credential=CredentialReference(file=str(file)))
    assert (await reading.reveal("crm")).password == password


@pytest.mark.parametrize("content", [b"", b"\n", b"\xffplanted", b"x" * 70_000])
async def test_files_that_hold_no_password(content: bytes, database: Database, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    with pytest.raises(CredentialUnavailable) as caught:
        await vault(database, credential=CredentialReference(file=str(file))).reveal("crm")
    assert "planted" not in str(caught.value)


async def test_what_is_not_there(database: Database, tmp_path: Path) -> None:
    with pytest.raises(CredentialUnavailable, match="No such file"):
        await vault(database, credential=CredentialReference(file=str(tmp_path / "none"))).reveal("crm")
    with pytest.raises(CredentialUnavailable, match="there is no connection"):
        await vault(database).reveal("nowhere")


async def test_a_client_certificate_instead_of_a_password(database: Database, tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    certificate.write_bytes(b"certificate")
    key.write_bytes(b"private key")
    revealed = await vault(database, client_certificate=str(certificate), client_key=str(key)).reveal("crm")
    assert (revealed.password, revealed.certificate_pem, revealed.private_key_pem) == (
        None,
        b"certificate",
        b"private key",
    )
    assert "private key" not in repr(revealed)
