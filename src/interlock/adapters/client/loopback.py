"""Takes the one answer that a browser brings to this machine (RFC 8252 section 7.3).

It listens on the loopback for as long as somebody signs in, and answers nothing but the answer to its own request. What
comes is bounded in size and time, and is in no log.
"""

import http.server
import queue
import threading
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from interlock.services.client.sign_in import is_answer

PATH: Final = "/callback"
REQUEST_TIMEOUT_S: Final = 10.0
MAX_FIELDS: Final = 20
_DONE: Final = "You are logged in. Close this page and go back to the terminal.\n"
_NOT_DONE: Final = "You are not logged in. The terminal says why.\n"
_NOT_EXPECTED: Final = "This is not the answer to the login that was begun. Begin again in the terminal.\n"


class LoopbackRedirection:
    """Implements ``services.client.ports.Redirection``; use it as a context manager. Raises OSError."""

    def __init__(self, state: str) -> None:
        self._answers: queue.Queue[dict[str, str]] = queue.Queue(maxsize=1)
        answers = self._answers

        class Handler(_Handler):
            """Of this login."""

            def answer(self, parameters: dict[str, str]) -> bool:
                if not is_answer(parameters, state):
                    return False
                try:
                    answers.put_nowait(parameters)
                except queue.Full:
                    return False
                return True

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self._server.server_port}{PATH}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def wait(self, timeout_s: float) -> dict[str, str]:
        """The parameters of the answer. Raises TimeoutError."""
        try:
            return self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError from None
        finally:
            self._server.shutdown()
            self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Nothing: whoever broke off has seen it."""


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT_S

    def answer(self, parameters: dict[str, str]) -> bool:
        """Take an answer; whether it is one."""
        raise NotImplementedError

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path != PATH:
            self._say(404, "There is nothing here.\n")
            return
        try:
            parameters = dict(parse_qsl(url.query, max_num_fields=MAX_FIELDS))
        except ValueError:
            parameters = {}
        if not self.answer(parameters):
            self._say(400, _NOT_EXPECTED)
        else:
            self._say(200, _DONE if "code" in parameters else _NOT_DONE)

    def _say(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "interlock"

    def log_message(self, *_: Any) -> None:
        """Nothing: the code is in the path."""
