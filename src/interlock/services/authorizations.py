"""What a person lets a program on their own machine do: act as them (RFC 6749 section 4.1, RFC 8252, RFC 7636).

After somebody has signed in for a program, they are asked whether they have begun this themselves. A yes makes a code,
which only the program that began can use, once and soon. What is remembered is bounded; codes are kept as digests.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Final, Generic, TypeVar

import msgspec

from interlock.core.authorization import AuthorizationRequest
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal
from interlock.services.ports import Clock

CONSENT_LIFE_S: Final = 300.0
CODE_LIFE_S: Final = 60.0
MAX_REMEMBERED: Final = 1000
_NOT_ACCEPTED: Final = "the code is not accepted; log in again"

Entry = TypeVar("Entry")


class Consent(msgspec.Struct, frozen=True):
    """Somebody who has signed in for a program, and has not said yet whether it was they who began."""

    principal: Principal
    provider: str
    request: AuthorizationRequest
    browser: bytes

    def __repr__(self) -> str:
        return f"Consent({self.principal.name!r})"


class Grant(msgspec.Struct):
    """What a code stands for. ``login`` is what came of it, empty before. ``uses`` is how often it was shown."""

    principal: Principal
    provider: str
    request: AuthorizationRequest
    uses: int = 0
    login: str = ""

    def __repr__(self) -> str:
        return f"Grant({self.principal.name!r})"


class CodeReused(LoginRefused):
    """A code that was used before: what came of it ends (RFC 6749 section 4.1.2)."""

    def __init__(self, grant: Grant) -> None:
        super().__init__(_NOT_ACCEPTED, "a code was used again")
        self.grant = grant


class Authorizations:
    """Consents that are awaited, and codes that were given."""

    def __init__(self, clock: Clock) -> None:
        self._consents: _Soon[Consent] = _Soon(clock, CONSENT_LIFE_S)
        self._grants: _Soon[Grant] = _Soon(clock, CODE_LIFE_S)

    def ask(self, principal: Principal, provider: str, request: AuthorizationRequest, browser: str) -> str:
        """Remember whom to ask, in this browser; returns what names the question."""
        return self._consents.add(Consent(principal, provider, request, _digest(browser)))

    def answer(self, question: str, browser: str | None) -> Consent:
        """What was asked; the question is answered by that. Raises LoginRefused."""
        consent = self._consents.find(question)
        if consent is None or browser is None or not hmac.compare_digest(consent.browser, _digest(browser)):
            raise LoginRefused("this login is over; begin it again", "no such question, or in another browser")
        self._consents.forget(question)
        return consent

    def give(self, consent: Consent) -> str:
        """A code for somebody who has said yes."""
        return self._grants.add(Grant(consent.principal, consent.provider, consent.request))

    def redeem(self, code: str, verifier: str, redirect_uri: str) -> Grant:
        """What a code stands for; it counts no more. Raises LoginRefused, CodeReused."""
        grant = self._grants.find(code)
        if grant is None:
            raise LoginRefused(_NOT_ACCEPTED, "no such code, or its time is over")
        grant.uses += 1
        if grant.uses > 1:
            raise CodeReused(grant)
        if redirect_uri != grant.request.redirect_uri:
            raise LoginRefused(_NOT_ACCEPTED, "redirect_uri is not that of the authorization request")
        if not hmac.compare_digest(challenge_of(verifier), grant.request.challenge):
            raise LoginRefused(_NOT_ACCEPTED, "code_verifier does not fit the authorization request")
        return grant


def challenge_of(verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


class _Soon(Generic[Entry]):
    """Entries that are over after a while, by random texts of which only digests are kept; the oldest goes first."""

    def __init__(self, clock: Clock, life_s: float) -> None:
        self._clock = clock
        self._life_s = life_s
        self._entries: dict[bytes, tuple[float, Entry]] = {}

    def add(self, entry: Entry) -> str:
        text = secrets.token_urlsafe(32)
        if len(self._entries) >= MAX_REMEMBERED:
            del self._entries[next(iter(self._entries))]
        self._entries[_digest(text)] = (self._clock.monotonic_s() + self._life_s, entry)
        return text

    def find(self, text: str) -> Entry | None:
        ends_at_s, entry = self._entries.get(_digest(text), (0.0, None))
        return entry if self._clock.monotonic_s() < ends_at_s else None

    def forget(self, text: str) -> None:
        self._entries.pop(_digest(text), None)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
