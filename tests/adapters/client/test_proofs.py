"""What a machine can prove by itself: which token is taken, and how one is had from GitHub Actions."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from interlock.adapters.client.proofs import SUBJECT_TOKEN_FILE, GitHubToken, MachineProofs
from interlock.core.errors import AdministrationRefused, ConfigurationError
from interlock.services.client.ports import Proof
from tests.servers.certificates import CertificateAuthority
from tests.servers.threaded import ThreadedServer

GITHUB = {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://127.0.0.1/x?y=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "planted"}


class Actions(ThreadedServer):
    """The part of GitHub Actions that gives a job its token."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(tls)
        self.asked: list[tuple[dict[str, str], str]] = []
        self.status = 200
        self.answer: Any = {"value": "eyJ.eyJ.sig"}

    def new_runner(self) -> web.BaseRunner:
        application = web.Application()
        application.router.add_get("/token", self._token)
        return web.AppRunner(application, access_log=None)

    async def _token(self, request: web.Request) -> web.Response:
        self.asked.append((dict(request.query), request.headers["Authorization"]))
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
def actions(authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Actions]:
    certificate = authority.issue_server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate_file))
    with Actions(context) as server:
        yield server


def job(actions: Actions, audience: str = "gw.example") -> GitHubToken:
    return GitHubToken(f"https://127.0.0.1:{actions.port}/token?api-version=2.0", "planted", audience)


def test_a_job_gets_a_token_for_the_gateway(actions: Actions) -> None:
    assert job(actions, "gw.example & co").read() == "eyJ.eyJ.sig"
    assert actions.asked == [({"api-version": "2.0", "audience": "gw.example & co"}, "bearer planted")]


@pytest.mark.parametrize(("status", "answer"), [(403, {"value": "x"}), (200, {}), (200, {"value": 1}), (200, [])])
def test_a_job_that_may_not(actions: Actions, status: int, answer: Any) -> None:
    actions.status, actions.answer = status, answer
    with pytest.raises(AdministrationRefused, match="id-token: write") as caught:
        job(actions).read()
    assert "planted" not in repr(caught.value)


def test_a_job_asks_nobody_else(actions: Actions, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AdministrationRefused, match="not an https address"):
        GitHubToken(f"http://127.0.0.1:{actions.port}/token", "planted", "a").read()
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(AdministrationRefused, match="cannot be asked"):
        job(actions).read()
    assert actions.asked == []


def test_jobs_are_told_apart(actions: Actions) -> None:
    keys = {job(actions).key, job(actions, "other").key, GitHubToken("https://x", "planted", "gw.example").key}
    assert len(keys) == 3
    assert not any("planted" in key for key in keys)


def subject(environment: dict[str, str], given: str = "", file: Path | None = None) -> Proof | None:
    return MachineProofs(environment, given, "gw.example", file).subject()


def test_the_first_there_is_counts(tmp_path: Path) -> None:
    named, mounted = tmp_path / "named", tmp_path / "mounted"
    named.write_text("e.e.named\n")
    mounted.write_text("e.e.mounted\n")
    environment = {**GITHUB, SUBJECT_TOKEN_FILE: str(mounted)}
    by_file = subject(environment, "e.e.given", named)
    given = subject(environment, "e.e.given")
    assert by_file is not None
    assert given is not None
    assert (by_file.read(), given.read()) == ("e.e.named", "e.e.given")
    assert isinstance(subject(environment), GitHubToken)
    only_mounted = subject({SUBJECT_TOKEN_FILE: str(mounted)})
    assert only_mounted is not None
    assert only_mounted.read() == "e.e.mounted"
    assert subject({"ACTIONS_ID_TOKEN_REQUEST_URL": "https://x"}) is None


def test_a_mounted_token_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "token"
    keys = []
    for number in range(2):
        file.write_text(f"e.e.{number}")
        proof = subject({SUBJECT_TOKEN_FILE: str(file)})
        assert proof is not None
        assert proof.read() == f"e.e.{number}"
        keys.append(proof.key)
    assert keys[0] != keys[1]


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"\xff", b"a\nb", b"x" * 70_000])
def test_what_is_no_token(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="this is not a token"):
        subject({}, file=file)
    with pytest.raises(ConfigurationError, match="No such file"):
        subject({}, file=tmp_path / "absent")
    with pytest.raises(ConfigurationError, match="this is not a token"):
        MachineProofs({}, "", "a", None, file).actor()
