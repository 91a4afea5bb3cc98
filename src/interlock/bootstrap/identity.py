"""Puts together who is believed: issuers, the gateway's own tokens, logins of people, and the pages for them."""

import asyncio
import contextlib
from typing import Any, Final

import structlog

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.certificates import ClientCertificates
from interlock.adapters.identity.session_tokens import SessionTokens
from interlock.adapters.identity.token_keys import KEYS_FILE, TokenKeys
from interlock.adapters.identity.token_tester import TokenTester
from interlock.adapters.identity.trust_domain import TrustDomain
from interlock.adapters.store.session_tokens import SessionTokenTable, SpentTokenTable
from interlock.bootstrap.logins import open_logins, openid_providers
from interlock.bootstrap.node import Node, Stopping
from interlock.bootstrap.revocation import introspections, open_security_events, start_rechecks
from interlock.bootstrap.saml import saml_pages, saml_providers
from interlock.core.settings import IdentityRule, IssuerSettings
from interlock.runtime.tasks import spawn
from interlock.services.administration import Room
from interlock.services.live import LiveSessions
from interlock.services.token_exchange import TokenExchange
from interlock.services.trust_room import TrustRoom
from interlock.surfaces.api.application import Pages
from interlock.surfaces.api.oauth import authorize, device, revoke, token
from interlock.surfaces.api.oauth.grants import DEVICE_CODE
from interlock.surfaces.api.oauth.metadata import JWKS_PATH, Metadata

ROTATE_TICK_S: Final = 60.0

log = structlog.get_logger(__name__)


class Identity:
    """Opened by the gateway when it starts; the stack closes it."""

    def __init__(self, node: Node, stopping: Stopping, live: LiveSessions, stack: contextlib.AsyncExitStack) -> None:
        self._node = node
        self._settings = node.settings
        self._stopping = stopping
        self._live = live
        self._stack = stack
        self.pages: list[Pages] = []
        self.rooms: list[Room] = []

    def open(self, issuers: list[IssuerSettings], rules: list[IdentityRule]) -> TokenAuthenticator:
        """``issuers`` and ``rules`` are those of the settings, and of the development issuer."""
        node = self._node
        self._open_keys()
        own = SessionTokens(self._own_issuer, self.keys, SessionTokenTable(node.database), node.clock)
        node.issuer_labels |= {issuer.url: issuer.label for issuer in issuers}
        self.trust_domains = [TrustDomain(settings, node.clock) for settings in self._settings.trust_domains]
        others = [provider.provider_entity_id for provider in self._settings.saml]
        authenticator = TokenAuthenticator(
            issuers, rules, node.registry, node.clock, own, others, self.trust_domains, introspections(issuers, node)
        )
        self._stack.push_async_callback(authenticator.close)
        self.certificates = ClientCertificates(self.trust_domains, authenticator, node.clock)
        self.rooms.append(TrustRoom(TokenTester(authenticator), node.ledger))
        spent = SpentTokenTable(node.database)
        locks = self._stopping.locks
        self.exchange = TokenExchange(authenticator, own, spent, node.ledger, node.clock, self._settings.tokens, locks)
        self.token_endpoint = token.TokenEndpoint({token.EXCHANGE: token.exchange_grant(self.exchange)}, node.clock)
        self.pages += [self.token_endpoint, Metadata(self._metadata, self.keys.jwks)]
        saml = saml_providers(node, authenticator.rules)
        providers = [*openid_providers(node, issuers, authenticator, self._stack), *saml]
        logins = open_logins(node, providers, authenticator, self.exchange, self._own_issuer, self._stack)
        self.people = logins.people
        self.pages += [*logins.pages, saml_pages(node, saml)]
        self.token_endpoint.grants |= logins.grants
        start_rechecks(node, self._stopping, self._live, authenticator, self._stack)
        self.pages.append(open_security_events(node, self._stopping, issuers, authenticator, self._stack))
        return authenticator

    def _open_keys(self) -> None:
        node = self._node
        rotate_s = self._settings.tokens.rotate_s
        self.keys = TokenKeys(node.data_dir / KEYS_FILE, node.sealer, rotate_s, node.clock.now_s())
        self._stack.callback(spawn(self._keep_rotating(), "keys of the gateway's tokens").cancel)

    async def _keep_rotating(self) -> None:
        while True:
            await asyncio.sleep(ROTATE_TICK_S)
            try:
                self.keys.rotate(self._node.clock.now_s())
            except OSError as error:  # the present key signs on
                log.error("the next key for the gateway's tokens cannot be made", error=str(error))

    @property
    def _own_issuer(self) -> str:
        settings = self._settings
        return settings.tokens.issuer or settings.api.public_url or f"urn:interlock:{settings.gateway.node}"

    def _metadata(self) -> dict[str, Any]:
        """RFC 8414 section 2."""
        url = self._settings.api.public_url
        elsewhere = DEVICE_CODE in self.token_endpoint.grants
        return {
            "issuer": self._own_issuer,
            "authorization_endpoint": f"{url}{authorize.PATH}",
            "token_endpoint": f"{url}{token.PATH}",
            **({"device_authorization_endpoint": f"{url}{device.PATH}"} if elsewhere else {}),
            "revocation_endpoint": f"{url}{revoke.PATH}",
            "jwks_uri": f"{url}{JWKS_PATH}",
            "grant_types_supported": sorted(self.token_endpoint.grants),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "token_endpoint_auth_methods_supported": ["none"],
        }
