"""A gateway's endpoints for tokens, asked over HTTP. Nothing that is sent or answered is in an error or a log."""

import http.client
from typing import Final, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from interlock.adapters.api_client import open_connection
from interlock.core.client import GatewayAddress
from interlock.core.errors import AdministrationRefused
from interlock.core.printable import one_line
from interlock.services.client.ports import DeviceAnswer, FormFields, GrantRefused, ServerMetadata, TokenAnswer
from interlock.services.client.session_tokens import CLIENT_ID

TIMEOUT_S: Final = 30.0
MAX_ANSWER_BYTES: Final = 1 << 20
_METADATA: Final = "/.well-known/oauth-authorization-server"
_TOKEN: Final = "/oauth2/token"  # noqa: S105 - a path
_DEVICE: Final = "/oauth2/device_authorization"
_REVOKE: Final = "/oauth2/revoke"
_MAX_SAID: Final = 500

AnswerT = TypeVar("AnswerT")


class _Refusal(msgspec.Struct, frozen=True):
    """RFC 6749 section 5.2, or a problem as the API has it."""

    error: str = ""
    error_description: str = ""
    detail: str = ""


class HttpAuthorizationServer:
    """Implements ``services.client.ports.AuthorizationServer``.

    Secrets go to the address that the person has named, and to no other that the gateway may speak of.
    """

    def __init__(self, address: GatewayAddress) -> None:
        self._address = address

    def metadata(self) -> ServerMetadata:
        """What the gateway says of itself."""
        said = self._ask("GET", _METADATA, (), ServerMetadata)
        if not said.authorization_endpoint:
            return said
        url = urljoin(self._address.url + "/", said.authorization_endpoint)
        place = urlsplit(url)
        if place.scheme != "https" or not place.hostname or place.query or place.fragment:
            raise AdministrationRefused("the gateway sends people to an address that is not https")
        return msgspec.structs.replace(said, authorization_endpoint=url)

    def token(self, fields: FormFields) -> TokenAnswer:
        """The answer of the token endpoint."""
        return self._ask("POST", _TOKEN, fields, TokenAnswer)

    def device(self, fields: FormFields) -> DeviceAnswer:
        """The answer of the device authorization endpoint."""
        return self._ask("POST", _DEVICE, fields, DeviceAnswer)

    def revoke(self, token: str) -> None:
        """End a login."""
        fields = [("token", token), ("token_type_hint", "refresh_token"), ("client_id", CLIENT_ID)]
        self._send("POST", _REVOKE, fields)

    def _ask(self, method: str, path: str, fields: FormFields, kind: type[AnswerT]) -> AnswerT:
        body = self._send(method, path, fields)
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError:
            raise AdministrationRefused("what answers is not this gateway") from None

    def _send(self, method: str, path: str, fields: FormFields) -> bytes:
        connection, base = open_connection(self._address, TIMEOUT_S)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if fields else {}
        try:
            connection.request(method, base + path, urlencode(fields) or None, headers)
            response = connection.getresponse()
            body = response.read(MAX_ANSWER_BYTES)
        except (OSError, http.client.HTTPException):
            raise AdministrationRefused(f"{self._address.label} broke off; try again") from None
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise _refused(response.status, body)
        return body


def _refused(status: int, body: bytes) -> AdministrationRefused:
    try:
        said = msgspec.json.decode(body, type=_Refusal)
    except msgspec.DecodeError:
        said = _Refusal()
    text = said.error_description or said.detail
    if said.error:
        return GrantRefused(said.error, one_line(text or said.error)[:_MAX_SAID])
    if status == http.HTTPStatus.NOT_FOUND:
        return AdministrationRefused("the gateway does not offer this; is it an Interlock gateway of this version?")
    return AdministrationRefused(one_line(text)[:_MAX_SAID] or f"what answers is not this gateway (status {status})")
