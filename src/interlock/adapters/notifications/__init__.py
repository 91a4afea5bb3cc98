"""The channels that messages go out on: signed webhooks, mail, Slack, and whatever Apprise knows."""
