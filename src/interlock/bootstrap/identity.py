"""Puts together who is believed: issuers, the gateway's own tokens, logins of people, and the pages for them."""

import contextlib

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.bootstrap.node import Node
from interlock.core.settings import IdentityRule, IssuerSettings, Settings
from interlock.surfaces.api.application import Pages


class Identity:
    """Opened by the gateway when it starts; the stack closes it."""

    def __init__(self, node: Node, settings: Settings, stack: contextlib.AsyncExitStack) -> None:
        self._node = node
        self._settings = settings
        self._stack = stack
        self.pages: list[Pages] = []

    def open(self, issuers: list[IssuerSettings], rules: list[IdentityRule]) -> TokenAuthenticator:
        """``issuers`` and ``rules`` are those of the settings, and of the development issuer."""
        authenticator = TokenAuthenticator(issuers, rules, self._node.identities, self._node.clock)
        self._stack.push_async_callback(authenticator.close)
        return authenticator
