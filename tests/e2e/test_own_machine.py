"""A person's own machine, at a real gateway with a real provider: logging in, and what ordinary clients get from it."""

import concurrent.futures
import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from interlock.bootstrap.bench import Bench
from interlock.core.client import TokenRequest
from interlock.core.ledger import LoginClosed, SessionOpened
from interlock.surfaces.cli.application import build
from tests.e2e.api_callers import POLICY
from tests.e2e.ledger_files import records_of
from tests.e2e.people import WORKLOAD, Site, site
from tests.servers.command_line import run_interlock
from tests.servers.endpoint import Endpoint
from tests.servers.gateway import GatewayOptions, http_target
from tests.servers.http_service import HttpService
from tests.servers.oidc_provider import ADA, BOB
from tests.servers.postgres import client_program

STAFF = """
@id("staff") permit (principal in Group::"g-staff", action, resource is Connection);
@id("reports") permit (principal == Agent::"job:reports", action, resource == Connection::"shop");
@id("not-all") forbid (principal, action, resource == Connection::"hidden");
"""
TIMEOUT_S = 30.0


@dataclass
class Machine:
    """Somebody's machine: what is kept there is in ``directory``. Browsers that it opens sign ``person`` in."""

    site: Site
    directory: Path
    person: str = ADA
    answer: str = "allow"
    environment: dict[str, str] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.environment = {
            "XDG_STATE_HOME": str(self.directory),
            "INTERLOCK_TOKEN": "",
            "INTERLOCK_API": "",
            "INTERLOCK_CONFIG": "",
            "PATH": f"{client_program('psql').parent}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }

    def run(self, *words: str, **environment: str) -> Result:
        """In this process."""
        with contextlib.chdir(self.directory):
            result = CliRunner().invoke(build(Bench), words, env=self.environment | environment)
        for secret in self.secrets:
            assert secret not in result.stderr
        return result

    def program(self, *words: str) -> subprocess.CompletedProcess[str]:
        """In a process of its own, with what it runs."""
        return run_interlock(words, self.directory, check=False, environment=self.environment)

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", script],
            cwd=self.directory,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )

    def log_in(self, *options: str) -> Result:
        gateway = self.site.gateway
        return self.run("login", "--api", gateway.api_url, "--api-ca", str(gateway.certificate_file), *options)

    def open_browser(self, url: str) -> bool:
        self.opened.append(url)
        threading.Thread(target=self._browse, args=(url,)).start()
        return True

    def _browse(self, url: str) -> None:
        with self.site.browser() as browser:
            browser.open(url)
            if browser.url.startswith(self.site.provider.url):
                self.site.provider.sign_in(browser, self.person)
                browser.submit({"answer": self.answer})

    @property
    def kept(self) -> list[Path]:
        return [path for path in self.directory.rglob("*") if path.is_file()]

    @property
    def secrets(self) -> list[str]:
        found = [re.findall(r"il[kl]_[\w-]{20,}", path.read_text(errors="replace")) for path in self.kept]
        return [secret for secrets in found for secret in secrets]


@pytest.fixture(scope="module")
def service() -> Iterator[HttpService]:
    with HttpService() as running:
        yield running


@pytest.fixture(scope="module")
def people(target: Endpoint, service: HttpService) -> Iterator[Site]:
    extra = http_target("crm", service.port) + http_target("hidden", service.port)
    with site(GatewayOptions(policy=POLICY + STAFF, extra=extra, http=True), target) as running:
        yield running


@pytest.fixture
def machine(people: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(people, tmp_path)
    monkeypatch.setattr(webbrowser, "open", made.open_browser)
    return made


@pytest.fixture
def logged_in(machine: Machine) -> Machine:
    result = machine.log_in()
    assert result.exit_code == 0, result.output
    return machine


def test_a_person_logs_in_with_a_browser(machine: Machine) -> None:
    result = machine.log_in()
    assert result.exit_code == 0, result.output
    assert machine.opened[0] in result.stdout
    assert re.search(r"^Logged in at https://127\.0\.0\.1:\d+ as ada until 20", result.stdout, re.MULTILINE)
    assert {path.stat().st_mode & 0o777 for path in machine.kept} == {0o600}
    assert machine.secrets
    assert all(secret not in result.output for secret in machine.secrets)
    shown = machine.run("whoami", "--json")
    assert json.loads(shown.stdout)["name"] == ADA


def test_a_person_logs_in_elsewhere(machine: Machine) -> None:
    gateway = machine.site.gateway
    words = [sys.executable, "-u", "-m", "interlock", "login", "--api", gateway.api_url, "--device"]
    with subprocess.Popen(
        [*words, "--api-ca", str(gateway.certificate_file)],
        env=os.environ | machine.environment,
        cwd=machine.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        link = next(line.strip() for line in process.stdout if line.startswith("  http"))
        with machine.site.browser() as browser:
            machine.site.provider.confirm_device(browser, link, BOB)
        rest = process.stdout.read()
        assert process.wait(TIMEOUT_S) == 0, rest
    assert "enter the code" in rest
    assert "as bob" in rest
    assert json.loads(machine.run("whoami", "--json").stdout)["name"] == BOB


def test_psql_connects(logged_in: Machine) -> None:
    done = logged_in.program("connect", "shop", "--", "-Atc", "SELECT 6 * 7")
    assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr
    assert records_of(logged_in.site.gateway, SessionOpened)[-1].principal == ADA
    (logged_in.directory / "script.sql").write_text("SELECT 1 / 0;")
    failed = logged_in.program("connect", "shop", "--", "-v", "ON_ERROR_STOP=1", "-f", "script.sql")
    assert failed.returncode == 3, failed.stderr  # what psql ends with when a script fails
    assert not list(logged_in.directory.rglob("run/*"))


def test_no_token_is_where_other_programs_see_it(logged_in: Machine) -> None:
    """Of psql and of what it was started by, arguments and environment."""
    look = r"\! for p in $PPID $(ps -o ppid= -p $PPID); do tr '\0' '\n' < /proc/$p/cmdline; cat /proc/$p/environ; done"
    done = logged_in.shell(f"{sys.executable} -m interlock connect shop -- -c {shlex.quote(look)}")
    assert "PGPASSFILE" in done.stdout
    assert not re.search(r"il[kl]_", done.stdout)


def test_a_shell_is_set_up_for_a_database(logged_in: Machine) -> None:
    exports = logged_in.run("env", "shop").stdout
    done = logged_in.shell(f"export PGPASSWORD=wrong\n{exports}\npsql -Atc 'SELECT current_user'")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{logged_in.site.gateway.target.user}\n"
    assert not re.search(r"il[kl]_", exports)


def test_a_program_is_set_up_for_an_api(logged_in: Machine) -> None:
    result = logged_in.run("env", "crm", "--json")
    variables = json.loads(result.stdout)["variables"]
    headers = {"Authorization": f"Bearer {variables['CRM_TOKEN']}"}
    answer = httpx.get(f"{variables['CRM_BASE_URL']}/anything", headers=headers)
    assert answer.headers.get("content-type") != "application/problem+json", answer.text
    command = logged_in.run("connect", "crm", "--", "/anything", "-sS", "-o", "/dev/null", "-w", "%{http_code}").stdout
    assert not re.search(r"il[kl]_", command)
    done = logged_in.shell(command)
    assert done.stdout == str(answer.status_code), done.stderr


def test_a_password_file_is_kept_up(logged_in: Machine) -> None:
    file = logged_in.directory / "pgpass"
    file.write_text("db.example:5432:other:me:secret\n")
    for _ in range(2):
        assert logged_in.run("token", "shop", "--pgpass", str(file)).exit_code == 0
    own, other = file.read_text().splitlines()
    assert other == "db.example:5432:other:me:secret"
    assert own.startswith(f"127.0.0.1:{logged_in.site.gateway.port}:shop:*:ilk_")
    assert file.stat().st_mode & 0o777 == 0o600
    refused = logged_in.run("token", "crm", "--pgpass", str(file))
    assert refused.exit_code == 1
    assert "no database" in refused.stderr


def test_what_may_not_be_used_is_not_there(logged_in: Machine) -> None:
    hidden, absent = (logged_in.run("env", name) for name in ("hidden", "absent"))
    assert hidden.exit_code == absent.exit_code == 1
    assert hidden.stderr.replace("hidden", "absent") == absent.stderr


def test_programs_at_the_same_time_keep_the_login(logged_in: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The login's secret is another one after each of them."""
    for name, value in logged_in.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(logged_in.directory)
    clients = [Bench(None).client() for _ in range(6)]
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        asked = [pool.submit(one.token, TokenRequest((f"db-{number}",))) for number, one in enumerate(clients)]
        tokens = {done.result(TIMEOUT_S).token for done in asked}
    assert len(tokens) == len(clients)
    assert logged_in.run("whoami").exit_code == 0


def test_a_login_is_ended(logged_in: Machine) -> None:
    token = logged_in.run("token", "shop", "--audience", "api").stdout.strip()
    api = logged_in.site.gateway.api(token)
    assert api.get("/v1/whoami").status == 200
    result = logged_in.run("logout")
    assert (result.exit_code, result.stderr) == (0, "")
    closed = records_of(logged_in.site.gateway, LoginClosed)[-1]
    assert (closed.principal, closed.by) == (ADA, ADA)
    assert api.get("/v1/whoami").status != 200
    assert not logged_in.secrets
    again = logged_in.run("whoami")
    assert again.exit_code == 2
    assert "interlock login" in again.stderr


def test_a_login_that_was_ended_elsewhere(logged_in: Machine) -> None:
    (file,) = logged_in.directory.rglob("login.json")
    login = file.read_bytes()
    assert logged_in.run("logout").exit_code == 0
    file.write_bytes(login)
    file.chmod(0o600)
    url = logged_in.site.gateway.api_url
    result = logged_in.run("token", "shop", INTERLOCK_API=url)
    assert result.exit_code == 1
    assert "log in again: interlock login" in result.stderr


def test_a_provider_that_is_not_there(machine: Machine) -> None:
    result = machine.log_in("--provider", "nowhere")
    assert result.exit_code == 1, result.output
    assert "did not log you in" in result.stderr
    assert not machine.secrets


def test_a_person_who_does_not_allow_it(machine: Machine) -> None:
    machine.answer = "deny"
    result = machine.log_in()
    assert result.exit_code == 1
    assert "the person did not allow it" in result.stderr


def test_no_browser_here(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_by_hand(url: str) -> bool:
        machine.open_browser(url)
        return False

    monkeypatch.setattr(webbrowser, "open", open_by_hand)
    result = machine.log_in()
    assert result.exit_code == 0
    assert "No browser could be opened" in result.stderr


def test_a_certificate_that_is_not_trusted(machine: Machine) -> None:
    result = machine.run("login", "--api", machine.site.gateway.api_url)
    assert result.exit_code == 1
    assert "--api-ca" in result.stderr


def test_no_gateway_is_named(machine: Machine) -> None:
    for words in (("login",), ("token", "shop"), ("env", "shop"), ("connect", "shop"), ("logout",)):
        result = machine.run(*words)
        assert result.exit_code == 2
        assert "interlock login --api" in result.stderr


def test_an_agent_acts_for_whoever_has_logged_in(logged_in: Machine) -> None:
    file = logged_in.directory / "agent"
    file.write_text(logged_in.site.provider.client_credentials(WORKLOAD))
    done = logged_in.program("connect", "shop", "--actor-token-file", str(file), "--", "-Atc", "SELECT 1")
    assert done.stdout == "1\n", done.stderr
    session = records_of(logged_in.site.gateway, SessionOpened)[-1]
    assert (session.principal, [actor.name for actor in session.acting]) == (ADA, ["job:reports"])
    not_both = logged_in.run("env", "crm", "--actor-token-file", str(file))
    assert not_both.exit_code == 1
    assert "no connection 'crm'" in not_both.stderr


def test_a_workload_brings_its_own_token(machine: Machine) -> None:
    file = machine.directory / "token"
    file.write_text(machine.site.provider.client_credentials(WORKLOAD))
    gateway = machine.site.gateway
    machine.environment |= {"INTERLOCK_API": gateway.api_url, "INTERLOCK_API_CA": str(gateway.certificate_file)}
    began_s = time.time()
    result = machine.run("token", "shop", "--subject-token-file", str(file), "--for", "2m", "--json")
    token = json.loads(result.stdout)
    assert token["audience"] == ["connection:shop"]
    assert began_s < token["ends_at_s"] <= time.time() + 120
    mounted = machine.run("whoami", "--json", INTERLOCK_SUBJECT_TOKEN_FILE=str(file))
    assert json.loads(mounted.stdout)["name"] == "job:reports"


def test_commands_for_people_use_the_login(logged_in: Machine) -> None:
    environment: dict[str, Any] = {"INTERLOCK_API": logged_in.site.gateway.api_url}
    result = logged_in.run("sessions", "list", **environment)
    assert "no policy rule gives them the permission" in result.output
    assert "ada" in result.output


def test_an_account_of_the_gateways_machine(people: Site) -> None:
    shown = json.loads(people.gateway.command("whoami", "--json").stdout)
    assert (shown["name"].partition(":")[0], shown["local"]) == ("os", True)


def test_a_token_that_comes_before_the_login(machine: Machine) -> None:
    machine.environment["INTERLOCK_TOKEN"] = "x"
    assert "unset INTERLOCK_TOKEN" in machine.log_in().stderr
