"""As much of a browser as signing in takes: cookies, redirects, and forms that are filled in and sent."""

import html.parser
import ssl
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx

MAX_STEPS = 20


@dataclass
class Form:
    """A form as the page has it. ``fields`` are the values that it would send as it is."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class Browser:
    """One browser with its own cookies; use it as a context manager.

    ``answer`` is the page that it shows, ``url`` where it is from.
    It stops before an address that begins with one of ``leave_at``: such as a program's own on loopback, or a page
    that a test looks at by itself. ``left_for`` is that address then.
    """

    def __init__(self, ca_file: Path | None = None) -> None:
        self.client = httpx.Client(verify=ssl.create_default_context(cafile=ca_file), timeout=30)
        self.leave_at: tuple[str, ...] = ()
        self.left_for = ""
        self.visited: list[str] = []

    def open(self, url: str) -> httpx.Response:
        """Go to a URL and on as the answers say."""
        return self._follow(self.client.build_request("GET", url))

    def submit(self, fields: dict[str, str] | None = None, number: int = 0) -> httpx.Response:
        """Send one of the page's forms, with these values in place of its own or beside them."""
        form = self.forms[number]
        url = urllib.parse.urljoin(self.url, form.action)
        values = form.fields | (fields or {})
        if form.method == "post":
            headers = {"Origin": self._said_origin(url)}
            return self._follow(self.client.build_request("POST", url, data=values, headers=headers))
        return self._follow(self.client.build_request("GET", url, params=values))

    def _said_origin(self, url: str) -> str:
        """What a browser says of the page that a form is on (Fetch standard, "append a request Origin header")."""
        here, there = ("{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(place)) for place in (self.url, url))
        policy = self.answer.headers.get("referrer-policy", "")
        return "null" if policy == "no-referrer" or (policy == "same-origin" and here != there) else here

    @property
    def forms(self) -> list[Form]:
        parser = _Forms()
        parser.feed(self.answer.text)
        return parser.forms

    @property
    def url(self) -> str:
        return str(self.answer.url)

    def cookie(self, name: str) -> str | None:
        return next((cookie.value for cookie in self.client.cookies.jar if cookie.name == name), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def _follow(self, request: httpx.Request) -> httpx.Response:
        self.left_for = ""
        for _ in range(MAX_STEPS):
            self.visited.append(str(request.url))
            self.answer = self.client.send(request)
            if self.answer.next_request is None:
                return self.answer
            request = self.answer.next_request
            if str(request.url).startswith(self.leave_at):
                self.left_for = str(request.url)
                return self.answer
        raise AssertionError(f"too many redirects: {self.visited[-3:]}")


class _Forms(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(attributes.get("method", "get").lower(), attributes.get("action", "")))
        elif tag == "input" and self.forms and attributes.get("name") and attributes.get("type") != "submit":
            self.forms[-1].fields[attributes["name"]] = attributes.get("value", "")
