"""Programs that know of the forward proxy and of its authority by their environment only, as agents do.

Each is a child process that asks for one URL and prints status and body.
"""

import os
import subprocess
import sys
from pathlib import Path

_PROGRAMS = {
    "httpx2": """
import httpx2, sys
answer = httpx2.get(sys.argv[1])
print(answer.status_code, answer.text)
""",
    "httpx2 async": """
import asyncio, httpx2, sys
async def main():
    async with httpx2.AsyncClient() as client:
        answer = await client.get(sys.argv[1])
    print(answer.status_code, answer.text)
asyncio.run(main())
""",
    "requests": """
import requests, sys
answer = requests.get(sys.argv[1])
print(answer.status_code, answer.text)
""",
    "aiohttp": """
import aiohttp, asyncio, sys
async def main():
    async with aiohttp.ClientSession(trust_env=True) as client, client.get(sys.argv[1]) as answer:
        print(answer.status, await answer.text())
asyncio.run(main())
""",
    "urllib": """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1]) as answer:
    print(answer.status, answer.read().decode())
""",
    "openai": """
import httpx2, openai, sys
base, _, path = sys.argv[1].rpartition("/")
client = openai.OpenAI(base_url=base, api_key="the-vendors", max_retries=0)
answer = client.get("/" + path, cast_to=httpx2.Response)
print(answer.status_code, answer.text)
""",
}
PYTHON_CLIENTS = tuple(_PROGRAMS)


def environment(proxy: str, authority: Path) -> dict[str, str]:
    """What an agent's environment has, and nothing of the machine's own about proxies and authorities."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return kept | {
        "HTTPS_PROXY": proxy,
        "HTTP_PROXY": proxy,
        "http_proxy": proxy,
        "SSL_CERT_FILE": str(authority),
        "REQUESTS_CA_BUNDLE": str(authority),
        "CURL_CA_BUNDLE": str(authority),
        "NODE_EXTRA_CA_CERTS": str(authority),
        "NODE_USE_ENV_PROXY": "1",
    }


def run_client(name: str, url: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Ask for a URL with one of the clients."""
    if name == "curl":
        command = ["curl", "--silent", "--show-error", "--write-out", "%{http_code}", url]
    else:
        command = [sys.executable, "-c", _PROGRAMS[name], url]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
