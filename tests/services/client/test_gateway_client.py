"""One gateway as a machine's account uses it: what it may say of connections, and how logins follow one another."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlock.adapters.client.shelf import FileShelf
from interlock.core.administration import ConnectionAccess, ShowAccess
from interlock.core.client import ClientLogin, TokenRequest
from interlock.core.errors import AdministrationRefused, ConfigurationError
from interlock.services.client.gateway_client import GatewayClient
from interlock.services.client.ports import DeviceAnswer, FormFields, GrantRefused, ServerMetadata, TokenAnswer
from interlock.services.client.session_tokens import SessionTokens
from interlock.services.client.sign_in import SignIn
from tests.clocks import ManualClock
from tests.services.client.test_session_tokens import ADDRESS, JWT, Proofs, Server

SHOP = ConnectionAccess("shop", "postgres", "postgres", "db.example.org", 5432, "agent")


class LoggingIn(Server):
    """Lets people log in on another machine at once, and keeps what is given back."""

    def __init__(self) -> None:
        super().__init__()
        self.revoked: list[str] = []
        self.broken = False

    def metadata(self) -> ServerMetadata:
        return ServerMetadata("x", "", "https://gateway.example/device")

    def device(self, fields: FormFields) -> DeviceAnswer:
        return DeviceAnswer("planted", "CODE", "https://gateway.example/device", 60)

    def revoke(self, token: str) -> None:
        if self.broken:
            raise AdministrationRefused("the gateway broke off")
        self.revoked.append(token)


class Account:
    """One account, and a gateway that says ``access`` of each connection."""

    def __init__(self, directory: Path) -> None:
        self.server, self.proofs, self.clock = LoggingIn(), Proofs(), ManualClock()
        self.shelf = FileShelf(directory, ADDRESS)
        self.access = SHOP
        self.sent: list[tuple[Any, str]] = []
        tokens = SessionTokens(self.server, self.shelf, self.proofs, self.clock)
        sign_in = SignIn(self.server, self.clock, self.clock.advance)
        self.client = GatewayClient(ADDRESS, self.server, self.shelf, tokens, sign_in, self._send)

    def _send(self, command: Any, token: str, /) -> ConnectionAccess:
        self.sent.append((command, token))
        return self.access

    def log_in(self, secret: str) -> ClientLogin:
        self.server.renewed = (secret,)
        return self.client.log_in_by_device(lambda _: None, "")


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path / "interlock")


def test_a_connection_is_entered_with_a_token_for_nothing_else(account: Account) -> None:
    account.proofs.tokens = {"subject": JWT}
    access, held = account.client.entrance("shop")
    wide, narrow = account.server.forms
    assert (wide["audience"], narrow["audience"]) == (["shop", "api"], ["shop"])
    assert account.sent == [(ShowAccess("shop"), "ilk_1")]
    assert (access, held.token) == (SHOP, "ilk_2")


def test_a_run_and_a_source_are_kept_for_both(account: Account) -> None:
    account.proofs.tokens = {"subject": JWT}
    account.client.entrances(TokenRequest(("shop",), lifetime_s=60, source="self", run="run-1"))
    wide, narrow = account.server.forms
    assert wide["run"] == narrow["run"] == ["run-1"]
    assert wide["source"] == narrow["source"] == ["self"]
    assert ("lifetime_s" in wide, narrow["lifetime_s"]) == (False, ["60"])


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../../x"},
        {"name": "other"},
        {"user": "a\nb"},
        {"databases": ("x\0",)},
        {"logins": ("x\x1b[2J",)},
        {"path": "@evil.example/"},
    ],
)
def test_a_gateway_that_says_something_else(account: Account, changes: dict[str, Any]) -> None:
    account.proofs.tokens = {"subject": JWT}
    account.access = msgspec.structs.replace(SHOP, **changes)
    with pytest.raises(AdministrationRefused, match="not this gateway"):
        account.client.entrance("shop")


@pytest.mark.parametrize("name", ["../../x", "a/b", "-o", ""])
def test_names_that_connections_do_not_have(account: Account, name: str) -> None:
    account.proofs.tokens = {"subject": JWT}
    account.access = msgspec.structs.replace(SHOP, name=name)
    with pytest.raises(AdministrationRefused, match="not this gateway"):
        account.client.entrance(name)


def test_the_login_before_is_given_back(account: Account) -> None:
    assert account.log_in("ill_1").refresh_token == "ill_1"
    account.log_in("ill_2")
    assert account.server.revoked == ["ill_1"]
    account.server.broken = True
    assert account.log_in("ill_3").refresh_token == "ill_3"


def test_a_damaged_login_is_replaced(account: Account, tmp_path: Path) -> None:
    account.log_in("ill_1")
    (file,) = tmp_path.rglob("login.json")
    file.write_bytes(b"{")
    assert account.log_in("ill_2").refresh_token == "ill_2"
    file.chmod(0o644)
    assert account.log_in("ill_3").refresh_token == "ill_3"
    assert file.stat().st_mode & 0o777 == 0o600


def test_logging_out_when_the_gateway_cannot_be_told(account: Account) -> None:
    account.log_in("ill_1")
    account.server.broken = True
    assert "could not be told" in account.client.log_out()
    assert account.shelf.login() is None
    assert account.client.log_out() == "nobody was logged in"


def test_logging_out_of_a_damaged_login(account: Account, tmp_path: Path) -> None:
    account.log_in("ill_1")
    (file,) = tmp_path.rglob("login.json")
    file.write_bytes(b"{")
    assert "damaged" in account.client.log_out()
    assert account.client.log_out() == "nobody was logged in"


def test_a_login_that_others_may_have_read_is_not_just_forgotten(account: Account, tmp_path: Path) -> None:
    account.log_in("ill_1")
    (file,) = tmp_path.rglob("login.json")
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        account.client.log_out()
    file.chmod(0o600)
    assert account.client.log_out() == ""
    assert account.server.revoked == ["ill_1"]


def test_a_login_without_a_secret_is_none(account: Account) -> None:
    with pytest.raises(GrantRefused, match="gave no login"):
        account.client.log_in_by_device(lambda _: None, "")
    assert account.shelf.login() is None


def test_answers_show_no_secret() -> None:
    assert "planted" not in repr(TokenAnswer("planted", 1, "planted"))
