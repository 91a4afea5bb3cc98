"""A WebSocket client and server of an independent library, in memory, with the gateway's relay between them."""

from collections.abc import Sequence
from typing import Any, cast

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.frames import Frame
from websockets.http11 import Request, Response
from websockets.protocol import Protocol
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from interlock.protocols.base import Pause, Resume, Send, Side
from interlock.protocols.http.websocket.handshake import (
    Agreement,
    Headers,
    Upgrade,
    check_answer,
    client_headers,
    new_key,
    read_upgrade,
    target_headers,
)
from interlock.protocols.http.websocket.relay import WebSocketRelay
from interlock.protocols.http.websocket.values import Decide, Ended, Message, RelayEffect

ENTROPY = bytes(range(32))


class Parties:
    """``cut``: how many bytes of a stream are handed over at a time. Texts received are ``str``, binaries ``bytes``."""

    def __init__(
        self,
        *,
        client_deflates: bool = True,
        server_deflates: bool = True,
        subprotocols: Sequence[str] = (),
        cut: int = 1 << 16,
        **rules: Any,
    ) -> None:
        names = [Subprotocol(name) for name in subprotocols]
        self.client = ClientProtocol(
            parse_uri("ws://gateway.example/c/chat/socket"),
            extensions=[ClientPerMessageDeflateFactory()] if client_deflates else None,
            subprotocols=names or None,
            max_size=None,
        )
        self.server = ServerProtocol(
            extensions=[ServerPerMessageDeflateFactory()] if server_deflates else None,
            subprotocols=names or None,
            max_size=None,
        )
        self.cut = cut
        self.recorded: list[Message] = []
        self.asked: list[bytes] = []
        self.ended: Ended | None = None
        self.paused = False
        upgrade, agreement = self._shake_hands()
        self.relay = WebSocketRelay(ENTROPY, client_deflate=upgrade.deflate, target_deflate=agreement.deflate, **rules)

    def _shake_hands(self) -> tuple[Upgrade, Agreement]:
        self.client.send_request(self.client.connect())
        sent = b"".join(self.client.data_to_send())
        upgrade = read_upgrade(b"GET", 1, headers_of(sent))
        assert isinstance(upgrade, Upgrade)
        key = new_key(ENTROPY)
        self.server.receive_data(head(b"GET /socket HTTP/1.1", target_headers(upgrade, headers_of(sent), key)))
        (request,) = self.server.events_received()
        self.server.send_response(self.server.accept(cast(Request, request)))
        answer = headers_of(b"".join(self.server.data_to_send()))
        agreement = check_answer(upgrade, key, answer)
        assert isinstance(agreement, Agreement)
        self.client.receive_data(head(b"HTTP/1.1 101 Switching Protocols", client_headers(upgrade, agreement, answer)))
        (response,) = self.client.events_received()
        assert isinstance(response, Response)
        assert self.client.handshake_exc is None
        return upgrade, agreement

    def pump(self) -> None:
        """Carry bytes until nobody has anything to say."""
        while True:
            moved = self._carry(self.client, Side.CLIENT) + self._carry(self.server, Side.TARGET)
            if not moved:
                return

    def _carry(self, party: Protocol, side: Side) -> int:
        if side is Side.CLIENT and self.paused:
            return 0
        data = b"".join(part for part in party.data_to_send() if part)
        for at in range(0, len(data), self.cut):
            self.carry_out(self.relay.receive(side, data[at : at + self.cut]))
        return len(data)

    def carry_out(self, effects: Sequence[RelayEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                party: Protocol = self.client if effect.side is Side.CLIENT else self.server
                party.receive_data(effect.data)
            elif isinstance(effect, Message):
                self.recorded.append(effect)
            elif isinstance(effect, Decide):
                self.asked.append(effect.text)
            elif isinstance(effect, Ended):
                assert self.ended is None
                self.ended = effect
            else:
                assert isinstance(effect, Pause | Resume)
                self.paused = isinstance(effect, Pause)

    def at_client(self) -> list[str | bytes]:
        """Messages that the client has received since it was asked last."""
        return messages(self.client)

    def at_server(self) -> list[str | bytes]:
        return messages(self.server)


def messages(party: Protocol) -> list[str | bytes]:
    found: list[str | bytes] = []
    within: list[bytes] = []
    is_text = False
    for event in party.events_received():
        assert isinstance(event, Frame)
        if event.opcode >= 8:
            continue
        is_text = event.opcode == 1 if event.opcode else is_text
        within.append(bytes(event.data))
        if event.fin:
            whole = b"".join(within)
            found.append(whole.decode() if is_text else whole)
            within = []
    return found


def head(first: bytes, headers: Headers) -> bytes:
    lines = [first, *(b"%b: %b" % pair for pair in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def headers_of(text: bytes) -> Headers:
    lines = text.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    pairs = (line.partition(b":") for line in lines)
    return tuple((name.lower(), value.strip()) for name, _, value in pairs)


def told(party: Protocol) -> tuple[int, str] | None:
    """Code and reason of the close that a party has received."""
    close = party.close_rcvd
    return None if close is None else (int(close.code), close.reason)
