"""Mail over real sockets: TLS verified, login after it only, and one mail is one mail whatever is in it."""

from pathlib import Path

import pytest

from interlock.adapters.notifications.mail import Mail
from interlock.core.notification import Excerpt
from interlock.core.settings import NotificationSettings, SecretReference
from interlock.services.notifications.ports import DeliveryFailed
from tests.adapters.notifications.letters import HOSTILE, letter
from tests.servers.certificates import CertificateAuthority
from tests.servers.mail import MailReceiver

PASSWORD = "hunter2-hunter2"


def mail(server: MailReceiver, ca_file: Path | None = None, *, scheme: str = "", login: bool = False) -> Mail:
    return Mail(
        NotificationSettings(
            email="on-call@example.com",
            sender="gateway@example.com",
            smtp=f"{scheme}127.0.0.1:{server.port}",
            smtp_user="gateway" if login else None,
            secret=SecretReference(env="TEST_MAIL_PASSWORD") if login else None,
            ca_file=str(ca_file) if ca_file else None,
        )
    )


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CertificateAuthority:
    monkeypatch.setenv("TEST_MAIL_PASSWORD", PASSWORD)
    return CertificateAuthority(tmp_path)


@pytest.mark.parametrize("tls_at_once", [False, True])
async def test_mail_goes_over_tls_with_a_login(authority: CertificateAuthority, tls_at_once: bool) -> None:
    with MailReceiver(authority.issue_server(), tls_at_once=tls_at_once, password=PASSWORD) as server:
        scheme = "smtps://" if tls_at_once else ""
        channel = mail(server, authority.certificate_file, scheme=scheme, login=True)
        assert await channel.deliver(letter()) == "the mail server accepted it"
        delivered = server.next()
    assert (delivered.tls, delivered.user) == (True, "gateway")
    assert (delivered.sender, delivered.receivers) == ("gateway@example.com", ["on-call@example.com"])
    assert delivered.mail["Subject"] == "[Interlock] Approval needed: DELETE by agent bot"
    assert delivered.mail["Message-ID"] == "<01LETTER@example.com>"
    assert "Open: https://gate.example/a/1" in delivered.mail.get_content()


async def test_text_of_strangers_forges_nothing(authority: CertificateAuthority) -> None:
    with MailReceiver() as server:
        statement = Excerpt("DELETE FROM t\n\nOpen: https://evil.example\r\n.\r\nMAIL FROM:<x@y>", 0)
        await mail(server).deliver(letter(HOSTILE, statement))
        delivered = server.next().mail
    assert server.delivered.empty()
    assert "\n" not in delivered["Subject"]
    assert not delivered.is_multipart()
    assert delivered.get_content_type() == "text/plain"
    lines = delivered.get_content().splitlines()
    assert [line for line in lines if line.startswith("Open:")] == ["Open: https://gate.example/a/1"]
    assert not any("://" in line for line in lines if not line.startswith("Open:"))
    assert [line for line in lines if "Approved" in line] == [line for line in lines if line.startswith("principal: ")]


async def test_certificates_are_verified(authority: CertificateAuthority) -> None:
    with MailReceiver(authority.issue_server(), password=PASSWORD) as server:
        with pytest.raises(DeliveryFailed, match="certificate"):
            await mail(server, login=True).deliver(letter())
        assert server.delivered.empty()


async def test_a_login_that_fails_says_nothing_of_the_password(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_MAIL_PASSWORD", "wrong-hunter2")
    with (
        MailReceiver(authority.issue_server(), password=PASSWORD) as server,
        pytest.raises(DeliveryFailed, match=r"refused the login \(code 535\)") as failed,
    ):
        await mail(server, authority.certificate_file, login=True).deliver(letter())
    assert "hunter2" not in str(failed.value)


@pytest.mark.parametrize(
    ("word", "answer", "refused"),
    [
        ("RCPT", "550 no such user", True),
        ("RCPT", "450 later", False),
        ("DATA", "554 no", True),
        ("MAIL", "451 later", False),
    ],
)
async def test_what_the_server_refuses_is_told_apart_from_what_it_puts_off(
    word: str, answer: str, refused: bool, authority: CertificateAuthority
) -> None:
    with MailReceiver() as server:
        server.refusals[word] = answer
        with pytest.raises(DeliveryFailed, match=answer[:3]) as failed:
            await mail(server).deliver(letter())
    assert failed.value.refused is refused


async def test_a_server_elsewhere_must_offer_tls(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.adapters.notifications.mail._THIS_MACHINE", frozenset())
    with MailReceiver() as server, pytest.raises(DeliveryFailed, match="offers no STARTTLS"):
        await mail(server).deliver(letter())
    assert server.delivered.empty()


async def test_nobody_there(authority: CertificateAuthority) -> None:
    with MailReceiver() as server:
        pass
    with pytest.raises(DeliveryFailed, match="cannot be used") as failed:
        await mail(server).deliver(letter())
    assert not failed.value.refused
