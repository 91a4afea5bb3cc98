"""Which proof a request comes with: its token, or the certificate of its connection."""

import pytest

from interlock.core.settings import PlainHttp
from interlock.protocols.http.admission import admission_of
from interlock.protocols.http.dialects.base import Reply
from interlock.protocols.http.limits import HttpLimits
from interlock.protocols.http.values import Admission, Inside, Mode
from interlock.protocols.http.wire.messages import RequestHead
from interlock.protocols.http.wire.requests import RequestParser

LIMITS = HttpLimits(PlainHttp.REFUSE, 1 << 16, 10, 10, 10)


def head(target: str = "/c/crm/x", *fields: str, method: str = "GET", host: str = "gateway.example.org") -> RequestHead:
    parser = RequestParser(1 << 16)
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
    parser.feed("".join(line + "\r\n" for line in lines).encode() + b"\r\n")
    message = parser.next()
    assert isinstance(message, RequestHead)
    return message


def admitted(request: RequestHead, mode: Mode = Mode.REVERSE, inside: Inside | None = None) -> Admission | int:
    """On a connection with a certificate; the status when nobody is asked."""
    found = admission_of(request, mode, inside, LIMITS, tls=True, certificate=True)
    return found.status if isinstance(found, Reply) else found


def test_the_certificate_is_the_proof_of_a_request_without_a_token() -> None:
    found = admitted(head())
    assert isinstance(found, Admission)
    assert (found.token, found.by_certificate, found.own_authorization) == ("", True, False)


@pytest.mark.parametrize("field", ["Authorization: Bearer t", "Interlock-Token: t", "Authorization: Basic eDp0"])
def test_a_token_goes_before_it(field: str) -> None:
    found = admitted(head("/c/crm/x", field))
    assert isinstance(found, Admission)
    assert (found.token, found.by_certificate) == ("t", False)


@pytest.mark.parametrize("field", ["Authorization: Digest x", "Authorization: Basic *", "Interlock-Token: é"])
def test_what_cannot_be_a_token_is_not_made_good_by_it(field: str) -> None:
    assert admitted(head("/c/crm/x", field)) == 400


@pytest.mark.parametrize("field", ["Origin: https://a.example", "Referer: https://a.example/", "Sec-Fetch-Site: none"])
def test_pages_do_not_use_it(field: str) -> None:
    assert admitted(head("/c/crm/x", field)) == 401


def test_on_the_forward_proxy_authorization_is_the_targets() -> None:
    fields = "Authorization: Bearer theirs", "Origin: https://a.example"
    request = head("http://crm.example.org/x", *fields, host="crm.example.org")
    found = admitted(request, Mode.FORWARD)
    assert isinstance(found, Admission)
    assert (found.token, found.by_certificate, found.own_authorization) == ("", True, True)


def test_inside_a_tunnel_the_proof_of_its_connect_counts() -> None:
    connect = head("crm.example.org:443", method="CONNECT")
    tunnel = admitted(connect, Mode.FORWARD)
    assert isinstance(tunnel, Admission)
    for inside, expected in ((Inside(tunnel.route, "", True), ("", True)), (Inside(tunnel.route, "t"), ("t", False))):
        request = RequestParser(1 << 16)
        request.feed(b"GET /x HTTP/1.1\r\nHost: crm.example.org\r\nAuthorization: Bearer theirs\r\n\r\n")
        message = request.next()
        assert isinstance(message, RequestHead)
        found = admitted(message, Mode.FORWARD, inside)
        assert isinstance(found, Admission)
        assert (found.token, found.by_certificate) == expected
