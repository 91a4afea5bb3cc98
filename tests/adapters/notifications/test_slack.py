"""What goes to Slack has nothing in it that Slack would parse."""

from pathlib import Path
from typing import Any

import pytest

from interlock.adapters.notifications.slack import Slack, payload
from interlock.core.notification import Excerpt
from interlock.core.settings import SecretReference
from interlock.services.notifications.ports import DeliveryFailed
from tests.adapters.notifications.letters import HOSTILE, letter
from tests.servers.certificates import CertificateAuthority
from tests.servers.receiver import Receiver


def elements(body: dict[str, Any]) -> list[dict[str, Any]]:
    assert {block["type"] for block in body["blocks"]} == {"rich_text"}
    return [one for block in body["blocks"] for part in block["elements"] for one in part["elements"]]


def test_text_of_strangers_is_literal_text() -> None:
    statement = Excerpt("DELETE FROM t -- <!channel> https://evil.example\n*Approved*", 7)
    body = payload(letter(HOSTILE, statement))
    assert "<" not in body["text"]
    assert "\n" not in body["text"]
    links = [one for one in elements(body) if one["type"] == "link"]
    assert links == [{"type": "link", "url": "https://gate.example/a/1"}]
    others = [one for one in elements(body) if one["type"] != "link"]
    assert {one["type"] for one in others} == {"text"}
    assert not any("evil.example" in one["text"] and "://" in one["text"] for one in others)
    assert any("7 bytes are cut off" in one["text"] for one in others)


def test_a_command_is_shown_as_code() -> None:
    body = payload(letter(link="interlock approvals show 1"))
    assert elements(body)[-1] == {
        "type": "text",
        "text": "interlock approvals show 1",
        "style": {"code": True},
    }


async def test_it_is_posted_over_verified_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = CertificateAuthority(tmp_path)
    with Receiver(authority.issue_server()) as receiver:
        monkeypatch.setenv("TEST_SLACK", f"{receiver.url}/services/T0/B0/hunter2")
        slack = Slack(SecretReference(env="TEST_SLACK"))
        with pytest.raises(DeliveryFailed, match="certificate") as failed:
            await slack.deliver(letter())
        assert "hunter2" not in str(failed.value)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate_file))
        assert await slack.deliver(letter()) == "status 200"
        assert receiver.next().json == payload(letter())


async def test_only_https_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SLACK", "http://127.0.0.1/hunter2")
    with pytest.raises(DeliveryFailed, match="https://") as failed:
        await Slack(SecretReference(env="TEST_SLACK")).deliver(letter())
    assert "hunter2" not in str(failed.value)
