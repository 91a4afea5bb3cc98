"""A real browser at the login pages: what it says of origins and does with cookies is its own doing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.clients.browser import CERTUTIL, PROGRAM, Browser, running_browser
from tests.e2e.api_callers import POLICY
from tests.e2e.people import Program, Site, site
from tests.servers.gateway import GatewayOptions

pytestmark = pytest.mark.skipif(
    PROGRAM is None or CERTUTIL is None, reason="needs Chromium and certutil: tools/system_packages.sh"
)
STAFF = '@id("staff") permit (principal in Group::"g-staff", action == Action::"administer", resource is Gateway);\n'


@pytest.fixture(scope="module")
def people() -> Iterator[Site]:
    with site(GatewayOptions(policy=POLICY + STAFF)) as people:
        yield people


async def sign_in(browser: Browser, people: Site) -> None:
    await browser.wait_for(people.provider.url)
    await browser.evaluate("document.forms[0].elements.login.value = 'ada'")
    await browser.evaluate("document.forms[0].elements.password.value = 'any'")
    await browser.evaluate("document.forms[0].submit()")


@asynccontextmanager
async def listening(program: Program) -> AsyncIterator[asyncio.Future[str]]:
    """A program at its address; what the browser asks it for."""
    asked: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode()
        if not asked.done():
            asked.set_result(line.split(" ")[1])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    port = int(program.redirect_uri.split(":")[2].partition("/")[0])
    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield asked


async def test_a_browser_logs_in_and_out(people: Site, tmp_path: Path) -> None:
    url = people.gateway.api_url
    async with running_browser(tmp_path, people.gateway.certificate_file) as browser:
        await browser.visit(f"{url}/login")
        await sign_in(browser, people)
        await browser.wait_for("You are logged in as ada")
        assert await browser.evaluate("document.cookie") == ""
        await browser.evaluate("document.forms[0].elements[0].click()")
        await browser.wait_for(f"{people.provider.url}/session/end")
        await browser.evaluate("document.querySelector('button[name=logout]').click()")
        assert f"{people.provider.url}/interaction" in await browser.wait_for("Sign-in")


async def test_a_browser_lets_the_command_line_in(people: Site, tmp_path: Path) -> None:
    program = Program(people)
    async with running_browser(tmp_path, people.gateway.certificate_file) as browser, listening(program) as asked:
        await browser.visit(program.url())
        await sign_in(browser, people)
        await browser.wait_for("wants to act as you")
        await browser.evaluate("document.querySelector('button[value=allow]').click()")
        await browser.wait_for("/done?code=")
        target = await asked
    assert target.startswith("/done?code=")
    code = target.partition("code=")[2].partition("&")[0]
    assert program.redeem(code).status == 200
