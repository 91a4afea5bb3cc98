"""Workload tokens of each kind of issuer: the genuine one gets in, and what only looks like it does not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from interlock.adapters.identity.rules import NO_RULE
from interlock.core.contradictions import find_contradictions
from interlock.core.errors import LoginRefused
from interlock.core.settings import Settings
from tests.adapters.identity.vendor_tokens import (
    AWS,
    AWS_ROLE,
    ENTRA,
    GCP,
    GITHUB,
    GITLAB,
    KUBERNETES,
    SPIRE,
    VENDORS,
    ScriptedIssuer,
    Vendor,
)
from tests.clocks import ManualClock

ADDRESS = "192.0.2.1:5000"
OTHER_TENANT = "00000000-0000-4000-8000-000000000000"
FORGED_RUN = "evil/octo-repo/.github/workflows/nightly.yml@refs/heads/main"


def kubernetes(**changes: object) -> dict[str, object]:
    return {"kubernetes.io": {**KUBERNETES.claims["kubernetes.io"], **changes}}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.trust.value)
async def test_a_genuine_token_gets_in(vendor: Vendor, clock: ManualClock, tmp_path: Path) -> None:
    issuer = ScriptedIssuer(vendor, tmp_path, clock)
    settings = Settings(issuers=(issuer.settings(),), identities=(issuer.rule(),))
    assert find_contradictions(settings, ()) == []
    principal = await issuer.authenticator().prove(issuer.token(), ADDRESS)
    assert (principal.name, principal.issuer) == (vendor.name, vendor.url)
    assert principal.expires_at_s == clock.now_s() + vendor.life_s


REFUSED: dict[str, tuple[Vendor, Mapping[str, object], str]] = {
    "github: another repository of the same name": (GITHUB, {"repository_id": "75"}, NO_RULE),
    "github: another owner of the same name": (GITHUB, {"repository_owner_id": "66"}, NO_RULE),
    "github: another branch": (GITHUB, {"ref": "refs/heads/wip"}, NO_RULE),
    "github: a tag named like the branch": (GITHUB, {"ref": "refs/tags/main", "ref_type": "tag"}, NO_RULE),
    "github: an unprotected branch": (GITHUB, {"ref_protected": "false"}, NO_RULE),
    "github: nothing said of protection": (GITHUB, {"ref_protected": None}, NO_RULE),
    "github: a pull request": (GITHUB, {"event_name": "pull_request"}, NO_RULE),
    "github: a fork's pull request with the base's rights": (GITHUB, {"event_name": "pull_request_target"}, NO_RULE),
    "github: a comment on an issue": (GITHUB, {"event_name": "issue_comment"}, NO_RULE),
    "github: the owner's default audience": (GITHUB, {"aud": "https://github.com/octo-org"}, "aud"),
    "github: a token for a cloud": (GITHUB, {"aud": "sts.amazonaws.com"}, "aud"),
    "gitlab: another project of the same path": (GITLAB, {"project_id": "21"}, NO_RULE),
    "gitlab: an unprotected branch": (GITLAB, {"ref_protected": "false"}, NO_RULE),
    "gitlab: nothing said of protection": (GITLAB, {"ref_protected": None}, NO_RULE),
    "gitlab: a merge request": (GITLAB, {"pipeline_source": "merge_request_event"}, NO_RULE),
    "gitlab: the instance as audience": (GITLAB, {"aud": "https://gitlab.example.com"}, "aud"),
    "gitlab: another instance": (GITLAB, {"iss": "https://gitlab.com"}, "unknown issuer"),
    "kubernetes: a service account made anew": (KUBERNETES, kubernetes(serviceaccount={"uid": "other"}), NO_RULE),
    "kubernetes: another namespace": (KUBERNETES, {"sub": "system:serviceaccount:default:crm-reader"}, NO_RULE),
    "kubernetes: the default audience": (KUBERNETES, {"aud": ["https://kubernetes.default.svc"]}, "aud"),
    "kubernetes: a legacy token": (KUBERNETES, {"exp": None, "iss": "kubernetes/serviceaccount"}, "unknown issuer"),
    "kubernetes: a token without end": (KUBERNETES, {"exp": None}, "no exp claim"),
    "aws: another role": (AWS_ROLE, {"sub": "arn:aws:iam::123456789012:role/crm-reader2"}, NO_RULE),
    "aws: another account's role": (AWS_ROLE, {"sub": "arn:aws:iam::999999999999:role/crm-reader"}, NO_RULE),
    "aws: another account's issuer": (
        AWS_ROLE,
        {"iss": "https://00000000-37a5-4e0f-b6c8-1d2f8a4b7e90.tokens.sts.global.api.aws"},
        "unknown issuer",
    ),
    "aws: an account that is said elsewhere": (AWS_ROLE, {AWS: {"request_tags": {"aws_account": "1"}}}, NO_RULE),
    "gcp: another account": (GCP, {"sub": "999", "azp": "999"}, NO_RULE),
    "gcp: an address that was not verified": (GCP, {"email_verified": False}, NO_RULE),
    "gcp: an address that was not verified, as text": (GCP, {"email_verified": "false"}, NO_RULE),
    "gcp: an issuer without its scheme": (GCP, {"iss": "accounts.google.com"}, "unknown issuer"),
    "entra: a person's token for the same application": (ENTRA, {"idtyp": "user"}, NO_RULE),
    "entra: nothing said of what it is": (ENTRA, {"idtyp": None}, NO_RULE),
    "entra: another application": (ENTRA, {"azp": "b3034e4b-9d4d-4f3a-b3a4-7f0d7ce21c5e"}, NO_RULE),
    "entra: another tenant in the claims": (ENTRA, {"tid": OTHER_TENANT}, NO_RULE),
    "entra: another tenant": (
        ENTRA,
        {"iss": f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0", "tid": OTHER_TENANT},
        "unknown issuer",
    ),
    "entra: the application's URI as audience": (ENTRA, {"aud": f"api://{ENTRA.audience}"}, "aud"),
    "spiffe: another trust domain": (SPIRE, {"sub": "spiffe://example.com/ns/agents/sa/crm-reader"}, NO_RULE),
    "spiffe: a path that begins alike": (SPIRE, {"sub": "spiffe://example.org/ns/agents/sa-x/y"}, NO_RULE),
    "spiffe: the rule's path itself": (SPIRE, {"sub": "spiffe://example.org/ns/agents/sa"}, NO_RULE),
}


@pytest.mark.parametrize(("vendor", "changes", "reason"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_only_looks_like_it(
    vendor: Vendor, changes: Mapping[str, object], reason: str, clock: ManualClock, tmp_path: Path
) -> None:
    issuer = ScriptedIssuer(vendor, tmp_path, clock)
    with pytest.raises(LoginRefused) as caught:
        await issuer.authenticator().prove(issuer.token(changes), ADDRESS)
    assert reason in caught.value.reason


async def test_the_ledger_has_the_claims_that_failed_and_the_caller_has_not(clock: ManualClock, tmp_path: Path) -> None:
    issuer = ScriptedIssuer(GITHUB, tmp_path, clock)
    far = issuer.rule(when={"repository_id": "1", "ref": "x"}, identity="ci:other")
    authenticator = issuer.authenticator(far, issuer.rule())
    token = issuer.token({"ref": "refs/heads/wip", "event_name": "pull_request_target", "sub": "planted"})
    with pytest.raises(LoginRefused) as caught:
        await authenticator.prove(token, ADDRESS)
    assert caught.value.reason == "no identity rule applies: not 'ci:{repository}' for its ref, event_name"
    assert not any(word in str(caught.value) for word in ("ref", "event_name", "planted", "ci:"))
    nobody = issuer.authenticator(issuer.rule(issuer="https://other.example"))
    with pytest.raises(LoginRefused) as caught:
        await nobody.prove(token, ADDRESS)
    assert caught.value.reason == "no identity rule applies: its issuer has none"


async def test_a_pod_may_be_gone_sooner_than_a_long_token(clock: ManualClock, tmp_path: Path) -> None:
    issuer = ScriptedIssuer(KUBERNETES, tmp_path, clock)
    token = issuer.token({"exp": int(clock.now_s()) + 3600})
    with pytest.raises(LoginRefused, match="at most 600 seconds"):
        await issuer.authenticator().prove(token, ADDRESS)
    assert (await issuer.authenticator(max_token_age_s=3600).prove(token, ADDRESS)).name == KUBERNETES.name


async def test_a_rule_that_says_so_takes_what_is_refused_by_default(clock: ManualClock, tmp_path: Path) -> None:
    gitlab = ScriptedIssuer(GITLAB, tmp_path, clock)
    by_comment = gitlab.rule(when={"project_id": 20, "ref_protected": ("true", "false")})
    await gitlab.authenticator(by_comment).prove(gitlab.token({"ref_protected": "false"}), ADDRESS)
    github = ScriptedIssuer(GITHUB, tmp_path, clock)
    events: tuple[str, ...] = ("issue_comment", "pull_request_target")
    told = github.rule(when={**GITHUB.when, "event_name": events})
    authenticator = github.authenticator(told)
    await authenticator.prove(github.token({"event_name": "issue_comment"}), ADDRESS)
    with pytest.raises(LoginRefused):
        await authenticator.prove(github.token({"event_name": "pull_request_target"}), ADDRESS)
    anything = github.authenticator(github.rule(when={**GITHUB.when, "event_name": "*"}))
    with pytest.raises(LoginRefused):
        await anything.prove(github.token({"event_name": "issue_comment"}), ADDRESS)


async def test_groups_that_do_not_fit_into_the_token(clock: ManualClock, tmp_path: Path) -> None:
    issuer = ScriptedIssuer(ENTRA, tmp_path, clock)
    rule = issuer.rule(groups_claim="groups")
    few = await issuer.authenticator(rule).prove(issuer.token({"groups": ["g-1"]}), ADDRESS)
    assert few.groups == {"g-1"}
    overage = {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.example"}}}
    with pytest.raises(LoginRefused) as caught:
        await issuer.authenticator(rule).prove(issuer.token(overage), ADDRESS)
    assert "groups is kept elsewhere" in caught.value.reason


MISTAKES: dict[str, tuple[Vendor, dict[str, Any], str]] = {
    "github: names only": (
        GITHUB,
        {"when": {"repository": "octo-org/octo-repo", "ref": "refs/heads/main"}},
        "must pin repository_id or repository_owner_id to values without '*': names of repositories",
    ),
    "github: it says why names do not do": (
        GITHUB,
        {"when": {"repository": "octo-org/octo-repo", "ref": "refs/heads/main"}},
        "repository alone does not do: the name can be taken by another repository",
    ),
    "github: the subject only": (GITHUB, {"when": {"sub": "repo:o/r:ref:refs/heads/main"}}, "sub alone does not do"),
    "github: the actor only": (GITHUB, {"when": {"actor": "octocat"}}, "actor alone does not do"),
    "github: any branch": (GITHUB, {"when": {"repository_id": "74"}}, "must pin job_workflow_ref or workflow_ref or"),
    "github: unprotected branches": (
        GITHUB,
        {"when": {"repository_id": "74", "ref_protected": "false"}},
        "must pin job_workflow_ref or workflow_ref or",
    ),
    "github: an id with a star": (
        GITHUB,
        {"when": {**GITHUB.when, "repository_id": "*", "repository_owner_id": "6*"}},
        "must pin repository_id",
    ),
    "github: no accepted value": (GITHUB, {"when": {"repository_id": (), "ref": "x"}}, "must pin repository_id"),
    "github: nothing at all": (GITHUB, {"when": {}}, "must pin repository_id"),
    "gitlab: paths only": (GITLAB, {"when": {"project_path": "my-group/my-project"}}, "project_path alone does not do"),
    "kubernetes: the name only": (
        KUBERNETES,
        {"when": {"kubernetes.io.serviceaccount.name": "crm-reader"}},
        "must pin sub or kubernetes.io.serviceaccount.uid or kubernetes.io.namespace",
    ),
    "aws: the account only": (AWS_ROLE, {"when": {f"{AWS}.aws_account": "1"}}, "must pin sub or"),
    "aws: tags of the request": (AWS_ROLE, {"when": {f"{AWS}.request_tags": "x"}}, "request_tags alone does not do"),
    "aws: a role by pattern": (AWS_ROLE, {"when": {"sub": "arn:aws:iam::1:role/*"}}, "must pin sub or"),
    "gcp: an address": (GCP, {"when": {"email": "a@b.example", "email_verified": True}}, "email alone does not do"),
    "gcp: an address that nobody verified": (
        GCP,
        {"when": {"sub": "1", "email": "a@b.example"}},
        "must pin email_verified=true",
    ),
    "entra: the tenant only": (ENTRA, {"when": {"tid": OTHER_TENANT}}, "tid alone does not do"),
    "entra: people of the application, too": (ENTRA, {"when": {"azp": "a"}}, "must pin idtyp or oid or sub"),
    "github: a name that a branch chooses": (GITHUB, {"identity": "ci:{head_ref}"}, "{head_ref} may not name anybody"),
    "aws: a name that the request chooses": (
        AWS_ROLE,
        {"identity": f"aws:{{{AWS}.request_tags.job-id}}"},
        "may not name anybody: whoever asks for the token chooses them",
    ),
    "entra: an owner by a name that changes hands": (ENTRA, {"owner": "{upn}"}, "{upn} may not name anybody"),
    "spiffe: everybody": (SPIRE, {"when": {}}, "must pin sub to a SPIFFE ID"),
    "spiffe: what begins alike": (SPIRE, {"when": {"sub": "spiffe://example.org/ns/agents*"}}, "may only be its last"),
    "spiffe: a star in the middle": (SPIRE, {"when": {"sub": "spiffe://example.org/*/sa/x"}}, "may only be its last"),
    "spiffe: any trust domain": (SPIRE, {"when": {"sub": "spiffe://*"}}, "no SPIFFE ID with a path"),
    "spiffe: a whole trust domain": (SPIRE, {"when": {"sub": "spiffe://example.org"}}, "no SPIFFE ID with a path"),
}


@pytest.mark.parametrize(("vendor", "rule", "text"), MISTAKES.values(), ids=MISTAKES.keys())
def test_rules_that_do_not_pin_enough(
    vendor: Vendor, rule: dict[str, Any], text: str, clock: ManualClock, tmp_path: Path
) -> None:
    issuer = ScriptedIssuer(vendor, tmp_path, clock)
    settings = Settings(issuers=(issuer.settings(),), identities=(issuer.rule(**rule),))
    problems = find_contradictions(settings, ())
    assert {problem.place for problem in problems} == {("identities", 0, "when")}
    assert any(text in problem.text for problem in problems)


WRONG_ISSUERS: dict[str, tuple[Vendor, dict[str, str], str, str]] = {
    "github elsewhere": (GITHUB, {"url": "https://token.actions.example.com"}, "url", "looks like https://token.act"),
    "github's default audience": (
        GITHUB,
        {"audience": "https://github.com/octo-org"},
        "audience",
        "names this",
    ),
    "an audience of AWS": (GITHUB, {"audience": "sts.amazonaws.com"}, "audience", "names this"),
    "the instance as audience": (GITLAB, {"audience": GITLAB.url}, "audience", "names this"),
    "the cluster's default audience": (
        KUBERNETES,
        {"audience": "https://kubernetes.default.svc.cluster.local"},
        "audience",
        "names this",
    ),
    "all of Entra": (ENTRA, {"url": "https://login.microsoftonline.com/common/v2.0"}, "url", "TENANT_ID"),
    "Entra's tokens of version 1": (ENTRA, {"url": f"https://sts.windows.net/{OTHER_TENANT}/"}, "url", "TENANT_ID"),
    "Entra's application URI": (ENTRA, {"audience": f"api://{ENTRA.audience}"}, "audience", "names this"),
    "AWS sign-in": (AWS_ROLE, {"url": "https://sts.amazonaws.com"}, "url", "tokens.sts.global.api.aws"),
}


@pytest.mark.parametrize(("vendor", "changes", "key", "text"), WRONG_ISSUERS.values(), ids=WRONG_ISSUERS.keys())
def test_issuers_that_are_not_what_they_are_called(
    vendor: Vendor, changes: dict[str, str], key: str, text: str, clock: ManualClock, tmp_path: Path
) -> None:
    issuer = ScriptedIssuer(vendor, tmp_path, clock)
    settings = Settings(issuers=(issuer.settings(**changes),), identities=(issuer.rule(),))
    (problem,) = find_contradictions(settings, ())
    assert problem.place == ("issuers", 0, key)
    assert text in problem.text


async def test_conditions_that_must_not_hold(clock: ManualClock, tmp_path: Path) -> None:
    issuer = ScriptedIssuer(GITHUB, tmp_path, clock)
    unless = {"actor": ("dependabot*", "renovate"), "runner_environment": "self-hosted"}
    authenticator = issuer.authenticator(issuer.rule(unless=unless))
    await authenticator.prove(issuer.token(), ADDRESS)
    await authenticator.prove(issuer.token({"actor": None, "runner_environment": None}), ADDRESS)
    for changes in ({"actor": "dependabot[bot]"}, {"actor": ["a", "renovate"]}, {"runner_environment": "self-hosted"}):
        with pytest.raises(LoginRefused):
            await authenticator.prove(issuer.token(changes), ADDRESS)
