"""Pages for browsers: whatever is shown is text, also when it is written to be more."""

import html.parser

import pytest
from starlette.responses import Response

from interlock.core.errors import LoginRefused, StateUnavailable
from interlock.surfaces.api.login.browsers import origin_of
from interlock.surfaces.api.login.login import choose
from interlock.surfaces.api.login.pages import failure, form, links, page, paragraph

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;"


class Elements(html.parser.HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str] = []
        self.text = ""
        self.feed(bytes(response.body).decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_what_is_shown_is_no_html() -> None:
    shown = Elements(
        page(
            HOSTILE,
            paragraph(HOSTILE),
            links([(f"/?x={HOSTILE}", HOSTILE)]),
            form(HOSTILE, {HOSTILE: HOSTILE}, (HOSTILE, HOSTILE)),
        )
    )
    assert not {"script", "img"} & set(shown.tags)
    assert shown.text.count(HOSTILE) == 5
    assert shown.values.count(HOSTILE) == 4


def test_a_choice_keeps_what_was_asked() -> None:
    shown = Elements(choose("/oauth2/authorize", ("corp", "other"), {"state": HOSTILE, "client_id": "interlock-cli"}))
    assert not {"script", "img"} & set(shown.tags)
    targets = [value for value in shown.values if value.startswith("/oauth2/authorize?")]
    assert [target.rpartition("&")[2] for target in targets] == ["provider=corp", "provider=other"]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (LoginRefused("the provider's answer is not accepted", "nonce is another's"), 403, "is not accepted"),
        (StateUnavailable("the state store cannot be read"), 503, "cannot be read"),
        (RuntimeError("planted"), 500, "did not work"),
    ],
)
def test_failures_are_plain_text_without_reasons(error: Exception, status: int, said: str) -> None:
    response = failure(error)
    text = bytes(response.body).decode()
    assert (response.status_code, response.media_type) == (status, "text/plain")
    assert said in text
    assert not any(hidden in text for hidden in ("nonce", "planted"))


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://gateway.example.org", "https://gateway.example.org"),
        ("https://Gateway.example.org:8443/below", "https://gateway.example.org:8443"),
        ("https://gateway.example.org:443/x", "https://gateway.example.org"),
        ("", ""),
    ],
)
def test_an_origin_is_written_as_browsers_do(url: str, origin: str) -> None:
    assert origin_of(url) == origin
