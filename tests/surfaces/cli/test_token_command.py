"""``interlock token`` as it is typed: what is asked for, and what is printed."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from interlock.core.client import GatewayAddress, HeldToken, TokenRequest
from interlock.core.errors import ConfigurationError
from interlock.services.client.ports import GrantRefused
from interlock.surfaces.cli.application import build


class Client:
    """In the place of ``GatewayClient``."""

    address = GatewayAddress("https://gw.example.org")

    def __init__(self) -> None:
        self.asked: list[TokenRequest] = []
        self.proofs: list[Any] = []
        self.failure: Exception | None = None

    def token(self, wanted: TokenRequest) -> HeldToken:
        self.asked.append(wanted)
        if self.failure is not None:
            raise self.failure
        return HeldToken("ilk_given", 1_800_000_000.0, "id-1", ("connection:shop",))

    def client(self, *proofs: Any) -> "Client":
        """As a workbench that has this client."""
        self.proofs = list(proofs)
        return self


@pytest.fixture
def client() -> Client:
    return Client()


def run(client: Client, *words: str, **environment: str) -> Result:
    app = build(lambda *_: client)  # type: ignore[arg-type]
    return CliRunner().invoke(app, words, env={"INTERLOCK_TOKEN": "", "INTERLOCK_TOKEN_FILE": "", **environment})


def test_every_option_is_asked_for(client: Client) -> None:
    options = ("--audience", "api", "--jwt", "--for", "5m", "--source", "self", "--run", "run-1")
    result = run(client, "token", "shop", "crm", *options, "--print")
    assert (result.stdout, result.stderr, result.exit_code) == ("ilk_given\n", "", 0)
    assert client.asked == [TokenRequest(("shop", "crm"), True, True, 300, "self", "run-1")]


def test_the_answer_for_programs(client: Client) -> None:
    answer = json.loads(run(client, "token", "shop", "--json").stdout)
    assert answer == {
        "token": "ilk_given",
        "ends_at_s": 1_800_000_000.0,
        "token_id": "id-1",
        "audience": ["connection:shop"],
    }


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "name a connection, or --audience api"),
        (("shop", "--for", "soon"), "--for is a number"),
        (("shop", "--audience", "web"), "api"),
    ],
)
def test_what_cannot_be_asked_for(client: Client, words: tuple[str, ...], text: str) -> None:
    result = run(client, "token", *words)
    assert result.exit_code == 2
    assert text in result.stderr
    assert client.asked == []


def test_whose_token_it_is_to_be(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    run(client, "token", "shop", INTERLOCK_TOKEN="given ")
    assert client.proofs == ["given", None, None, None]
    run(client, "--token-file", str(file), "token", "shop")
    assert client.proofs == ["from-file", None, None, None]
    run(client, "token", "shop", "--subject-token-file", "s", "--actor-token-file", "a", INTERLOCK_TOKEN="given")
    assert client.proofs == ["", Path("s"), Path("a"), None]


@pytest.mark.parametrize(
    ("failure", "status"), [(GrantRefused("invalid_target", "not that"), 1), (ConfigurationError("no login"), 2)]
)
def test_refusals_say_why(client: Client, failure: Exception, status: int) -> None:
    client.failure = failure
    result = run(client, "token", "shop")
    assert (result.exit_code, result.stderr) == (status, f"error: {failure}\n")


def test_a_token_that_is_no_text_ends_the_program(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"\xff")
    assert run(client, "--token-file", str(file), "token", "shop").exit_code == 1
    assert run(client, "--token-file", str(tmp_path / "absent"), "token", "shop").exit_code == 2
