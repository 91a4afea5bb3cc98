"""Messages by mail: plain text, over TLS that is verified. Without TLS only to a mail server on this machine.

The standard library's client runs in a thread of the channel's own. What the server says is in no error but its code.
"""

import asyncio
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

import msgspec

from interlock.adapters.notifications.secret import read_secret
from interlock.core.notification import Letter
from interlock.core.settings import NotificationSettings
from interlock.services.notifications.ports import DeliveryFailed
from interlock.services.notifications.wording import text_of, title_of, without_links

_TIMEOUT_S: Final = 10.0
_TLS_AT_ONCE: Final = "smtps://"
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class MailServer(msgspec.Struct, frozen=True):
    """Where mail is handed over; ``user`` is empty for no login."""

    host: str
    port: int
    tls_at_once: bool
    user: str
    ca_file: str | None

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return self.host in _THIS_MACHINE


class Mail:
    """Implements ``services.notifications.ports.Channel``."""

    def __init__(self, settings: NotificationSettings) -> None:
        self._server = _server(settings)
        self._sender = settings.sender or ""
        self._receiver = settings.email or ""
        self._secret = settings.secret
        self._thread = ThreadPoolExecutor(1, "mail")

    async def deliver(self, letter: Letter) -> str:
        """See ``Channel``."""
        password = await read_secret(self._secret) if self._secret is not None else ""
        mail = compose(letter, self._sender, self._receiver)
        return await asyncio.get_running_loop().run_in_executor(self._thread, _hand_over, self._server, mail, password)


def compose(letter: Letter, sender: str, receiver: str) -> EmailMessage:
    """The mail. Every attempt has the same Message-ID."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = receiver
    mail["Subject"] = title_of(letter, without_links)
    mail["Date"] = format_datetime(datetime.fromtimestamp(letter.message.at_s, UTC))
    mail["Message-ID"] = f"<{letter.id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text_of(letter, without_links), charset="utf-8", cte="base64")
    return mail


def _hand_over(server: MailServer, mail: EmailMessage, password: str) -> str:
    try:
        with _connect(server) as client:
            if server.user:
                client.login(server.user, password)
            client.send_message(mail)
    except smtplib.SMTPRecipientsRefused as error:
        code = next(iter(error.recipients.values()))[0]
        raise DeliveryFailed(f"the mail server refused the recipient (code {code})", refused=code >= 500) from None
    except smtplib.SMTPResponseException as error:
        login = isinstance(error, smtplib.SMTPAuthenticationError)
        what = "refused the login" if login else "refused the mail"
        refused = error.smtp_code >= 500 and not login
        raise DeliveryFailed(f"the mail server {what} (code {error.smtp_code})", refused=refused) from None
    except ssl.SSLCertVerificationError:
        raise DeliveryFailed("the certificate of the mail server does not verify") from None
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryFailed(f"the mail server cannot be used ({type(error).__name__})") from None
    return "the mail server accepted it"


def _connect(server: MailServer) -> smtplib.SMTP:
    """A connection that is ready for login or mail. Raises DeliveryFailed, OSError, SMTPException."""
    context = ssl.create_default_context(cafile=server.ca_file)
    if server.tls_at_once:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=_TIMEOUT_S, context=context)
    client = smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT_S)
    try:
        client.ehlo()
        if client.has_extn("starttls"):
            client.starttls(context=context)
        elif not server.is_local:
            raise DeliveryFailed("the mail server offers no STARTTLS, and is not on this machine")
    except BaseException:
        client.close()
        raise
    return client


def _server(settings: NotificationSettings) -> MailServer:
    address = settings.smtp or ""
    host, _, port = address.removeprefix(_TLS_AT_ONCE).rpartition(":")
    tls_at_once = address.startswith(_TLS_AT_ONCE)
    return MailServer(host.strip("[]"), int(port), tls_at_once, settings.smtp_user or "", settings.ca_file)
