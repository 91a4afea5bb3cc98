"""Webhooks over real sockets: signed, verified, never redirected; what goes wrong is said without the secret."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlock.adapters.notifications.webhook import Webhook, decode_key
from interlock.core.notification import Excerpt
from interlock.core.settings import SecretReference
from interlock.services.notifications.ports import DeliveryFailed
from tests.adapters.notifications.letters import HOSTILE, letter
from tests.clocks import ManualClock
from tests.docs.markdown import ROOT, blocks
from tests.servers.certificates import CertificateAuthority
from tests.servers.receiver import SECRET, Receiver

REFERENCE = SecretReference(env="TEST_WEBHOOK_SECRET")


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_WEBHOOK_SECRET", SECRET)


def webhook(url: str, ca_file: Path | None = None) -> Webhook:
    return Webhook(url, REFERENCE, str(ca_file) if ca_file else None, ManualClock())


async def test_a_message_is_signed_and_says_what_it_is() -> None:
    with Receiver() as receiver:
        statement = Excerpt("DELETE FROM users", 5)
        assert await webhook(f"{receiver.url}/x?y=1").deliver(letter(HOSTILE, statement)) == "status 200"
        received = receiver.next()
    assert received.path == "/x?y=1"
    assert received.id == "01LETTER"
    assert received.headers["webhook-timestamp"] == "1800000000"
    assert received.headers["content-type"] == "application/json"
    assert received.is_signed()
    assert not received.is_signed("whsec_" + "A" * 44)
    assert received.json["type"] == "approval.requested"
    assert received.json["timestamp"] == "2027-01-15T08:00:00+00:00"
    data = received.json["data"]
    assert data["statement"] == {"text": "DELETE FROM users", "left_out_bytes": 5}
    assert "\n" not in data["title"] + "".join(data["facts"].values())


async def test_certificates_are_verified(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    with Receiver(authority.issue_server()) as receiver:
        assert await webhook(receiver.url, authority.certificate_file).deliver(letter()) == "status 200"
        receiver.next()
        with pytest.raises(DeliveryFailed, match="certificate") as failed:
            await webhook(receiver.url).deliver(letter())
        assert not failed.value.refused
    with (
        Receiver(authority.issue_server(("other.example",))) as receiver,
        pytest.raises(DeliveryFailed, match="certificate"),
    ):
        await webhook(receiver.url, authority.certificate_file).deliver(letter())
    assert receiver.received.empty()


@pytest.mark.parametrize(
    ("status", "refused"),
    [(301, True), (307, True), (400, True), (410, True), (408, False), (429, False), (503, False)],
)
async def test_what_is_no_success_is_a_failure(status: int, refused: bool) -> None:
    with Receiver() as receiver, Receiver() as elsewhere:
        receiver.status, receiver.location = status, elsewhere.url
        with pytest.raises(DeliveryFailed, match=str(status)) as failed:
            await webhook(receiver.url).deliver(letter())
        assert failed.value.refused is refused
        assert elsewhere.received.empty()


async def test_nobody_there_says_nothing_of_the_url() -> None:
    with Receiver() as receiver:
        pass
    with pytest.raises(DeliveryFailed, match="cannot be reached") as failed:
        await webhook(f"{receiver.url}/token-in-path").deliver(letter())
    assert "token-in-path" not in str(failed.value)
    assert failed.value.__cause__ is None


@pytest.mark.parametrize(
    "text", ["", "hunter2-hunter2-hunter2", "whsec_hunter2!", "whsec_aHVudGVyMg==", "whsec_" + "A" * 100]
)
async def test_a_bad_secret_is_not_quoted(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_WEBHOOK_SECRET", text)
    with Receiver() as receiver, pytest.raises(DeliveryFailed, match="secret") as failed:
        await webhook(receiver.url).deliver(letter())
    assert not text or text.removeprefix("whsec_") not in str(failed.value)
    assert receiver.received.empty()


async def test_a_secret_in_a_file_is_read_at_each_use(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    with Receiver() as receiver:
        channel = Webhook(receiver.url, SecretReference(file=str(file)), None, ManualClock())
        with pytest.raises(DeliveryFailed, match="cannot be read"):
            await channel.deliver(letter())
        file.write_text(SECRET + "\n")
        await channel.deliver(letter())
        assert receiver.next().is_signed()


def test_the_key_is_what_the_standard_says() -> None:
    assert decode_key(SECRET) == bytes(range(32))


async def test_receivers_that_check_as_documented_believe_what_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = blocks(ROOT / "docs" / "notifications.md", "python")
    names: dict[str, Any] = {}
    exec(example.text, names)
    is_authentic: Callable[..., bool] = names["is_authentic"]
    monkeypatch.setattr("time.time", lambda: ManualClock().at_s + 10)
    with Receiver() as receiver:
        await webhook(receiver.url).deliver(letter())
        received = receiver.next()
    headers = {name.lower(): value for name, value in received.headers.items()}
    assert is_authentic(headers, received.body, SECRET)
    assert not is_authentic(headers, received.body + b" ", SECRET)
    assert not is_authentic(headers | {"webhook-id": "other"}, received.body, SECRET)
    assert not is_authentic(headers, received.body, "whsec_" + "A" * 44)
    assert not is_authentic(headers, received.body, SECRET, tolerance_s=5)
