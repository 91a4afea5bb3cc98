"""A mail server that keeps what it is handed: as much of SMTP as a client needs, with STARTTLS and AUTH PLAIN."""

import base64
import contextlib
import queue
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Self

from tests.servers.certificates import Certificate

DEADLINE_S = 20.0


@dataclass
class Delivered:
    """One mail, and how it came."""

    tls: bool
    user: str
    sender: str = ""
    receivers: list[str] = field(default_factory=list)
    content: bytes = b""

    @property
    def mail(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=policy.default)


class MailReceiver:
    """The server. Use it as a context manager. ``refusals`` has answers to give instead, by the first word."""

    def __init__(
        self, certificate: Certificate | None = None, *, tls_at_once: bool = False, password: str | None = None
    ) -> None:
        self.delivered: queue.Queue[Delivered] = queue.Queue()
        self.refusals: dict[str, str] = {}
        self.password = password
        self.tls_at_once = tls_at_once
        self.context: ssl.SSLContext | None = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate.certificate_file, certificate.key_file)
        receiver = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
                    _Conversation(receiver, self.request, opened).run()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> Delivered:
        return self.delivered.get(timeout=DEADLINE_S)


class _Conversation:
    def __init__(self, server: MailReceiver, connection: ssl.SSLSocket, opened: contextlib.ExitStack) -> None:
        self._server = server
        self._opened = opened
        self._connection = connection
        self._tls = False
        self._user = ""
        if server.tls_at_once:
            self._secure()
        self._file = opened.enter_context(self._connection.makefile("rwb"))
        self._now = Delivered(self._tls, "")

    def run(self) -> None:
        self._say("220 mail.example ready")
        while line := self._file.readline(4096).decode().rstrip("\r\n"):
            word = line.split(" ")[0].upper()
            if word in self._server.refusals:
                self._say(self._server.refusals[word])
            elif not self._do(word, line):
                return

    def _do(self, word: str, line: str) -> bool:
        if word in ("EHLO", "HELO"):
            offers = ["STARTTLS"] if self._server.context is not None and not self._tls else []
            offers += ["AUTH PLAIN"] if self._server.password is not None else []
            self._say("\r\n".join([*(f"250-{offer}" for offer in ("mail.example", *offers)), "250 8BITMIME"]))
        elif word == "STARTTLS":
            self._say("220 go on")
            self._secure()
            self._file = self._opened.enter_context(self._connection.makefile("rwb"))
        elif word == "AUTH":
            self._authenticate(line)
        elif word == "MAIL":
            self._now = Delivered(self._tls, self._user, line.partition("<")[2].partition(">")[0])
            self._say("250 ok")
        elif word == "RCPT":
            self._now.receivers.append(line.partition("<")[2].partition(">")[0])
            self._say("250 ok")
        elif word == "DATA":
            self._say("354 go on")
            self._take()
            self._say("250 kept")
        elif word == "QUIT":
            self._say("221 bye")
            return False
        else:
            self._say("250 ok")
        return True

    def _authenticate(self, line: str) -> None:
        _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
        if self._tls and password == self._server.password:
            self._user = user
            self._say("235 welcome")
        else:
            self._say(f"535 no, {password} is wrong")

    def _take(self) -> None:
        lines = []
        while (line := self._file.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        self._now.content = b"".join(lines)
        self._server.delivered.put(self._now)

    def _secure(self) -> None:
        assert self._server.context is not None
        secured = self._server.context.wrap_socket(self._connection, server_side=True)
        self._connection = self._opened.enter_context(secured)
        self._tls = True

    def _say(self, text: str) -> None:
        self._file.write(text.encode() + b"\r\n")
        self._file.flush()
