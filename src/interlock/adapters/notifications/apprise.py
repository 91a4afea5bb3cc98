"""Messages over the many services that Apprise knows, by a URL that is a secret. Apprise is an optional extra.

It runs in a thread of the channel's own, follows no redirects, and writes no log: its lines could hold the secret.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from interlock.adapters.notifications.secret import read_secret
from interlock.core.notification import Letter
from interlock.core.settings import SecretReference
from interlock.services.notifications.ports import DeliveryFailed
from interlock.services.notifications.wording import text_of, title_of, without_markup


class AppriseChannel:
    """Implements ``services.notifications.ports.Channel``."""

    def __init__(self, url: SecretReference) -> None:
        self._url = url
        self._thread = ThreadPoolExecutor(1, "apprise")

    async def deliver(self, letter: Letter) -> str:
        """See ``Channel``."""
        url = await read_secret(self._url)
        title, body = title_of(letter, without_markup), text_of(letter, without_markup)
        return await asyncio.get_running_loop().run_in_executor(self._thread, _notify, url, title, body)


def _notify(url: str, title: str, body: str) -> str:
    try:
        import apprise
    except ModuleNotFoundError:
        raise DeliveryFailed("Apprise is missing: pip install 'interlock[notify]'") from None
    _silence(logging.getLogger("apprise"))
    asset = apprise.AppriseAsset(http_redirects=False, secure_logging=True, async_mode=False)
    service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if service is None:
        raise DeliveryFailed("the secret is not a URL that Apprise knows")
    if not service.verify_certificate or service.redirects:
        raise DeliveryFailed("the URL for Apprise turns verification off or redirects on (verify=no, redirect=yes)")
    if not service.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT):
        raise DeliveryFailed("Apprise could not deliver it")
    return "Apprise delivered it"


def _silence(logger: logging.Logger) -> None:
    logger.propagate = False
    logger.disabled = True
