"""What clients are told of a connection, and what no text of a gateway can do to a shell or a file."""

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlock.core.administration import ConnectionAccess
from interlock.core.client import GatewayAddress
from interlock.core.errors import AdministrationRefused
from interlock.surfaces.cli.access import (
    Environment,
    base_url,
    database_name,
    host_of,
    http_environment,
    postgres_environment,
    ssh_environment,
    ssh_user,
    variable_name,
)
from interlock.surfaces.cli.connect import askpass_script
from interlock.surfaces.cli.password_file import password_line, renew_password_file

ADDRESS = GatewayAddress("https://gw.example.org:8443")
SHOP = ConnectionAccess("shop", "postgres", "postgres", "db.example.org", 5432, "ci:acme/crm", databases=("app", "x:y"))
LLM = ConnectionAccess("llm-1", "http", "openai", "", 443, "bot", path="/c/llm-1", authority_pem="AUTHORITY\n")
WEB = ConnectionAccess("web", "ssh", "ssh", "::1", 2222, "bot", tls=False, logins=("deploy", "root"), known_hosts="k\n")


class Files:
    """Writes below a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, name: str, content: bytes) -> Path:
        file = self.directory / name
        file.write_bytes(content)
        return file


@pytest.fixture
def write(tmp_path: Path) -> Files:
    return Files(tmp_path)


def changed(access: ConnectionAccess, **changes: Any) -> ConnectionAccess:
    return msgspec.structs.replace(access, **changes)


def test_a_database(write: Files, tmp_path: Path) -> None:
    shop = changed(SHOP, authority_pem="AUTHORITY\n")
    environment = postgres_environment(shop, ADDRESS, "x:y", write, tmp_path / "pgpass")
    assert environment.variables == {
        "PGHOST": "db.example.org",
        "PGPORT": "5432",
        "PGUSER": "ci:acme/crm",
        "PGDATABASE": "shop/x:y",
        "PGPASSFILE": str(tmp_path / "pgpass"),
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": str(tmp_path / "shop.pem"),
    }
    inherited = {"PGPASSWORD": "other", "PGHOST": "other", "HOME": "/home/ada"}
    assert environment.over(inherited) == {"HOME": "/home/ada"} | environment.variables


def test_a_database_whose_certificate_everybody_trusts(write: Files, tmp_path: Path) -> None:
    variables = postgres_environment(SHOP, ADDRESS, "", write, tmp_path / "pgpass").variables
    assert variables["PGDATABASE"] == "shop"
    authority = variables["PGSSLROOTCERT"]
    assert authority == "system" or Path(authority).is_file()


def test_who_vouches_for_the_api_vouches_for_the_listeners(write: Files, tmp_path: Path) -> None:
    """A private authority that the gateway does not hand out, as the person has named it at login."""
    authority = tmp_path / "company.pem"
    authority.write_text("COMPANY\n")
    address = msgspec.structs.replace(ADDRESS, ca_file=str(authority))
    database = postgres_environment(SHOP, address, "", write, tmp_path / "pgpass").variables
    assert Path(database["PGSSLROOTCERT"]).read_text() == "COMPANY\n"
    api = http_environment(changed(LLM, authority_pem=""), address, "t", write).variables
    assert Path(api["SSL_CERT_FILE"]).read_text().endswith("COMPANY\n")
    authority.unlink()
    with pytest.raises(AdministrationRefused, match="--api-ca"):
        postgres_environment(SHOP, address, "", write, tmp_path / "pgpass")


def test_a_model_api(write: Files) -> None:
    variables = http_environment(LLM, ADDRESS, "ilk_planted", write).variables
    assert variables["LLM_1_BASE_URL"] == "https://gw.example.org:443/c/llm-1"
    assert variables["OPENAI_BASE_URL"] == "https://gw.example.org:443/c/llm-1/v1"
    assert variables["OPENAI_API_KEY"] == variables["LLM_1_TOKEN"] == "ilk_planted"
    assert variables["OPENAI_AGENTS_DISABLE_TRACING"] == "1"
    assert Path(variables["SSL_CERT_FILE"]).read_text().endswith("AUTHORITY\n")
    other = http_environment(changed(LLM, speaks="http", tls=False, authority_pem=""), ADDRESS, "t", write).variables
    assert set(other) == {"LLM_1_BASE_URL", "LLM_1_TOKEN"}
    assert other["LLM_1_BASE_URL"].startswith("http://")


def test_a_host(write: Files) -> None:
    variables = ssh_environment(WEB, ADDRESS, "root", write).variables
    assert (variables["WEB_SSH_HOST"], variables["WEB_SSH_USER"]) == ("::1", "root+web")
    assert ssh_user(WEB, "") == ssh_user(WEB, "deploy") == "web"
    with pytest.raises(AdministrationRefused, match="deploy, root"):
        ssh_user(WEB, "x")


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", "x\nHost *", "$(x)", "a;b", "[::1]", "256.1.1.1"])
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(AdministrationRefused, match="which is no host") as caught:
        host_of(changed(SHOP, host=host), ADDRESS)
    assert "\n" not in str(caught.value)


def test_a_host_that_the_gateway_does_not_name() -> None:
    assert host_of(LLM, ADDRESS) == "gw.example.org"
    assert host_of(LLM, GatewayAddress(data_dir="/x")) == "127.0.0.1"
    assert base_url(changed(LLM, host="::1"), ADDRESS) == "https://[::1]:443/c/llm-1"


@pytest.mark.parametrize(("name", "variable"), [("shop", "SHOP"), ("a.b-c", "A_B_C"), ("1st", "_1ST")])
def test_names_of_variables(name: str, variable: str) -> None:
    assert variable_name(name) == variable


def test_databases_of_a_connection() -> None:
    assert [database_name(SHOP, name) for name in ("", "app", "x:y")] == ["shop", "shop", "shop/x:y"]


def test_a_shell_reads_what_was_meant() -> None:
    value = 'it\'s $(id) `id` "x" \\ \n ; & é'
    script = f'export X={shlex.quote(value)}; printf %s "$X"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == value


def test_a_password_line() -> None:
    assert password_line("::1", 5432, "shop/x:y", "a\\b:c") == "\\:\\:1:5432:shop/x\\:y:*:a\\\\b\\:c\n"


def test_a_password_file_keeps_what_others_wrote(tmp_path: Path) -> None:
    file = tmp_path / ".pgpass"
    file.write_text("# mine\n\ndb:5432:app:me:pw\ndb.example.org:5432:shop:*:old")
    renew_password_file(file, ADDRESS, [SHOP], "ilk_new")
    lines = file.read_text().splitlines()
    assert lines[:2] == ["db.example.org:5432:shop:*:ilk_new", "db.example.org:5432:shop/x\\:y:*:ilk_new"]
    assert lines[2:] == ["# mine", "", "db:5432:app:me:pw"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [".pgpass"]


@pytest.mark.parametrize("prompt", ["web@gw.example.org's password: ", "web@evil.example's password: ", "Token: ", ""])
def test_ssh_is_told_the_token_for_the_gateway_only(tmp_path: Path, prompt: str) -> None:
    token_file = tmp_path / "it's a token"
    token_file.write_text("ilk_planted\n")
    script = tmp_path / "askpass"
    script.write_text(askpass_script("web", "gw.example.org", token_file))
    done = subprocess.run(["sh", script, prompt], capture_output=True, text=True, check=False)
    meant = prompt == "web@gw.example.org's password: "
    assert (done.stdout, done.returncode) == (("ilk_planted\n", 0) if meant else ("", 1))


def test_no_token_is_shown_by_accident() -> None:
    shown: Mapping[str, str] = {"TOKEN": "ilk_planted"}
    assert "planted" not in repr(Environment(dict(shown)))
