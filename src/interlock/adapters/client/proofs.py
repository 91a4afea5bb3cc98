"""What this machine can prove of itself: tokens that it is given by whoever runs it.

A token is in no error and no ``repr``. Files are read anew each time: who runs a workload replaces them.
"""

import hashlib
import http.client
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec

from interlock.core.errors import AdministrationRefused, ConfigurationError
from interlock.services.client.ports import Proof

MAX_TOKEN_BYTES: Final = 65_536
TIMEOUT_S: Final = 20.0
SUBJECT_TOKEN_FILE: Final = "INTERLOCK_SUBJECT_TOKEN_FILE"  # noqa: S105 - the name of a variable
_GITHUB_URL: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
_GITHUB_TOKEN: Final = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105 - the name of a variable


class GivenToken:
    """Implements ``services.client.ports.Proof`` for a token that is there."""

    def __init__(self, token: str) -> None:
        self._token = token

    @property
    def key(self) -> str:
        """By the token itself."""
        return _digest(self._token)

    def read(self) -> str:
        """The token."""
        return self._token


class GitHubToken:
    """Implements ``services.client.ports.Proof`` with the token that a job of GitHub Actions may ask for."""

    def __init__(self, url: str, request_token: str, audience: str) -> None:
        self._url = url
        self._request_token = request_token
        self._audience = audience

    @property
    def key(self) -> str:
        """By the job."""
        return _digest(f"{self._url} {self._request_token} {self._audience}")

    def read(self) -> str:
        """A new token. Raises AdministrationRefused."""
        place = urlsplit(self._url)
        if place.scheme != "https" or not place.hostname:
            raise AdministrationRefused(f"{_GITHUB_URL} is not an https address")
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(place.hostname, place.port, timeout=TIMEOUT_S, context=context)
        target = (
            f"{place.path or '/'}?{place.query}{'&' if place.query else ''}audience={quote(self._audience, safe='')}"
        )
        try:
            connection.request("GET", target, headers={"Authorization": f"bearer {self._request_token}"})
            response = connection.getresponse()
            body = response.read(MAX_TOKEN_BYTES)
        except (OSError, http.client.HTTPException, ValueError):
            raise AdministrationRefused("GitHub Actions cannot be asked for a token") from None
        finally:
            connection.close()
        return _value(response.status, body)


class MachineProofs:
    """Implements ``services.client.ports.Proofs``, from options and the environment.

    ``given`` is what INTERLOCK_TOKEN or ``--token-file`` names, if anything. ``audience`` is that of GitHub's token.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        given: str,
        audience: str,
        subject_file: Path | None = None,
        actor_file: Path | None = None,
    ) -> None:
        self._environment = environment
        self._given = given
        self._audience = audience
        self._subject_file = subject_file
        self._actor_file = actor_file

    def subject(self) -> Proof | None:
        """The first that there is. Raises ConfigurationError."""
        if self._subject_file is not None:
            return _from_file(self._subject_file)
        if self._given:
            return GivenToken(self._given)
        url, request_token = (self._environment.get(name, "") for name in (_GITHUB_URL, _GITHUB_TOKEN))
        if url and request_token:
            return GitHubToken(url, request_token, self._audience)
        if file := self._environment.get(SUBJECT_TOKEN_FILE, ""):
            return _from_file(Path(file))
        return None

    def actor(self) -> Proof | None:
        """Raises ConfigurationError."""
        return _from_file(self._actor_file) if self._actor_file is not None else None


class _GitHubAnswer(msgspec.Struct, frozen=True):
    value: str = ""


def _value(status: int, body: bytes) -> str:
    try:
        value = msgspec.json.decode(body, type=_GitHubAnswer).value if status == http.HTTPStatus.OK else ""
    except msgspec.DecodeError:
        value = ""
    if not value:
        raise AdministrationRefused(
            f"GitHub Actions gives no token (status {status}): the job needs permissions: id-token: write"
        )
    return value


def _from_file(file: Path) -> GivenToken:
    try:
        with file.open("rb") as stream:
            token = stream.read(MAX_TOKEN_BYTES + 1).decode("ascii").strip()
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: this is not a token") from None
    if not token or len(token) > MAX_TOKEN_BYTES or not token.isprintable() or " " in token:
        raise ConfigurationError(f"{file}: this is not a token")
    return GivenToken(token)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
