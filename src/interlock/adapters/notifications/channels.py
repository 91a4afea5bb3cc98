"""From settings to channels."""

from interlock.adapters.notifications.apprise import AppriseChannel
from interlock.adapters.notifications.mail import Mail
from interlock.adapters.notifications.slack import Slack
from interlock.adapters.notifications.webhook import Webhook
from interlock.core.settings import NotificationSettings
from interlock.services.notifications.ports import Channel
from interlock.services.ports import Clock

KINDS = ("webhook", "email", "slack", "apprise")


def kind_of(settings: NotificationSettings) -> str:
    """Which of the kinds of channels it is."""
    return next(kind for kind in KINDS if getattr(settings, kind) is not None)


def make_channel(settings: NotificationSettings, clock: Clock) -> Channel:
    """What delivers to the place that settings name; nothing is read or opened yet."""
    if settings.webhook is not None and settings.secret is not None:
        return Webhook(settings.webhook, settings.secret, settings.ca_file, clock)
    if settings.slack is not None:
        return Slack(settings.slack)
    if settings.apprise is not None:
        return AppriseChannel(settings.apprise)
    return Mail(settings)
