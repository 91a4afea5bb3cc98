"""What anybody may begin without being known, over and over: it is on record, and so it has to have a bound."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from interlock.core.administration import SOCKET_FILE
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal
from interlock.core.ledger import AnyRecord, ConnectionRefused
from interlock.services.authorizations import Authorizations
from interlock.services.device_sign_in import DeviceLogin, DeviceSignIns
from interlock.services.logins import Logins
from interlock.services.people import People
from interlock.services.sign_in import Attempts, SignIn
from interlock.surfaces.api.application import Pages
from interlock.surfaces.api.login.showing import FAILURES_PER_MINUTE, Showing
from interlock.surfaces.api.oauth import authorize, device
from tests.services.administration_bench import AdministrationBench
from tests.surfaces.api.bench import serving

AUTHORIZE = {
    "client_id": "interlock-cli",
    "redirect_uri": "http://127.0.0.1:1/x",
    "response_type": "code",
    "code_challenge": "A" * 43,
    "code_challenge_method": "S256",
    "provider": "nobody",
}


class NoIssuer:
    """Begins no login; believes everybody."""

    async def begin(self, client_host: str) -> DeviceLogin:
        raise LoginRefused("the issuer cannot be asked", "device login: too many")

    def admit(self, principal: Principal) -> Principal:
        return principal

    def trusts(self, issuer: str) -> bool:
        return True


@asynccontextmanager
async def asking(
    directory: Path, bench: AdministrationBench, pages: Sequence[Pages]
) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.AsyncHTTPTransport(uds=str(directory / SOCKET_FILE))
    async with (
        serving(directory, bench, pages=pages),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
    ):
        yield client


def refusals(records: Sequence[AnyRecord]) -> int:
    return sum(isinstance(record, ConnectionRefused) for record in records)


async def test_a_program_that_asks_for_what_there_is_not(tmp_path: Path) -> None:
    bench = AdministrationBench()
    sign_in = SignIn([], Attempts(bench.clock), bench.ledger)
    pages = authorize.AuthorizePages(sign_in, Authorizations(bench.clock), "urn:x", "", Showing(bench.clock))
    async with asking(tmp_path, bench, [pages]) as client:
        statuses = [
            (await client.get(authorize.PATH, params=AUTHORIZE)).status_code for _ in range(FAILURES_PER_MINUTE + 5)
        ]
    assert statuses == [303] * FAILURES_PER_MINUTE + [429] * 5
    assert refusals(bench.ledger.records) == FAILURES_PER_MINUTE


async def test_a_login_elsewhere_that_cannot_begin(tmp_path: Path) -> None:
    bench = AdministrationBench()
    people = People(Logins(None, bench.ledger, bench.clock, 60), NoIssuer(), bench.ledger)  # type: ignore[arg-type]
    pages = device.DeviceEndpoint(DeviceSignIns(NoIssuer(), bench.clock), people, bench.clock)
    form = {"client_id": "interlock-cli"}
    async with asking(tmp_path, bench, [pages]) as client:
        statuses = [
            (await client.post(device.PATH, data=form)).status_code for _ in range(device.FAILURES_PER_MINUTE + 5)
        ]
    assert statuses == [503] * device.FAILURES_PER_MINUTE + [429] * 5
    assert refusals(bench.ledger.records) == device.FAILURES_PER_MINUTE
