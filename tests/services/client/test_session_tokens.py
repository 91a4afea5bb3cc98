"""Which token a machine gets, in exchange for what, and when one that is kept is good enough."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from interlock.adapters.client.proofs import GivenToken
from interlock.adapters.client.shelf import FileShelf
from interlock.core.client import ClientLogin, GatewayAddress, TokenRequest
from interlock.core.errors import ConfigurationError
from interlock.services.client.ports import (
    DeviceAnswer,
    FormFields,
    GrantRefused,
    Proof,
    ServerMetadata,
    TokenAnswer,
)
from interlock.services.client.session_tokens import SPARE_S, SessionTokens
from tests.clocks import ManualClock

ADDRESS = GatewayAddress("https://gateway.example")
SHOP = TokenRequest(("shop",))
JWT = "eyJ.eyJ.sig"


class Server:
    """Implements ``AuthorizationServer``: numbers its tokens."""

    def __init__(self) -> None:
        self.forms: list[dict[str, Sequence[str]]] = []
        self.refusal: GrantRefused | None = None
        self.expires_in = 900.0
        self.renewed: Sequence[str] = ()

    def metadata(self) -> ServerMetadata:
        raise AssertionError

    def device(self, fields: FormFields) -> DeviceAnswer:
        raise AssertionError

    def revoke(self, token: str) -> None:
        raise AssertionError

    def token(self, fields: FormFields) -> TokenAnswer:
        form: dict[str, list[str]] = {}
        for name, value in fields:
            form.setdefault(name, []).append(value)
        self.forms.append({**form})
        if self.refusal is not None:
            raise self.refusal
        refresh, *others = (*self.renewed, "")
        self.renewed = tuple(filter(None, others))
        return TokenAnswer(f"ilk_{len(self.forms)}", self.expires_in, refresh)


class Proofs:
    """Implements ``Proofs``."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}

    def subject(self) -> Proof | None:
        return self._proof("subject")

    def actor(self) -> Proof | None:
        return self._proof("actor")

    def _proof(self, name: str) -> Proof | None:
        return GivenToken(self.tokens[name]) if name in self.tokens else None


class Machine:
    """One machine with an account that may have logged in."""

    def __init__(self, directory: Path) -> None:
        self.server, self.proofs, self.clock = Server(), Proofs(), ManualClock()
        self.shelf = FileShelf(directory, ADDRESS)
        self.tokens = SessionTokens(self.server, self.shelf, self.proofs, self.clock)

    def log_in(self, secret: str = "ill_1") -> None:
        with self.shelf.locked():
            self.shelf.keep_login(ClientLogin(ADDRESS.url, secret, "ada"))

    def get(self, wanted: TokenRequest = SHOP) -> str:
        return self.tokens.get(wanted).token

    @property
    def secret(self) -> str:
        login = self.shelf.login()
        assert login is not None
        return login.refresh_token


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "interlock")


def test_a_token_is_exchanged(machine: Machine) -> None:
    machine.proofs.tokens = {"subject": JWT, "actor": "ilk_actor"}
    machine.get(TokenRequest(("web", "shop", "web"), True, True, 300, "self", "run-1"))
    types = "urn:ietf:params:oauth:token-type:"
    assert machine.server.forms == [
        {
            "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
            "subject_token": [JWT],
            "subject_token_type": [f"{types}jwt"],
            "actor_token": ["ilk_actor"],
            "actor_token_type": [f"{types}access_token"],
            "audience": ["shop", "web", "api"],
            "requested_token_type": [f"{types}jwt"],
            "lifetime_s": ["300"],
            "source": ["self"],
            "run": ["run-1"],
        }
    ]


def test_a_kept_token_is_used_until_it_ends_soon(machine: Machine) -> None:
    machine.proofs.tokens = {"subject": JWT}
    assert machine.get() == machine.get() == "ilk_1"
    machine.clock.advance(900 - SPARE_S - 1)
    assert machine.get() == "ilk_1"
    machine.clock.advance(1)
    assert machine.get() == "ilk_2"


@pytest.mark.parametrize(
    "other",
    [
        TokenRequest(("web",)),
        TokenRequest(("shop", "web")),
        TokenRequest(("shop",), api=True),
        TokenRequest(("shop",), jwt=True),
        TokenRequest(("shop",), lifetime_s=60),
        TokenRequest(("shop",), source="self"),
        TokenRequest(("shop",), run="run-1"),
    ],
)
def test_a_token_for_something_else_is_another(machine: Machine, other: TokenRequest) -> None:
    machine.proofs.tokens = {"subject": JWT}
    assert machine.get() != machine.get(other)
    assert machine.get() == "ilk_1"


def test_the_order_of_connections_makes_no_other(machine: Machine) -> None:
    machine.proofs.tokens = {"subject": JWT}
    assert machine.get(TokenRequest(("a", "b"))) == machine.get(TokenRequest(("b", "a", "b")))


def test_a_token_of_somebody_else_is_another(machine: Machine) -> None:
    machine.log_in()
    given = set()
    for tokens in ({}, {"subject": JWT}, {"subject": "e.e.other"}, {"subject": JWT, "actor": JWT}):
        machine.proofs.tokens = dict(tokens)
        given.add(machine.get())
    assert len(given) == 4


def test_a_login_is_renewed_and_kept(machine: Machine) -> None:
    machine.log_in()
    machine.server.renewed = ("ill_2",)
    machine.get()
    assert machine.secret == "ill_2"
    assert machine.server.forms[0]["refresh_token"] == ["ill_1"]
    assert machine.server.forms[0]["client_id"] == ["interlock-cli"]
    machine.get(TokenRequest(("web",)))  # the gateway gave no new secret: somebody else has it
    assert machine.secret == "ill_2"


def test_who_acts_for_a_login_shows_both(machine: Machine) -> None:
    machine.log_in()
    machine.proofs.tokens = {"actor": JWT}
    machine.get(TokenRequest(("shop",), run="run-1"))
    refreshed, exchanged = machine.server.forms
    assert refreshed["grant_type"] == ["refresh_token"]
    assert "run" not in refreshed
    assert (exchanged["subject_token"], exchanged["actor_token"]) == (["ilk_1"], [JWT])
    assert exchanged["run"] == ["run-1"]


def test_less_is_had_without_showing_the_proof_again(machine: Machine) -> None:
    machine.proofs.tokens = {"subject": JWT}
    wide = machine.tokens.get(TokenRequest(("shop",), api=True))
    narrow = [machine.tokens.narrowed(wide, SHOP) for _ in range(2)]
    assert {token.token for token in narrow} == {"ilk_2"}
    assert [form["subject_token"] for form in machine.server.forms] == [[JWT], ["ilk_1"]]


def test_an_ended_login_says_what_to_do(machine: Machine) -> None:
    machine.log_in()
    machine.server.refusal = GrantRefused("invalid_grant", "no such login")
    with pytest.raises(GrantRefused, match="log in again: interlock login"):
        machine.get()
    machine.server.refusal = GrantRefused("temporarily_unavailable", "later")
    with pytest.raises(GrantRefused, match=r"^later$"):
        machine.get()


def test_nothing_to_show(machine: Machine) -> None:
    with pytest.raises(ConfigurationError, match=r"interlock login.*INTERLOCK_TOKEN.*--token-file"):
        machine.get()
    assert machine.server.forms == []


def test_a_workload_needs_no_place_to_keep_anything(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    machine = Machine(tmp_path / "file")
    machine.proofs.tokens = {"subject": JWT}
    assert [machine.get(), machine.get()] == ["ilk_1", "ilk_2"]
    machine.proofs.tokens = {}
    with pytest.raises(ConfigurationError):
        machine.get()


@pytest.mark.parametrize("text", ["", "two words", 'quote"', "line\nurl = x", "é", "col:on"])
def test_an_answer_without_a_token_is_a_refusal(machine: Machine, text: str) -> None:
    machine.proofs.tokens = {"subject": JWT}
    machine.server.token = lambda fields: TokenAnswer(text)  # type: ignore[method-assign]
    with pytest.raises(GrantRefused, match="gave no token"):
        machine.get()


def test_a_token_that_lives_shorter_than_what_is_spare_is_used_once(machine: Machine) -> None:
    machine.proofs.tokens = {"subject": JWT}
    machine.server.expires_in = SPARE_S
    assert [machine.get(), machine.get()] == ["ilk_1", "ilk_2"]
