"""Puts together how people log in: providers, attempts, the pages for browsers and the grants for the command line."""

import contextlib
from collections.abc import Iterable
from typing import NamedTuple

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.device_login import device_logins
from interlock.adapters.identity.openid.provider import OpenIdProvider
from interlock.bootstrap.node import Node
from interlock.core.settings import IssuerSettings
from interlock.services.authorizations import Authorizations
from interlock.services.device_sign_in import DeviceSignIns
from interlock.services.people import People
from interlock.services.program_logins import ProgramLogins
from interlock.services.sign_in import Attempts, SignIn, SignInProvider
from interlock.services.token_exchange import TokenExchange
from interlock.surfaces.api.application import Pages
from interlock.surfaces.api.login.login import CALLBACK_PATH, LoginPages
from interlock.surfaces.api.login.showing import Showing
from interlock.surfaces.api.oauth.authorize import AuthorizePages
from interlock.surfaces.api.oauth.device import DeviceEndpoint
from interlock.surfaces.api.oauth.grants import LoginGrants
from interlock.surfaces.api.oauth.revoke import RevocationEndpoint
from interlock.surfaces.api.oauth.token import Grant


class LoginParts(NamedTuple):
    """What the API needs to know of people who log in."""

    people: People
    pages: list[Pages]
    grants: dict[str, Grant]


def openid_providers(
    node: Node, issuers: Iterable[IssuerSettings], authenticator: TokenAuthenticator, stack: contextlib.AsyncExitStack
) -> list[SignInProvider]:
    """The issuers at which people sign in."""
    providers: list[SignInProvider] = []
    for settings in issuers:
        if settings.client_id is not None:
            callback_url = f"{node.settings.api.public_url}{CALLBACK_PATH}{settings.label}"
            keys = authenticator.sources[settings.url]
            provider = OpenIdProvider(settings, keys, authenticator.rules, callback_url, node.clock)
            stack.push_async_callback(provider.close)
            providers.append(provider)
    return providers


def open_logins(
    node: Node,
    providers: Iterable[SignInProvider],
    authenticator: TokenAuthenticator,
    exchange: TokenExchange,
    own_issuer: str,
    stack: contextlib.AsyncExitStack,
) -> LoginParts:
    """``own_issuer`` is what the gateway calls itself in answers to its own command line."""
    public_url = node.settings.api.public_url
    people = People(node.logins, authenticator, node.ledger)
    sign_in = SignIn(providers, Attempts(node.clock), node.ledger)
    authorizations = Authorizations(node.clock)
    showing = Showing(node.clock)
    authorize = AuthorizePages(sign_in, authorizations, own_issuer, public_url, showing)
    devices = _devices(node, stack)
    programs = ProgramLogins(people, authorizations, authenticator, devices, node.issuer_labels)
    pages: list[Pages] = [
        LoginPages(sign_in, people, authorize, public_url, showing),
        authorize,
        RevocationEndpoint(people.logins),
    ]
    if devices is not None:
        pages.append(DeviceEndpoint(devices, people, node.clock))
    return LoginParts(people, pages, LoginGrants(programs, people, exchange).table())


def _devices(node: Node, stack: contextlib.AsyncExitStack) -> DeviceSignIns | None:
    issuer = device_logins(node.settings.issuers, node.clock)
    if issuer is None:
        return None
    stack.push_async_callback(issuer.close)
    return DeviceSignIns(issuer, node.clock)
