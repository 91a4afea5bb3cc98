"""What is wrong between settings tables that are each right by themselves. Nothing in here reads a file."""

import msgspec

from interlock.core.settings import (
    NAME_PATTERN,
    CertificateNames,
    ConnectionSettings,
    IssuerSettings,
    NotificationSettings,
    Settings,
    Trust,
)
from interlock.core.trust_templates import issuer_problems, rule_problems


class Problem(msgspec.Struct, frozen=True):
    """Something wrong with a settings file: where (keys and indexes from the top) and what, for people."""

    place: tuple[str | int, ...]
    text: str


def find_contradictions(settings: Settings, protocols: tuple[str, ...]) -> list[Problem]:
    """What is wrong between tables that are each right by themselves. ``protocols`` are those the gateway speaks."""
    return [
        *_duplicate_issuers(settings.issuers),
        *_opaque_tokens(settings.issuers),
        *_unknown_issuers(settings),
        *_duplicate_trust_domains(settings),
        *_misplaced_trust(settings),
        *_homeless_clients(settings),
        *_wrong_saml(settings),
        *_wrong_connections(settings.connections, protocols),
        *_wrong_channels(settings.notifications),
    ]


def _duplicate_issuers(issuers: tuple[IssuerSettings, ...]) -> list[Problem]:
    seen: set[str] = set()
    problems = []
    for index, issuer in enumerate(issuers):
        if {issuer.label, issuer.url} & seen:
            problems.append(Problem(("issuers", index), f"issuer {issuer.label!r} is given twice"))
        seen |= {issuer.label, issuer.url}
    return problems


def _opaque_tokens(issuers: tuple[IssuerSettings, ...]) -> list[Problem]:
    """A token that says nothing itself can only be asked about at one place."""
    theirs = [index for index, issuer in enumerate(issuers) if issuer.introspection and issuer.introspection.opaque]
    text = "opaque: another issuer has it already; opaque tokens are those of one issuer at most"
    return [Problem(("issuers", index, "introspection"), text) for index in theirs[1:]]


def _unknown_issuers(settings: Settings) -> list[Problem]:
    known = {issuer.label for issuer in settings.issuers} | {issuer.url for issuer in settings.issuers}
    known |= {provider.name for provider in settings.saml} | {domain.label for domain in settings.trust_domains}
    return [
        Problem(("identities", index, "issuer"), f"no issuer {rule.issuer!r}; allowed: {', '.join(sorted(known))}")
        for index, rule in enumerate(settings.identities)
        if rule.issuer not in known
    ]


def _duplicate_trust_domains(settings: Settings) -> list[Problem]:
    labels = [domain.label for domain in settings.trust_domains]
    return [
        Problem(("trust_domains", index), f"trust domain {label!r} is given twice")
        for index, label in enumerate(labels)
        if label in labels[:index]
    ]


def _misplaced_trust(settings: Settings) -> list[Problem]:
    """Rules and issuers that go against what is known of their kind."""
    trusts = trusts_of(settings)
    problems = [
        Problem(("issuers", index, key), text)
        for index, issuer in enumerate(settings.issuers)
        for key, text in issuer_problems(issuer)
    ]
    return problems + [
        Problem(("identities", index, "when"), text)
        for index, rule in enumerate(settings.identities)
        if rule.issuer in trusts
        for text in rule_problems(rule, trusts[rule.issuer])
    ]


def trusts_of(settings: Settings) -> dict[str, Trust]:
    """What kind of issuer each is of which that is said, by the names that rules may use."""
    trusts: dict[str, Trust] = {}
    for issuer in settings.issuers:
        if issuer.trust is not None:
            trusts |= dict.fromkeys((issuer.label, issuer.url), issuer.trust)
    for domain in settings.trust_domains:
        if domain.names is CertificateNames.SPIFFE:
            trusts[domain.label] = Trust.SPIFFE
    return trusts


def _homeless_clients(settings: Settings) -> list[Problem]:
    return [
        Problem(
            ("issuers", index, "client_id"), "api.public_url is missing: browsers come back to it from the provider"
        )
        for index, issuer in enumerate(settings.issuers)
        if issuer.client_id is not None and not settings.api.public_url
    ]


def _wrong_saml(settings: Settings) -> list[Problem]:
    """Names of SAML providers are issuers' names to identity rules, so that they must be apart from those."""
    taken = {issuer.label for issuer in settings.issuers} | {issuer.url for issuer in settings.issuers}
    problems = []
    for index, provider in enumerate(settings.saml):
        if provider.name in taken:
            problems.append(Problem(("saml", index, "name"), f"issuer {provider.name!r} is given twice"))
        taken.add(provider.name)
    if settings.saml and not settings.api.public_url:
        problems.append(Problem(("saml",), "api.public_url is missing: browsers come back to it from the provider"))
    return problems


def _wrong_connections(connections: dict[str, ConnectionSettings], protocols: tuple[str, ...]) -> list[Problem]:
    problems = []
    for name, connection in connections.items():
        if not NAME_PATTERN.fullmatch(name):
            text = f"{name!r} cannot name a connection; allowed: letters, digits, '_', '.', '-', at most 63"
            problems.append(Problem(("connections", name), text))
        if connection.protocol not in protocols:
            text = f"unknown protocol {connection.protocol!r}; allowed: {', '.join(protocols)}"
            problems.append(Problem(("connections", name, "protocol"), text))
    return problems


def _wrong_channels(channels: dict[str, NotificationSettings]) -> list[Problem]:
    text = "{!r} cannot name a channel; allowed: letters, digits, '_', '.', '-', at most 63"
    return [
        Problem(("notifications", name), text.format(name)) for name in channels if not NAME_PATTERN.fullmatch(name)
    ]
