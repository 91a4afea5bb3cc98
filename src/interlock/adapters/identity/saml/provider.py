"""A SAML identity provider as a place where people sign in and out.

Implements ``services.sign_in.SignInProvider`` and ``services.single_logout.LogoutProvider``.

What is wrong with an answer is for the ledger; the browser is told that it does not count.
"""

import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from lxml.etree import _Element as Element

from interlock.adapters.identity.rules import Rules
from interlock.adapters.identity.saml.assertion import MAX_NAME_ID_CHARACTERS, Assertion
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
from interlock.adapters.identity.saml.provider_metadata import ProviderMetadata
from interlock.adapters.identity.saml.response import Expected, NoSuchKey, Refused, accept, usable_until_s
from interlock.core.errors import LoginRefused
from interlock.core.identity import Principal
from interlock.core.settings import NAME_ID_FORMATS, SamlSettings
from interlock.services.ports import Clock
from interlock.services.sign_in import Attempt, PostedForm, Redirect
from interlock.services.single_logout import LogoutDemand, LogoutMessage

NOT_ACCEPTED: Final = "the provider's answer is not accepted; begin the login again"
LOGOUT_NOT_ACCEPTED: Final = "the provider's request is not accepted"
MAX_RELAY_STATE_BYTES: Final = 80
GROUPS_LINK: Final = "http://schemas.microsoft.com/claims/groups.link"
"""What Entra ID sends of people with more groups than it lists."""
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
            assertion, metadata = await self._accept(attempt, unpack_posted(answer.get("SAMLResponse", "")))
            self._check_person(assertion)
            subject = self._subject(assertion)
        except (Malformed, Refused) as refused:
            raise LoginRefused(NOT_ACCEPTED, f"saml: {refused}") from None
        return self._principal(assertion, subject, metadata)

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
            return self._demanded(request, metadata, _relay_state(message))
        except (Malformed, Refused) as refused:
            raise LoginRefused(LOGOUT_NOT_ACCEPTED, f"saml: {refused}") from None

    def _demanded(self, request: LogoutRequest, metadata: ProviderMetadata, relay_state: str) -> LogoutDemand:
        """The NameID is whom logins are known by, unless an attribute is. Raises Refused."""
        subject = request.name_id if self._settings.subject_attribute is None else ""
        if not subject and not request.sessions:
            raise Refused("names no session, and the person by a NameID that is not the subject here")
        return LogoutDemand(metadata.entity_id, subject, request.sessions, request.identifier, relay_state)

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

    async def _accept(self, attempt: Attempt | None, content: bytes) -> tuple[Assertion, ProviderMetadata]:
        """The response's assertion, which counts no more. A provider that has just changed its keys is asked again."""
        metadata = await self._source.current()
        try:
            return self._use(attempt, content, metadata), metadata
        except NoSuchKey:
            if not await self._source.refresh():
                raise
        metadata = await self._source.current()
        return self._use(attempt, content, metadata), metadata

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

    def _check_person(self, assertion: Assertion) -> None:
        """Raises Refused when the person is not authenticated as asked, or the groups are somewhere else."""
        contexts = self._settings.authentication_contexts
        if contexts and assertion.context not in contexts:
            raise Refused("the person was not authenticated as asked (AuthnContextClassRef)")
        if self._settings.groups_attribute is not None and GROUPS_LINK in assertion.attributes:
            raise Refused("there is a link in place of the groups: have the provider send those of the application")

    def _subject(self, assertion: Assertion) -> str:
        """The provider's stable id of the person. Raises Refused."""
        attribute = self._settings.subject_attribute
        if attribute is None:
            if assertion.name_id_format == NAME_ID_FORMATS["transient"]:
                raise Refused("the NameID is transient: name the attribute with a stable id as subject_attribute")
            return assertion.name_id
        values = assertion.attributes.get(attribute, ())
        if len(values) != 1 or len(values[0]) > MAX_NAME_ID_CHARACTERS or not values[0].isprintable():
            raise Refused("the subject's attribute has not exactly one short, printable value")
        return values[0]

    def _principal(self, assertion: Assertion, subject: str, metadata: ProviderMetadata) -> Principal:
        try:
            principal = self._rules.principal(
                self._claims(assertion, subject), f"saml:{assertion.identifier}", assertion.session_ends_at_s
            )
        except LoginRefused as refused:
            raise LoginRefused(NOT_KNOWN, f"saml: {refused.reason}") from None
        return msgspec.structs.replace(principal, issuer=metadata.entity_id)

    def _claims(self, assertion: Assertion, subject: str) -> dict[str, Any]:
        """The assertion as rules read it: attributes by their names, and over them what SAML itself says.

        Rules find a provider by its name in the settings, since its entity id is in its metadata only.
        """
        claims: dict[str, Any] = {
            name: values[0] if len(values) == 1 else list(values)
            for name, values in assertion.attributes.items()
            if values
        }
        claims |= {
            "iss": self.name,
            "sub": subject,
            "name_id": assertion.name_id,
            "sid": assertion.session_index,
            "iat": assertion.authenticated_at_s,
            "acr": assertion.context,
        }
        if self._settings.groups_attribute is not None:
            claims["groups"] = list(assertion.attributes.get(self._settings.groups_attribute, ()))
        return claims

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
