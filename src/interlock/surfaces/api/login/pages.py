"""How the pages for browsers look, and what browsers are told when something does not work.

Whatever is shown is escaped. No page has a script, a style or anything from elsewhere, which the answers' headers
forbid anyway.
"""

import html
from collections.abc import Iterable, Mapping
from typing import Final

from starlette.responses import HTMLResponse, PlainTextResponse, Response

from interlock.core.errors import InterlockError, LoginRefused
from interlock.services.sign_in import PostedForm
from interlock.surfaces.api.problems import RequestProblem, problem_of

_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title></head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


# Of a page without any referrer, browsers do not say that a form comes from it: the origin is "null" then.
_HEADERS: Final = {"Referrer-Policy": "same-origin"}


def page(title: str, *parts: str) -> Response:
    """A page of a title, which is escaped, and parts of HTML."""
    return HTMLResponse(_PAGE.format(title=html.escape(title), body="\n".join(parts)), headers=_HEADERS)


def paragraph(text: str) -> str:
    """A sentence or some."""
    return f"<p>{html.escape(text)}</p>"


def links(targets: Iterable[tuple[str, str]]) -> str:
    """A list of (URL, text)."""
    items = "".join(f'<li><a href="{html.escape(url)}">{html.escape(text)}</a></li>' for url, text in targets)
    return f"<ul>{items}</ul>"


def form(url: str, fields: Mapping[str, str], *buttons: tuple[str, str]) -> str:
    """A form with hidden fields; each button is (value of the field ``answer``, text)."""
    hidden = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in fields.items()
    )
    shown = " ".join(
        f'<button type="submit" name="answer" value="{html.escape(value)}">{html.escape(text)}</button>'
        if value
        else f'<button type="submit">{html.escape(text)}</button>'
        for value, text in buttons
    )
    return f'<form method="post" action="{html.escape(url)}">{hidden}{shown}</form>'


def onward(posted: PostedForm) -> Response:
    """The page from which a browser posts a form to a provider."""
    return page(
        "Log in",
        paragraph("You sign in at your organisation's provider of logins."),
        form(posted.url, dict(posted.fields), ("", "Continue")),
    )


def failure(error: Exception) -> Response:
    """What went wrong, for a person: a sentence, in plain text."""
    if isinstance(error, LoginRefused):
        return PlainTextResponse(f"You are not logged in: {error}.\n", 403)
    problem = problem_of(error)
    known = isinstance(error, InterlockError | RequestProblem)
    return PlainTextResponse(f"{problem.detail if known else 'This did not work.'}\n", problem.status, problem.headers)
