"""The request that goes to the target: a new one, made from what was parsed. Client bytes are never passed on.

What a client must not say to a target is left out: who it is to the gateway, how messages are framed, whom it comes
from, and what would make a target read another method or path than was decided.
"""

import functools
import hashlib
import re
from typing import Final
from urllib.parse import quote, unquote_plus

from interlock.core.settings import ConnectionSettings, TlsMode
from interlock.protocols.base import CredentialRevealed
from interlock.protocols.http.presented import shows_token
from interlock.protocols.http.wire.messages import Authority, BodyKind, Headers, RequestHead, Target
from interlock.protocols.http.wire.writing import request_head, without_hop_by_hop

_LEFT_OUT: Final = frozenset(
    b"host content-length expect interlock-token proxy proxy-authorization forwarded forwarded-for via alt-used"
    b" http2-settings client-ip true-client-ip x-client-ip x-real-ip x-cluster-client-ip x-originating-ip"
    b" x-proxyuser-ip x-custom-ip-authorization x-forward-for x-user remote-user x-authenticated-user"
    b" x-authenticated-userid x-auth-user x-webauth-user x-consumer-id x-consumer-username x-consumer-custom-id"
    b" x-credential-identifier client-cert client-cert-chain x-client-cert x-host x-http-host-override x-http-method"
    b" x-http-method-override x-method-override".split()
)
_LEFT_OUT_BEGINNINGS: Final = (
    b"x-interlock-", b"x-forwarded", b"x-original-", b"x-rewrite-", b"x-remote-", b"x-auth-request-", b"x-envoy-",
    b"x-ssl-client", b"ssl-client", b"x-goog-authenticated-", b"x-goog-iap-", b"x-ms-client-principal",
    b"x-ms-token-", b"x-amzn-oidc-", b"x-amzn-mtls-", b"cf-connecting-", b"cf-access-authenticated-", b"cf-access-jwt-",
    b"fastly-client",
)  # fmt: skip
"""What proxies and identity-aware gateways tell the servers behind them: who asks, from where, and for what."""
_CONDITIONS: Final = frozenset(b"range if-range if-none-match if-modified-since if-match if-unmodified-since".split())
"""What gives a client a part of a body, or a word about it, that was not looked into."""
_READING: Final = frozenset((b"GET", b"HEAD"))
_TAGS: Final = frozenset((b"if-match", b"if-none-match", b"if-range"))
_NOT_BOUND: Final = frozenset(
    b"user-agent accept accept-encoding accept-language traceparent tracestate baggage x-request-id x-correlation-id"
    b" content-length date idempotency-key priority sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform".split()
)
"""What differs between a request and the same one sent again."""
_WITH_BODY: Final = frozenset((b"POST", b"PUT", b"PATCH"))
"""Methods for which a length is expected also when there is no body (RFC 9110, section 8.6)."""
_SECRET: Final = re.compile(rb"cookie|authorization|token|secret|password|api-?key|signature|credential|session", re.I)
_CLIENT_LIBRARY: Final = b"x-stainless-"


def forwarded_headers(
    head: RequestHead, token: str, *, own_authorization: bool, inspected: bool, uncoded: bool
) -> Headers:
    """The fields of a client's request that go on. ``inspected``: the answer is going to be looked into by what it
    means, ``uncoded``: by its bytes at least.

    ``own_authorization`` keeps Authorization, which is then not the gateway's. No field goes on that has the caller's
    ``token`` in it: clients show it in more places than they should.
    """
    kept: list[tuple[bytes, bytes]] = []
    shown = token.encode()
    drops_conditions = inspected and head.method in _READING
    for name, value in without_hop_by_hop(head.headers):
        if name in _LEFT_OUT or name.startswith(_LEFT_OUT_BEGINNINGS) or (drops_conditions and name in _CONDITIONS):
            continue
        if token and (shown in value or (name == b"authorization" and shows_token(value, token))):
            continue
        if name == b"authorization" and not own_authorization:
            continue
        if name == b"accept-encoding" and uncoded:
            continue
        kept.append((name, value))
    if uncoded:
        kept.append((b"accept-encoding", b"identity"))
    return tuple(kept)


def guesses_tag(head: RequestHead) -> bool:
    """Whether something is to happen only if a body is one that the client may not know as it is.

    A tag is as good as a hash of the body. Taken out, as it is of requests that only read, it would let a change happen
    that the client did not want. ``*`` says nothing of the body.
    """
    if head.method in _READING:
        return False
    return any(name in _TAGS and value != b"*" for name, value in head.headers)


def described(method: str, target: Target, host: str, headers: Headers) -> tuple[bytes, bytes]:
    """The head of a request for people, for the record, and for the digest that an approval is bound to.

    It shows no secrets: the second is SHA-256 over them, empty when there are none. What differs when the same request
    is sent again is left out, and so is the order of the fields.
    """
    lines = [f"{method} {target.wire.decode('ascii')} HTTP/1.1".encode(), b"host: " + host.encode()]
    withheld = []
    for name, value in sorted(headers, key=_name_of):
        if name in _NOT_BOUND or name.startswith(_CLIENT_LIBRARY):
            continue
        line = name + b": " + value
        if _is_secret(name):
            withheld.append(line)
            line = b"%b: (%d bytes)" % (name, len(value))
        lines.append(line)
    digest = hashlib.sha256(b"\n".join(withheld)).digest() if withheld else b""
    return b"\n".join(lines) + b"\n", digest


def _name_of(field: tuple[bytes, bytes]) -> bytes:
    return field[0]


@functools.lru_cache(maxsize=1024)
def _is_secret(name: bytes) -> bool:
    """Whether a field of this name may hold one."""
    return _SECRET.search(name) is not None


def target_host(settings: ConnectionSettings, authority: Authority | None) -> str:
    """What the target is told it is called: as set, as the proxy's client called it, or by its own address."""
    if settings.http.host_header:
        return settings.http.host_header
    usual = 80 if settings.tls is TlsMode.DISABLE else 443
    if authority is not None:
        return _host_field(authority.host, None if authority.port == usual else authority.port)
    return _host_field(settings.host, None if settings.port == usual else settings.port)


@functools.lru_cache(maxsize=1024)
def _host_field(host: str, port: int | None) -> str:
    return Authority(host, port).wire.decode("ascii")


def build_head(
    head: RequestHead,
    target: Target,
    base_path: str,
    host: str,
    headers: Headers,
    credential: CredentialRevealed,
    body_bytes: int | None,
) -> bytes:
    """The head of the request to the target. ``body_bytes`` is the length of a body that is held, None when it streams.

    Raises ``ValueError`` when it cannot be written.
    """
    shown = {name for name, _ in credential.headers}
    fields = [(b"host", host.encode("ascii"))]
    fields += [field for field in headers if field[0] not in shown]
    fields += credential.headers
    fields += _framing(head, body_bytes)
    return request_head(head.method, _request_target(target, base_path, credential), fields)


def _framing(head: RequestHead, body_bytes: int | None) -> Headers:
    if body_bytes is None:
        chunked = head.body is BodyKind.CHUNKED
        return ((b"transfer-encoding", b"chunked"),) if chunked else ((b"content-length", b"%d" % head.length),)
    if body_bytes or head.body is not BodyKind.NONE or head.method in _WITH_BODY:
        return ((b"content-length", b"%d" % body_bytes),)
    return ()


def _request_target(target: Target, base_path: str, credential: CredentialRevealed) -> bytes:
    query = target.query
    if credential.query:
        names = {name for name, _ in credential.query}
        kept = [pair for pair in query.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in names]
        query = "&".join(kept)
        added = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in credential.query)
        query = f"{query}&{added}" if query else added
    path = base_path + target.path
    return (f"{path}?{query}" if query else path).encode("ascii")
