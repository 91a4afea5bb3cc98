"""What is known of the issuers that vouch for workloads: what a rule must pin, and what it must never rely on.

A template holds for every rule of an issuer with ``trust = NAME``. It is data: a rule that lacks something is a
mistake in the settings (``rule_problems``, ``issuer_problems``), and some conditions hold for every token besides the
rule's own (``conditions_for``). Nothing in here sees a token.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from interlock.core.settings.identities import ClaimCondition, IdentityRule, IssuerSettings, Trust


class Pin(msgspec.Struct, frozen=True):
    """At least one of these claims has a condition without ``*``; ``claim=value``: a condition that is that value.

    ``beside`` limits it to rules with a condition on that claim.
    """

    any_of: tuple[str, ...]
    why: str
    beside: str = ""


class Built(msgspec.Struct, frozen=True):
    """A condition that tokens are held to besides the rule's own: the claim is one of ``only``, and none of ``never``.

    When ``yields``, a rule with a condition without ``*`` on the same claim has its own way.
    """

    claim: str
    only: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    yields: bool = False


class TrustTemplate(msgspec.Struct, frozen=True):
    """One kind of issuer. ``url`` is what its URL looks like; a group's name is a claim that must agree with it.

    ``weak`` are claims that do not say enough alone, with the reason; ``chosen`` are those of them that whoever gets
    the token can choose, so that nobody is named by them. ``audiences`` are those that tokens have by default or for
    somebody else: texts in which ``*`` stands for anything.
    """

    url: str
    example: str
    pins: tuple[Pin, ...]
    weak: Mapping[str, str]
    chosen: tuple[str, ...] = ()
    built: tuple[Built, ...] = ()
    audiences: tuple[str, ...] = ()


_ELSEWHERE: Final = (
    "sts.amazonaws.com",
    "api://AzureADTokenExchange",
    "https://iam.googleapis.com/*",
    "//iam.googleapis.com/*",
    "sigstore",
)
"""Audiences of others that pipelines log in to: each of them could come here with the token it was given."""

_GITHUB_EVENTS_OF_OUTSIDERS: Final = (
    "discussion",
    "discussion_comment",
    "fork",
    "issue_comment",
    "issues",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "watch",
    "workflow_run",
)
_AWS: Final = "https://sts.amazonaws.com/"

TEMPLATES: Final[Mapping[Trust, TrustTemplate]] = {
    Trust.GITHUB: TrustTemplate(
        url=r"https://token\.actions\.githubusercontent\.com(/[A-Za-z0-9-]+)?|https://[^/]+/_services/token",
        example="https://token.actions.githubusercontent.com",
        pins=(
            Pin(
                ("repository_id", "repository_owner_id"),
                "names of repositories and owners can be taken by others after a rename or removal, ids cannot",
            ),
            Pin(
                ("job_workflow_ref", "workflow_ref", "ref", "environment", "ref_protected=true"),
                "without it whoever can push any branch can change the workflow that gets this identity",
            ),
        ),
        weak={
            "sub": "its form differs between repositories and is changed by their owners",
            "repository": "the name can be taken by another repository",
            "repository_owner": "the name can be taken by another account",
            "actor": "it is who set the workflow off, not what runs",
            "actor_id": "it is who set the workflow off, not what runs",
            "workflow": "any file can give itself any title",
            "head_ref": "whoever opens a pull request chooses it",
        },
        chosen=("workflow", "head_ref"),
        built=(
            Built("event_name", never=("pull_request_target",)),
            Built("event_name", never=_GITHUB_EVENTS_OF_OUTSIDERS, yields=True),
        ),
        audiences=("https://github.com/*", *_ELSEWHERE),
    ),
    Trust.GITLAB: TrustTemplate(
        url=r"https://[^/]+(/.*)?",
        example="https://gitlab.com",
        pins=(Pin(("project_id", "namespace_id"), "paths can be taken by others after a rename or removal"),),
        weak={
            "sub": "it is made of paths, and projects can choose what it is made of",
            "project_path": "the path can be taken by another project",
            "namespace_path": "the path can be taken by another group",
            "user_login": "it is who set the pipeline off, not what runs",
            "user_id": "it is who set the pipeline off, not what runs",
            "user_email": "it is who set the pipeline off, not what runs",
            "ref": "every project has branches of this name",
        },
        chosen=("sub",),
        built=(
            Built("ref_protected", only=("true",), yields=True),
            Built("pipeline_source", never=("merge_request_event", "external_pull_request_event"), yields=True),
        ),
        audiences=_ELSEWHERE,
    ),
    Trust.KUBERNETES: TrustTemplate(
        url=r"https://.+",
        example="https://oidc.example.org/clusters/prod",
        pins=(
            Pin(
                ("sub", "kubernetes.io.serviceaccount.uid", "kubernetes.io.namespace"),
                "every pod of the cluster can get a token with any audience",
            ),
        ),
        weak={
            "kubernetes.io.serviceaccount.name": "every namespace can have a service account of this name",
            "kubernetes.io.pod.name": "whoever makes a pod chooses its name",
            "kubernetes.io.node.name": "it is where the pod runs, not what it is",
        },
        chosen=("kubernetes.io.pod.name",),
        audiences=(
            "api",
            "kubernetes.default.svc",
            "https://kubernetes.default",
            "https://kubernetes.default.svc*",
            "https://container.googleapis.com/*",
            *_ELSEWHERE,
        ),
    ),
    Trust.AWS: TrustTemplate(
        url=r"https://[0-9a-z-]+\.tokens\.sts\.global\.api\.(aws|amazonwebservices\.com\.cn)",
        example="https://11111111-2222-3333-4444-555555555555.tokens.sts.global.api.aws",
        pins=(
            Pin(
                ("sub", f"{_AWS}.lambda_source_function_arn", f"{_AWS}.ec2_source_instance_arn"),
                "every principal of the account that may call GetWebIdentityToken gets tokens of this issuer",
            ),
        ),
        weak={
            f"{_AWS}.aws_account": "the issuer is one account's anyway",
            f"{_AWS}.org_id": "every principal of every account of the organization has it",
            f"{_AWS}.request_tags": "whoever asks for the token chooses them",
            f"{_AWS}.principal_tags": "whoever may tag principals chooses them",
            f"{_AWS}.source_region": "it is where the token was asked for",
        },
        chosen=(f"{_AWS}.request_tags", f"{_AWS}.principal_tags"),
        audiences=_ELSEWHERE,
    ),
    Trust.GCP: TrustTemplate(
        url=r"https://accounts\.google\.com",
        example="https://accounts.google.com",
        pins=(
            Pin(
                ("sub", "google.compute_engine.instance_id", "google.compute_engine.project_number"),
                "everybody with a Google account gets tokens of this issuer",
            ),
            Pin(
                ("email_verified=true",),
                "an address that was not verified is anybody's; verified, it can still be given to another account",
                beside="email",
            ),
        ),
        weak={
            "email": "a service account that is made anew has the same address",
            "azp": "for service accounts it is the same as sub, for people it is an application",
            "hd": "it is a whole organization",
            "google.compute_engine.project_id": "project_number stays when names change",
            "google.compute_engine.zone": "it is where the machine is",
        },
        built=(Built("email_verified", never=("false",)),),
        audiences=("https://*.run.app", "https://*.cloudfunctions.net*", *_ELSEWHERE),
    ),
    Trust.ENTRA: TrustTemplate(
        url=r"https://login\.microsoftonline\.(com|us)/(?P<tid>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})/v2\.0",
        example="https://login.microsoftonline.com/TENANT_ID/v2.0",
        pins=(
            Pin(
                ("oid", "sub", "azp"), "every application and person of the tenant can ask for a token for this gateway"
            ),
            Pin(
                ("idtyp", "oid", "sub"),
                "an application gets tokens for itself and for every person that signs in to it, which differ in idtyp",
                beside="azp",
            ),
        ),
        weak={
            "tid": "every application and person of the tenant has it",
            "appid": "it is in tokens of the version before; azp is in these",
            "app_displayname": "every application chooses its own",
            "preferred_username": "it can be given to another person",
            "upn": "it can be given to another person",
            "email": "it is not verified",
            "name": "it can be anything",
        },
        chosen=("app_displayname", "preferred_username", "upn", "email", "name"),
        audiences=("api://*", "https://graph.microsoft.com*", "00000003-0000-0000-c000-000000000000", *_ELSEWHERE),
    ),
    Trust.SPIFFE: TrustTemplate(
        url=r"https://.+|spiffe://[a-z0-9._-]+",
        example="https://oidc-discovery.example.org",
        pins=(),
        weak={"aud": "whoever asks for a JWT-SVID chooses it"},
        chosen=("aud",),
        audiences=_ELSEWHERE,
    ),
}
_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
_SPIFFE_SUBJECT: Final = re.compile(r"spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*(/[A-Za-z0-9._-]+|/\*)")


def template_of(issuer: IssuerSettings) -> TrustTemplate | None:
    """The template that an issuer's settings name."""
    return TEMPLATES[issuer.trust] if issuer.trust is not None else None


def issuer_problems(issuer: IssuerSettings) -> Iterator[tuple[str, str]]:
    """What is wrong with an issuer's settings for what it is trusted as: the key and a sentence."""
    template = template_of(issuer)
    if template is None or issuer.trust is None:
        return
    if not re.fullmatch(template.url, issuer.url):
        yield "url", f"is not that of trust = {issuer.trust.value!r}; it looks like {template.example}"
    if issuer.audience == issuer.url or any(_covers(pattern, issuer.audience) for pattern in template.audiences):
        text = "is given by default or to others; choose one that names this gateway alone, and ask for tokens with it"
        yield "audience", f"{issuer.audience!r} {text}"


def rule_problems(rule: IdentityRule, trust: Trust) -> Iterator[str]:
    """What a rule lacks for the kind of issuer that it is about, as sentences."""
    template = TEMPLATES[trust]
    for pin in template.pins:
        if (not pin.beside or pin.beside in rule.when) and not any(_pinned(rule, name) for name in pin.any_of):
            choice = " or ".join(pin.any_of)
            yield f"must pin {choice} to values without '*': {pin.why}{_weakness(rule, template)}"
    for used in _PLACEHOLDER.findall(f"{rule.identity} {rule.owner or ''}"):
        for claim in template.chosen:
            if used == claim or used.startswith(f"{claim}."):
                yield f"{{{used}}} may not name anybody: {template.weak[claim]}"
    if trust is Trust.SPIFFE:
        yield from _spiffe_problems(rule)


def conditions_for(rule: IdentityRule, issuer_url: str, trust: Trust) -> Iterator[Built]:
    """The conditions that tokens are held to besides the rule's own."""
    template = TEMPLATES[trust]
    for built in template.built:
        if not built.yields or not _is_exact(rule.when.get(built.claim)):
            yield built
    match = re.fullmatch(template.url, issuer_url)
    for claim, value in (match.groupdict() if match else {}).items():
        yield Built(claim, only=(value,))


def _spiffe_problems(rule: IdentityRule) -> Iterator[str]:
    """A pattern ends with ``/*``: any other would take in what only begins alike (``/ns/prod*`` and ``/ns/prod-x``)."""
    subjects = _values(rule.when.get("sub"))
    if not subjects:
        yield "must pin sub to a SPIFFE ID: every workload of the trust domain has a token of this issuer"
    for subject in subjects:
        if not _SPIFFE_SUBJECT.fullmatch(str(subject)):
            yield f"sub: {subject!r} is no SPIFFE ID with a path, and '*' may only be its last segment"


def _weakness(rule: IdentityRule, template: TrustTemplate) -> str:
    """Why what the rule has does not do."""
    relied = [f"{claim} alone does not do: {template.weak[claim]}" for claim in rule.when if claim in template.weak]
    return "; " + "; ".join(relied) if relied else ""


def _pinned(rule: IdentityRule, name: str) -> bool:
    claim, _, value = name.partition("=")
    condition = rule.when.get(claim)
    if not value:
        return _is_exact(condition)
    return {str(entry).lower() for entry in _values(condition)} == {value}


def _is_exact(condition: ClaimCondition | None) -> bool:
    values = _values(condition)
    return bool(values) and not any("*" in str(value) for value in values)


def _values(condition: ClaimCondition | None) -> tuple[str | int | bool, ...]:
    if condition is None:
        return ()
    return condition if isinstance(condition, tuple) else (condition,)


def _covers(pattern: str, text: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) is not None
