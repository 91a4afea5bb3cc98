"""Puts together the SAML providers at which people sign in, and what those are told of this gateway."""

from typing import TYPE_CHECKING

from interlock.adapters.identity.rules import Rules
from interlock.bootstrap.node import Node
from interlock.core.settings import SamlSettings
from interlock.services.single_logout import SingleLogout
from interlock.surfaces.api.login.login import CALLBACK_PATH
from interlock.surfaces.api.login.showing import Showing
from interlock.surfaces.api.saml import SamlPages, logout_path, metadata_path

if TYPE_CHECKING:
    from interlock.adapters.identity.saml.provider import SamlProvider


def saml_providers(node: Node, rules: Rules) -> "list[SamlProvider]":
    """Those of the settings. Raises ConfigurationError when a key for requests cannot be used."""
    return [_provider(node, settings, rules) for settings in node.settings.saml]


def saml_pages(node: Node, providers: "list[SamlProvider]") -> SamlPages:
    """Their metadata and logouts."""
    return SamlPages(SingleLogout(providers, node.logins, node.ledger), Showing(node.clock))


def _provider(node: Node, settings: SamlSettings, rules: Rules) -> "SamlProvider":
    # Only where there are any: the libraries for XML are large.
    from interlock.adapters.identity.saml.metadata_source import MetadataSource
    from interlock.adapters.identity.saml.own_keys import open_own_keys
    from interlock.adapters.identity.saml.own_messages import OwnPlaces
    from interlock.adapters.identity.saml.provider import SamlProvider

    url = node.settings.api.public_url
    places = OwnPlaces(
        entity_id=settings.entity_id or url + metadata_path(settings.name),
        consumer_url=url + CALLBACK_PATH + settings.name,
        logout_url=url + logout_path(settings.name),
    )
    keys = open_own_keys(settings, node.data_dir, node.clock.now_s())
    return SamlProvider(settings, places, keys, rules, MetadataSource(settings, node.clock), node.clock)
