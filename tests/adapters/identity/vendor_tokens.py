"""Tokens as the issuers of workloads describe theirs, and a rule for each that pins what has to be pinned.

Claims are those of the vendors' own documentation, with other names and numbers.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from joserfc.jwk import ECKey

from interlock.adapters.identity.authenticator import TokenAuthenticator
from interlock.adapters.identity.registry import Registry
from interlock.core.settings import ClaimCondition, IdentityKind, IdentityRule, IssuerSettings, Trust
from tests.adapters.identity.conftest import KnownIdentities
from tests.adapters.identity.issuer_server import assemble, signer
from tests.clocks import ManualClock

AUDIENCE = "interlock.example.org"
AWS = "https://sts.amazonaws.com/"
TENANT = "8d2a6d9c-8c1f-4d3e-9a57-0f3f7b0f5a11"
GATEWAY_APP = "4f0f7f55-2f77-4b1b-a6f1-55d6c1f6f3c2"
GITHUB_WORKFLOW = "octo-org/octo-repo/.github/workflows/nightly.yml@refs/heads/main"


class Vendor(msgspec.Struct, frozen=True):
    """An issuer of workload tokens, the claims of one, a rule that takes it, and the name that this gives."""

    trust: Trust
    url: str
    claims: dict[str, Any]
    when: dict[str, ClaimCondition]
    identity: str
    name: str
    life_s: int = 300
    audience: str = AUDIENCE


GITHUB = Vendor(
    Trust.GITHUB,
    "https://token.actions.githubusercontent.com",
    {
        "sub": "repo:octo-org/octo-repo:ref:refs/heads/main",
        "repository": "octo-org/octo-repo",
        "repository_id": "74",
        "repository_owner": "octo-org",
        "repository_owner_id": "65",
        "repository_visibility": "private",
        "actor": "octocat",
        "actor_id": "12",
        "event_name": "schedule",
        "ref": "refs/heads/main",
        "ref_type": "branch",
        "ref_protected": "true",
        "head_ref": "",
        "base_ref": "",
        "workflow": "Nightly",
        "workflow_ref": GITHUB_WORKFLOW,
        "job_workflow_ref": GITHUB_WORKFLOW,
        "run_id": "9001",
        "run_number": "10",
        "run_attempt": "2",
        "runner_environment": "github-hosted",
        "sha": "f1d2d2f924e986ac86fdf7b36c94bcdf32beec15",
    },
    {"repository_id": "74", "repository_owner_id": "65", "ref": "refs/heads/main", "ref_protected": True},
    "ci:{repository}",
    "ci:octo-org/octo-repo",
)
GITLAB = Vendor(
    Trust.GITLAB,
    "https://gitlab.example.com",
    {
        "sub": "project_path:my-group/my-project:ref_type:branch:ref:main",
        "namespace_id": "72",
        "namespace_path": "my-group",
        "project_id": "20",
        "project_path": "my-group/my-project",
        "user_id": "1",
        "user_login": "sample-user",
        "user_email": "sample-user@example.com",
        "user_access_level": "developer",
        "pipeline_id": "574",
        "pipeline_source": "push",
        "job_id": "302",
        "ref": "main",
        "ref_type": "branch",
        "ref_path": "refs/heads/main",
        "ref_protected": "true",
        "environment_protected": "false",
        "runner_id": 1,
        "runner_environment": "self-hosted",
        "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "ci_config_ref_uri": "gitlab.example.com/my-group/my-project//.gitlab-ci.yml@refs/heads/main",
        "ci_config_sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
    },
    {"project_id": 20},
    "gitlab:{project_path}",
    "gitlab:my-group/my-project",
    life_s=3600,
)
KUBERNETES = Vendor(
    Trust.KUBERNETES,
    "https://oidc.example.org/clusters/prod",
    {
        "sub": "system:serviceaccount:agents:crm-reader",
        "kubernetes.io": {
            "namespace": "agents",
            "node": {"name": "node-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
            "pod": {"name": "crm-reader-7d9", "uid": "5fa50f8b-8a6e-4d5e-9a4e-3b1f8f3a7c11"},
            "serviceaccount": {"name": "crm-reader", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
        },
    },
    {
        "sub": "system:serviceaccount:agents:crm-reader",
        "kubernetes.io.serviceaccount.uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798",
    },
    "k8s:{kubernetes.io.namespace}:{kubernetes.io.serviceaccount.name}",
    "k8s:agents:crm-reader",
    life_s=600,
)
AWS_ROLE = Vendor(
    Trust.AWS,
    "https://9c5e3a10-37a5-4e0f-b6c8-1d2f8a4b7e90.tokens.sts.global.api.aws",
    {
        "sub": "arn:aws:iam::123456789012:role/crm-reader",
        AWS: {
            "aws_account": "123456789012",
            "source_region": "us-east-1",
            "org_id": "o-abc1234567",
            "ou_path": "o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/",
            "principal_tags": {"environment": "production"},
            "request_tags": {"job-id": "job-001"},
            "lambda_source_function_arn": "arn:aws:lambda:us-east-1:123456789012:function:crm-reader",
        },
    },
    {"sub": "arn:aws:iam::123456789012:role/crm-reader", f"{AWS}.aws_account": 123456789012},
    "aws:crm-reader",
    "aws:crm-reader",
)
GCP = Vendor(
    Trust.GCP,
    "https://accounts.google.com",
    {
        "sub": "110693217109427654321",
        "azp": "110693217109427654321",
        "email": "crm-reader@my-project.iam.gserviceaccount.com",
        "email_verified": True,
        "google": {
            "compute_engine": {
                "instance_creation_timestamp": 1788600000,
                "instance_id": "152986662232938449",
                "instance_name": "crm-1",
                "project_id": "my-project",
                "project_number": 739419398126,
                "zone": "us-west1-a",
            }
        },
    },
    {"sub": "110693217109427654321", "email_verified": True},
    "gcp:{email}",
    "gcp:crm-reader@my-project.iam.gserviceaccount.com",
    life_s=3600,
)
ENTRA = Vendor(
    Trust.ENTRA,
    f"https://login.microsoftonline.com/{TENANT}/v2.0",
    {
        "sub": "d1c0b0a0-77aa-41b3-8f0f-7a2f6f9f5d10",
        "oid": "d1c0b0a0-77aa-41b3-8f0f-7a2f6f9f5d10",
        "tid": TENANT,
        "azp": "a3034e4b-9d4d-4f3a-b3a4-7f0d7ce21c5e",
        "azpacr": "2",
        "idtyp": "app",
        "roles": ["Interlock.Connect"],
        "uti": "AbCdEf",
        "ver": "2.0",
    },
    {"azp": "a3034e4b-9d4d-4f3a-b3a4-7f0d7ce21c5e", "idtyp": "app", "roles": "Interlock.Connect"},
    "entra:crm-reader",
    "entra:crm-reader",
    life_s=5400,
    audience=GATEWAY_APP,
)
SPIRE = Vendor(
    Trust.SPIFFE,
    "https://oidc-discovery.example.org",
    {"sub": "spiffe://example.org/ns/agents/sa/crm-reader"},
    {"sub": "spiffe://example.org/ns/agents/sa/*"},
    "spiffe:crm-reader",
    "spiffe:crm-reader",
)
VENDORS = (GITHUB, GITLAB, KUBERNETES, AWS_ROLE, GCP, ENTRA, SPIRE)


class ScriptedIssuer:
    """Signs whatever it is told to as a vendor would; its keys are in a file."""

    def __init__(self, vendor: Vendor, directory: Path, clock: ManualClock) -> None:
        self.vendor = vendor
        self._clock = clock
        self._key = ECKey.generate_key("P-256")
        self.keys_file = directory / "keys.json"
        published = self._key.as_dict(private=False, kid="k1", alg="ES256", use="sig")
        self.keys_file.write_text(json.dumps({"keys": [published]}))

    def settings(self, **changes: Any) -> IssuerSettings:
        vendor = self.vendor
        known = {"url": vendor.url, "audience": vendor.audience, "name": "it", "trust": vendor.trust}
        return IssuerSettings(**{**known, "jwks_file": str(self.keys_file), **changes})

    def rule(self, **changes: Any) -> IdentityRule:
        vendor = self.vendor
        known = {"issuer": "it", "when": vendor.when, "identity": vendor.identity, "kind": IdentityKind.AGENT}
        return IdentityRule(**{**known, **changes})

    def token(self, changes: Mapping[str, object] | None = None, **header: object) -> str:
        """A token with the vendor's claims; a change to None removes one."""
        now_s = int(self._clock.now_s())
        vendor = self.vendor
        times = {"iat": now_s, "nbf": now_s, "exp": now_s + vendor.life_s}
        claims = {"iss": vendor.url, "aud": vendor.audience, **times, **vendor.claims, **(changes or {})}
        kept = {name: value for name, value in claims.items() if value is not None}
        full_header = {"alg": "ES256", "kid": "k1", "typ": "JWT", **header}
        return assemble(json.dumps(full_header).encode(), json.dumps(kept).encode(), signer("ES256", self._key))

    def authenticator(self, *rules: IdentityRule, **changes: Any) -> TokenAuthenticator:
        """Trusts the issuer, with these rules or the vendor's."""
        chosen = rules or (self.rule(),)
        return TokenAuthenticator([self.settings(**changes)], chosen, Registry(KnownIdentities()), self._clock)
