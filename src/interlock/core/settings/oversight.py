"""Settings of people who are asked and told: approvals, alerts, notifications."""

import enum
import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta

from interlock.core.notification import NotifiedEvent
from interlock.core.settings.references import SecretReference
from interlock.core.settings.table import PATH, Table

MailAddress = Annotated[str, Meta(pattern=r"^[^\s<>,;:\"@]+@[^\s<>,;:\"@]+$")]

MailServerAddress = Annotated[str, Meta(pattern=r"^(smtps://)?([^\s:/@]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}$")]

_LOOPBACK_URL: Final = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/.*)?")


class AlertLock(enum.Enum):
    """The lock that an alert trips."""

    NONE = "none"
    FREEZE = "freeze"
    REFUSE = "refuse"


class AlertLockSubject(enum.Enum):
    """Whom the lock is on that an alert trips."""

    IDENTITY = "identity"
    RUN = "run"


class ApprovalSettings(Table, frozen=True):
    """How people are asked. Who is asked, and about what, says policy."""

    wait_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="How long a held statement waits on the wire. After that the client is told to send it again "
            "within the life of the request.",
        ),
    ] = 600.0
    max_open_per_session: Annotated[
        int, Meta(ge=1, le=1000, description="Requests that one session may have open; more are refused.")
    ] = 10
    max_open_per_identity: Annotated[
        int, Meta(ge=1, le=10_000, description="Requests that one identity may have open over all its sessions.")
    ] = 50
    requests_per_minute: Annotated[
        int, Meta(ge=1, le=10_000, description="New requests that one identity may cause in a minute.")
    ] = 30
    rehearsal_s: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="How long the transaction of a rehearsal is held open; then it is rolled back, "
            "and an approval runs the statement anew.",
        ),
    ] = 120.0


class NotificationSettings(Table, frozen=True, kw_only=True):
    """A channel that messages go to. Exactly one of `webhook`, `email`, `slack` and `apprise` is given."""

    webhook: Annotated[
        str | None,
        Meta(description="URL that gets every message as JSON, signed with `secret`. `http` on this machine only."),
    ] = None
    email: Annotated[
        MailAddress | None, Meta(description="Address that messages are mailed to, through `smtp`, from `sender`.")
    ] = None
    slack: Annotated[SecretReference | None, Meta(description="Where the URL of a Slack incoming webhook is.")] = None
    apprise: Annotated[
        SecretReference | None, Meta(description="Where a URL for Apprise is (needs the extra `notify`).")
    ] = None
    secret: Annotated[
        SecretReference | None,
        Meta(description="Where the key that signs webhooks (`whsec_…`), or the password of `smtp_user`, is."),
    ] = None
    smtp: Annotated[
        MailServerAddress | None,
        Meta(
            description="Mail server, as `host:port` for STARTTLS or `smtps://host:port` for TLS at once. "
            "Without TLS only one on this machine is used.",
        ),
    ] = None
    smtp_user: Annotated[str | None, Meta(description="User at the mail server. Absent: no login.")] = None
    sender: Annotated[MailAddress | None, Meta(description="Sender of the mail.")] = None
    ca_file: Annotated[
        str | None,
        Meta(
            description="Authorities (PEM) for the certificate of the webhook or the mail server. "
            "Absent: the system's.",
            extra=PATH,
        ),
    ] = None
    events: Annotated[tuple[NotifiedEvent, ...], Meta(min_length=1, description="Which messages go here.")] = tuple(
        NotifiedEvent
    )
    include_statement: Annotated[
        bool,
        Meta(description="Put the beginning of the statement into messages that ask for an approval."),
    ] = False
    per_minute: Annotated[
        int,
        Meta(ge=1, le=1000, description="Messages that go here within a minute; what is more is told as one message."),
    ] = 20

    def __post_init__(self) -> None:
        places = (self.webhook, self.email, self.slack, self.apprise)
        if sum(place is not None for place in places) != 1:
            raise ValueError("exactly one of webhook, email, slack, apprise")
        if self.webhook is not None:
            _check_webhook(self.webhook)
        if (self.webhook is not None or self.smtp_user is not None) != (self.secret is not None):
            raise ValueError("secret goes with webhook or with smtp_user, and each of them needs it")
        if (self.email is not None) != (self.smtp is not None and self.sender is not None):
            raise ValueError("email needs smtp and sender, which go with nothing else")
        if self.smtp_user is not None and self.email is None:
            raise ValueError("smtp_user goes with email")
        if self.ca_file is not None and self.webhook is None and self.email is None:
            raise ValueError("ca_file goes with webhook or email")


def _check_webhook(url: str) -> None:
    place = urlsplit(url)
    if place.username is not None or place.password is not None:
        raise ValueError("the URL of a webhook holds no user and no password: it is signed with the secret")
    if not place.hostname or (place.scheme != "https" and not _LOOPBACK_URL.fullmatch(url)):
        raise ValueError("the URL of a webhook begins with https:// (http:// on this machine only)")


class AlertSettings(Table, frozen=True):
    """What the gateway notices by itself."""

    denials: Annotated[
        int, Meta(ge=0, le=1_000_000, description="So many denials of one identity raise one alert. 0: never.")
    ] = 50
    denials_window_s: Annotated[float, Meta(ge=1, le=86_400, description="Within so many seconds.")] = 60.0
    lock: Annotated[
        AlertLock, Meta(description="Lock that such an alert adds by itself: `none`, `freeze` or `refuse`.")
    ] = AlertLock.NONE
    lock_on: Annotated[
        AlertLockSubject,
        Meta(
            description="Whom that lock is on: the `identity`, or only the `run` in which something was denied last. "
            "Where the client names no run, the identity."
        ),
    ] = AlertLockSubject.IDENTITY
    lock_s: Annotated[
        float, Meta(ge=1, le=86_400 * 30, description="How long that lock stays, unless somebody lifts it.")
    ] = 3600.0
