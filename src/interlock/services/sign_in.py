"""Signing in at a provider: the attempts that are under way, and what a provider of sign-ins must offer.

An attempt is bound to the browser that began it, counts once, and is over after a few minutes. What is remembered is
bounded. Nothing in here is a login yet: a provider's word makes one (see ``services.logins``).
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import msgspec

from interlock.core.addresses import one_source
from interlock.core.authorization import AuthorizationRequest
from interlock.core.errors import LedgerUnavailable, LoginRefused
from interlock.core.identity import Principal
from interlock.core.ledger import ConnectionRefused
from interlock.services.ports import Clock, Ledger

PROTOCOL: Final = "login"
"""The name of sign-ins and logins in records of refused connections."""
LIFE_S: Final = 600.0
MAX_ATTEMPTS: Final = 10_000
MAX_ATTEMPTS_OF_SOURCE: Final = 500
MAX_NEXT_CHARACTERS: Final = 2048
_BROWSER: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_LOCAL_PATH: Final = re.compile(r"/(?!/)[!-\[\]-~]*")  # no backslash: browsers take it for a slash
_AGAIN: Final = "begin the login again"


class Attempt(msgspec.Struct, frozen=True):
    """One attempt to sign in.

    ``state`` names it to the provider and back (``state`` of OAuth, RelayState of SAML). ``nonce`` is what the
    provider's answer must repeat: of letters, digits, ``-`` and ``_``. ``verifier`` is the code verifier of RFC 7636.
    ``next`` is the path of the gateway to go on to; with ``authorization`` it is the command line that goes on.
    """

    provider: str
    state: str
    nonce: str
    verifier: str
    browser: bytes
    source: str
    ends_at_s: float
    next: str = "/"
    authorization: AuthorizationRequest | None = None

    @property
    def challenge(self) -> str:
        """The S256 code challenge of ``verifier``."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")

    def __repr__(self) -> str:
        return f"Attempt({self.provider!r})"


class Redirect(msgspec.Struct, frozen=True):
    """The browser goes to a URL."""

    url: str


class PostedForm(msgspec.Struct, frozen=True):
    """The browser posts a form to a URL, when the person says so."""

    url: str
    fields: tuple[tuple[str, str], ...]


class AttemptRefused(LoginRefused):
    """An attempt has ended without a login; it counts no more."""

    def __init__(self, attempt: Attempt, refused: LoginRefused) -> None:
        super().__init__(str(refused), refused.reason)
        self.attempt = attempt


class SignInProvider(Protocol):
    """Where people sign in: an OpenID Connect issuer or a SAML identity provider."""

    @property
    def name(self) -> str:
        """As in the settings; a part of the callback's path, ``/login/callback/NAME``."""

    @property
    def posted(self) -> bool:
        """Whether its answers come as forms that browsers post from the provider's site, rather than in a query."""

    @property
    def unsolicited(self) -> bool:
        """Whether an answer counts that nobody has asked for: ``complete`` has no attempt then."""

    async def begin(self, attempt: Attempt) -> Redirect | PostedForm:
        """Where the browser is sent. Raises LoginRefused."""

    async def complete(self, attempt: Attempt | None, answer: Mapping[str, str]) -> Principal:
        """Whom the provider's answer proves, with nothing that is registered here. Raises LoginRefused.

        ``answer`` has the parameters of the callback. ``expires_at_s`` of the principal is when the provider wants the
        session to end, None when it has not said.
        """

    async def logout_url(self, principal: Principal, return_url: str) -> str:
        """Where the browser is sent to end the session at the provider as well; empty when there is no such place."""


class Attempts:
    """The attempts that are under way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._attempts: dict[str, Attempt] = {}

    def begin(
        self,
        provider: str,
        browser: str | None,
        source: str,
        next_path: str = "/",
        authorization: AuthorizationRequest | None = None,
    ) -> tuple[Attempt, str]:
        """A new attempt, and what the browser must show when it comes back.

        ``browser`` is what it has shown now: as long as an attempt is bound to it, it stays the same, so that several
        windows can sign in. Raises LoginRefused when there are too many, or ``next_path`` leads elsewhere.
        """
        if not is_local_path(next_path):
            raise LoginRefused("next must be a path of this gateway, such as /", "next leads elsewhere")
        source = one_source(source)
        self._forget_old()
        self._refuse_too_many(source)
        browser = browser if browser is not None and self._knows(browser) else secrets.token_urlsafe(32)
        attempt = Attempt(
            provider=provider,
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            browser=_digest(browser),
            source=source,
            ends_at_s=self._clock.monotonic_s() + LIFE_S,
            next=next_path,
            authorization=authorization,
        )
        self._attempts[attempt.state] = attempt
        return attempt, browser

    def take(self, provider: str, state: str, browser: str | None) -> Attempt:
        """The attempt that a provider's answer belongs to; it counts no more. Raises LoginRefused."""
        self._forget_old()
        attempt = self._attempts.get(state)
        if attempt is None:
            raise LoginRefused(f"this login is over, or was never begun; {_AGAIN}", "no such attempt to sign in")
        if browser is None or not hmac.compare_digest(attempt.browser, _digest(browser)):
            raise LoginRefused(
                f"this login was begun in another browser, or cookies are refused; {_AGAIN}",
                "the attempt to sign in belongs to another browser",
            )
        del self._attempts[state]
        if attempt.provider != provider:
            raise LoginRefused(f"the answer does not fit; {_AGAIN}", "the answer is another provider's")
        return attempt

    def _knows(self, browser: str) -> bool:
        if not _BROWSER.fullmatch(browser):
            return False
        digest = _digest(browser)
        return any(hmac.compare_digest(attempt.browser, digest) for attempt in self._attempts.values())

    def _forget_old(self) -> None:
        """They are in the order of their ends."""
        now_s = self._clock.monotonic_s()
        while self._attempts and (oldest := next(iter(self._attempts.values()))).ends_at_s <= now_s:
            del self._attempts[oldest.state]

    def _refuse_too_many(self, source: str) -> None:
        of_source = sum(attempt.source == source for attempt in self._attempts.values())
        if len(self._attempts) >= MAX_ATTEMPTS or of_source >= MAX_ATTEMPTS_OF_SOURCE:
            raise LoginRefused("too many logins are under way; try again in some minutes", "too many attempts")


class SignIn:
    """Has people sign in at the providers that there are. What is refused is on the ledger, with its reason."""

    def __init__(self, providers: Iterable[SignInProvider], attempts: Attempts, ledger: Ledger) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._attempts = attempts
        self._ledger = ledger

    @property
    def providers(self) -> tuple[str, ...]:
        """Their names, as in the settings."""
        return tuple(self._providers)

    def provider(self, name: str) -> SignInProvider:
        """Raises LoginRefused when there is none of this name."""
        if (provider := self._providers.get(name)) is None:
            raise LoginRefused("there is no such provider of logins here", "unknown provider")
        return provider

    async def begin(
        self,
        provider_name: str,
        browser: str | None,
        client_address: str,
        next_path: str = "/",
        authorization: AuthorizationRequest | None = None,
    ) -> tuple[Redirect | PostedForm, str]:
        """Where the browser is sent, and what it must show when it comes back. Raises LoginRefused."""
        try:
            provider = self.provider(provider_name)
            attempt, browser = self._attempts.begin(provider_name, browser, client_address, next_path, authorization)
            return await provider.begin(attempt), browser
        except LoginRefused as refused:
            await self._record(client_address, refused)
            raise

    async def complete(
        self, provider_name: str, state: str | None, browser: str | None, answer: Mapping[str, str], client_address: str
    ) -> tuple[Attempt | None, Principal]:
        """Whom a provider's answer proves, and the attempt it ends; None when it was unsolicited, and may be.

        Raises LoginRefused, which is an AttemptRefused once there is an attempt.
        """
        attempt = None
        try:
            provider = self.provider(provider_name)
            if state or not provider.unsolicited:
                attempt = self._attempts.take(provider_name, state or "", browser)
            return attempt, await provider.complete(attempt, answer)
        except LoginRefused as refused:
            await self._record(client_address, refused)
            raise refused if attempt is None else AttemptRefused(attempt, refused) from None

    async def _record(self, client_address: str, refused: LoginRefused) -> None:
        try:
            accepted = self._ledger.append(ConnectionRefused(PROTOCOL, client_address, "", "", refused.reason))
            if accepted is not None:
                await accepted
        except LedgerUnavailable:
            pass  # nobody gets in by it


def is_local_path(path: str) -> bool:
    """Whether a browser that is sent to this path stays on this site, however it reads URLs."""
    return len(path) <= MAX_NEXT_CHARACTERS and _LOCAL_PATH.fullmatch(path) is not None


def _digest(browser: str) -> bytes:
    return hashlib.sha256(browser.encode("utf-8", "surrogatepass")).digest()
