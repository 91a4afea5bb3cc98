"""Logging in at a gateway: with a browser on this machine (RFC 8252), or on another one (RFC 8628).

What comes of it is a refresh token, for nobody but whoever keeps it.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

from interlock.core.printable import one_line
from interlock.services.client.ports import AuthorizationServer, DeviceAnswer, GrantRefused, Redirection, TokenAnswer
from interlock.services.client.session_tokens import CLIENT_ID
from interlock.services.ports import Clock

BROWSER_TIMEOUT_S: Final = 600.0
MAX_INTERVAL_S: Final = 60.0
_SLOWER_S: Final = 5.0
_DEVICE: Final = "urn:ietf:params:oauth:grant-type:device_code"
_STATE_BYTES: Final = 32
_VERIFIER_BYTES: Final = 48

ShowUrl = Callable[[str], None]


class SignIn:
    """Logs in at one gateway. ``provider`` names where people sign in, empty for the gateway's only one."""

    def __init__(self, server: AuthorizationServer, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._server = server
        self._clock = clock
        self._sleep = sleep

    def by_browser(self, redirection: Callable[[str], Redirection], show: ShowUrl, provider: str) -> TokenAnswer:
        """The gateway's answer, when the person has signed in at the address that ``show`` is given.

        ``redirection`` makes ready for an answer with a ``state``. Raises AdministrationRefused.
        """
        state, verifier = secrets.token_urlsafe(_STATE_BYTES), secrets.token_urlsafe(_VERIFIER_BYTES)
        metadata = self._server.metadata()
        if not metadata.authorization_endpoint:
            raise GrantRefused("", "people cannot log in at this gateway with a browser: it has no provider for them")
        expected = redirection(state)
        show(f"{metadata.authorization_endpoint}?{urlencode(_authorization(expected.uri, state, verifier, provider))}")
        try:
            answer = expected.wait(BROWSER_TIMEOUT_S)
        except TimeoutError:
            raise GrantRefused("", f"nobody signed in within {BROWSER_TIMEOUT_S / 60:g} minutes") from None
        if answer.get("iss", metadata.issuer) != metadata.issuer:  # RFC 9207: an answer of another server
            raise GrantRefused("", "what answered is not this gateway; log in again")
        if "code" not in answer:
            said = answer.get("error_description") or answer.get("error", "")
            raise GrantRefused(answer.get("error", ""), f"the gateway did not log you in: {one_line(said)[:500]}")
        fields = [
            ("grant_type", "authorization_code"),
            ("code", answer["code"]),
            ("redirect_uri", expected.uri),
            ("client_id", CLIENT_ID),
            ("code_verifier", verifier),
        ]
        return _login(self._server.token(fields))

    def by_device(self, show: Callable[[DeviceAnswer], None], provider: str) -> TokenAnswer:
        """The gateway's answer, when the person has signed in on whatever machine. Raises AdministrationRefused."""
        if not self._server.metadata().device_authorization_endpoint:
            raise GrantRefused("", "at this gateway nobody can sign in on another machine; leave --device away")
        device = self._server.device([("client_id", CLIENT_ID), *((("provider", provider),) if provider else ())])
        show(device)
        ends_s = self._clock.monotonic_s() + device.expires_in
        interval_s = min(max(device.interval, 1.0), MAX_INTERVAL_S)
        fields = [("grant_type", _DEVICE), ("device_code", device.device_code), ("client_id", CLIENT_ID)]
        while self._clock.monotonic_s() < ends_s:
            self._sleep(interval_s)
            try:
                return _login(self._server.token(fields))
            except GrantRefused as refused:
                if refused.code not in ("authorization_pending", "slow_down"):
                    raise
                interval_s += _SLOWER_S if refused.code == "slow_down" else 0
        raise GrantRefused("expired_token", "nobody signed in in time; begin again")


def _authorization(uri: str, state: str, verifier: str, provider: str) -> dict[str, str]:
    """RFC 6749 section 4.1.1, RFC 7636 section 4.3."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    request = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": uri,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii"),
        "code_challenge_method": "S256",
    }
    return request | ({"provider": provider} if provider else {})


def is_answer(parameters: dict[str, str], state: str) -> bool:
    """Whether what came to the redirection is the answer to our own request (RFC 6749 section 10.12)."""
    return hmac.compare_digest(parameters.get("state", "").encode(), state.encode())


def _login(answer: TokenAnswer) -> TokenAnswer:
    if not answer.refresh_token:
        raise GrantRefused("", "the gateway gave no login")
    return answer
