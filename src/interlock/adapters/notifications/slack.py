"""Messages to a Slack incoming webhook, in rich-text blocks: Slack parses nothing in them.

``text``, which notifications show, is the one place that it does parse; there ``&``, ``<`` and ``>`` are escaped as
Slack's documentation has it, so that nothing becomes a mention or a link.
"""

from typing import Any

import msgspec

from interlock.adapters.notifications.posting import post_json
from interlock.adapters.notifications.secret import read_secret
from interlock.core.notification import Letter
from interlock.core.printable import printable
from interlock.core.settings import SecretReference
from interlock.services.notifications.ports import DeliveryFailed
from interlock.services.notifications.wording import heading_of, title_of, without_links


class Slack:
    """Implements ``services.notifications.ports.Channel``."""

    def __init__(self, url: SecretReference) -> None:
        self._url = url

    async def deliver(self, letter: Letter) -> str:
        """See ``Channel``."""
        url = await read_secret(self._url)
        if not url.startswith("https://"):
            raise DeliveryFailed("the secret is not the URL of an incoming webhook: it begins with https://")
        return await post_json(url, msgspec.json.encode(payload(letter)), {})


def payload(letter: Letter) -> dict[str, Any]:
    """The body of the request."""
    message = letter.message
    title = title_of(letter, without_links)
    blocks = [_block("rich_text_section", _text(title, bold=True))]
    lines = "".join(f"{name}: {without_links(text)}\n" for name, text in message.facts)
    blocks.append(_block("rich_text_section", _text(f"{lines}Open: "), _link(message.link)))
    if letter.statement is not None:
        blocks.append(_block("rich_text_section", _text(heading_of(letter.statement))))
        blocks.append(_block("rich_text_preformatted", _text(without_links(printable(letter.statement.text)) or " ")))
    return {"text": _escaped(title), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def _block(kind: str, *elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": kind, "elements": list(elements)}]}


def _text(text: str, *, bold: bool = False) -> dict[str, Any]:
    return {"type": "text", "text": text} | ({"style": {"bold": True}} if bold else {})


def _link(link: str) -> dict[str, Any]:
    if link.startswith("https://"):
        return {"type": "link", "url": link}
    return _text(link) | {"style": {"code": True}}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
