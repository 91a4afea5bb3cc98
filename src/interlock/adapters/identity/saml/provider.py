"""A SAML identity provider as a place where people sign in and out.

Implements ``services.sign_in.SignInProvider`` and ``services.single_logout.LogoutProvider``.

What is wrong with an answer is for the ledger; the browser is told that it does not count.
"""

import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

import msgspec
from lxml.etree import _Element as Element

from interlock.adapters.identity.rules import Rules
from interlock.adapters.identity.saml.assertion import Assertion
from interlock.adapters.identity.saml.bindings import posted_message, redirect_url, unpack_posted
from interlock.adapters.identity.saml.document import Malformed
from interlock.adapters.identity.saml.logout import (
    ExpectedLogout,
    LogoutRequest,
    posted_request,
    redirected_request,
)
from interlock.adapters.identity.saml.memory import UsedAssertions
from interlock.adapters.identity.saml.metadata_source import MetadataSource
from interlock.adapters.identity.saml.names import REDIRECT_BINDING
from interlock.adapters.identity.saml.own_keys import OwnKeys
from interlock.adapters.identity.saml.own_messages import (
    OwnPlaces,
    authentication_request,
    logout_response,
    own_metadata,
)
from interlock.adapters.identity.saml.person import claims_of
from interlock.adapters.identity.saml.provider_metadata import ProviderMetadata
from interlock.adapters.identity.saml.response import Expected, NoSuchKey, Refused, accept, usable_until_s
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal
from interlock.core.settings import SamlSettings
from interlock.services.ports import Clock
from interlock.services.sign_in import Attempt, PostedForm, Redirect
from interlock.services.single_logout import LogoutDemand, LogoutMessage

NOT_ACCEPTED: Final = "the provider's answer is not accepted; begin the login again"
LOGOUT_NOT_ACCEPTED: Final = "the provider's request is not accepted"
MAX_RELAY_STATE_BYTES: Final = 80
NOT_KNOWN: Final = "you have signed in, but nobody here is known by it; ask whoever runs the gateway"


class SamlProvider:
    """One provider. Needs a running event loop."""

    def __init__(
        self,
        settings: SamlSettings,
        places: OwnPlaces,
        keys: OwnKeys,
        rules: Rules,
        source: MetadataSource,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._places = places
        self._keys = keys
        self._rules = rules
        self._source = source
        self._clock = clock
        self._used = UsedAssertions()
        self._started_at_s = self._now_s()

    @property
    def name(self) -> str:
        """As in the settings."""
        return self._settings.name

    @property
    def posted(self) -> bool:
        """Responses come by HTTP-POST only: they are too large for URLs."""
        return True

    @property
    def unsolicited(self) -> bool:
        """Whether logins may begin at the provider."""
        return self._settings.allow_idp_initiated

    @property
    def metadata(self) -> bytes:
        """What the provider is told of this gateway, as XML."""
        return own_metadata(self._places, self._keys.certificate)

    async def begin(self, attempt: Attempt) -> Redirect | PostedForm:
        """Where the browser is sent, with a signed request. Raises LoginRefused."""
        sign_on = (await self._source.current()).sign_on
        request = authentication_request(_request_id(attempt), sign_on.url, self._places, self._now_s(), self._settings)
        return self._sent(sign_on.binding, sign_on.url, "SAMLRequest", request, attempt.state)

    async def complete(self, attempt: Attempt | None, answer: Mapping[str, str]) -> Principal:
        """Whom the response proves, with nothing that is registered here. Raises LoginRefused."""
        try:
            content = unpack_posted(answer.get("SAMLResponse", ""))
            return self._principal(await self._accept(attempt, content))
        except (Malformed, Refused) as refused:
            raise LoginRefused(NOT_ACCEPTED, f"saml: {refused}") from None

    async def logout_url(self, principal: Principal, return_url: str) -> str:
        """There is no such place: the gateway ends its own sessions only."""
        return ""

    async def demand(self, message: LogoutMessage) -> LogoutDemand:
        """Whose sessions the provider has ended. Raises LoginRefused."""
        metadata = await self._source.current()
        expected = ExpectedLogout(
            issuer=metadata.entity_id,
            certificates=metadata.certificates,
            logout_url=self._places.logout_url,
            now_s=self._now_s(),
            skew_s=self._settings.clock_skew_s,
        )
        try:
            request = _logout_request(message, expected)
            self._used.use(f"logout:{request.identifier}", request.ends_at_s, expected.now_s)
            return self._demanded(request, _relay_state(message))
        except (Malformed, Refused) as refused:
            raise LoginRefused(LOGOUT_NOT_ACCEPTED, f"saml: {refused}") from None

    def _demanded(self, request: LogoutRequest, relay_state: str) -> LogoutDemand:
        """The NameID is whom logins are known by, unless an attribute is. Raises Refused."""
        subject = request.name_id if self._settings.subject_attribute is None else ""
        if not subject and not request.sessions:
            raise Refused("names no session, and the person by a NameID that is not the subject here")
        issuer = self._settings.provider_entity_id
        return LogoutDemand(issuer, subject, request.sessions, request.identifier, relay_state)

    async def answer(self, demand: LogoutDemand) -> Redirect | PostedForm | None:
        """Where the browser tells the provider that it is done. Raises LoginRefused."""
        place = (await self._source.current()).logout
        if place is None:
            return None
        identifier = f"_{secrets.token_urlsafe(24)}"
        response = logout_response(identifier, place.answer_url, self._places, self._now_s(), demand.request)
        return self._sent(place.binding, place.answer_url, "SAMLResponse", response, demand.relay_state)

    def _sent(self, binding: str, url: str, name: str, message: Element, relay_state: str) -> Redirect | PostedForm:
        """A signed message on its way."""
        if binding == REDIRECT_BINDING:
            return Redirect(redirect_url(url, name, message, relay_state, self._keys.sign))
        state = (("RelayState", relay_state),) if relay_state else ()
        return PostedForm(url, ((name, posted_message(message, self._keys)), *state))

    async def _accept(self, attempt: Attempt | None, content: bytes) -> Assertion:
        """The response's assertion, which counts no more. A provider that has just changed its keys is asked again."""
        try:
            return self._use(attempt, content, await self._source.current())
        except NoSuchKey:
            if not await self._source.refresh():
                raise
        return self._use(attempt, content, await self._source.current())

    def _use(self, attempt: Attempt | None, content: bytes, metadata: ProviderMetadata) -> Assertion:
        expected = Expected(
            issuer=metadata.entity_id,
            certificates=metadata.certificates,
            audience=self._places.entity_id,
            consumer_url=self._places.consumer_url,
            request=_request_id(attempt) if attempt is not None else None,
            now_s=self._now_s(),
            skew_s=self._settings.clock_skew_s,
        )
        assertion = accept(content, expected)
        # What was used before this process began is not remembered. Answers to requests are: those are gone, too.
        if attempt is None and assertion.issued_at_s <= self._started_at_s + self._settings.clock_skew_s:
            raise Refused("unsolicited, and issued before the gateway started")
        self._used.use(assertion.identifier, usable_until_s(assertion, expected), expected.now_s)
        return assertion

    def _principal(self, assertion: Assertion) -> Principal:
        """The person, as a rule names them. Rules know a provider by its name: two may be one entity."""
        claims = claims_of(assertion, self._settings)
        try:
            principal = self._rules.principal(claims, f"saml:{assertion.identifier}", assertion.session_ends_at_s)
        except LoginRefused as refused:
            raise LoginRefused(NOT_KNOWN, f"saml: {refused.reason}") from None
        return msgspec.structs.replace(principal, issuer=self._settings.provider_entity_id)

    def _now_s(self) -> float:
        try:
            return self._clock.now_s()
        except OSError:
            raise LoginRefused("the gateway cannot tell the time", "no clock") from None


def _request_id(attempt: Attempt) -> str:
    """An XML name, which must not begin with a digit. ``attempt.nonce`` has 256 random bits."""
    return f"_{attempt.nonce}"


def _logout_request(message: LogoutMessage, expected: ExpectedLogout) -> LogoutRequest:
    field = message.form.get("SAMLRequest")
    if field is None:
        return redirected_request(message.query, expected)
    return posted_request(unpack_posted(field), expected)


def _relay_state(message: LogoutMessage) -> str:
    """What goes back as it came (SAML bindings 3.4.3); at most 80 bytes. Raises Refused."""
    state = message.form.get("RelayState") or parse_qs(message.query).get("RelayState", [""])[0]
    if len(state.encode()) > MAX_RELAY_STATE_BYTES:
        raise Refused(f"RelayState has more than {MAX_RELAY_STATE_BYTES} bytes")
    return state
