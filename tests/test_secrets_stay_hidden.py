"""Planted secrets are looked for wherever the gateway writes: logs, errors, ``repr``, the ledger, and its own files."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from interlock.adapters.credentials import Vault
from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.development import DevelopmentIssuer, TokenRequest
from interlock.adapters.identity.registry import Registry
from interlock.adapters.identity.token import take_apart
from interlock.adapters.sealing import open_sealer
from interlock.adapters.store.connections import ConnectionTable, SealedCredentialTable
from interlock.adapters.store.database import Database
from interlock.adapters.store.identities import IdentityTable
from interlock.core.administration import (
    AddConnection,
    AddIdentity,
    Command,
    GenerateSecret,
    IssueToken,
    ListConnections,
    ListIdentities,
    SetCredential,
    ShowConnection,
    ShowIdentity,
)
from interlock.core.errors import CredentialUnavailable, InterlockError
from interlock.core.settings import ConnectionSettings, CredentialReference, IdentityKind, SecretsSettings
from tests.clocks import ManualClock
from tests.services.administration_bench import AdministrationBench
from tests.surfaces.api.bench import give, serving

PASSWORD = "planted-password-8f1c"


class GatewayParts:
    """The parts that handle secrets, put together as the gateway does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = ManualClock()

    async def start(self) -> None:
        self.database = Database(self.directory / "state.db")
        self.identities = IdentityTable(self.database)
        self.connections = ConnectionTable(self.database, {})
        sealer = await open_sealer(SecretsSettings(), self.directory)
        self.vault = Vault(self.connections, SealedCredentialTable(self.database), sealer)
        self.issuer = DevelopmentIssuer("127.0.0.1:0", "interlock", self.directory / "development.key", self.clock)
        await self.issuer.start()
        self.authenticator = TokenAuthenticator(
            [self.issuer.issuer_settings()], self.issuer.identity_rules(), Registry(self.identities), self.clock
        )
        self.bench = AdministrationBench(
            identities=self.identities,
            connections=self.connections,
            credentials=self.vault,
            token_issuer=self.issuer,
        )
        self.server = serving(self.directory, self.bench, authenticator=self.authenticator)
        await self.server.__aenter__()

    async def stop(self) -> None:
        await self.server.__aexit__(None, None, None)
        await self.authenticator.close()
        await self.issuer.stop()
        self.database.close()

    def everything_written(self) -> str:
        """All files of the data directory but keys and the socket, and the ledger's records."""
        files = [file for file in self.directory.iterdir() if file.is_file() and file.suffix != ".key"]
        contents = "\n".join(file.read_bytes().decode("latin-1") for file in files)
        return contents + repr(self.bench.ledger.records) + str(msgspec.to_builtins(self.bench.ledger.records))


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[GatewayParts]:
    parts = GatewayParts(tmp_path)
    await parts.start()
    yield parts
    await parts.stop()


async def test_planted_secrets_are_nowhere(
    parts: GatewayParts, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[object] = []
    with structlog.testing.capture_logs() as logs:
        settings = ConnectionSettings(
            protocol="postgres", host="db", databases=("app",), user="u", credential=CredentialReference(sealed=True)
        )
        setting = SetCredential("crm", PASSWORD)
        commands: list[Command[Any]] = [
            AddConnection("crm", settings),
            setting,
            AddIdentity("bot", IdentityKind.AGENT),
            ListConnections(),
            ListIdentities(),
            ShowConnection("crm"),
            ShowIdentity("bot"),
        ]
        seen += [repr(setting), *[await give(parts.directory, command) for command in commands]]
        generated = await give(parts.directory, GenerateSecret("bot"))
        issued = await give(parts.directory, IssueToken("bot"))
        revealed = await parts.vault.reveal("crm")
        assert revealed.password == PASSWORD
        principal = await parts.authenticator.authenticate(issued.token, "192.0.2.1:5000")
        seen += [principal, repr(generated), repr(issued), repr(revealed), repr(take_apart(issued.token))]
        seen += [repr(parts.identities.find("bot")), repr(parts.vault), repr(parts.authenticator.__dict__)]
        seen += [await give(parts.directory, command) for command in commands[-2:]]
        seen += [
            await failure(parts.authenticator.authenticate(token, "x")) for token in bad_tokens(parts, issued.token)
        ]
        await parts.database.write(lambda database: database.execute("UPDATE credentials SET sealed = zeroblob(150)"))
        with pytest.raises(CredentialUnavailable) as caught:
            await parts.vault.reveal("crm")
        seen.append(caught.value)
    printed = capfd.readouterr()
    haystack = "\n".join(map(str, (seen, logs, caplog.text, printed.out, printed.err, parts.everything_written())))
    signature = issued.token.rpartition(".")[2]
    for secret in (PASSWORD, generated.secret, issued.token, signature):
        assert secret not in haystack
    assert "SCRAM-SHA-256$" not in "\n".join(map(str, (seen, logs, printed.out)))


def bad_tokens(parts: GatewayParts, good: str) -> list[str]:
    """Tokens that share the good one's secret part, or hold a password instead."""
    expired = parts.issuer.issue(TokenRequest("bot", ttl_s=1))
    parts.clock.advance(2)
    return [PASSWORD, f"{PASSWORD}.{PASSWORD}.{PASSWORD}", good[:-2], f"{good}.{good}", expired, good + "\n"]


async def failure(login: Any) -> str:
    """What is said and kept of a login that must fail."""
    with pytest.raises(InterlockError) as caught:
        await login
    return f"{caught.value} {caught.value!r} {getattr(caught.value, 'reason', '')}"
