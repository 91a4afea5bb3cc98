"""The two cookies of a browser: the one that stands for a login, and the one that binds attempts to sign in.

Both go to this host only (``__Host-``), over TLS only, and are not for scripts.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from interlock.surfaces.api.problems import RequestProblem

LOGIN_COOKIE: Final = "__Host-interlock"
BROWSER_COOKIE: Final = "__Host-interlock-attempt"
BROWSER_LIFE_S: Final = 900
MAX_COOKIE_CHARACTERS: Final = 16_384


def cookie_of(request: Request, name: str) -> str | None:
    """A cookie's value, None without one. Raises RequestProblem for one that is there twice, or for too much."""
    sent = request.headers.getlist("cookie")
    if sum(map(len, sent)) > MAX_COOKIE_CHARACTERS:
        raise RequestProblem(400, "there are too many cookies; delete those of this site")
    pairs = [pair.strip().partition("=") for header in sent for pair in header.split(";")]
    values = [value for found, _, value in pairs if found == name]
    if len(values) > 1:
        raise RequestProblem(400, f"the cookie {name} is there twice; delete the cookies of this site")
    return values[0] if values else None


def keep_login(response: Response, secret: str, lifetime_s: float) -> None:
    """The browser is logged in. The cookie is not sent with what other sites post."""
    response.set_cookie(
        LOGIN_COOKIE, secret, max_age=max(1, int(lifetime_s)), secure=True, httponly=True, samesite="lax"
    )


def forget_login(response: Response) -> None:
    """The browser is not logged in any more."""
    response.delete_cookie(LOGIN_COOKIE, secure=True, httponly=True, samesite="lax")


def bind_browser(response: Response, browser: str) -> None:
    """The browser can prove that it began, also with what is posted from a provider's site, as SAML answers are."""
    response.set_cookie(BROWSER_COOKIE, browser, max_age=BROWSER_LIFE_S, secure=True, httponly=True, samesite="none")
