"""Channels in the settings file: what is accepted, and what a wrong one is told."""

from pathlib import Path

import pytest

from interlock.adapters.config_file import load_settings
from interlock.adapters.notifications.channels import kind_of, make_channel
from interlock.core.errors import ConfigurationError
from interlock.core.notification import NotifiedEvent
from interlock.core.settings import Settings
from tests.clocks import ManualClock

MAIL = 'email = "a@x.example"\nsender = "g@x.example"\n'
SECRET = 'secret = { env = "S" }\n'


def load(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "interlock.toml"
    file.write_text(text)
    return load_settings(file)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("webhook", 'webhook = "https://x.example/hook"\n' + SECRET),
        ("webhook", 'webhook = "http://127.0.0.1:8080/hook"\n' + SECRET),
        ("slack", 'slack = { file = "slack" }'),
        ("apprise", 'apprise = { env = "APPRISE" }'),
        ("email", MAIL + 'smtp = "mail.example:587"'),
        ("email", MAIL + 'smtp = "smtps://[::1]:465"\nsmtp_user = "u"\n' + SECRET),
    ],
)
def test_channels_of_all_kinds(kind: str, text: str, tmp_path: Path) -> None:
    channel = load(tmp_path, f"[notifications.one]\n{text}").notifications["one"]
    assert kind_of(channel) == kind
    assert channel.events == tuple(NotifiedEvent)
    assert not channel.include_statement
    make_channel(channel, ManualClock())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "exactly one of webhook, email, slack, apprise"),
        ('slack = { env = "A" }\napprise = { env = "B" }', "exactly one of webhook, email, slack, apprise"),
        ('slack = "https://hooks.slack.example/hunter2"', "it is kept, as in"),
        ('slack = { env = "A", file = "b" }', "exactly one of env, file"),
        ('webhook = "https://x.example"', "secret goes with webhook"),
        ('webhook = "http://x.example"\n' + SECRET, "begins with https://"),
        ('webhook = "https://u:hunter2@x.example"\n' + SECRET, "no user and no password"),
        ('webhook = "https://x.example"\nsecret = "hunter2"', "it is kept, as in"),
        (MAIL, "email needs smtp and sender"),
        (MAIL + 'smtp = "mail.example"', "regex"),
        (MAIL + 'smtp = "mail.example:25"\nsmtp_user = "u"', "secret goes with webhook or with smtp_user"),
        ('email = "a@x.example\\nBcc: b@x.example"\nsender = "g@x.example"\nsmtp = "m:25"', "regex"),
        ('slack = { env = "A" }\nca_file = "ca.pem"', "ca_file goes with webhook or email"),
        ('slack = { env = "A" }\nevents = []', "length >= 1"),
        ('slack = { env = "A" }\nevents = ["approvals"]', "approval"),
    ],
)
def test_wrong_channels_are_told_what_is_wrong(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=problem) as refused:
        load(tmp_path, f"[notifications.one]\n{text}")
    assert "notifications.one" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_name_is_a_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a channel"):
        load(tmp_path, '[notifications."a b"]\nslack = { env = "A" }')
