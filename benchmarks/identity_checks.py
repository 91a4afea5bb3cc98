"""What it costs to verify who somebody is, in this process alone: cold, from memory, and the gateway's own tokens.

``python -m benchmarks.identity_checks`` prints one line of JSON: operations a second.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from tests.adapters.identity.conftest import KnownIdentities
from tests.adapters.identity.issuer_server import GENERATORS, IssuerServer
from tests.clocks import ManualClock

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.registry import Registry
from interlock.adapters.identity.session_tokens import SessionTokens
from interlock.adapters.identity.token_keys import KEYS_FILE, TokenKeys
from interlock.adapters.sealing import Sealer
from interlock.adapters.store.database import Database
from interlock.adapters.store.session_tokens import SessionTokenTable
from interlock.core.identity import Principal, PrincipalKind
from interlock.core.session_token import SessionToken, TokenForm
from interlock.core.settings import IdentityRule

_TOKENS = 1000
_ItemT = TypeVar("_ItemT")
_ADDRESS = "192.0.2.1:5000"


def main() -> None:
    print(json.dumps({"identity_checks": measured()}))


def measured() -> dict[str, float]:
    """Verifications a second, by what is verified."""
    return asyncio.run(_issuers_tokens()) | asyncio.run(_own_tokens())


async def _issuers_tokens() -> dict[str, float]:
    """Tokens of each algorithm that the gateway has not seen, and then the same ones again."""
    clock = ManualClock()
    issuer = IssuerServer(clock)
    await issuer.start()
    rule = IdentityRule(issuer="ci", when={"repository": "acme/*"}, identity="ci:{repository}")
    figures = {}
    for algorithm in sorted(GENERATORS):
        issuer.add_key(algorithm, algorithm)
    authenticator = TokenAuthenticator([issuer.settings(name="ci")], [rule], Registry(KnownIdentities()), clock)
    await authenticator.authenticate(issuer.token(), _ADDRESS)  # the keys are fetched
    for algorithm in sorted(GENERATORS):
        tokens = [issuer.token(issuer.claims(jti=str(number)), algorithm) for number in range(_TOKENS)]
        figures[f"{algorithm}_cold_per_s"] = await _per_s(authenticator.authenticate, tokens)
        figures[f"{algorithm}_cached_per_s"] = await _per_s(authenticator.authenticate, tokens)
    await authenticator.close()
    await issuer.stop()
    return figures


async def _own_tokens() -> dict[str, float]:
    """Session tokens: given, and logged in with."""
    clock, figures = ManualClock(), {}
    with tempfile.TemporaryDirectory() as directory:
        database = Database(Path(directory) / "state.db")
        keys = TokenKeys(Path(directory) / KEYS_FILE, Sealer(b"k" * 32), 1e6, clock.now_s())
        own = SessionTokens("us", keys, SessionTokenTable(database), clock)
        authenticator = TokenAuthenticator([], [], Registry(KnownIdentities()), clock, own, ["https://idp"])
        for form in TokenForm:
            meanings = [_meaning(f"{form.value}-{number}", clock.now_s()) for number in range(_TOKENS)]
            tokens: list[str] = []

            async def give(meaning: SessionToken, _: str, form: TokenForm = form, to: list[str] = tokens) -> None:
                to.append(await own.give(meaning, form))

            figures[f"session_{form.value}_given_per_s"] = await _per_s(give, meanings)
            figures[f"session_{form.value}_read_per_s"] = await _per_s(authenticator.authenticate, tokens)
        database.close()
    return figures


def _meaning(token_id: str, now_s: float) -> SessionToken:
    groups = frozenset(f"group-{number}" for number in range(10))
    principal = Principal(
        PrincipalKind.AGENT, "ci:acme/crm", groups, issuer="https://idp", token_id=token_id, expires_at_s=now_s + 900
    )
    return SessionToken(principal, now_s)


async def _per_s(act: Callable[[_ItemT, str], Awaitable[object]], items: Sequence[_ItemT]) -> float:
    started_s = time.perf_counter()
    for item in items:
        await act(item, _ADDRESS)
    return round(len(items) / (time.perf_counter() - started_s))


if __name__ == "__main__":
    main()
