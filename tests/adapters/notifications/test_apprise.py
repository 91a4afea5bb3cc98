"""Apprise, with a service that speaks to a real server."""

import logging
import sys

import pytest

from interlock.adapters.notifications.apprise import AppriseChannel
from interlock.core.notification import Excerpt
from interlock.core.settings import SecretReference
from interlock.services.notifications.ports import DeliveryFailed
from tests.adapters.notifications.letters import HOSTILE, letter
from tests.servers.receiver import Receiver

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # of what its services import
pytest.importorskip("apprise", reason="the extra notify is not installed")


def channel(monkeypatch: pytest.MonkeyPatch, url: str) -> AppriseChannel:
    monkeypatch.setenv("TEST_APPRISE", url)
    return AppriseChannel(SecretReference(env="TEST_APPRISE"))


async def test_a_message_arrives_without_markup_of_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        statement = Excerpt("DELETE FROM t -- @everyone [x](https://evil.example)\nOpen: now", 3)
        url = f"json://user:hunter2@127.0.0.1:{receiver.port}/path"
        assert await channel(monkeypatch, url).deliver(letter(HOSTILE, statement)) == "Apprise delivered it"
        received = receiver.next().json
    assert received["title"].startswith("[Interlock] Approval needed: ")
    body = received["message"]
    assert [line for line in body.splitlines() if line.startswith("Open:")] == ["Open: https://gate.example/a/1"]
    foreign = [line for line in body.splitlines() if not line.startswith("Open:")]
    assert not set("<>@*`[]") & set("".join(foreign).replace("| ", ""))
    assert not any("://" in line for line in foreign)


async def test_redirects_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver, Receiver() as elsewhere:
        receiver.status, receiver.location = 307, elsewhere.url
        with pytest.raises(DeliveryFailed, match="could not deliver"):
            await channel(monkeypatch, f"json://127.0.0.1:{receiver.port}").deliver(letter())
        assert elsewhere.received.empty()


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("json://user:hunter2@127.0.0.1:1/", "could not deliver"),
        ("nonsense://hunter2", "not a URL that Apprise knows"),
        ("jsons://127.0.0.1:1/hunter2?verify=no", "verification off"),
        ("jsons://127.0.0.1:1/hunter2?redirect=yes", "redirects on"),
    ],
)
async def test_what_fails_says_nothing_of_the_url(
    url: str, match: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeliveryFailed, match=match) as failed:
        await channel(monkeypatch, url).deliver(letter())
    logging.getLogger("apprise").warning("hunter2")
    assert "hunter2" not in str(failed.value)
    assert "hunter2" not in "".join(capfd.readouterr())


async def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(DeliveryFailed, match=r"interlock\[notify\]"):
        await channel(monkeypatch, "json://127.0.0.1:1/").deliver(letter())
