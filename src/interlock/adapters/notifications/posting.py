"""Posts JSON to a URL: certificates are verified, redirects are not followed, and nobody is waited for for long.

What the other side says besides its status is neither read nor repeated. The URL may be a secret: it is in no error.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp

from interlock.services.notifications.ports import DeliveryFailed

_TIMEOUT: Final = aiohttp.ClientTimeout(total=20, sock_connect=10)
_TRY_AGAIN: Final = frozenset({408, 425, 429})


async def post_json(url: str, body: bytes, headers: Mapping[str, str], ca_file: str | None = None) -> str:
    """Post it; returns the status in words. Raises DeliveryFailed for everything but a status of success."""
    context = await asyncio.to_thread(_tls_context, ca_file)
    status = await _post(url, body, {"Content-Type": "application/json", **headers}, context)
    if 200 <= status < 300:
        return f"status {status}"
    if 300 <= status < 400:
        raise DeliveryFailed(f"status {status}: redirects are not followed", refused=True)
    raise DeliveryFailed(f"status {status}", refused=400 <= status < 500 and status not in _TRY_AGAIN)


async def _post(url: str, body: bytes, headers: Mapping[str, str], context: ssl.SSLContext) -> int:
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(url, data=body, headers=headers, ssl=context, allow_redirects=False) as response,
        ):
            return response.status
    except aiohttp.ClientConnectorCertificateError:
        raise DeliveryFailed("the certificate of the receiver does not verify") from None
    except TimeoutError:
        raise DeliveryFailed("the receiver did not answer in time") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise DeliveryFailed(f"the receiver cannot be reached ({type(error).__name__})") from None


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise DeliveryFailed(f"{ca_file}: cannot be used as authorities: {type(error).__name__}") from None
