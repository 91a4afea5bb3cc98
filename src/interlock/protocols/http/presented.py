"""What a client shows of itself in a request: its token, and what it says about its run. Nothing is verified here.

The module is plain typed Python that mypyc compiles where a C compiler is at hand.
"""

import base64
import binascii
from typing import Final

from interlock.core.run import run_in
from interlock.protocols.http.values import Presented
from interlock.protocols.http.wire.messages import Headers

MAX_TOKEN_BYTES: Final = 32 << 10
_MAX_AGENT_CHARACTERS: Final = 120


def presented_to_gateway(headers: Headers) -> Presented | str:
    """The token of a request on the reverse listener, or what is wrong. ``token`` is empty when there is none."""
    own = _only(headers, b"interlock-token")
    authorization = _only(headers, b"authorization")
    if own is None or authorization is None:
        return "a field for credentials is there twice"
    if own:
        token = _decoded(own)
        return "the token is not ASCII, or too long" if token is None else Presented(token, own_authorization=True)
    return _from_authorization(authorization)


def presented_to_proxy(headers: Headers) -> Presented | str:
    """The same on the forward proxy, where Authorization is the target's."""
    value = _only(headers, b"proxy-authorization")
    if value is None:
        return "Proxy-Authorization is there twice"
    found = _from_authorization(value)
    return found if isinstance(found, str) else Presented(found.token, own_authorization=True)


def shows_token(authorization: bytes, token: str) -> bool:
    """Whether a value of Authorization is this token, or Basic with it as the password."""
    found = _from_authorization(authorization)
    return isinstance(found, Presented) and found.token == token


def said_of_run(headers: Headers) -> str:
    """What a client says it is: its product, and the run of its ``traceparent`` (W3C Trace Context). Never proof."""
    agent, run = "", ""
    for name, value in headers:
        if name == b"user-agent":
            agent = value.decode("latin-1")[:_MAX_AGENT_CHARACTERS]
        elif name == b"traceparent":
            run = run_in(value.decode("latin-1"))
    if not agent.isprintable():
        agent = "".join([letter if letter.isprintable() else "?" for letter in agent])
    return f"{agent} trace_{run}".lstrip() if run else agent


def _only(headers: Headers, name: bytes) -> bytes | None:
    """The value of a field that may be there once; empty when it is not, None when it is there twice."""
    values = [value for field, value in headers if field == name]
    return None if len(values) > 1 else b"".join(values)


def _from_authorization(value: bytes) -> Presented | str:
    if not value:
        return Presented("")
    scheme, _, credentials = value.partition(b" ")
    credentials = credentials.strip(b" ")
    if scheme.lower() == b"basic":
        password = _basic_password(credentials)
        return "the Basic credentials cannot be read" if password is None else Presented(password)
    if scheme.lower() == b"bearer":
        token = _decoded(credentials)
        return "the token is not ASCII, or too long" if token is None else Presented(token)
    return "the gateway takes a token as Bearer or as the password of Basic"


def _basic_password(credentials: bytes) -> str | None:
    try:
        text = base64.b64decode(credentials, validate=True)
    except binascii.Error:
        return None
    return _decoded(text.partition(b":")[2])


def _decoded(value: bytes) -> str | None:
    return value.decode("ascii") if value.isascii() and len(value) <= MAX_TOKEN_BYTES else None
