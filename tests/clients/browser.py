"""Chromium without a window, steered by its DevTools protocol: proxies, their passwords, and authorities of its own."""

import asyncio
import contextlib
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp

PROGRAM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CERTUTIL: Final = shutil.which("certutil")
TIMEOUT_S: Final = 60.0


class Browser:
    """A running browser, in which one page is open."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, user: str, password: str) -> None:
        self._socket = socket
        self._proxy_login = {"response": "ProvideCredentials", "username": user, "password": password}
        self._numbers = itertools.count(1)
        self._session = ""
        self.logins = 0
        """How often the proxy has asked for its password."""

    async def open_page(self) -> None:
        target = await self._ask("Target.createTarget", url="about:blank")
        attached = await self._ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        await self._ask("Page.enable")
        await self._ask("Fetch.enable", handleAuthRequests=True)

    async def visit(self, url: str) -> str:
        """Go to a URL; the text of the page, or of the browser's error."""
        gone = await self._ask("Page.navigate", url=url)
        if "errorText" in gone:
            return str(gone["errorText"])
        return str(await self.evaluate("document.body.innerText"))

    async def evaluate(self, script: str) -> Any:
        """The value of an expression in the page, also of a promise."""
        done = await self._ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return done["result"].get("value", done["result"].get("description"))

    async def wait_for(self, text: str) -> str:
        """Address and text of the page that comes to have this in one of the two, wherever the browser goes by then."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                with contextlib.suppress(AssertionError):  # between two pages there is none to ask
                    shown = str(await self.evaluate("location.href + ' ' + document.body?.innerText"))
                    if text in shown:
                        return shown
                await asyncio.sleep(0.02)

    async def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = await self._send(method, parameters)
        while True:
            message = await self._socket.receive_json(timeout=TIMEOUT_S)
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            await self._react(message.get("method"), message.get("params", {}))

    async def _react(self, method: str | None, parameters: dict[str, Any]) -> None:
        request = parameters.get("requestId")
        if method == "Fetch.requestPaused":
            await self._send("Fetch.continueRequest", {"requestId": request})
        elif method == "Fetch.authRequired":
            self.logins += 1
            answer = (
                self._proxy_login if parameters["authChallenge"]["source"] == "Proxy" else {"response": "CancelAuth"}
            )
            await self._send("Fetch.continueWithAuth", {"requestId": request, "authChallengeResponse": answer})

    async def _send(self, method: str, parameters: dict[str, Any]) -> int:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json(message | ({"sessionId": self._session} if self._session else {}))
        return number


@contextlib.asynccontextmanager
async def running_browser(
    home: Path, authority: Path, proxy_port: int = 0, user: str = "", password: str = ""
) -> AsyncIterator[Browser]:
    """A browser with a home of its own, which trusts the authority. A proxy, if there is one, is for every host."""
    assert PROGRAM is not None
    _trust(home, authority)
    proxy = [f"--proxy-server=http://127.0.0.1:{proxy_port}", "--proxy-bypass-list=<-loopback>"]
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        f"--user-data-dir={home / 'profile'}",
        *(proxy if proxy_port else ["--no-proxy-server"]),
        "--remote-debugging-port=0",
        env={**os.environ, "HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        url = await asyncio.wait_for(_devtools_url(process), TIMEOUT_S)
        async with aiohttp.ClientSession() as client, client.ws_connect(url, max_msg_size=0) as socket:
            browser = Browser(socket, user, password)
            await browser.open_page()
            yield browser
    finally:
        process.terminate()
        await process.wait()


def _trust(home: Path, authority: Path) -> None:
    assert CERTUTIL is not None
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    tool = [CERTUTIL, "-d", f"sql:{database}"]
    subprocess.run([*tool, "-N", "--empty-password"], check=True, capture_output=True)
    subprocess.run([*tool, "-A", "-t", "C,,", "-n", "interlock", "-i", authority], check=True, capture_output=True)


async def _devtools_url(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if found := re.search(r"ws://\S+", line.decode(errors="replace")):
            return found[0]
    raise AssertionError("the browser ended at once")
